"""Accepting connections and giving each to Hypercorn, on trio and on asyncio.

Hypercorn's own `serve` is not used, for three reasons. On trio, an error in one connection (an
HTTP/2 request that is answered before its body came, a byte too many after a websocket's upgrade)
would end the whole server. On asyncio from Python 3.12 on, its shutdown waits for connections
without a limit. And a client that reads nothing would hold up both. Here an error ends its own
connection, and `grace` seconds after `stop` is set, nothing is left.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from functools import partial

import anyio

from .extras import from_extra

with from_extra("server"):
    import trio
    from hypercorn.asyncio.tcp_server import TCPServer as AsyncioConnection
    from hypercorn.asyncio.worker_context import WorkerContext as AsyncioContext
    from hypercorn.config import Config
    from hypercorn.trio.tcp_server import TCPServer as TrioConnection
    from hypercorn.trio.worker_context import WorkerContext as TrioContext
    from hypercorn.typing import AppWrapper, LifespanState
    from hypercorn.utils import wrap_app
    from starlette.types import ASGIApp

log = logging.getLogger("cortex_tasks.http")

LAST_MOMENT = 1.0  # seconds in which asyncio's tasks that were cut off clean up after themselves


def configuration(*, keep_alive: float, access_log: logging.Logger | None) -> Config:
    """Say to Hypercorn how it is to treat a connection."""
    config = Config()
    config.accesslog = access_log
    config.errorlog = log
    config.keep_alive_timeout = keep_alive  # also for a head that comes slowly
    config.include_server_header = False
    config.h2_max_header_list_size = 32 * 1024
    return config


async def serve_connections(
    app: ASGIApp, listener: socket.socket, config: Config, *, stop: anyio.Event, grace: float
) -> None:
    """Serve until `stop` is set; open requests then have `grace` seconds. Closes the listener.

    Cancelled, it cuts everything off at once.
    """
    # Starlette and Hypercorn each write down ASGI's messages in types of their own.
    wrapped = wrap_app(app, config.wsgi_max_body_size, "asgi")  # type: ignore[arg-type]
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        await _serve_on_trio(wrapped, listener, config, stop, grace)
    else:
        await _serve_on_asyncio(wrapped, listener, config, stop, grace)


async def _serve_on_trio(
    app: AppWrapper, listener: socket.socket, config: Config, stop: anyio.Event, grace: float
) -> None:
    context = TrioContext(None)
    streams: set[trio.SocketStream] = set()

    async def connection(stream: trio.SocketStream) -> None:
        streams.add(stream)
        try:
            # It takes a stream without TLS just as well as the one with that it asks for.
            state = LifespanState()
            await TrioConnection(app, config, context, state, stream)  # type: ignore[arg-type]
        except* Exception as errors:  # noqa: BLE001  # whatever it is, it is this connection's
            _note(errors)
        finally:
            await trio.aclose_forcefully(stream)
            streams.discard(stream)

    async def cut_off() -> None:
        try:
            await stop.wait()
            await trio.sleep(grace)
        finally:
            # Hypercorn shields its writes: only this wakes one that waits for a client to read.
            for stream in list(streams):
                stream.socket.close()

    async with trio.open_nursery() as watching:
        watching.start_soon(cut_off)
        async with trio.open_nursery() as connections:
            async with trio.open_nursery() as accepting:
                listeners = [trio.SocketListener(trio.socket.from_stdlib_socket(listener))]
                accept = partial(trio.serve_listeners, handler_nursery=connections)
                accepting.start_soon(accept, connection, listeners)
                await stop.wait()
                accepting.cancel_scope.cancel()
            await context.terminated.set()
            connections.cancel_scope.deadline = trio.current_time() + grace
        watching.cancel_scope.cancel()


async def _serve_on_asyncio(
    app: AppWrapper, listener: socket.socket, config: Config, stop: anyio.Event, grace: float
) -> None:
    loop = asyncio.get_running_loop()
    context = AsyncioContext(None)
    running: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running[task] = writer
        try:
            state = LifespanState()
            await AsyncioConnection(app, loop, config, context, state, reader, writer)
        except* Exception as errors:  # noqa: BLE001  # as above
            _note(errors)
        finally:
            running.pop(task)

    server = await asyncio.start_server(connection, sock=listener)
    try:
        await stop.wait()
        server.close()
        await context.terminated.set()
        if running:
            await asyncio.wait(running, timeout=grace)
    finally:
        server.close()
        with anyio.CancelScope(shield=True):
            for task, writer in running.items():
                writer.transport.abort()
                task.cancel()
            if running:
                await asyncio.wait(running, timeout=LAST_MOMENT)


def _note(errors: ExceptionGroup[Exception]) -> None:
    """One line: whoever can connect could fill the log with more."""
    log.warning("a connection was cut off: it ended in %r", _first(errors))
    log.debug("how it ended", exc_info=errors)


def _first(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
