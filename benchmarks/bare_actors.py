"""The limit for the engine: the same hops over the same channels, with nothing kept or decided.

requester -> actor -> worker -> actor -> requester, each hop an `await send` on an anyio memory
stream.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from .measuring import Stopwatch

_Reply = MemoryObjectSendStream[bool]


class BareActors:
    """An actor and its standing workers, waiting for requests."""

    def __init__(self, inbox: MemoryObjectSendStream[tuple[bool, _Reply]]) -> None:
        self._inbox = inbox

    async def _request(self, count: int) -> None:
        reply, answer = anyio.create_memory_object_stream[bool](1)
        with reply, answer:
            for _ in range(count):
                await self._inbox.send((True, reply))
                await answer.receive()

    async def round_trips(self, requesters: int, total: int) -> float:
        """Give how many round trips a second so many requesters get."""
        watch = Stopwatch()
        async with anyio.create_task_group() as group:
            for _ in range(requesters):
                group.start_soon(self._request, total // requesters)
        return total / watch.seconds


@asynccontextmanager
async def bare_actors(workers: int) -> AsyncIterator[BareActors]:
    """Run the actors for the length of the block."""
    inbox, mail = anyio.create_memory_object_stream[tuple[bool, _Reply]](1024)
    jobs, work = anyio.create_memory_object_stream[_Reply](workers)

    async def worker() -> None:
        async for reply in work:
            await inbox.send((False, reply))

    async def actor() -> None:
        async for asked, reply in mail:
            await (jobs.send(reply) if asked else reply.send(True))

    with inbox, mail, jobs, work:
        async with anyio.create_task_group() as group:
            group.start_soon(actor)
            for _ in range(workers):
                group.start_soon(worker)
            yield BareActors(inbox)
            group.cancel_scope.cancel()
