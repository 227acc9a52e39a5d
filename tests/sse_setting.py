"""Following over HTTP in the same run: a client that reads what a stream has sent, as it likes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import msgspec
from starlette.types import ASGIApp

from tests.http_setting import RawCall

LIMIT = 300  # seconds until a law gives up


class Event(msgspec.Struct, frozen=True):
    """One event as a client has it."""

    name: str
    seq: int
    data: dict[str, Any]


def parse(text: bytes) -> list[Event]:
    """Read whole events as a browser does; comments and `retry` are none, and pings left out."""
    events = []
    for block in text.decode().split("\n\n"):
        lines = [line.partition(": ")[::2] for line in block.splitlines() if line[:1] != ":"]
        fields = dict(lines)
        if "data" in fields and fields["event"] != "ping":
            events.append(Event(fields["event"], int(fields["id"]), json.loads(fields["data"])))
    return events


class Stream(RawCall):
    """A stream that is open. By `held`, its client takes nothing of what it is sent."""

    def __init__(self, app: ASGIApp, path: str, **headers: str) -> None:
        super().__init__(app, "GET", path, **headers)
        self.held: anyio.Event | None = None

    async def taken(self, message: Any) -> None:
        if self.held is not None:
            await self.held.wait()
        await super().taken(message)

    @property
    def text(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])

    @property
    def events(self) -> list[Event]:
        return parse(self.text)

    @property
    def seqs(self) -> list[int]:
        """The numbers of the changes that it was told of."""
        return [event.seq for event in self.events if event.name in {"task", "removed"}]

    async def until(self, name: str, **fields: Any) -> Event:
        """Wait for an event of this name, whose data has these fields."""
        with anyio.fail_after(LIMIT):
            while True:
                news = self.news
                for event in self.events:
                    if event.name == name and event.data.items() >= fields.items():
                        return event
                await news.wait()


@asynccontextmanager
async def following(app: ASGIApp, path: str, **headers: str) -> AsyncIterator[Stream]:
    """A stream that is open, until the block is left; then the client has gone away."""
    stream = Stream(app, path, **headers)
    async with anyio.create_task_group() as group:
        group.start_soon(stream.run)
        await anyio.wait_all_tasks_blocked()
        yield stream
        stream.go_away()
        with anyio.fail_after(LIMIT):
            await stream.ended.wait()
