"""Functions that have children of their own, apart from the others: what they import takes time."""

from __future__ import annotations

import anyio

from cortex_tasks.engine.children import ChildPool

from . import child_functions_sample as sample


def ask_own_child() -> int:
    async def ask() -> int:
        async with ChildPool() as pool:
            return await pool.run(sample.pid)

    return anyio.run(ask)


def wait_for_own_child(backend: str, report: sample.Report) -> None:
    async def ask() -> None:
        async with ChildPool() as pool:
            await pool.run(
                sample.work_for_ever, sample.spin, on_progress=lambda frame: report(**frame)
            )

    anyio.run(ask, backend=backend)
