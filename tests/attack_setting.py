"""What attacks on a server process stand on: the process, what it holds, its other clients."""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cortex_tasks.jobs.library.checking import LIBRARY_FILE
from cortex_tasks.jobs.library.database import READERS

from .attacked_process import KEY, TASKS
from .http_process import PATIENCE, Server, a_server

JOURNAL_FILES = 8  # a lock; journal and snapshot, each twice while they are made anew
LIBRARY_FILES = 2 * (READERS + 1) + 2  # a file and its journal for each, an index, a lock


@contextmanager
def attacked(loop: str, folder: Path, **options: float) -> Iterator[Server]:
    """Run a server with all that there is, its data in the folder, its limits low."""
    folder.mkdir(exist_ok=True)
    options = {"grace": 1.0, "patience": 30.0, "keep_alive": 1.0, "body_seconds": 1.0} | options
    with a_server(
        loop, program="tests.attacked_process", folder=str(folder), **options
    ) as server:  # fmt: skip
        yield server


def ask(server: Server, method: str, path: str, body: bytes | None = None) -> Any:
    """Ask with the key, on a connection of its own; gives status and JSON."""
    return server.ask(method, path, body, **{"X-API-Key": KEY})


def files_of(server: Server) -> list[str]:
    """What the process has open, by name; library and journal are counted, and held to a bound."""
    found, library, journal = [], 0, 0
    for link in Path(f"/proc/{server.process.pid}/fd").iterdir():
        try:
            name = str(link.readlink())
        except FileNotFoundError:
            continue  # closed meanwhile
        if LIBRARY_FILE in name:
            library += 1  # opened when they are needed, and kept
        elif f"/{TASKS}/" in name:
            journal += 1  # now before, now after a compaction
        else:
            found.append(name)
    assert library <= LIBRARY_FILES, library
    assert journal <= JOURNAL_FILES, journal
    return sorted(found)


def threads_of(server: Server) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/task").iterdir()))


def children_of(server: Server) -> list[int]:
    """Processes that it has started and not reaped."""
    found = []
    for thread in Path(f"/proc/{server.process.pid}/task").iterdir():
        try:
            found += [int(pid) for pid in (thread / "children").read_text().split()]
        except FileNotFoundError:
            continue  # a thread that has ended meanwhile
    return found


def memory_of(server: Server, *, forget: bool = False) -> int:
    """Bytes of it in memory, once it has given back what it does not need.

    forget: of the tasks too, that have ended.
    """
    if forget:
        assert ask(server, "POST", "/forget")[0] == 200
    assert ask(server, "POST", "/settle")[0] == 200
    pages = Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


def wait_until(true: Callable[[], bool], otherwise: Callable[[], object]) -> None:
    """Look again and again; after a patience with which nothing that passes compares, fail."""
    given_up = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < given_up, otherwise()
        time.sleep(0.02)


@contextmanager
def others_are_served(server: Server) -> Iterator[None]:
    """Within this block somebody else runs tasks, again and again, and each comes out well."""
    over = threading.Event()
    errors: list[BaseException] = []
    served = 0

    def work() -> None:
        nonlocal served
        try:
            while not over.is_set() or not served:
                run_a_task(server)
                served += 1
        except BaseException as error:  # noqa: BLE001  # told to the law's own thread
            errors.append(error)

    other = threading.Thread(target=work)
    other.start()
    try:
        yield
    finally:
        over.set()
        other.join()
    assert not errors, f"after {served} tasks: {errors[0]!r}\n{server.log()}"


def run_a_task(server: Server) -> None:
    """Submit one, wait for its end, read its result, look at the server's health."""
    status, task_id = ask(server, "POST", "/start/quick")
    assert status == 200, task_id
    status, task = ask(server, "GET", f"/api/tasks/{task_id}?wait=30")
    while status == 200 and task["status"] in ("pending", "running"):
        status, task = ask(server, "GET", f"/api/tasks/{task_id}?wait=30")
    assert task["status"] == "completed", task
    assert ask(server, "GET", f"/api/tasks/{task_id}/result") == (200, {"attempt": 1})
    assert server.is_well(), server.log()
