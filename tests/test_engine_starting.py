"""An engine that is being entered takes nothing yet: if its start fails, nobody waits for ever."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from cortex_tasks.engine.context import TaskContext
from cortex_tasks.engine.engine import TaskEngine
from cortex_tasks.engine.errors import EngineNotRunning
from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.engine.registry import task_type

from .engine_setting import HoldingBackend, a_record, an_engine, left_by_a_crash, virtual_time


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return virtual_time(request.param)


@task_type("work")
async def work(ctx: TaskContext) -> None:
    """Give nothing."""


async def test_who_asks_before_all_is_read_and_settled_is_told_that_it_does_not_run() -> None:
    backend = HoldingBackend()
    await left_by_a_crash(a_record(1, TaskStatus.RUNNING), backend=backend)
    backend.hold()
    engine = an_engine(work, backend=backend)

    async def enter(engine: TaskEngine) -> None:
        async with engine:
            assert (await engine.list()).total == 1
            await (await engine.submit(work)).wait()

    async with anyio.create_task_group() as group:
        group.start_soon(enter, engine)
        await backend.wait_held()
        with anyio.fail_after(1000):
            for asked in (engine.submit(work), engine.pause(work), engine.cancel("task_1")):
                with pytest.raises(EngineNotRunning):
                    await asked
        backend.release()
