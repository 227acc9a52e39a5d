"""Retries, on both loops: attempts hours apart in no time."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import anyio
import msgspec
import pytest

from cortex_tasks.backends.memory import MemoryBackend
from cortex_tasks.engine.context import ChildContext, TaskContext
from cortex_tasks.engine.engine import TaskEngine
from cortex_tasks.engine.errors import TaskFailed
from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.engine.records import TaskRecord
from cortex_tasks.engine.registry import TaskType, task_type
from cortex_tasks.engine.retrying import Backoff, RetryLater

from .engine_setting import LoopClock, an_engine, numbered_surroundings, virtual_time
from .inline_children import InlineChildren

PENDING, RUNNING = TaskStatus.PENDING, TaskStatus.RUNNING
COMPLETED, FAILED, CANCELLED = TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED
HOUR = timedelta(hours=1)
HOURLY = Backoff(first=3600, factor=1, jitter=0)


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return virtual_time(request.param)


@task_type("flaky", retries=3, retry_on=(ConnectionError, TimeoutError), backoff=HOURLY)
async def flaky(ctx: TaskContext, good: int) -> list[Any]:
    """Fails before the attempt that is good."""
    await ctx.progress(percent=50, message="half way")
    if ctx.attempt < good:
        raise ConnectionError(f"refused {ctx.attempt}")
    return [ctx.attempt, ctx.last_attempt]


@task_type("broken", retries=3, retry_on=ConnectionError)
async def broken(ctx: TaskContext) -> None:
    raise ValueError("no")


@task_type("slow", retries=1, retry_on=TimeoutError, timeout=5, backoff=HOURLY)
async def slow(ctx: TaskContext) -> str:
    if ctx.attempt == 1:
        await anyio.sleep_forever()
    return "in time"


@task_type("polite", retries=2, retry_on=ConnectionError)
async def polite(ctx: TaskContext) -> int:
    if not ctx.last_attempt:
        async with anyio.create_task_group():  # so that it comes in a group
            raise RetryLater(2 * HOUR, "the mirror is being filled")
    return ctx.attempt


@task_type("jittery", retries=4)
async def jittery(ctx: TaskContext) -> None:
    raise OSError("no")


@task_type("endless", retries=9)
async def endless(ctx: TaskContext) -> None:
    await anyio.sleep_forever()


@task_type("in_child", retries=1, retry_on=ConnectionError, runs="process", backoff=HOURLY)
def in_child(ctx: ChildContext) -> list[Any]:
    if ctx.attempt == 1:
        raise ConnectionError(f"last: {ctx.last_attempt}")
    return [ctx.attempt, ctx.last_attempt]


@task_type("resuming", retries=1, on_restart="resume", backoff=HOURLY)
async def resuming(ctx: TaskContext) -> list[bool]:
    if ctx.attempt == 1:
        await anyio.sleep_forever()
    if not ctx.last_attempt:
        raise ConnectionError("refused")
    return [ctx.last_attempt]


def predicate_that_raises(error: Exception) -> bool:
    raise RuntimeError("and this too")


@task_type("confused", retries=9, retry_on=predicate_that_raises)
async def confused(ctx: TaskContext) -> None:
    raise ValueError("no")


@task_type("infinite", retries=9)
async def infinite(ctx: TaskContext) -> float:
    return math.nan


ALL: list[TaskType[Any, Any]] = [
    *(flaky, broken, slow, polite, jittery, endless, in_child, resuming, confused, infinite)
]


@asynccontextmanager
async def running(
    *,
    backend: MemoryBackend | None = None,
    seed: int = 1,
    clock: LoopClock | None = None,
    drain_grace: float = 10,
) -> AsyncIterator[TaskEngine]:
    """An engine whose time of day goes with the loop's; what hangs fails after a hundred hours."""
    surroundings = replace(numbered_surroundings(), clock=clock or LoopClock(), seed=seed)
    with anyio.fail_after(360_000):
        async with an_engine(
            *ALL,
            surroundings=surroundings,
            backend=backend,
            children=InlineChildren(),
            drain_grace=drain_grace,
        ) as engine:
            yield engine


async def test_what_fails_for_a_while_completes_in_the_end_and_tells_of_each_attempt() -> None:
    async with running() as engine:
        handle = await engine.submit(flaky, 3)
        assert await handle.result() == [3, False]
        record = await engine.get(handle.id)
        assert (record.status, record.attempt, record.retries) == (COMPLETED, 3, 2)
        assert [one.error for one in record.attempts] == [
            "ConnectionError: refused 1",
            "ConnectionError: refused 2",
        ]
        assert (record.error, record.traceback, record.message) == (None, None, "half way")
        assert record.completed_at is not None
        took = record.completed_at - record.created_at
        assert took == pytest.approx(2 * HOUR, abs=timedelta(seconds=1))


async def test_between_two_attempts_a_task_is_pending_and_says_why_and_until_when() -> None:
    async with running() as engine:
        handle = await engine.submit(flaky, 2)
        await handle.wait()
        changes = [one.record for one in engine.events_until_now(after=0) if one.record]
        (waiting,) = [one for one in changes if one.status is PENDING and one.attempt]
        assert waiting.run_at == waiting.updated_at + HOUR
        assert waiting.message == (
            f"Retry 1 of 3 at {waiting.run_at:%H:%M:%S} UTC: ConnectionError: refused 1"
        )
        (start,) = [one for one in changes if one.attempt == 2 and one.message == "Running"]
        assert start.progress_percent == 0
        assert start.started_at is not None
        assert start.started_at >= waiting.run_at


