"""A job may be stopped at any of its steps: the library is consistent then, and the next attempt
ends where one that was never stopped ends.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import Enum
from itertools import count
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import pytest

from cortex_tasks.engine.surroundings import offload_inline
from cortex_tasks.jobs.library import Library
from cortex_tasks.jobs.model import DocumentStatus
from tests.inline_children import InlineChildren
from tests.knowledge import said_together
from tests.library_rules import broken_rules
from tests.loop_steps import at_every_step
from tests.small_world import BINARY, add_texts, attempt

T = TypeVar("T")

PROCESS, ANALYSE = "document_processing", "relationship_analysis"
DETECT, SUMMARISE = "community_detection", "community_summarization"
JOBS = (PROCESS, ANALYSE, DETECT, SUMMARISE)
CLAIMED = {DocumentStatus.PROCESSING, DocumentStatus.EXTRACTING}


class Moment(Enum):
    """When the n-th interruption comes."""

    BEFORE = "before a transaction or a child's work"
    AFTER = "after a transaction, before anything else"
    TOLD = "at a report of progress"
    ANY = "at a step of the event loop"


class Interruption:
    """Cancels a scope at the n-th moment of a kind."""

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self.count = 0
        self._at: int | None = None
        self._kind = Moment.BEFORE

    def arm(self, at: int | None, kind: Moment) -> None:
        """Count anew, up to moment `at` (None: never)."""
        self.scope = anyio.CancelScope()
        self.count, self._at, self._kind = 0, at, kind

    def come(self, kind: Moment) -> None:
        """It is such a moment now."""
        if kind is self._kind:
            self.count += 1
            if self.count == self._at:
                self.scope.cancel()

    async def offload(self, function: Callable[[], T], /) -> T:
        """Make a transaction."""
        await anyio.lowlevel.checkpoint()
        self.come(Moment.BEFORE)
        await anyio.lowlevel.checkpoint_if_cancelled()
        value = function()
        self.come(Moment.AFTER)
        return value

    async def before_child(self, *_: Any) -> None:
        """A child begins its work."""
        self.come(Moment.BEFORE)
        await anyio.lowlevel.checkpoint_if_cancelled()


async def state_of(library: Library) -> dict[str, Any]:
    """All that is kept, except numbers that depend on history; checked to fit together."""

    def query(connection: sqlite3.Connection) -> dict[str, Any]:
        assert broken_rules(connection) == []
        documents = connection.execute(
            "SELECT filename, status, error, chunk_count, entity_count FROM documents"
        ).fetchall()
        return {"documents": sorted(documents), **dict(said_together(connection))}

    return await library._database.read(query)


async def prepared(*jobs: str) -> bytes:
    """A library of a few documents on which these jobs have been done, as SQLite keeps it.

    Where there are communities, they have summaries already.
    """
    async with Library.in_memory(offload=offload_inline) as library:
        await add_texts(library, copies=2 if jobs else 1)
        await library.documents.add(BINARY, filename="bad.txt")
        for number, job in enumerate(jobs):
            await attempt(library, job, task_id=f"task_before_{number}")
        for community in (await library.communities.page()).communities:
            await library.summaries.store_summary(community.id, "A name", "Good.", drift=0.0)
        return await library._database.read(lambda connection: connection.serialize())


PARAMS: dict[str, dict[str, Any]] = {
    PROCESS: {"concurrency": 2},
    ANALYSE: {"mode": "rebuild"},
    DETECT: {"min_size": 2},
    SUMMARISE: {"force_regenerate": True},
}


@pytest.mark.parametrize("kind", Moment, ids=lambda kind: kind.value)
@pytest.mark.parametrize("job", JOBS)
async def test_stopped_at_any_moment_a_job_leaves_all_consistent_and_can_be_done_again(
    job: str, kind: Moment
) -> None:
    interruption = Interruption()
    children = InlineChildren(interruption.before_child)
    before = await prepared(*JOBS[: JOBS.index(job)])

    async def run(library: Library, at: int | None) -> bool:
        """Whether it came to its end."""
        interruption.arm(at, kind)
        with interruption.scope, at_every_step(lambda: interruption.come(Moment.ANY)):
            await attempt(
                library,
                job,
                PARAMS[job],
                children=children,
                heard=lambda _: interruption.come(Moment.TOLD),
            )
        ended = not interruption.scope.cancelled_caught
        interruption.arm(None, kind)
        return ended

    async with opened(before, interruption) as untouched:
        initial = await state_of(untouched)
        await run(untouched, None)
        final = await state_of(untouched)
        assert final != initial

    for moment in count(1):
        async with opened(before, interruption) as library:
            ended = await run(library, moment)
            stopped = await state_of(library)  # asserts what must hold whenever
            if job in (ANALYSE, DETECT):
                assert stopped in (initial, final), f"half done at moment {moment}"
            if job == SUMMARISE:  # each community has its good summary, or the new one
                assert {*stopped["communities"]} <= {*initial["communities"], *final["communities"]}
            await run(library, None)
            assert await state_of(library) == final, f"another end after moment {moment}"
            if job == PROCESS:
                outcomes = await library.processing.outcomes("task_1")
                assert len(outcomes) == 3  # each once, over both attempts
        if ended:
            break


@asynccontextmanager
async def opened(content: bytes, interruption: Interruption) -> AsyncIterator[Library]:
    """A library that holds this, whose transactions can be interrupted."""
    async with Library.in_memory(offload=interruption.offload) as library:
        await library._database.read(lambda connection: connection.deserialize(content))
        yield library
