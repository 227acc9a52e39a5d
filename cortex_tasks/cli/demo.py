"""The command `demo`: everything once, on a server of its own that is gone afterwards."""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

from .arguments import Commands, add_command
from .connection import Connection
from .exits import CommandFailed, Exit
from .keys import key_store
from .operations import CHAIN_STEPS, PROCESS, carry_out, print_communities
from .progress import progress_view
from .screen import note
from .uploads import files_in, upload_all

SAMPLE = Path(__file__).parents[1] / "sample" / "jargon"
START_TIMEOUT = 60.0  # seconds; a cold start on a busy machine takes a few
STOP_TIMEOUT = 15.0


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = add_command(
        commands,
        "demo",
        demo,
        "run the whole chain on sample documents, with a server that lasts as long as the demo",
    )
    command.add_argument(
        "--documents",
        metavar="PATH",
        type=Path,
        default=SAMPLE,
        help="a file or folder to use in place of the sample corpus",
    )


def demo(arguments: argparse.Namespace) -> int:
    """Start a server, run the chain, print the communities, and clean up however it ends."""
    files = files_in([arguments.documents])
    code = Exit.INTERRUPTED
    with suppress(KeyboardInterrupt), _termination_interrupts():
        code = _show(files)
    interrupted = "Interrupted. " if code == Exit.INTERRUPTED else ""
    note(f"{interrupted}The server is stopped and its folder is removed.")
    return code


def _show(files: list[Path]) -> Exit:
    with TemporaryDirectory(prefix="cortex-tasks-demo-") as folder:
        data = Path(folder, "data")
        key = key_store(str(data)).create("demo")
        with _server(data, Path(folder, "server.log")) as url, Connection(url, key) as connection:
            note(f"A server for this demo runs at {url}, in {folder}.")
            return _whole_chain(connection, files)


def _whole_chain(connection: Connection, files: list[Path]) -> Exit:
    with progress_view() as view:
        outcomes = list(upload_all(connection, files, view))
    for one in outcomes:
        if one.outcome == "failed":
            note(f"{one.outcome}: {one.path}: {one.reason}")
    chain = {"chain": ",".join(CHAIN_STEPS), "concurrency": 4}
    _, code = carry_out(connection, PROCESS, chain, wait=True)
    if code == Exit.DONE:
        note("")
        print_communities(connection)
        sys.stdout.flush()
    return code


@contextmanager
def _server(data: Path, log: Path) -> Iterator[str]:
    """Run a server process on a free loopback port; it has ended when the block has."""
    options = ["--host", "127.0.0.1", "--port", "0", "--data", str(data)]
    with log.open("wb") as output:
        # In a session of its own, so that Ctrl-C reaches us alone and we stop it in good order.
        process = subprocess.Popen(
            [sys.executable, "-m", "cortex_tasks", "serve", *options],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield _await_readiness(process, log)
    finally:
        _stop(process)


def _await_readiness(process: subprocess.Popen[bytes], log: Path) -> str:
    """Give the URL once the server says that it answers there."""
    deadline = time.monotonic() + START_TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        found = re.search(r"^Cortex tasks at (http://\S+)\n", log.read_text(encoding="utf-8"))
        if found:
            return found[1]
        time.sleep(0.05)
    raise CommandFailed(
        f"the demo's server did not start. It said:\n{log.read_text(encoding='utf-8')}"
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
        process.wait()


@contextmanager
def _termination_interrupts() -> Iterator[None]:
    """Treat being told to end, or the terminal's closing, as Ctrl-C: clean up, then go."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    told_to_end = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in told_to_end}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
