"""Delays and priorities, on both loops: hours of waiting in no time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import anyio
import pytest

from cortex_tasks.backends.memory import MemoryBackend
from cortex_tasks.engine.context import TaskContext
from cortex_tasks.engine.engine import TaskEngine
from cortex_tasks.engine.errors import InvalidParameters, StorageError
from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.engine.records import TaskRecord
from cortex_tasks.engine.registry import task_type
from cortex_tasks.engine.surroundings import LOOK_AGAIN
from cortex_tasks.testing.injected import START

from .engine_setting import FailingBackend, LoopClock, numbered_surroundings, virtual_time
from .engine_setting import an_engine as any_engine

PENDING, RUNNING = TaskStatus.PENDING, TaskStatus.RUNNING
COMPLETED, CANCELLED = TaskStatus.COMPLETED, TaskStatus.CANCELLED
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return virtual_time(request.param)


@task_type("work")
async def work(ctx: TaskContext) -> str:
    return ctx.clock.now().isoformat()


@task_type("slow")
async def slow(ctx: TaskContext) -> None:
    await anyio.sleep(10)


@asynccontextmanager
async def running(
    *, clock: LoopClock | None = None, backend: MemoryBackend | None = None
) -> AsyncIterator[TaskEngine]:
    """An engine whose time of day goes with the loop's; what hangs fails after ten hours."""
    surroundings = replace(numbered_surroundings(), clock=clock or LoopClock())
    with anyio.fail_after(36_000):
        async with any_engine(work, slow, surroundings=surroundings, backend=backend) as engine:
            yield engine


def waited(record: TaskRecord) -> float:
    assert record.started_at is not None
    return (record.started_at - record.created_at).total_seconds()


async def test_a_delayed_task_starts_when_its_time_has_come_and_not_before() -> None:
    async with running() as engine:
        seconds = await engine.submit(work, delay=3600)
        span = await engine.submit(work, delay=2 * HOUR)
        there = timezone(timedelta(hours=5, minutes=30))
        moment = (await seconds.wait()).created_at + 3 * HOUR
        at = await engine.submit(work, run_at=moment.astimezone(there))
        assert at.record.run_at == moment
        assert at.record.run_at.tzinfo is UTC
        assert waited(await seconds.wait()) == pytest.approx(3600)
        assert waited(await span.wait()) == pytest.approx(7200)
        assert (await at.wait()).started_at == pytest.approx(moment, abs=timedelta(seconds=0.001))


async def test_an_earlier_moment_wakes_whoever_waits_for_a_later_one() -> None:
    async with running() as engine:
        late = await engine.submit(work, delay=25)
        soon = await engine.submit(work, delay=1)
        assert waited(await soon.wait()) == pytest.approx(1)
        assert (await engine.get(late.id)).status is PENDING
        assert waited(await late.wait()) == pytest.approx(25)


async def test_a_delay_takes_no_place_and_all_of_a_submit_many_have_it() -> None:
    async with running() as engine:
        later = await engine.submit_many(work, [None] * 3, delay=3600, priority=5)
        assert {one.record.priority for one in later} == {5}
        assert (await (await engine.submit(work)).wait()).status is COMPLETED
        for one in later:
            assert waited(await one.wait()) >= 3600


async def test_a_step_of_a_chain_waits_for_its_delay() -> None:
    async with running() as engine:
        first = await engine.submit(work, then=[(work, None, None, HOUR), (work, None, None, 60)])
        second = await engine.wait((await first.wait()).next_id or "")
        third = await engine.wait(second.next_id or "")
        assert waited(second) == pytest.approx(3600)
        assert waited(third) == pytest.approx(60)


async def test_a_higher_priority_starts_first_though_it_was_submitted_last() -> None:
    async with running() as engine:
        await engine.submit(slow)
        low, high = await engine.submit(slow), await engine.submit(slow, priority=1)
        assert waited(await high.wait()) < waited(await low.wait())


@pytest.mark.parametrize("hours", [1, 1000])
async def test_a_clock_that_is_set_ahead_is_noticed_within_half_a_minute(hours: int) -> None:
    clock = LoopClock()
    async with running(clock=clock) as engine:
        delayed = await engine.submit(work, delay=hours * HOUR)
        await anyio.sleep(45)
        before = anyio.current_time()
        clock.ahead = hours * HOUR  # as after a night with the lid closed
        await delayed.wait()
        assert anyio.current_time() - before <= LOOK_AGAIN


