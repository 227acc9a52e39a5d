"""A few documents with entities that are related, for tests of the jobs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from cortex_tasks.backends.memory import MemoryBackend
from cortex_tasks.engine.context import Children, TaskContext
from cortex_tasks.engine.engine import TaskEngine
from cortex_tasks.engine.loop_entry import LoopEntry
from cortex_tasks.engine.messages import ProgressReport
from cortex_tasks.engine.records import TaskRecord
from cortex_tasks.engine.surroundings import Surroundings, offload_inline
from cortex_tasks.jobs.builtin import builtin_task_types
from cortex_tasks.jobs.library import Library
from cortex_tasks.jobs.model import Document
from tests.inline_children import Hook, InlineChildren

TEXTS = {
    "rails": "The Rail Network connects Alpha Station and Beta Station. Alpha Station was built "
    "by John Carter. The Night Train stops at Beta Station. John Carter works for the Rail "
    "Network. The Night Train is part of the Rail Network.",
    "seas": "The Blue Whale lives in the Pacific Ocean. The Pacific Ocean contains the Coral Reef. "
    "Marina Lopez studies the Blue Whale. Marina Lopez works for the Marine Park. The Coral Reef "
    "is part of the Marine Park.",
}
BINARY = b"\x00\x01\x02 no text at all"


async def add_texts(library: Library, copies: int = 2, first: int = 0) -> list[Document]:
    """Add documents about each topic, numbered from `first` on: entities meet in several."""
    return [
        await library.documents.add(
            f"# {topic.title()} {number}\n\n{text}\n".encode(), filename=f"{topic}_{number}.md"
        )
        for number in range(first, first + copies)
        for topic, text in TEXTS.items()
    ]


@asynccontextmanager
async def small_world(before: Hook | None = None) -> AsyncIterator[tuple[TaskEngine, Library]]:
    """An engine with the four jobs over a library, all in memory and in one thread.

    `before` is awaited with each function that a job would run in a child, and its arguments.
    """
    async with Library.in_memory(offload=offload_inline) as library:
        engine = TaskEngine(
            builtin_task_types(library),
            backend=MemoryBackend(),
            drain_grace=0.0,
            watchdog=None,
            surroundings=Surroundings(offload=offload_inline),
            children=InlineChildren(before),
        )
        async with engine:
            yield engine, library


async def carry_out(engine: TaskEngine, task_type: str, **params: Any) -> Any:
    """Run a job to its end, and give its result."""
    handle = await engine.submit(task_type, params)
    return await handle.result()


async def end_of(engine: TaskEngine, task_type: str, **params: Any) -> TaskRecord:
    """Run a job to its end, whatever that is, and give its record."""
    return await (await engine.submit(task_type, params)).wait()


async def attempt(
    library: Library,
    task_type: str,
    params: dict[str, Any] | None = None,
    *,
    task_id: str = "task_1",
    children: Children | None = None,
    heard: Callable[[ProgressReport], None] | None = None,
) -> Any:
    """Run the body of a job without an engine around it, and give what it returns.

    `heard` is called with each report of its progress.
    """
    types = {declared.name: declared for declared in builtin_task_types(library)}

    def note_progress(ctx: TaskContext) -> None:
        report = ctx.take_report()
        assert report is not None
        if heard is not None:
            heard(report)

    ctx = TaskContext(
        task_id=task_id,
        task_type=task_type,
        attempt=1,
        surroundings=Surroundings(offload=offload_inline),
        children=children or InlineChildren(),
        note_progress=note_progress,
        loop=LoopEntry(),
    )
    declared = types[task_type]
    return await declared.body(ctx, declared.decode_params(declared.encode_params(params)))
