"""Running the application for a request: what it receives, and that its end is heard of."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.abc
import anyio.lowlevel

from .extras import from_extra

with from_extra("server"):
    from starlette.types import ASGIApp, Message, Scope

log = logging.getLogger("cortex_tasks.http")

ROOM = 8  # pieces of a body that wait for their application; a client is read no faster

GONE: Message = {"type": "http.disconnect"}


class Inbox:
    """What a client has sent of one request and its application has not received yet."""

    def __init__(self) -> None:
        self._messages: deque[Message] = deque()
        self._gone = False
        self._news = anyio.Event()
        self._room = anyio.Event()

    async def put(self, message: Message) -> None:
        """Deliver, once there is room. That the client is gone needs none."""
        if message["type"] == GONE["type"]:
            self._gone = True
        else:
            while len(self._messages) >= ROOM:
                self._room = _unset(self._room)
                await self._room.wait()
            self._messages.append(message)
        self._news.set()

    async def receive(self) -> Message:
        """Give the next message; when the client is gone that is the last one, again and again."""
        while not self._messages:
            if self._gone:
                await anyio.lowlevel.checkpoint()  # for whoever does not take no for an answer
                return GONE
            self._news = _unset(self._news)
            await self._news.wait()
        self._room.set()
        return self._messages.popleft()


def _unset(event: anyio.Event) -> anyio.Event:
    """Give one to wait for: the same, if others wait for it already."""
    return anyio.Event() if event.is_set() else event


class Exchanges:
    """The requests of one connection, each with the application running for it."""

    def __init__(self, group: anyio.abc.TaskGroup) -> None:
        self._group = group

    async def spawn_app(
        self,
        app: ASGIApp,
        _config: object,
        scope: Scope,
        send: Callable[[Any], Awaitable[None]],
    ) -> Callable[[Message], Awaitable[None]]:
        """Begin one, as Hypercorn asks for it; gives what takes the client's messages."""
        inbox = Inbox()
        self._group.start_soon(_answer, app, scope, inbox, send)
        return inbox.put


async def _answer(
    app: ASGIApp, scope: Scope, inbox: Inbox, send: Callable[[Any], Awaitable[None]]
) -> None:
    try:
        await app(scope, inbox.receive, send)
    except Exception:
        log.exception("%s %r failed", scope["method"], scope["path"])
    await send(None)  # to Hypercorn: what has not been answered by now never will be
