"""`cortex-tasks` as processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

LIMIT = 60  # seconds until a law gives up on a process
SLOW = "the event loop has been held up for"  # which the machine decides, a line in JSON


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "cortex_tasks", *words]


@contextmanager
def serving(
    data: Path, *words: str, log: IO[str] | int = subprocess.STDOUT, **variables: str
) -> Iterator[tuple[str, str, int]]:
    """Run a server; give its URL, all that it said about itself, and its process id.

    log: where its log goes; without one it must write none, but that this machine was slow.
    """
    with subprocess.Popen(
        command("serve", "--port", "0", "--data", str(data), *words),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env={**os.environ, **variables},
    ) as process:
        assert process.stdout is not None
        try:
            said = ""
            while "Ctrl-C" not in said:
                line = process.stdout.readline()
                assert line, f"it ended: {said}"
                said += "" if SLOW in line else line
            yield said.split()[3], said, process.pid
            process.send_signal(signal.SIGTERM)
            assert process.wait(LIMIT) == 0
            rest = "".join(line for line in process.stdout if SLOW not in line)
            assert rest == "", rest
        finally:
            process.kill()
