"""Streams of a server: what is open when it stops, who reads nothing, and who comes back."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cortex_tasks.backends.json_backend import JsonBackend
from cortex_tasks.engine.engine import TaskEngine
from cortex_tasks.http.app import create_app
from tests.http_process import PATIENCE, Server, a_server
from tests.http_setting import Api, client_of, echo, endless
from tests.sse_setting import Event, following, parse
from tests.test_http_strangers import read_all

LONG = PATIENCE * 2  # a grace that must not be waited for
EVENTS = "/api/tasks/events"


@pytest.fixture(params=["trio", "asyncio"])
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(loop: str) -> Iterator[Server]:
    with a_server(loop, grace=LONG) as server:
        yield server


def follow(server: Server, path: str, *headers: str, room: int | None = None) -> socket.socket:
    """Open a stream, and read nothing of it. room: bytes that the client's side takes unread."""
    connection = socket.socket()
    connection.settimeout(PATIENCE)
    if room is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    connection.connect(server.address)
    lines = (f"GET {path} HTTP/1.1", "Host: x", *headers, "", "")
    connection.sendall("\r\n".join(lines).encode())
    return connection


def until(connection: socket.socket, text: bytes) -> bytes:
    """Read until this has come."""
    read = b""
    while text not in read:
        piece = connection.recv(65536)
        assert piece, read
        read += piece
    return read


def events_of(answer: bytes) -> list[Event]:
    """The events of an answer in chunks."""
    _, _, body = answer.partition(b"\r\n\r\n")
    pieces = []
    while body:
        size, _, body = body.partition(b"\r\n")
        pieces.append(body[: int(size, 16)])
        body = body[int(size, 16) + 2 :]
    return parse(b"".join(pieces))


def open_requests(server: Server) -> int:
    with server.connect() as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        found = re.search(rb"http_open_requests (\d+)", read_all(connection))
        assert found is not None
        return int(found[1])


def test_a_stop_ends_every_stream_and_waits_for_none(server: Server) -> None:
    task_id = server.start("endless")
    with ExitStack() as stack:
        streams = [
            stack.enter_context(follow(server, path))
            for path in [f"/api/tasks/{task_id}/events", EVENTS] * 20
        ]
        heads = [until(stream, b"event: ready") for stream in streams]
        for _ in range(5):  # who never reads what is sent
            stack.enter_context(follow(server, EVENTS, room=4096))
        assert server.stop() == 0
        for head, stream in zip(heads, streams, strict=True):
            answer = head + read_all(stream)
            assert answer.endswith(b"0\r\n\r\n")  # whole
            assert b"event: end" not in answer  # the task has not ended by its own
    assert server.line() == "left"
    assert server.log() == ""


def test_who_reads_nothing_is_cut_loose_and_nobody_else_waits(server: Server) -> None:
    with follow(server, EVENTS) as quick:
        until(quick, b"event: ready")
        with ExitStack() as stack:
            for _ in range(5):
                stack.enter_context(follow(server, EVENTS, room=4096))
            while open_requests(server) != 7:
                pass
            server.ask("POST", "/start/quick/3000")
            until(quick, b'"completed"')
            while open_requests(server) != 2:
                assert quick.recv(2**20)
            assert server.is_well()
            # With room that is full, too, nothing is waited for.
            stack.enter_context(follow(server, EVENTS + "?last_event_id=1", room=4096))
            assert server.stop() == 0
    assert server.log() == ""


def test_a_stream_of_one_task_ends_with_it_and_keeps_its_connection(server: Server) -> None:
    task_id = server.start("obstinate")
    with follow(server, f"/api/tasks/{task_id}/events") as stream:
        until(stream, b"event: task")
        server.ask("POST", "/let-go")
        with server.connect() as other:
            other.sendall(f"DELETE /api/tasks/{task_id} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert b'"cancelled"' in until(other, b"}")
        assert b"event: end" in until(stream, b"0\r\n\r\n")
        stream.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"healthy" in until(stream, b"}")
    assert server.stop() == 0


# -- over a restart ------------------------------------------------------------------------------


@pytest.mark.parametrize("anyio_backend", ["trio", "asyncio"])
async def test_who_was_told_all_goes_on_after_a_restart_where_it_was(tmp_path: Path) -> None:
    async with TaskEngine([echo, endless], backend=JsonBackend(tmp_path), drain_grace=0) as engine:
        app = create_app(engine)
        async with following(app, EVENTS) as stream, client_of(app) as client:
            api = Api(engine, app, client)
            await api.ended("echo", {"value": 1})
            running = await api.running("endless")
            await stream.until("task", task_id=running, message="Looking at it")
        told = [event.seq for event in stream.events]
    # The drain has cancelled what ran: a change of which nobody was told.
    async with TaskEngine([echo, endless], backend=JsonBackend(tmp_path)) as engine:
        app = create_app(engine)
        for path in (EVENTS, f"/api/tasks/{running}/events"):
            async with following(app, path, last_event_id=str(told[-1])) as stream:
                await stream.until("task", task_id=running, status="cancelled")
            assert stream.events[0].name == "ready"
            assert stream.events[0].seq == told[-1]
            assert stream.events[1].seq > told[-1]
            assert stream.seqs == list(range(stream.seqs[0], engine.seq + 1))
        # Of what came long before, only the last change of each task is known: it is said so.
        async with following(app, EVENTS, last_event_id="1") as stream:
            await stream.until("reset", seq=engine.seq)
        assert [event.name for event in stream.events] == ["ready", "reset"]
