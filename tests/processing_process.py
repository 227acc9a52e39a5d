"""A process that works through a library until it kills itself, as hard as anyone could:
`python -m tests.processing_process FOLDER LOOP DOCUMENTS`, after so many of them.

It prints the id of its task.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import anyio

from cortex_tasks.backends.json_backend import JsonBackend
from cortex_tasks.engine.engine import TaskEngine
from cortex_tasks.jobs.builtin import builtin_task_types
from cortex_tasks.jobs.library import Library


async def main(folder: Path, documents: int) -> None:
    async with Library(folder / "library.db") as library:
        types = builtin_task_types(library)
        engine = TaskEngine(types, backend=JsonBackend(folder / "tasks"), progress_interval=0.001)
        async with engine:
            changes = engine.events()
            handle = await engine.submit("document_processing", {"concurrency": 2})
            print(handle.id, flush=True)  # noqa: T201  for the law that started this
            async for change in changes:
                assert change.record is not None
                if (change.record.progress_current or 0) >= documents:
                    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]), int(sys.argv[3]), backend=sys.argv[2])
