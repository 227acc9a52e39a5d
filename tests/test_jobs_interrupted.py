"""A job may be stopped at any of its steps: the library is consistent then, and the next attempt
ends where one that was never stopped ends.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import pytest

from cortex_tasks.jobs.library import Library
from cortex_tasks.jobs.model import DocumentStatus
from tests.inline_children import InlineChildren
from tests.knowledge import said_together
from tests.small_world import BINARY, add_texts, attempt

T = TypeVar("T")

PROCESS, ANALYSE = "document_processing", "relationship_analysis"
DETECT, SUMMARISE = "community_detection", "community_summarization"
BEFORE, AFTER = "before", "after"


class Interruption:
    """Cancels a scope at the n-th step, a step being a transaction or a child's work.

    BEFORE: the step is not made. AFTER: it is made, and the cancel is heard right after it.
    """

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self.steps = 0
        self._at: int | None = None
        self._when = BEFORE

    def arm(self, at: int | None, when: str) -> None:
        """Count anew, up to step `at` (None: never)."""
        self.scope = anyio.CancelScope()
        self.steps, self._at, self._when = 0, at, when

    async def offload(self, function: Callable[[], T], /) -> T:
        """Make a transaction."""
        self.steps += 1
        await anyio.lowlevel.checkpoint()
        if self.steps == self._at and self._when == BEFORE:
            self.scope.cancel()
            await anyio.lowlevel.checkpoint()
        value = function()
        if self.steps == self._at:
            self.scope.cancel()
        return value

    async def before_child(self, *_: Any) -> None:
        """A child begins its work."""
        self.steps += 1
        if self.steps == self._at:
            self.scope.cancel()
            await anyio.lowlevel.checkpoint()


async def state_of(library: Library) -> dict[str, Any]:
    """All that is kept, except numbers that depend on history; checked to fit together."""

    def query(connection: sqlite3.Connection) -> dict[str, Any]:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        documents = connection.execute(
            "SELECT filename, status, error, chunk_count, entity_count, task_id IS NULL,"
            " (SELECT count(*) FROM chunks WHERE document = seq),"
            " (SELECT count(*) FROM document_entities WHERE document = seq) FROM documents"
        ).fetchall()
        for name, status, _, chunks, entities, unclaimed, *counted in documents:
            assert (chunks, entities) == tuple(counted), name
            assert unclaimed == (status == "pending"), name
            assert (chunks > 0) == (status == "completed"), name
        return {"documents": sorted(documents), **dict(said_together(connection))}

    return await library._database.read(query)


async def prepared(interruption: Interruption, *jobs: str) -> Library:
    """A library of a few documents on which these jobs have been done; open it stays."""
    library = Library.in_memory(offload=interruption.offload)
    await library.__aenter__()
    await add_texts(library, copies=2)
    await library.documents.add(BINARY, filename="bad.txt")
    for number, job in enumerate(jobs):
        await attempt(library, job, task_id=f"task_before_{number}")
    return library


PARAMS: dict[str, dict[str, Any]] = {
    PROCESS: {"concurrency": 2},
    ANALYSE: {"mode": "rebuild"},
    DETECT: {"min_size": 2},
    SUMMARISE: {"force_regenerate": True},
}


@pytest.mark.parametrize("when", [BEFORE, AFTER])
@pytest.mark.parametrize(
    "earlier",
    [
        (PROCESS,),
        (PROCESS, ANALYSE),
        (PROCESS, ANALYSE, DETECT),
        (PROCESS, ANALYSE, DETECT, SUMMARISE),
    ],
    ids=lambda jobs: f"in {jobs[-1]}",
)
async def test_stopped_at_any_step_a_job_leaves_all_consistent_and_can_be_done_again(
    earlier: tuple[str, ...], when: str
) -> None:
    *before, job = earlier
    interruption = Interruption()
    children = InlineChildren(interruption.before_child)

    async def run(library: Library, at: int | None) -> None:
        interruption.arm(at, when)
        with interruption.scope:
            await attempt(library, job, PARAMS[job], task_id="task_1", children=children)

    untouched = await prepared(interruption, *before)
    initial = await state_of(untouched)
    await run(untouched, None)
    final, steps = await state_of(untouched), interruption.steps
    assert final != initial
    await untouched.__aexit__(None, None, None)

    for step in range(1, steps + 1):
        interruption.arm(None, when)
        library = await prepared(interruption, *before)
        await run(library, step)
        interruption.arm(None, when)
        stopped = await state_of(library)  # asserts what must hold whenever
        claimed = {DocumentStatus.PROCESSING, DocumentStatus.EXTRACTING}
        assert not {each.status for each in (await library.documents.page()).documents} & claimed
        if job in (ANALYSE, DETECT):
            assert stopped in (initial, final), f"half done at step {step}"
        await run(library, None)
        assert await state_of(library) == final, f"another end after a stop at step {step}"
        if job == PROCESS:
            outcomes = await library.processing.outcomes("task_1")
            assert len(outcomes) == 5  # each once, over both attempts
        await library.__aexit__(None, None, None)
