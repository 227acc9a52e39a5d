"""A paused task type starts nothing: on both loops, kept in memory and on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from cortex_tasks.backends.doctor import examine
from cortex_tasks.backends.json_backend import JsonBackend
from cortex_tasks.backends.memory import MemoryBackend
from cortex_tasks.engine.context import TaskContext
from cortex_tasks.engine.errors import EngineNotRunning, QueueFull, UnknownTaskType
from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.engine.registry import task_type
from cortex_tasks.engine.storage import Backend
from cortex_tasks.engine.surroundings import Surroundings, offload_inline

from .engine_setting import HoldingBackend, LoopClock, an_engine, running, virtual_time

PENDING, RUNNING, COMPLETED = TaskStatus.PENDING, TaskStatus.RUNNING, TaskStatus.COMPLETED
MakeBackend = Callable[[], Backend]


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return virtual_time(request.param)


@pytest.fixture(params=["memory", "json"])
def make_backend(request: pytest.FixtureRequest, tmp_path: Path) -> MakeBackend:
    memory = MemoryBackend()
    if request.param == "memory":
        return lambda: memory
    return lambda: JsonBackend(tmp_path, offload=offload_inline)


@task_type("nap", concurrency=1, max_pending=2)
async def nap(ctx: TaskContext, seconds: float) -> None:
    await anyio.sleep(seconds)


@task_type("other")
async def other(ctx: TaskContext) -> None: ...


async def test_what_runs_goes_on_and_what_waits_stays_and_submits_are_taken() -> None:
    async with running(nap, other) as engine:
        first, second = await engine.submit(nap, 5), await engine.submit(nap, 5)
        await engine.wait_change(first.id, first.record.seq)
        await engine.pause(nap)
        third = await engine.submit(nap, 5, priority=9)
        assert (await first.wait()).status is COMPLETED
        await anyio.sleep(1000)
        assert [(await engine.get(one.id)).status for one in (second, third)] == [PENDING] * 2
        assert (await (await engine.submit(other)).wait()).status is COMPLETED
        await engine.resume(nap)
        assert (await second.wait()).status is (await third.wait()).status is COMPLETED


async def test_a_pause_lasts_over_restarts_until_it_is_resumed(make_backend: MakeBackend) -> None:
    async with running(nap, other, backend=make_backend()) as engine:
        await engine.pause("nap")
        handle = await engine.submit(nap, 0)
    async with running(nap, other, backend=make_backend()) as engine:
        await anyio.sleep(1000)
        assert (await engine.get(handle.id)).status is PENDING
        assert [state.paused for state in engine.overview.types()] == [True, False]
        await engine.resume("nap")
        assert (await engine.wait(handle.id)).status is COMPLETED
    async with running(nap, other, backend=make_backend()) as engine:
        assert [state.paused for state in engine.overview.types()] == [False, False]


async def test_a_pause_outlives_a_compaction(tmp_path: Path) -> None:
    def backend() -> JsonBackend:
        return JsonBackend(tmp_path, offload=offload_inline, compact_after=1_000, garbage_share=0)

    async with running(nap, other, backend=backend()) as engine:
        await engine.pause(nap)
        for _ in range(40):
            await (await engine.submit(other)).wait()
    assert list(tmp_path.glob("snapshot-*"))
    assert examine(tmp_path).paused == ["nap"]
    async with running(nap, other, backend=backend()) as engine:
        assert engine.overview.of_type("nap").paused


async def test_a_pause_is_answered_once_it_is_kept() -> None:
    backend = HoldingBackend()
    async with running(nap, backend=backend) as engine:
        backend.hold()
        answered = anyio.Event()

        async def pause() -> None:
            await engine.pause(nap)
            answered.set()

        async with anyio.create_task_group() as callers:
            callers.start_soon(pause)
            await backend.wait_held()
            assert not answered.is_set()
            assert not engine.overview.of_type("nap").paused
            backend.release()
        assert engine.overview.of_type("nap").paused


async def test_pausing_what_is_paused_changes_nothing_and_is_no_change_of_a_task() -> None:
    backend = HoldingBackend()
    async with running(nap, backend=backend) as engine:
        await engine.submit(nap, 50)
        seq = engine.seq
        for _ in range(2):
            await engine.pause(nap)
        assert sum(len(commit) for commit in backend.commits) == 2  # one task begun, one pause
        assert (await engine.submit(nap, 50)).record.seq == seq + 1 == engine.seq
        assert [event.seq for event in engine.events_until_now(after=0)] == [1, 2, 3]


async def test_of_a_paused_type_no_more_wait_than_may() -> None:
    async with running(nap) as engine:
        await engine.pause(nap)
        for _ in range(2):
            await engine.submit(nap, 0)
        with pytest.raises(QueueFull):
            await engine.submit(nap, 0)


async def test_a_delayed_task_and_a_chain_wait_for_the_resume() -> None:
    surroundings = Surroundings(clock=LoopClock(), offload=offload_inline)
    async with running(nap, other, surroundings=surroundings) as engine:
        await engine.pause(nap)
        delayed = await engine.submit(nap, 0, delay=60)
        first = await engine.submit(other, then=[(nap, 0)])
        await anyio.sleep(1000)
        step = (await first.wait()).next_id
        assert step is not None
        assert {(await engine.get(one)).status for one in (delayed.id, step)} == {PENDING}
        await engine.resume(nap)
        assert {(await engine.wait(one)).status for one in (delayed.id, step)} == {COMPLETED}


async def test_an_engine_with_a_paused_type_is_left_at_once() -> None:
    async with running(nap) as engine:
        await engine.pause(nap)
        await engine.submit(nap, 0)
        begun = anyio.current_time()
    assert anyio.current_time() == begun


async def test_what_cannot_be_paused_is_refused() -> None:
    engine = an_engine(nap)
    with pytest.raises(EngineNotRunning):
        await engine.pause(nap)
    async with engine:
        with pytest.raises(UnknownTaskType):
            await engine.pause("nowhere")
