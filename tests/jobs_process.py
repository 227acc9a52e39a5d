"""What a process does that a law kills: a job on a library, under the same id however often it is
begun again. Whatever the job would do in a child it does itself, so that a kill is sure to meet it.
"""

from __future__ import annotations

from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import anyio

from cortex_tasks.backends.json_backend import JsonBackend
from cortex_tasks.engine.engine import TaskEngine
from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.jobs.builtin import builtin_task_types
from cortex_tasks.jobs.library import Library
from cortex_tasks.jobs.methods import candidates, extract, leiden, summaries
from tests.inline_children import InlineChildren

# Loaded before anything is killed: a kill would otherwise mostly meet an import.
LOADED = (candidates, extract, leiden, summaries)

PARAMS: dict[str, dict[str, Any]] = {
    "document_processing": {"concurrency": 2},
    "relationship_analysis": {"mode": "rebuild"},
    "community_detection": {"min_size": 2},
    "community_summarization": {"force_regenerate": True},
}


def work(said: Connection, loop: str, folder: Path, job: str) -> None:
    """Do the job; say once that it is begun, and once that it is done."""
    anyio.run(_work, said, folder, job, backend=loop)


async def _work(said: Connection, folder: Path, job: str) -> None:
    async with Library(folder / "library.db") as library:
        engine = TaskEngine(
            builtin_task_types(library),
            backend=JsonBackend(folder / "tasks"),
            children=InlineChildren(),
        )
        async with engine:
            tasks = (await engine.list()).records
            task_id = tasks[0].id if tasks else (await engine.submit(job, PARAMS[job])).id
            said.send("begun")
            record = await engine.wait(task_id)
            assert record.status is TaskStatus.COMPLETED, record.error
            said.send("done")
