"""Request bodies: read whole, or in pieces, within a size and a time; or thrown away unread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import msgspec
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope

from .problems import Problem

CONSUMED = "cortex_tasks.body_consumed"  # in the scope, once nothing of the body is left to come
_DIGITS = 19  # more than any limit has
LINGER = 2.0  # seconds for which a refused body is thrown away, so that the refusal arrives


class BodyLimit(msgspec.Struct, frozen=True):
    """How much a client may send, and how long it may take."""

    size: int  # bytes, as it is known to clients
    seconds: float
    wrapping: int = 0  # bytes that may come besides: of a form, all that is not its file

    def check(self, size: int) -> None:
        """Raise a Problem if there is more."""
        if size > self.size + self.wrapping:
            raise Problem(
                413,
                "Body too large",
                f"The body is larger than the {_megabytes(self.size)} that are taken here.",
            )


class Body:
    """The body of one request. Raises a Problem as soon as it is over its limit.

    A body that is announced as too large is refused before any of it is read. A client that goes
    away raises ClientDisconnect.
    """

    def __init__(self, scope: Scope, receive: Receive, limit: BodyLimit) -> None:
        self._scope = scope
        self._receive = receive
        self._limit = limit
        self._size = 0
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit():
                digits = value.lstrip(b"0")[:_DIGITS]  # of thousands, Python would make no number
                limit.check(int(digits or b"0"))

    async def receive(self) -> Message:
        """Give the next piece, as an ASGI message, counted. The time is the caller's to bound."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._scope[CONSUMED] = True
            raise ClientDisconnect
        self._size += len(message.get("body", b""))
        if not message.get("more_body", False):
            self._scope[CONSUMED] = True
        self._limit.check(self._size)
        return message

    async def read(self) -> bytes:
        """Give all of it."""
        pieces: list[bytes] = []
        more = True
        with self.in_time():
            while more:
                message = await self.receive()
                pieces.append(message.get("body", b""))
                more = message.get("more_body", False)
        return b"".join(pieces)

    @contextmanager
    def in_time(self) -> Iterator[None]:
        """Around reading: refuses a body that takes longer than its limit."""
        try:
            with anyio.fail_after(self._limit.seconds):
                yield
        except TimeoutError:
            detail = f"The body did not arrive within {self._limit.seconds:g} seconds."
            raise Problem(408, "Body too slow", detail) from None


async def discard_rest(scope: Scope, receive: Receive) -> None:
    """Throw away what a client still sends after its answer; for a moment only.

    Closing at once would reset the connection while the client writes, and it would never see
    why it was refused. A body that was read, or that never was, costs nothing.
    """
    if scope.get(CONSUMED) or not _announces_body(scope):
        return
    with anyio.move_on_after(LINGER):
        more = True
        while more:
            message = await receive()
            more = message["type"] == "http.request" and message.get("more_body", False)


def _announces_body(scope: Scope) -> bool:
    # HTTP/2 announces nothing, and can refuse one request without losing the connection.
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )


def _megabytes(size: int) -> str:
    return f"{size / 2**20:g} MB" if size >= 2**20 else f"{size:,} bytes"