async def test_after_the_last_attempt_the_task_fails_and_the_last_one_knew() -> None:
    async with running() as engine:
        handle = await engine.submit(flaky, 5)
        with pytest.raises(TaskFailed, match=r"refused 4 \(after 4 attempts\)"):
            await handle.result()
        record = await engine.get(handle.id)
        assert record.traceback is not None
        assert "refused 4" in record.traceback
        assert await (await engine.submit(flaky, 4)).result() == [4, True]


async def test_an_error_that_was_not_named_is_not_tried_again() -> None:
    async with running() as engine:
        record = await (await engine.submit(broken)).wait()
        assert (record.status, record.attempt, record.error) == (FAILED, 1, "ValueError: no")


async def test_running_out_of_time_is_a_timeout_error() -> None:
    async with running() as engine:
        handle = await engine.submit(slow)
        assert await handle.result() == "in time"
        (first,) = (await engine.get(handle.id)).attempts
        assert first.error == "timed out after 5 s"
        assert (first.ended_at - first.started_at).total_seconds() == pytest.approx(5)


async def test_a_body_may_say_when_to_be_tried_again() -> None:
    async with running() as engine:
        handle = await engine.submit(polite)
        assert await handle.result() == 3
        record = await engine.get(handle.id)
        assert all("the mirror is being filled" in one.error for one in record.attempts)
        waited = record.attempts[1].started_at - record.attempts[0].ended_at
        assert waited == pytest.approx(2 * HOUR, abs=timedelta(seconds=1))


async def test_a_body_in_a_child_process_is_tried_again_by_the_error_that_it_raised() -> None:
    async with running() as engine:
        handle = await engine.submit(in_child)
        assert await handle.result() == [2, True]
        (first,) = (await engine.get(handle.id)).attempts
        assert "last: False" in first.error


async def waits_of(seed: int) -> list[float]:
    async with running(seed=seed) as engine:
        record = await (await engine.submit(jittery)).wait()
        starts = [*(one.started_at for one in record.attempts), record.started_at]
        return [
            round((after - one.ended_at).total_seconds(), 3)
            for one, after in zip(record.attempts, starts[1:], strict=True)
            if after is not None
        ]


async def test_the_same_seed_waits_the_same_and_another_otherwise() -> None:
    waits = await waits_of(1)
    assert waits == await waits_of(1) != await waits_of(2)
    for number, wait in enumerate(waits):
        assert 2**number / 2 <= wait <= 2**number + 0.001
    assert len({wait / 2**number for number, wait in enumerate(waits)}) == 4  # none in step


async def test_a_task_that_waits_for_its_retry_is_cancelled_at_once() -> None:
    async with running() as engine:
        handle = await engine.submit(flaky, 2)
        await anyio.sleep(60)
        asked = anyio.current_time()
        record = await handle.cancel()
        assert (record.status, record.attempt, record.error) == (CANCELLED, 1, None)
        assert anyio.current_time() == asked
        await anyio.sleep(7200)
        assert (await engine.get(handle.id)).attempt == 1


async def test_a_cancel_is_no_failure() -> None:
    async with running() as engine:
        handle = await engine.submit(endless)
        await anyio.sleep(1)
        assert (await handle.cancel()).status is CANCELLED
        await anyio.sleep(7200)
        assert (await engine.get(handle.id)).attempt == 1


async def test_a_retry_outlives_the_engine_and_counts_on() -> None:
    backend, clock = MemoryBackend(), LoopClock()
    async with running(backend=backend, clock=clock) as engine:
        handle = await engine.submit(flaky, 5)
        await anyio.sleep(1.5 * 3600)
        assert (await engine.get(handle.id)).attempt == 2
    async with running(backend=backend, clock=clock) as engine:
        record = await engine.wait(handle.id)
        assert (record.attempt, record.retries) == (4, 3)
        assert [one.number for one in record.attempts] == [1, 2, 3]
        assert record.completed_at is not None
        took = record.completed_at - record.created_at
        assert took == pytest.approx(3 * HOUR, abs=timedelta(seconds=31))


async def test_an_attempt_that_a_shutdown_cut_short_uses_up_no_retry() -> None:
    backend, clock = MemoryBackend(), LoopClock()
    async with running(backend=backend, clock=clock, drain_grace=0) as engine:
        handle = await engine.submit(resuming)
        await anyio.sleep(1)
    async with running(backend=backend, clock=clock) as engine:
        record = await engine.wait(handle.id)
        assert (record.status, record.attempt, record.retries) == (COMPLETED, 3, 1)
        ended = [one.error for one in record.attempts]
        assert ended == ["interrupted by shutdown", "ConnectionError: refused"]


async def test_a_predicate_that_raises_retries_nothing_and_harms_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running() as engine:
        with caplog.at_level(logging.ERROR):
            record = await (await engine.submit(confused)).wait()
        assert (record.status, record.error) == (FAILED, "ValueError: no")
        assert "retry_on of 'confused' raised" in caplog.text
        assert "and this too" in caplog.text
        assert await (await engine.submit(flaky, 1)).result() == [1, False]


async def test_what_another_attempt_cannot_change_is_not_tried_again() -> None:
    async with running() as engine:
        record = await (await engine.submit(infinite)).wait()
        assert (record.status, record.attempt) == (FAILED, 1)


def test_a_record_of_before_there_were_retries_is_still_read() -> None:
    old = (
        b'{"id":"a","type":"work","status":"pending","seq":1,"created_at":"2026-03-15T10:30:00Z",'
        b'"updated_at":"2026-03-15T10:30:00Z","message":"Pending",'
        b'"then":[{"task_type":"b","params":{},"dedupe_key":null}]}'
    )
    record = msgspec.json.decode(old, type=TaskRecord)
    assert (record.run_at, record.priority, record.retries, record.attempts) == (None, 0, 0, ())
    assert record.then[0].delay is None
    assert b"run_at" not in msgspec.json.encode(record)  # and a plain one is written as before
