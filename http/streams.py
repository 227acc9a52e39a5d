"""Answers that go on: server-sent events, sent until the client, the server or the task has done.

Here the client, its key, the server's stop and a silence are watched. What is sent is the
follower's.
"""

from __future__ import annotations

import re

import anyio
import anyio.lowlevel
from starlette.types import Receive, Scope, Send

from .followers import Follower
from .frames import PING
from .problems import Problem
from .visits import Visit

PING_EVERY = 15.0  # seconds of silence until a ping, which a proxy takes for life
PATIENCE = 10.0  # seconds that a client has to make room for what it is sent
LAST_WORDS = 2.0  # seconds for the end of an answer, whatever was cancelled

EVENT_STREAM = "text/event-stream"
_NEVER = re.compile(rb"(?:^|;)\s*q\s*=\s*0(?:\.0*)?\s*(?:$|;)", re.IGNORECASE)
_HEAD = (
    (b"content-type", EVENT_STREAM.encode()),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # to nginx, which would hold events back
)


class EventStream:
    """The answer to who follows. A client that does not take what it is sent is cut loose.

    Whoever would be refused by now is sent nothing more: that ends the stream, at the latest
    when a ping is due.
    """

    def __init__(self, follower: Follower, visit: Visit, draining: anyio.Event) -> None:
        self._follower = follower
        self._visit = visit
        self._draining = draining

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        with self._follower as follower, self._visit:
            await send({"type": "http.response.start", "status": 200, "headers": list(_HEAD)})
            orderly = scope["method"] == "HEAD" or await self._flow(follower, receive, send)
        if orderly:
            # Outside of what may have been cancelled: it ends the answer, and frees the connection.
            with anyio.move_on_after(LAST_WORDS, shield=True):
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _flow(self, follower: Follower, receive: Receive, send: Send) -> bool:
        """Send until somebody has had enough; gives whether the client can be sent an end."""
        able = True
        async with anyio.create_task_group() as group:
            follower.on_lost(group.cancel_scope.cancel)
            self._visit.on_end(group.cancel_scope.cancel)

            async def watch_client() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                group.cancel_scope.cancel()

            async def watch_server() -> None:
                await self._draining.wait()
                group.cancel_scope.cancel()

            group.start_soon(watch_client)
            group.start_soon(watch_server)
            while able and not follower.ended:
                portion = await _next(follower)
                if portion and not self._visit.goes_on:
                    break
                if portion:
                    # Cancelled half-way, nothing can follow; the server then closes the connection.
                    able = False
                    with anyio.move_on_after(PATIENCE):
                        await send(
                            {"type": "http.response.body", "body": portion, "more_body": True}
                        )
                        able = True
                    if not follower.ended:
                        await follower.pause()
            group.cancel_scope.cancel()
        return able


async def _next(follower: Follower) -> bytes:
    """Give what is to be sent next: a ping, if there is nothing for long."""
    portion = follower.take()
    if portion is None:
        with anyio.move_on_after(PING_EVERY) as silence:
            await follower.wait()
        if silence.cancelled_caught:
            return PING
        await follower.take_turn()
        return b""
    if not portion:
        await anyio.lowlevel.checkpoint()
    return portion


def check_accepted(accept: bytes) -> None:
    """Raise a Problem if the client says that it does not take events."""
    taken: dict[bytes, bool] = {}
    for each in accept.split(b","):
        kind, _, rest = each.partition(b";")
        taken[kind.strip().lower()] = _NEVER.search(rest) is None
    # The narrowest that is named counts.
    named = [taken[kind] for kind in (EVENT_STREAM.encode(), b"text/*", b"*/*") if kind in taken]
    if accept.strip() and not (named and named[0]):
        raise Problem(
            406,
            "Not acceptable",
            f"This is a stream of events: ask for it with `Accept: {EVENT_STREAM}`.",
        )
