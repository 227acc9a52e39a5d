"""What is over is forgotten: an engine that was left, or ended by a failure, keeps no memory."""

from __future__ import annotations

import gc
import logging
import weakref
from contextlib import suppress

import anyio
import pytest

from cortex_tasks import TaskAlreadyFinal, TaskContext, TaskEngine, task_type
from cortex_tasks.engine.errors import EngineNotRunning, StorageError
from cortex_tasks.testing import Faults, TaskHarness, explore
from tests.engine_setting import FailingBackend


@pytest.fixture(autouse=True)
def _silence(caplog: pytest.LogCaptureFixture) -> None:
    """A line of the log that pytest keeps would keep the error that it tells of."""
    caplog.set_level(logging.CRITICAL + 1, "cortex_tasks")


@task_type("endless", concurrency=9)
async def endless(ctx: TaskContext) -> None:
    await anyio.sleep_forever()


async def test_an_engine_whose_storage_failed_is_forgotten_with_all_that_was_asked_of_it() -> None:
    alive: weakref.WeakSet[TaskEngine] = weakref.WeakSet()

    async def life() -> None:
        backend = FailingBackend()
        async with TaskEngine([endless], backend=backend, drain_grace=0) as engine:
            alive.add(engine)
            handle = await engine.submit(endless)
            backend.failure = StorageError("this disk is no more")

            async def ask() -> None:
                with pytest.raises(StorageError, match="no more"):
                    await engine.submit(endless)
                with pytest.raises(StorageError, match="no more"):
                    await engine.cancel(handle.id)

            async with anyio.create_task_group() as askers:
                for _ in range(3):
                    askers.start_soon(ask)

    with suppress(StorageError):
        await life()
    gc.collect()
    assert len(alive) == 0


@pytest.mark.parametrize("loop", ["trio", "asyncio"])
def test_runs_of_the_harness_leave_nothing_behind_however_they_end(loop: str) -> None:
    alive: weakref.WeakSet[TaskHarness] = weakref.WeakSet()

    async def ask(harness: TaskHarness) -> None:
        with suppress(EngineNotRunning, StorageError, TaskAlreadyFinal):
            handle = await harness.submit(endless)
            await harness.submit(endless)
            await harness.cancel(handle.id)

    async def crowd(harness: TaskHarness) -> None:
        alive.add(harness)
        async with anyio.create_task_group() as clients:
            for _ in range(3):
                clients.start_soon(ask, harness)
        while lasting := [each.id for each in harness.kept.values() if not each.final]:
            await harness.recover()
            with suppress(EngineNotRunning, StorageError, TaskAlreadyFinal):
                await harness.cancel(lasting[0])

    faults = Faults(crash=0.5, commit_torn=0.05, power_cut=0.05)
    found = explore(crowd, endless, seeds=range(40), faults=faults, loop=loop)
    assert found.crashes > 10
    gc.collect()
    assert len(alive) <= 1  # the last, as nothing has taken the place of what it was put in
