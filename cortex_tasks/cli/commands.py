"""The whole command line: its parser, and what an error makes of the exit code."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from ..engine.errors import CortexTasksError
from ..http.keys import KeyNotFound
from . import (
    demo,
    doctor,
    keys,
    operations,
    serving,
    steering,
    submitting,
    tasks,
    top,
    uploads,
    webhooks,
)
from .arguments import CommandParser
from .exits import CommandFailed, Exit
from .screen import claim_streams, flush_output, let_go_of_output, note

EXIT_CODES = """\
exit codes: 0 done, 1 failed, 2 usage, 3 cancelled, 4 not found, 130 interrupted

The key is taken from the variable CORTEX_TASKS_API_KEY or from the file that --key-file names;
there is no option for the key itself, because other users can see the command lines of processes.
"""


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code; raises KeyboardInterrupt."""
    claim_streams()
    parsed = parser().parse_args(arguments)
    try:
        return _run(parsed)
    except BrokenPipeError:
        let_go_of_output()
        return Exit.PIPE_CLOSED


def parser() -> argparse.ArgumentParser:
    """Build the parser: every command adds itself."""
    whole = argparse.ArgumentParser(
        prog="cortex-tasks",
        description="Background tasks that are kept, really cancelled, and truthful about it.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    whole.add_argument("--version", action="version", version=f"cortex-tasks {own_version()}")
    commands = whole.add_subparsers(
        title="commands", metavar="COMMAND", required=True, parser_class=CommandParser
    )
    for group in (
        serving,
        uploads,
        operations,
        submitting,
        tasks,
        steering,
        top,
        keys,
        webhooks,
        doctor,
        demo,
    ):
        group.add_to(commands)
    return whole


def own_version() -> str:
    """The version of the installed distribution."""
    try:
        return version("cortex-tasks")
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "(not installed)"


def _run(parsed: argparse.Namespace) -> int:
    try:
        code: int = parsed.run(parsed)
        flush_output()
    except CommandFailed as failed:
        note(f"cortex-tasks: {failed}")
        return failed.exit_code
    except KeyNotFound as error:
        note(f"cortex-tasks: {error}")
        return Exit.NOT_FOUND
    except CortexTasksError as error:
        note(f"cortex-tasks: {error}")
        return Exit.FAILED
    return code
