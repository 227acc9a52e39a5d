"""Accepting connections until the server is to stop, and seeing all of them to their end.

Hypercorn's own `serve` is not used: on trio an error in one connection would end the server, and
on asyncio from Python 3.12 on its shutdown waits for connections without a limit. Here an error
ends its own connection, and nothing is left `grace` seconds after `stop` is set.
"""

from __future__ import annotations

import logging
import socket
from typing import Any

import anyio

from ..engine.current import SURROUNDING
from .connections import Connection, Surroundings
from .envelope import MAX_HEADERS, MAX_TARGET, NAMED_BY
from .extras import from_extra

with from_extra("server"):
    from hypercorn.config import Config
    from hypercorn.logging import Logger
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("cortex_tasks.http")

# In the scope of a request:
_WRITTEN = "cortex_tasks.written"  # that it is in the access log
_ANSWER = "cortex_tasks.answer"  # how its answer began
RESPITE = 0.1  # seconds until the next try, when no connection can be accepted


class AccessLog(Logger):
    """Hypercorn's, in which a request has one line: a client that left had another at the end.

    Where a client goes as soon as it has read enough, the connection writes it, and not who
    answers: it tells the answer that was begun, and which request it was, all the same.
    """

    async def access(self, request: Any, response: Any, request_time: float) -> None:
        """Write the line, unless there is one."""
        if not request.get(_WRITTEN):
            request[_WRITTEN] = True
            token = SURROUNDING.set(request.get(NAMED_BY))
            try:
                await super().access(request, response or request.get(_ANSWER), request_time)
            finally:
                SURROUNDING.reset(token)


def _noting_answers(app: ASGIApp) -> ASGIApp:
    async def noting(scope: Scope, receive: Receive, send: Send) -> None:
        async def note_and_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                scope[_ANSWER] = message
            await send(message)

        await app(scope, receive, note_and_send)

    return noting


def configuration(*, keep_alive: float, access_log: logging.Logger | None) -> Config:
    """Say to Hypercorn how it is to treat a connection."""
    config = Config()
    config.logger_class = AccessLog
    config.accesslog = access_log
    # Never %(R)s: what stands after the path may be a secret.
    config.access_log_format = (
        '%(h)s %(l)s %(l)s %(t)s "%(m)s %(U)s HTTP/%(H)s" %(s)s %(b)s "%(f)s" "%(a)s"'
    )
    config.errorlog = log
    config.keep_alive_timeout = keep_alive  # also for a head that comes slowly
    config.h11_max_incomplete_size = MAX_HEADERS + MAX_TARGET
    config.include_server_header = False
    return config


async def serve_connections(
    app: ASGIApp, listener: socket.socket, config: Config, *, stop: anyio.Event, grace: float
) -> None:
    """Serve until `stop` is set; open requests then have `grace` seconds.

    `listener` is listening already, and closed here. Cancelled, it cuts everything off.
    """
    if config.accesslog is not None:
        app = _noting_answers(app)
    surroundings = Surroundings()
    opened: set[Connection] = set()

    async def serve_one(connection: Connection) -> None:
        try:
            await connection.serve()
        except* Exception as errors:  # noqa: BLE001  # whatever it is, it is this connection's
            _note(errors)
        finally:
            opened.discard(connection)

    async with anyio.create_task_group() as connections:
        with listener:
            async with anyio.create_task_group() as door:

                async def accept() -> None:
                    while True:
                        client = await _next(listener)
                        connection = Connection(client, app, config, surroundings)
                        opened.add(connection)
                        connections.start_soon(serve_one, connection)

                door.start_soon(accept)
                await stop.wait()
                door.cancel_scope.cancel()
        await surroundings.terminated.set()
        for connection in opened:
            connection.finish()
        connections.cancel_scope.deadline = anyio.current_time() + grace


async def _next(listener: socket.socket) -> socket.socket:
    """Accept a connection, however long the process has too many files open for that."""
    failed = False
    while True:
        # Not by `accept` of the event loop: cancelled while a client comes, asyncio's complains.
        await anyio.wait_readable(listener)
        try:
            return listener.accept()[0]
        except BlockingIOError:
            pass  # it went away again
        except OSError as error:
            if not failed:
                log.warning("no connection can be accepted: %s", error)
            failed = True
            await anyio.sleep(RESPITE)


def _note(errors: ExceptionGroup[Exception]) -> None:
    """One line: whoever can connect could fill the log with more."""
    first: Exception = errors
    while isinstance(first, ExceptionGroup):
        first = first.exceptions[0]
    log.warning("a connection was cut off: it ended in %r", first)
    log.debug("how it ended", exc_info=errors)
