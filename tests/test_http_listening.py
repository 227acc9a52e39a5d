"""The socket that a server listens on, and what is accepted from it."""

from __future__ import annotations

import contextlib
import logging
import socket

import anyio
import anyio.abc
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from cortex_tasks.engine.current import log_context
from cortex_tasks.http.accepting import configuration, serve_connections
from cortex_tasks.http.envelope import NAMED_BY
from cortex_tasks.http.listening import UNHEARD_MILLISECONDS, CannotListen, bind, listen
from cortex_tasks.http.serving import serve


def test_a_port_in_use_is_named() -> None:
    with bind("127.0.0.1", 0) as first:
        url = listen(first)
        port = first.getsockname()[1]
        assert url == f"http://127.0.0.1:{port}"
        with pytest.raises(CannotListen, match=f"Port {port} of 127.0.0.1 is in use"):
            bind("127.0.0.1", port)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1", "a b", "x" * 300])
def test_a_host_that_is_not_this_machine_is_named(host: str) -> None:
    with pytest.raises(CannotListen, match="is not an address of this machine"):
        bind(host, 0)


def test_a_name_is_listened_on_at_its_ipv4_address() -> None:
    with bind("localhost", 0) as listener:
        assert listen(listener).startswith("http://127.0.0.1:")


def test_port_0_is_any_that_is_free() -> None:
    with bind("127.0.0.1", 0) as one, bind("127.0.0.1", 0) as two:
        assert one.getsockname()[1] != two.getsockname()[1]


def test_a_client_that_takes_nothing_is_given_up_some_time() -> None:
    with bind("127.0.0.1", 0) as listener:
        timeout = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        assert timeout == UNHEARD_MILLISECONDS


async def get(port: int) -> bytes:
    """Ask on a connection of its own; gives all that comes back."""
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return await read_all(stream)


async def read_all(stream: anyio.abc.ByteStream) -> bytes:
    """Read until the server closes, however it does."""
    received = bytearray()
    with contextlib.suppress(anyio.BrokenResourceError):
        async for piece in stream:
            received += piece
    return bytes(received)


async def test_an_error_in_a_connection_ends_that_one_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def hello(request: Request) -> Response:
        return PlainTextResponse("hello")

    config = configuration(keep_alive=60, access_log=None)
    well = config.response_headers

    def broken(protocol: str) -> list[tuple[bytes, bytes]]:
        raise ValueError("the moon is full")

    stop = anyio.Event()
    app = Starlette(routes=[Route("/", hello)])
    with anyio.fail_after(60), bind("127.0.0.1", 0) as listener, caplog.at_level(logging.WARNING):
        listen(listener)
        port = listener.getsockname()[1]
        async with anyio.create_task_group() as group:

            async def run() -> None:
                await serve_connections(app, listener, config, stop=stop, grace=60)

            group.start_soon(run)
            config.response_headers = broken  # type: ignore[method-assign]
            assert await get(port) == b""
            config.response_headers = well  # type: ignore[method-assign]
            assert (await get(port)).endswith(b"hello")
            stop.set()
    assert "a connection was cut off: it ended in ValueError('the moon is full')" in caplog.messages


async def test_a_client_that_leaves_has_one_line_in_the_access_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = anyio.Event()
    named: list[dict[str, object]] = []

    async def flowing(scope: Scope, receive: Receive, send: Send) -> None:
        scope[NAMED_BY] = {"request_id": "req_1"}  # as the envelope does
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        over.set()

    def note(record: logging.LogRecord) -> bool:
        named.append(log_context())
        return True

    stop, access = anyio.Event(), logging.getLogger("cortex_tasks.access")
    monkeypatch.setattr(access, "filters", [note])
    config = configuration(keep_alive=60, access_log=access)
    with anyio.fail_after(60), bind("127.0.0.1", 0) as listener, caplog.at_level(logging.INFO):
        listen(listener)
        async with anyio.create_task_group() as group:

            async def run() -> None:
                await serve_connections(flowing, listener, config, stop=stop, grace=60)

            group.start_soon(run)
            async with await anyio.connect_tcp("127.0.0.1", listener.getsockname()[1]) as stream:
                await stream.send(b"GET /a?secret HTTP/1.1\r\nHost: x\r\n\r\n")
                await stream.receive()
            await over.wait()
            stop.set()
    [line] = [each.getMessage() for each in caplog.records if each.name == access.name]
    assert '"GET /a HTTP/1.1" 200 ' in line
    assert named == [{"request_id": "req_1"}]


async def test_after_half_an_answer_nothing_follows() -> None:
    """As of an application that gives up on a client that does not read."""
    begun = anyio.Event()
    giving_up = anyio.CancelScope()

    async def much(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await send({"type": "http.response.start", "status": 200})
        with giving_up:
            await send({"type": "http.response.body", "body": b"x" * 2**26, "more_body": True})
        await send({"type": "http.response.body"})

    stop = anyio.Event()
    with anyio.fail_after(60), bind("127.0.0.1", 0) as listener:
        listen(listener)
        config = configuration(keep_alive=60, access_log=None)
        async with anyio.create_task_group() as group:

            async def run() -> None:
                await serve_connections(much, listener, config, stop=stop, grace=60)

            group.start_soon(run)
            async with await anyio.connect_tcp(*listener.getsockname()) as stream:
                await stream.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
                await begun.wait()
                await anyio.wait_all_tasks_blocked()
                giving_up.cancel()
                answer = await read_all(stream)
            stop.set()
    assert len(answer) < 2**26
    assert not answer.endswith(b"0\r\n\r\n")


async def test_cancelled_it_cuts_everything_off_at_once() -> None:
    begun = anyio.Event()

    async def for_ever(request: Request) -> Response:
        begun.set()
        await anyio.sleep_forever()
        raise AssertionError

    port = 0

    def note(url: str) -> None:
        nonlocal port
        port = int(url.rpartition(":")[2])

    app = Starlette(routes=[Route("/", for_ever)])
    with anyio.fail_after(60):
        async with anyio.create_task_group() as clients:
            async with anyio.create_task_group() as servers:

                async def run() -> None:
                    await serve(app, port=0, on_ready=note, grace=3600)

                async def ask() -> None:
                    assert await get(port) == b""

                servers.start_soon(run)
                await anyio.wait_all_tasks_blocked()
                clients.start_soon(ask)
                await begun.wait()
                servers.cancel_scope.cancel()
