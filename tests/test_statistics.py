"""What an engine counts about itself: every step once it is kept, durations as they were."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import anyio
import pytest

from cortex_tasks.backends.memory import MemoryBackend
from cortex_tasks.engine.context import TaskContext
from cortex_tasks.engine.engine import TaskEngine
from cortex_tasks.engine.lifecycle import LifeEvent, TaskStatus
from cortex_tasks.engine.observing import Move
from cortex_tasks.engine.registry import task_type
from cortex_tasks.engine.retrying import Backoff
from cortex_tasks.engine.statistics import DURATIONS, Histogram

from .engine_setting import (
    HoldingBackend,
    LoopClock,
    a_record,
    an_engine,
    left_by_a_crash,
    numbered_surroundings,
    virtual_time,
)

COMPLETED, FAILED, CANCELLED = TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return virtual_time(request.param)


@task_type("hour", concurrency=1)
async def hour(ctx: TaskContext) -> None:
    await anyio.sleep(3600)


@task_type("slow_to_stop", cancel_grace=100)
async def slow_to_stop(ctx: TaskContext) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(30)


@task_type("flaky", retries=2, backoff=Backoff(first=60, factor=1, jitter=0))
async def flaky(ctx: TaskContext) -> None:
    await anyio.sleep(5)
    if not ctx.last_attempt:
        raise OSError("not yet")


@task_type("resumes", on_restart="resume")
async def resumes(ctx: TaskContext) -> None:
    await anyio.sleep_forever()


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[TaskEngine]:
    surroundings = replace(numbered_surroundings(), clock=LoopClock())
    types = (hour, slow_to_stop, flaky, resumes)
    async with an_engine(*types, surroundings=surroundings, drain_grace=0, **options) as engine:
        yield engine


async def test_waiting_and_running_are_counted_apart() -> None:
    async with running() as engine:
        handles = [await engine.submit(hour) for _ in range(3)]
        await handles[-1].wait()
        counted = engine.statistics.of("hour")
        assert (counted.submitted, counted.ended) == (3, {COMPLETED: 3})
        assert counted.run.sum == pytest.approx(3 * 3600)
        assert counted.wait.sum == pytest.approx(0 + 3600 + 7200)


async def test_a_delay_is_no_waiting_in_the_queue() -> None:
    async with running() as engine:
        await (await engine.submit(hour, delay=5000)).wait()
        assert engine.statistics.of("hour").wait.sum == pytest.approx(0, abs=0.01)


async def test_each_attempt_is_counted_and_the_time_between_them_is_not() -> None:
    async with running() as engine:
        await (await engine.submit(flaky)).wait()
        counted = engine.statistics.of("flaky")
        assert (counted.retries, counted.run.count, counted.wait.count) == (2, 3, 3)
        assert counted.run.sum == pytest.approx(15)
        assert counted.wait.sum == pytest.approx(0, abs=0.01)
        assert counted.ended == {COMPLETED: 1}


async def test_how_long_a_cancelled_body_took_to_stop_is_counted() -> None:
    async with running() as engine:
        handle = await engine.submit(slow_to_stop)
        await anyio.sleep(10)
        await handle.cancel()
        counted = engine.statistics.of("slow_to_stop")
        assert counted.stop.sum == pytest.approx(30)
        assert counted.run.sum == pytest.approx(40)
        assert counted.ended == {CANCELLED: 1}


async def test_a_task_that_never_ran_has_neither_run_nor_stopped() -> None:
    async with running() as engine:
        handle = await engine.submit(hour, delay=1000)
        await handle.cancel()
        counted = engine.statistics.of("hour")
        assert (counted.run.count, counted.stop.count, counted.wait.count) == (0, 0, 0)
        assert counted.ended == {CANCELLED: 1}


async def test_what_a_start_finds_is_counted_without_a_duration() -> None:
    backend = await left_by_a_crash(
        a_record(1, TaskStatus.RUNNING, type="hour"),
        a_record(2, TaskStatus.RUNNING, type="resumes"),
    )
    async with running(backend=backend) as engine:
        lost, taken_up = engine.statistics.of("hour"), engine.statistics.of("resumes")
        assert (lost.interruptions, lost.ended, lost.run.count) == (1, {FAILED: 1}, 0)
        assert (taken_up.interruptions, taken_up.requeues, taken_up.ended) == (1, 1, {})


async def test_how_long_those_waited_that_a_start_runs_is_counted() -> None:
    backend = await left_by_a_crash(
        a_record(1, TaskStatus.PENDING, type="hour"),
        a_record(2, TaskStatus.RUNNING, type="resumes"),
    )
    async with running(backend=backend) as engine:
        for name in ("hour", "resumes"):
            counted = engine.statistics.of(name)
            assert counted.wait.count == 1
            assert engine.overview.of_type(name).wait_seconds.count == 1


async def test_nothing_is_counted_before_it_is_kept() -> None:
    backend = HoldingBackend()
    async with running(backend=backend) as engine, anyio.create_task_group() as group:
        backend.hold()
        group.start_soon(engine.submit, hour)
        await backend.wait_held()
        assert engine.statistics.of("hour").submitted == 0
        backend.release()
        await anyio.sleep(1)
        assert engine.statistics.of("hour").submitted == 1


async def test_commits_and_what_they_hold_are_counted() -> None:
    class Slow(MemoryBackend):
        async def commit(self, changes: Sequence[Any]) -> None:
            await anyio.sleep(0.25)
            await super().commit(changes)

    async with running(backend=Slow()) as engine:
        await engine.submit_many("hour", [None] * 5)
        statistics = engine.statistics
        # Five were submitted, and one of them started: all in one commit.
        assert (statistics.commit.count, statistics.batch.sum) == (1, 6)
        assert statistics.commit.sum == pytest.approx(0.25)


class Recorder:
    """An observer that keeps what it was told."""

    def __init__(self) -> None:
        self.moves: list[Move] = []
        self.found: list[Move] = []

    def moved(self, moves: Sequence[Move]) -> None:
        self.moves += moves

    def recovered(self, moves: Sequence[Move]) -> None:
        self.found += moves


async def test_an_observer_is_told_each_step_in_its_order() -> None:
    recorder = Recorder()
    async with running(observers=[recorder]) as engine:
        await (await engine.submit(flaky)).wait()
    attempt = [LifeEvent.START, LifeEvent.RETRY]
    expected = [None, *attempt, *attempt, LifeEvent.START, LifeEvent.SUCCEED]
    assert [move.event for move in recorder.moves] == expected
    for earlier, later in zip(recorder.moves, recorder.moves[1:], strict=False):
        assert later.before == earlier.after


async def test_an_observer_that_fails_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Recorder):
        def moved(self, moves: Sequence[Move]) -> None:
            raise RuntimeError("no")

    healthy = Recorder()
    with caplog.at_level(logging.ERROR):
        async with running(observers=[Broken(), healthy]) as engine:
            await (await engine.submit(hour)).wait()
    assert [move.event for move in healthy.moves] == [None, LifeEvent.START, LifeEvent.SUCCEED]
    assert "an observer failed" in caplog.text


def test_a_percentile_is_right_within_the_step_of_its_bounds() -> None:
    histogram = Histogram(DURATIONS)
    assert histogram.percentile(0.5) is None
    for hundredth in range(1, 1001):
        histogram.add(hundredth / 100)
    for share, value in ((0.5, 5.0), (0.95, 9.5), (0.99, 9.9)):
        assert histogram.percentile(share) == pytest.approx(value, rel=0.01)


def test_a_histogram_bears_what_lies_beyond_its_bounds() -> None:
    histogram = Histogram((1.0, 2.0))
    histogram.add(timedelta(days=1).total_seconds())
    histogram.add(-5.0)  # the clock was set back
    assert histogram.counts == [1, 0, 1]
    assert histogram.percentile(0.99) == 2.0
