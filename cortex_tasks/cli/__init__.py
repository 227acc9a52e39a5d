"""The command `cortex-tasks`: runs the server, and talks to one.

    commands                                                 the whole command line
    arguments  connection  screen  progress  following
    termination                                              what the commands are built from
    serving  keys  tasks  steering  operations  uploads  webhooks
    submitting  top  doctor  demo                            the commands, a group in each file

Its exit codes are in `exits`; scripts may rely on them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code; with a usage error, argparse exits with 2."""
    try:  # Ctrl-C may come while the commands are still being imported
        from .commands import run  # noqa: PLC0415 - for the reason above

        return run(arguments)
    except KeyboardInterrupt:
        text = "\ncortex-tasks: interrupted. What was started on the server goes on there.\n"
        if sys.stderr is not None:
            sys.stderr.write(text)
        return 130  # Exit.INTERRUPTED, without its import
