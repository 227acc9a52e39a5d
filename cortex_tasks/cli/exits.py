"""How a command ends: its exit codes, and the error that every command fails with."""

from __future__ import annotations

import enum


class Exit(enum.IntEnum):
    """What a script that calls us may rely on."""

    DONE = 0
    FAILED = 1  # the task failed, or the command could not do what it was asked
    USAGE = 2  # the command line makes no sense; argparse exits with it too
    CANCELLED = 3
    NOT_FOUND = 4
    INTERRUPTED = 130  # Ctrl-C, as shells count signals
    PIPE_CLOSED = 141  # the reader of our output went away, as in `… | head`


class CommandFailed(Exception):
    """The command ends here; the text tells a person what happened and what to do."""

    def __init__(self, message: str, exit_code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class ExtraMissing(CommandFailed):
    """A library that only an extra of the distribution brings is not installed."""

    def __init__(self, library: str | None, extras: str) -> None:
        name = (library or "a library").partition(".")[0]
        super().__init__(
            f"this command needs {name}, which is not installed: "
            f"pip install 'cortex-tasks[{extras}]'"
        )
