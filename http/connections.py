"""One client's connection: its bytes read, given to Hypercorn's protocol, and answered.

Hypercorn's own connections are not used. Their errors end the whole server on trio; a client that
sends more of a body than its application takes keeps one open for ever; and each loop has them in
an edition of its own. Here there is one, for both loops.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

import anyio
import anyio.abc
import anyio.lowlevel
from anyio.abc import SocketAttribute, SocketStream

from .exchanges import Exchanges
from .extras import from_extra
from .plain_http import PlainHttp

with from_extra("server"):
    from hypercorn.config import Config
    from hypercorn.events import Closed, Event, RawData, Updated
    from hypercorn.typing import ConnectionState
    from starlette.types import ASGIApp

PIECE = 64 * 1024  # bytes given to the event loop at once: asyncio's copies what it cannot send yet
LAST_WORDS = 2.0  # seconds for which a client that was refused may go on sending, unheard


class Flag:
    """An event as Hypercorn wants it: one that can be taken back."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    async def set(self) -> None:
        """Wake who waits."""
        self._event.set()

    async def clear(self) -> None:
        """Let them wait again."""
        self._event = anyio.Event()

    async def wait(self) -> None:
        """Wait for `set`."""
        await self._event.wait()

    def is_set(self) -> bool:
        """Whether waiting would be over at once."""
        return self._event.is_set()


class Surroundings:
    """What Hypercorn's protocol asks about the server. One for all connections."""

    event_class = Flag

    def __init__(self) -> None:
        self.terminated = Flag()  # every answer from now on is its connection's last

    async def mark_request(self) -> None:
        """Count a request, where somebody counts."""


class Connection:
    """One client's connection, of HTTP/1.1 without TLS."""

    def __init__(
        self, client: socket.socket, app: ASGIApp, config: Config, server: Surroundings
    ) -> None:
        self._socket = client
        self._app = app
        self._config = config
        self._server = server
        self._sending = anyio.Lock(fast_acquire=True)
        self._idle = True  # nothing has been asked that is not answered
        self._broken = False  # nothing can be sent any more
        self._listening = anyio.CancelScope()  # cancelled, nothing more is wanted of the client

    async def serve(self) -> None:
        """Serve it to its end, and close it. Cancelled, it is cut off."""
        self._expect_request()
        with self._socket:
            try:
                self._stream = await SocketStream.from_socket(self._socket)
            except ValueError:  # "the socket must be connected": the client has gone already
                return
            try:
                async with anyio.create_task_group() as group:
                    self._protocol = self._begin(group)
                    await self._listen()
                    await self._protocol.handle(Closed())  # requests that wait hear of it
            finally:
                with anyio.CancelScope(shield=True):
                    await self._stream.aclose()

    def finish(self) -> None:
        """Close it if it is idle. (Otherwise `Surroundings.terminated` closes it when it is.)"""
        if self._idle:
            self._listening.cancel()

    def _begin(self, group: anyio.abc.TaskGroup) -> PlainHttp:
        # Typed as what Hypercorn has for each loop, of which it uses what is there of these.
        app: Any = self._app
        server: Any = self._server
        exchanges: Any = Exchanges(group)
        return PlainHttp(
            app,
            self._config,
            server,
            exchanges,
            ConnectionState({}),
            False,
            self._address(SocketAttribute.remote_address),
            self._address(SocketAttribute.local_address),
            self._hear,
        )

    def _address(self, whose: Any) -> Any:
        return self._stream.extra(whose, None)  # noqa: S610  # none of Django's

    async def _listen(self) -> None:
        """Read until the client has said all, or the protocol is through with it."""
        with self._listening:
            with suppress(anyio.BrokenResourceError):
                async for data in self._stream:
                    await self._protocol.handle(RawData(data))
            await self._protocol.handle(RawData(b""))
        if self._listening.cancel_called:
            if self._protocol.is_cut_short:
                await self._let_it_finish()
            await self._stream.aclose()

    async def _let_it_finish(self) -> None:
        # Closing at once would reset the connection while the client writes, and it would never
        # see why it was refused.
        with (
            anyio.move_on_after(LAST_WORDS),
            suppress(OSError, anyio.BrokenResourceError),
        ):
            self._broken = True  # an answer under way must not go on behind the end
            async with self._sending:
                await self._stream.send_eof()
            async for _ in self._stream:
                pass

    async def _hear(self, event: Event) -> None:
        """Do what the protocol says."""
        match event:
            case RawData(data):
                await self._send(data)
            case Updated(idle=True):
                self._expect_request()
            case Updated():
                self._idle = False
                self._listening.deadline = float("inf")
            case _:  # Closed
                self._listening.cancel()

    def _expect_request(self) -> None:
        self._idle = True
        self._listening.deadline = anyio.current_time() + self._config.keep_alive_timeout

    async def _send(self, data: bytes) -> None:
        if self._broken:
            # The application hears of it by what it receives. Until then it may go on and on, and
            # must not do so without letting others have their turn.
            await anyio.lowlevel.checkpoint()
        elif data:
            try:
                async with self._sending:
                    for start in range(0, len(data), PIECE):
                        await self._stream.send(data[start : start + PIECE])
            except BaseException as error:
                self._broken = True  # half of it may be on its way: nothing can follow
                self._listening.cancel()
                if not isinstance(error, anyio.BrokenResourceError | anyio.ClosedResourceError):
                    raise