async def test_a_clock_that_is_set_back_lets_nothing_start_early() -> None:
    clock = LoopClock()
    async with running(clock=clock) as engine:
        delayed = await engine.submit(work, delay=60)
        await anyio.sleep(45)
        clock.ahead = -HOUR
        await delayed.wait()
        assert clock.now() >= START + timedelta(seconds=60)


async def test_a_delayed_task_can_be_cancelled_and_then_never_runs() -> None:
    async with running() as engine:
        delayed = await engine.submit(work, delay=60)
        record = await delayed.cancel()
        assert (record.status, record.started_at) == (CANCELLED, None)
        await anyio.sleep(120)
        assert (await engine.get(delayed.id)).attempt == 0


async def test_the_same_key_gives_the_task_that_waits() -> None:
    async with running() as engine:
        first = await engine.submit(work, dedupe_key="nightly", delay=60)
        second = await engine.submit(work, dedupe_key="nightly")
        assert (second.id, second.deduplicated) == (first.id, True)
        assert waited(await second.wait()) == pytest.approx(60)


async def test_leaving_waits_for_no_delay_which_goes_on_after_the_return() -> None:
    backend, clock = MemoryBackend(), LoopClock()
    async with running(backend=backend, clock=clock) as engine:
        soon = (await engine.submit(work, delay=HOUR)).id
        late = (await engine.submit(work, delay=3 * HOUR)).id
        left = anyio.current_time()
    assert anyio.current_time() - left < 1
    await anyio.sleep(7200)
    async with running(backend=backend, clock=clock) as engine:
        back = anyio.current_time()
        assert (await engine.get(late)).status is PENDING
        await engine.wait(soon)
        assert anyio.current_time() - back < 1
        assert waited(await engine.wait(late)) == pytest.approx(3 * 3600)


async def test_an_engine_that_lost_its_storage_rings_for_nothing() -> None:
    backend = FailingBackend()
    with pytest.raises(StorageError):
        async with running(backend=backend) as engine:
            await engine.submit(work, delay=60)
            backend.failure = StorageError("the disk is gone")
            with pytest.raises(StorageError):
                await engine.submit(work)
            await anyio.sleep(7200)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"delay": 1, "run_at": START}, "delay or run_at, not both"),
        ({"delay": -1}, "delay must be 0 seconds or more, .* not -1"),
        ({"delay": timedelta(microseconds=-1)}, "0 seconds or more"),
        ({"delay": float("nan")}, "0 seconds or more.*not nan"),
        ({"delay": float("inf")}, "at most 36,525 days"),
        ({"delay": timedelta(days=36_526)}, "at most 36,525 days"),
        ({"delay": "60"}, "delay must be seconds or a timedelta, not '60'"),
        ({"delay": True}, "delay must be seconds or a timedelta, not True"),
        ({"run_at": datetime(2026, 3, 15, 10, 30)}, "run_at must have a time zone"),  # noqa: DTZ001
        ({"run_at": 1_773_570_600}, "run_at must be a datetime"),
        (
            {"run_at": datetime.max.replace(tzinfo=timezone(-HOUR))},
            "run_at is out of range",
        ),
        ({"priority": 1001}, "priority must be a whole number from -1000 to 1000, not 1001"),
        ({"priority": -1001}, "not -1001"),
        ({"priority": 1.0}, "whole number"),
        ({"priority": False}, "whole number"),
    ],
)
async def test_what_cannot_be_meant_is_refused_and_nothing_is_submitted(
    options: dict[str, Any], text: str
) -> None:
    async with running() as engine:
        with pytest.raises(InvalidParameters, match=text):
            await engine.submit(work, **options)
        with pytest.raises(InvalidParameters, match=text):
            await engine.submit_many(work, [None], **options)
        assert (await engine.list()).total == 0
        with pytest.raises(InvalidParameters, match="0 seconds or more"):
            await engine.submit(work, then=[(work, None, None, -1)])
