"""How a real server stops: by a signal, soon, and with everybody answered who can be."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess

import anyio
import pytest

from cortex_tasks.http.stopping import KILLED_ITSELF, StopSignals
from tests.http_process import BIG, PATIENCE, Server, a_server
from tests.test_http_strangers import CHUNKED, CLEANUP, GET_HEALTH, SIZED, read_all, read_answer

LONG = PATIENCE * 2  # a grace that must not be waited for


@pytest.fixture(params=["trio", "asyncio"])
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_and_nobody_can_connect_any_more(
    loop: str, number: signal.Signals
) -> None:
    with a_server(loop) as server:
        server.start("endless")
        assert server.stop(number) == 0
        assert server.line() == "left"
        with pytest.raises(ConnectionRefusedError):
            server.connect()
        assert server.log() == ""


def test_stopping_answers_the_long_polls(loop: str) -> None:
    with a_server(loop, grace=LONG) as server:
        task_id = server.start("endless")
        polls = [server.connect() for _ in range(5)]
        for poll in polls:
            poll.sendall(get(f"/api/tasks/{task_id}?wait=60") + GET_HEALTH)
        # What connected after them has been answered: so they are being waited for.
        assert server.is_well()
        server.process.send_signal(signal.SIGTERM)
        for poll in polls:
            answer = read_all(poll)
            assert answer.startswith(b"HTTP/1.1 200")
            assert b'"status":"running"' in answer
            poll.close()
        assert server.process.wait(PATIENCE) == 0


def test_a_request_that_was_begun_is_answered_before_it_stops(loop: str) -> None:
    with a_server(loop, grace=LONG) as server, server.connect() as connection:
        connection.sendall(SIZED % (CLEANUP, 2) + b"{")
        assert server.is_well()
        server.process.send_signal(signal.SIGTERM)
        server.wait_until_it_refuses()
        connection.sendall(b"}")
        assert read_answer(connection)[0].startswith(b"HTTP/1.1 200")
        assert read_all(connection) == b""
        assert server.process.wait(PATIENCE) == 0


@pytest.mark.parametrize("path", ["/health", "/pieces", "/file"])
def test_a_connection_that_is_only_kept_is_not_waited_for(loop: str, path: str) -> None:
    with a_server(loop, grace=LONG) as server, server.connect() as connection:
        connection.sendall(get(path))
        assert connection.recv(1)
        assert server.is_well()
        assert server.stop() == 0
        assert server.log() == ""


def test_no_client_holds_up_the_stop(loop: str) -> None:
    with a_server(loop) as server, contextlib.ExitStack() as connections:
        task_id = server.start("big")
        server.ask("GET", f"/api/tasks/{task_id}?wait=60")
        one_of_each = [
            b"",  # says nothing
            b"GET /hea",  # does not finish its head
            SIZED % (CLEANUP, 50) + b"{",  # nor its body
            CHUNKED % b"/nowhere",  # nor one that nobody wants
            GET_HEALTH,  # keeps its connection
            get(f"/api/tasks/{task_id}") * 100,  # asks for much and reads none of it
            get("/stream"),  # likewise, of one answer without end
        ]
        for request in one_of_each:
            connection = connections.enter_context(server.connect())
            connection.sendall(request)
        streaming = connections.enter_context(server.connect())
        streaming.sendall(one_of_each[-1])
        received = 0
        while received < BIG:
            received += len(streaming.recv(BIG))
        assert server.stop() == 0
        assert server.line() == "left"
        assert server.log() == ""


def test_a_second_signal_cuts_off_what_the_first_would_wait_for(loop: str) -> None:
    with a_server(loop, grace=LONG) as server, server.connect() as connection:
        connection.sendall(SIZED % (CLEANUP, 9))
        server.start("endless")
        server.process.send_signal(signal.SIGTERM)
        server.wait_until_it_refuses()
        assert server.stop(signal.SIGTERM) == 0
        assert "Traceback" not in server.log()


def begin_blocking(server: Server, connection: socket.socket, name: str) -> None:
    """Start a task that holds the event loop, so that its start is never answered."""
    connection.sendall(f"POST /start/{name} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert server.line() == "blocked"


def test_a_task_that_never_stops_does_not_keep_the_process(loop: str) -> None:
    with a_server(loop, patience=1.0) as server:
        server.start("deaf")
        assert server.stop() == KILLED_ITSELF
        assert "did not stop in time" in server.log()


@pytest.mark.parametrize("name", ["blocking", "unheard"])
def test_a_task_that_blocks_the_loop_does_not_keep_the_process(loop: str, name: str) -> None:
    with a_server(loop, patience=1.0) as server, server.connect() as connection:
        begin_blocking(server, connection, name)
        assert server.stop() == KILLED_ITSELF
        assert "did not stop in time" in server.log()


def test_a_log_that_nobody_takes_does_not_keep_the_process(loop: str) -> None:
    with a_server(loop, patience=1.0) as server, server.connect() as connection:
        begin_blocking(server, connection, "speechless")
        assert server.stop() == KILLED_ITSELF


def test_a_third_signal_ends_even_what_blocks_the_loop(loop: str) -> None:
    with a_server(loop) as server, server.connect() as connection:
        begin_blocking(server, connection, "unheard")
        assert signal_until_it_ends(server, signal.SIGTERM) == 128 + signal.SIGTERM


def test_a_third_signal_ends_the_process_at_once(loop: str) -> None:
    with a_server(loop) as server:
        server.start("deaf")
        server.process.send_signal(signal.SIGTERM)
        server.wait_until_it_refuses()
        assert signal_until_it_ends(server, signal.SIGINT) == 128 + signal.SIGINT


def test_what_a_task_forks_can_be_ended_and_the_server_goes_on(loop: str) -> None:
    with a_server(loop, patience=1.0) as server:
        for _ in range(4):  # more than it takes to end a server
            path = f"/api/tasks/{server.start('forking')}"
            while server.ask("GET", f"{path}?wait=60")[1]["status"] == "running":
                pass
            assert server.ask("GET", f"{path}/result")[1] == -signal.SIGTERM
        assert server.is_well()
        assert server.stop() == 0


def signal_until_it_ends(server: Server, number: signal.Signals) -> int:
    """Send it again and again, as two that come at once are one; gives the exit code."""
    while True:
        server.process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return server.process.wait(0.1)


async def test_signals_are_heard_though_someone_else_took_the_interpreters_socket() -> None:
    draining, cut_off = anyio.Event(), anyio.Event()
    before = signal.getsignal(signal.SIGTERM)
    with anyio.fail_after(PATIENCE), StopSignals(draining, cut_off.set, patience=LONG):
        loops = signal.set_wakeup_fd(-1)
        signal.raise_signal(signal.SIGTERM)
        await draining.wait()
        signal.set_wakeup_fd(loops)
        signal.raise_signal(signal.SIGINT)
        await cut_off.wait()
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_what_asyncio_hears_it_hears_on(anyio_backend: str) -> None:
    theirs = anyio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, theirs.set)
    try:
        with (
            anyio.fail_after(PATIENCE),
            StopSignals(anyio.Event(), anyio.Event().set, patience=LONG),
        ):
            signal.raise_signal(signal.SIGUSR1)
            await theirs.wait()
    finally:
        loop.remove_signal_handler(signal.SIGUSR1)
