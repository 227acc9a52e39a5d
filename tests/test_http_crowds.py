"""A thousand connections that say nothing, and hundreds whose clients stopped halfway."""

from __future__ import annotations

import contextlib
import resource
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from .attack_setting import (
    ask,
    attacked,
    files_of,
    memory_of,
    others_are_served,
    run_a_task,
    wait_until,
)
from .attacked_process import BIG, KEY
from .http_process import PATIENCE, Server
from .torture import FULL, count

IDLE = 1_000
STALLED = 200
ROUNDS = 10 if FULL else 3  # of the same crowd: what grows from the second on is lost for good
SPARE = 100  # files that a process has open besides its connections
FEW_BYTES = 3_000_000  # what an allocator may keep, or not
LONG = PATIENCE * 2  # seconds that no law here waits: who leaves is not sent away

HEAD = b"%b HTTP/1.1\r\nHost: x\r\nX-API-Key: " + KEY.encode() + b"\r\n"
HALVES = (
    HEAD % b"POST /api/tasks/cleanup" + b"Content-Length: 9\r\n\r\n{",
    HEAD % b"POST /api/tasks/cleanup" + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{}",
    HEAD % b"POST /api/custom-input" + b"Content-Length: 9000\r\n\r\n" + b" " * 5_000,
    HEAD % b"POST /api/upload" + b"Content-Type: multipart/form-data; boundary=edge\r\n"
    b'Content-Length: 9000\r\n\r\n--edge\r\nContent-Disposition: form-data; name="file"; '
    b'filename="a"\r\n\r\n' + b"x" * 5_000,
)  # fmt: skip
NOTHINGS = (b"", b"GET", HEAD % b"GET /health", HEAD % b"GET /health" + b"\r\n")


@pytest.fixture(scope="module", autouse=True)
def room() -> Iterator[None]:
    """Room for a crowd here, and in the server, which inherits it: as far as this user may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = IDLE + 2 * SPARE
    if soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            pytest.skip(f"this user may have no more than {hard} files open, and not {wanted}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(params=["trio", "asyncio"])
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def idle(server: Server, number: int) -> socket.socket:
    """One that says nothing, or less than a request, or nothing after one."""
    connection = server.connect()
    connection.sendall(NOTHINGS[number % len(NOTHINGS)])
    return connection


def halfway(server: Server, number: int) -> socket.socket:
    """One that stops in the middle of a body."""
    connection = server.connect()
    connection.sendall(HALVES[number % len(HALVES)])
    return connection


def deaf(server: Server, request: bytes, _number: int) -> socket.socket:
    """One that asks for more than there is room for on the way, and never reads."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    connection.settimeout(PATIENCE)
    connection.connect(server.address)
    connection.sendall(request)
    return connection


def sockets_of(server: Server) -> int:
    return sum(name.startswith("socket:") for name in files_of(server))


def a_big_result(server: Server) -> str:
    """Run a task with one; gives its id."""
    task_id: str = ask(server, "POST", "/start/big")[1]
    while ask(server, "GET", f"/api/tasks/{task_id}?wait=30")[1]["status"] != "completed":
        pass
    return task_id


def come_and_go(
    server: Server,
    crowd: Callable[[int], socket.socket],
    size: int,
    *,
    rounds: int = ROUNDS,
    forget: bool = True,
) -> list[int]:
    """Let a crowd come and go, again and again; gives the memory with each, and after the last.

    Without what the tasks of the others leave behind, which is none of the crowd's doing.
    """
    before = len(files_of(server))
    sizes = []
    for _ in range(rounds):
        with crowded(server, crowd, size):
            sizes.append(memory_of(server, forget=forget))
        wait_until(lambda: len(files_of(server)) <= before, lambda: files_of(server))
    return [*sizes, memory_of(server, forget=forget)]


@contextlib.contextmanager
def crowded(server: Server, crowd: Callable[[int], socket.socket], size: int) -> Iterator[None]:
    """Within this block the server holds so many connections; others were, and are, served."""
    alone = sockets_of(server)
    with contextlib.ExitStack() as connections:
        with others_are_served(server):
            for number in range(size):
                connections.enter_context(crowd(number))
            wait_until(lambda: sockets_of(server) >= alone + size, lambda: sockets_of(server))
        run_a_task(server)
        yield


def test_a_thousand_idle_connections_cost_little_and_hold_up_nobody(
    loop: str, tmp_path: Path
) -> None:
    with attacked(loop, tmp_path / "data", keep_alive=LONG) as server:
        run_a_task(server)
        alone = memory_of(server)
        first, second, *_, last, after = come_and_go(server, partial(idle, server), IDLE)
        assert first - alone < IDLE * 100_000, (alone, first)
        assert last - second < FEW_BYTES, (alone, second, last)
        assert after - second < FEW_BYTES, (alone, second, after)
        with contextlib.ExitStack() as connections:
            for number in range(IDLE):
                connections.enter_context(idle(server, number))
            assert server.stop() == 0, server.log()  # later, it would have ended itself: 70
        assert not server.log()
    count("idle connections at once to a server process", IDLE)


def test_who_stops_in_the_middle_of_a_body_costs_little_and_holds_up_nobody(
    loop: str, tmp_path: Path
) -> None:
    with attacked(loop, tmp_path / "data", keep_alive=LONG, body_seconds=LONG) as server:
        run_a_task(server)
        alone = memory_of(server)
        first, second, *_, last, after = come_and_go(server, partial(halfway, server), STALLED)
        assert first - alone < STALLED * 150_000, (alone, first)
        assert last - second < FEW_BYTES, (alone, second, last)
        assert after - second < FEW_BYTES, (alone, second, after)
        with contextlib.ExitStack() as connections:
            for number in range(STALLED):
                connections.enter_context(halfway(server, number))
            assert server.stop() == 0, server.log()
        assert not server.log()
    count("clients at once that stop in the middle of a body", STALLED)


def test_who_never_reads_holds_up_one_copy_of_an_answer_and_nobody_else(
    loop: str, tmp_path: Path
) -> None:
    with attacked(loop, tmp_path / "data", keep_alive=LONG) as server:
        request = HEAD % f"GET /api/tasks/{a_big_result(server)}/result".encode() + b"\r\n"
        alone = memory_of(server)
        crowd = partial(deaf, server, request * 3)
        # The memory of the first is nearly all of answers: no warm-up, and the big one is kept.
        first, *_, last, after = come_and_go(server, crowd, STALLED, rounds=2, forget=False)
        assert first - alone < STALLED * BIG * 1.3, (alone, first)
        assert last - first < STALLED * BIG * 0.1, (alone, first, last)
        assert after - alone < STALLED * BIG * 0.1, (alone, first, after)
        with contextlib.ExitStack() as connections:
            for number in range(STALLED):
                connections.enter_context(crowd(number))
            assert server.stop() == 0, server.log()
        assert not server.log()
    count("clients at once that never read their answer", STALLED)


def test_who_does_not_read_at_all_is_given_up(loop: str, tmp_path: Path) -> None:
    with attacked(loop, tmp_path / "data", keep_alive=LONG, unheard=500) as server:
        request = HEAD % f"GET /api/tasks/{a_big_result(server)}/result".encode() + b"\r\n"
        before = len(files_of(server))
        with contextlib.ExitStack() as connections:
            for number in range(20):
                connections.enter_context(deaf(server, request, number))
            wait_until(lambda: len(files_of(server)) <= before, lambda: files_of(server))
            run_a_task(server)
        assert not server.log()
