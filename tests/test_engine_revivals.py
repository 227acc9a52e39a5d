"""A person has a task tried again that is over: on both loops, kept in memory and on disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from cortex_tasks.backends.json_backend import JsonBackend
from cortex_tasks.backends.memory import MemoryBackend
from cortex_tasks.engine.context import TaskContext
from cortex_tasks.engine.engine import TaskEngine
from cortex_tasks.engine.errors import (
    EngineNotRunning,
    QueueFull,
    TaskCancelled,
    TaskFailed,
    TaskNotFound,
    TaskNotRevivable,
    UnknownTaskType,
)
from cortex_tasks.engine.ledger import Ledger
from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.engine.records import TaskRecord
from cortex_tasks.engine.registry import task_type
from cortex_tasks.engine.retrying import Backoff
from cortex_tasks.engine.storage import Backend, Put, Recovered
from cortex_tasks.engine.surroundings import offload_inline
from cortex_tasks.testing.injected import START

from .engine_setting import (
    HoldingBackend,
    LoopClock,
    a_record,
    an_engine,
    left_by_a_crash,
    numbered_surroundings,
    running,
)
from .engine_setting import virtual_time as time_of

PENDING, COMPLETED = TaskStatus.PENDING, TaskStatus.COMPLETED
FAILED, CANCELLED = TaskStatus.FAILED, TaskStatus.CANCELLED

MakeBackend = Callable[[], Backend]


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return time_of(request.param)


@pytest.fixture(params=["memory", "json"])
def make_backend(request: pytest.FixtureRequest, tmp_path: Path) -> MakeBackend:
    memory = MemoryBackend()
    if request.param == "memory":
        return lambda: memory
    return lambda: JsonBackend(tmp_path, offload=offload_inline)


@task_type("flaky")
async def flaky(ctx: TaskContext, good: int) -> dict[str, Any]:
    """Fails before the attempt that is good."""
    await ctx.progress(percent=60, message="most of it")
    if ctx.attempt < good:
        raise ConnectionError(f"refused {ctx.attempt}")
    return {"attempt": ctx.attempt, "good": good}


@task_type("endless")
async def endless(ctx: TaskContext) -> None:
    await anyio.sleep_forever()


@task_type("retrying", retries=1, backoff=Backoff(first=1, jitter=0))
async def retrying(ctx: TaskContext) -> bool:
    raise ValueError("never" if ctx.last_attempt else "not yet")


@task_type("saving", on_restart="resume")
async def saving(ctx: TaskContext) -> Any:
    found = ctx.resumed_from
    await ctx.checkpoint({"attempt": ctx.attempt})
    if ctx.attempt == 1:
        raise OSError("no disk")
    return found


@task_type("after", concurrency=1)
async def after(ctx: TaskContext) -> None: ...


TYPES = (flaky, endless, retrying, saving, after)


async def failed(engine: TaskEngine, name: str = "flaky", params: Any = 2, **options: Any) -> str:
    """Submit a task that fails; gives its id."""
    handle = await engine.submit(name, params, **options)
    assert (await handle.wait()).status is FAILED
    return handle.id


# -- what a retry does ---------------------------------------------------------------------------


async def test_a_failed_task_is_tried_again_under_its_id_with_its_parameters(
    make_backend: MakeBackend,
) -> None:
    async with running(*TYPES, backend=make_backend()) as engine:
        handle = await engine.submit(flaky, 2, priority=3)
        before = await handle.wait()
        revived = await handle.retry()
        assert revived.id == handle.id
        assert (revived.status, revived.attempt, revived.revivals) == (PENDING, 1, 1)
        assert (revived.error, revived.traceback, revived.completed_at) == (None, None, None)
        assert (revived.progress_percent, revived.started_at) == (0, None)
        assert (revived.created_at, revived.priority) == (before.created_at, 3)
        assert await handle.result() == {"attempt": 2, "good": 2}
        record = await engine.get(handle.id)
        (first,) = record.attempts
        assert (first.number, first.error) == (1, before.error)
        assert (first.started_at, first.ended_at) == (before.started_at, before.completed_at)
        assert (await engine.list()).total == 1


async def test_a_cancelled_task_is_tried_again_as_if_nobody_had_cancelled_it(
    make_backend: MakeBackend,
) -> None:
    async with running(*TYPES, backend=make_backend()) as engine:
        handle = await engine.submit(endless)
        await engine.wait_change(handle.id, handle.record.seq)
        await handle.cancel()
        revived = await handle.retry()
        assert (revived.status, revived.cancel_requested_at) == (PENDING, None)
        assert revived.attempts[-1].error == "Task cancelled"
        await engine.wait_change(handle.id, revived.seq)
        cancelled = await handle.cancel()
        assert (cancelled.status, cancelled.attempt, cancelled.revivals) == (CANCELLED, 2, 1)


async def test_of_each_attempt_it_is_told_from_when_it_could_begin(
    make_backend: MakeBackend,
) -> None:
    by_the_loop = replace(numbered_surroundings(), clock=LoopClock())
    async with running(*TYPES, backend=make_backend(), surroundings=by_the_loop) as engine:
        handle = await engine.submit(retrying, delay=100)
        await handle.wait()
        await anyio.sleep(600)
        revived = await handle.retry()
        record = await handle.wait()
    delayed, again, asked_for = (attempt.ready_at for attempt in record.attempts)
    ended = [attempt.ended_at for attempt in record.attempts]
    assert delayed == record.created_at + timedelta(seconds=100)
    assert again == ended[0] + timedelta(seconds=1)
    assert asked_for == revived.updated_at >= ended[1] + timedelta(seconds=600)
    assert record.ready_at == ended[2] + timedelta(seconds=1)
    assert [*(attempt.revived for attempt in record.attempts)] == [False, False, True]
    assert not record.revived
    begun = [*(attempt.started_at for attempt in record.attempts), record.started_at]
    assert begun == [delayed, again, asked_for, record.ready_at]


async def test_a_revived_task_waits_since_then_also_where_others_are_given_it(
    make_backend: MakeBackend,
) -> None:
    async with running(*TYPES, backend=make_backend()) as engine:
        task_id = await failed(engine, dedupe_key="one")
        await engine.pause("flaky")
        revived = await engine.retry(task_id)
        await anyio.sleep(10)
        given = await engine.submit(flaky, 2, dedupe_key="one", idempotency_key="another")
        record = await engine.get(task_id)
        assert given.id == task_id
        assert record.updated_at > revived.updated_at
        assert record.ready_since == revived.updated_at


async def test_of_what_a_crash_ended_nobody_says_how_long_it_ran() -> None:
    running_still = [
        a_record(1, TaskStatus.RUNNING, type="endless"),
        a_record(2, TaskStatus.RUNNING, type="endless", cancel_requested_at=START),
    ]
    backend = await left_by_a_crash(*running_still)
    async with running(*TYPES, backend=backend) as engine:
        for task_id, status in (("old_1", FAILED), ("old_2", CANCELLED)):
            record = await engine.wait(task_id)
            assert (record.status, record.found_over, record.seconds_ran) == (status, True, None)
            revived = await engine.retry(task_id)
            assert (revived.found_over, revived.revived) == (False, True)
            assert revived.attempts[-1].found_over
            await engine.wait_change(task_id, revived.seq)
            seen = await engine.cancel(task_id)
            assert (seen.found_over, seen.seconds_ran is None) == (False, False)
            again = await engine.retry(task_id)
            assert not again.attempts[-1].found_over
            await engine.cancel(task_id)


async def test_one_that_ends_before_its_time_has_come_is_not_put_off_any_more() -> None:
    async with running(*TYPES) as engine:
        handle = await engine.submit(flaky, 0, delay=3600)
        cancelled = await handle.cancel()
        assert (cancelled.run_at, cancelled.ready_at) == (None, handle.record.run_at)
        assert cancelled.seconds_ran is None


async def test_one_that_never_ran_has_no_attempt_behind_it_and_waits_no_longer() -> None:
    async with running(*TYPES) as engine:
        handle = await engine.submit(flaky, 0, delay=3600)
        await handle.cancel()
        revived = await handle.retry()
        assert (revived.run_at, revived.attempts, revived.attempt) == (None, (), 0)
        assert await handle.result() == {"attempt": 1, "good": 0}


async def test_a_retry_gives_back_all_retries_of_the_type_and_keeps_every_attempt() -> None:
    async with running(*TYPES) as engine:
        handle = await engine.submit(retrying)
        assert (await handle.wait()).retries == 1
        revived = await handle.retry()
        assert (revived.retries, revived.interruptions) == (0, 0)
        record = await handle.wait()
        assert (record.status, record.attempt, record.retries) == (FAILED, 4, 1)
        assert [one.number for one in record.attempts] == [1, 2, 3]


async def test_its_checkpoint_went_with_its_end(make_backend: MakeBackend) -> None:
    async with running(*TYPES, backend=make_backend()) as engine:
        task_id = await failed(engine, "saving", None)
        await engine.retry(task_id)
        assert (await engine.wait(task_id)).status is COMPLETED
        assert await engine.result(task_id) == {}  # it found None


async def test_its_chain_goes_on_once_it_completes() -> None:
    async with running(*TYPES) as engine:
        task_id = await failed(engine, then=[after])
        assert (await engine.get(task_id)).next_id is None
        await engine.retry(task_id)
        record = await engine.wait(task_id)
        assert record.next_id is not None
        assert (await engine.wait(record.next_id)).status is COMPLETED


# -- what it survives ----------------------------------------------------------------------------


async def test_what_was_acknowledged_is_there_after_a_restart(make_backend: MakeBackend) -> None:
    async with running(*TYPES, backend=make_backend(), drain_grace=0) as engine:
        begun = await engine.submit(endless)
        blocked = await engine.submit(flaky, 0, delay=3600)
        await blocked.cancel()
        await engine.wait_change(begun.id, begun.record.seq)
        await begun.cancel()
        await blocked.retry()
    async with running(*TYPES, backend=make_backend()) as engine:
        assert (await engine.wait(blocked.id)).status is COMPLETED
        assert await engine.result(blocked.id) == {"attempt": 1, "good": 0}
        assert (await engine.get(begun.id)).status is CANCELLED
        await engine.retry(begun.id)
    async with running(*TYPES, backend=make_backend()) as engine:
        assert (await engine.get(begun.id)).revivals == 1


async def test_after_a_restart_it_stands_in_line_where_it_was_put_when_it_was_revived() -> None:
    put = START + timedelta(minutes=1)
    revived = a_record(1, PENDING, type="after", revivals=1, ready_at=put)
    waiting = [a_record(number, PENDING, type="after") for number in (2, 3)]
    backend = await left_by_a_crash(revived, *waiting)
    async with running(after, backend=backend) as engine:
        await engine.wait("old_1")
        begun = [e.task_id for e in engine.events_until_now(after=3) if e.record is not None]
        assert list(dict.fromkeys(begun)) == ["old_2", "old_3", "old_1"]


async def test_who_waits_for_the_end_gets_it_even_if_it_is_revived_the_moment_after() -> None:
    ledger = Ledger(history=10)
    begun, over = a_record(1, TaskStatus.RUNNING), a_record(1, FAILED, error="no")
    ledger.load(Recovered([begun], {}, 1))
    ends: list[TaskRecord] = []

    async def wait() -> None:
        ends.append(await ledger.wait_final("old_1"))

    async with anyio.create_task_group() as waiters:
        waiters.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        for record in (over, a_record(1, PENDING, revivals=1)):
            ledger.publish([Put(record)], [Put(record)])
    assert ends == [over]
    assert ledger.get("old_1").status is PENDING


async def test_a_retry_is_answered_once_it_is_kept() -> None:
    backend = HoldingBackend()
    async with running(*TYPES, backend=backend) as engine:
        task_id = await failed(engine)
        backend.hold()
        answers: list[object] = []

        async def ask() -> None:
            try:
                answers.append((await engine.retry(task_id)).status)
            except TaskNotRevivable as error:
                answers.append(str(error))

        async with anyio.create_task_group() as callers:
            callers.start_soon(ask)
            await backend.wait_held()
            assert answers == []
            assert (await engine.get(task_id)).status is FAILED
            callers.start_soon(ask)
            await anyio.sleep(1)
            backend.release()
        refusal, status = sorted(map(str, answers))
        assert status == "pending"
        assert "it is running, neither failed nor cancelled" in refusal
        assert (await engine.wait(task_id)).status is COMPLETED


async def test_a_task_whose_end_is_not_yet_kept_is_as_it_was() -> None:
    backend = HoldingBackend()
    async with running(*TYPES, backend=backend) as engine:
        handle = await engine.submit(endless)
        await engine.wait_change(handle.id, handle.record.seq)
        refused: list[Exception] = []

        async def retry() -> None:
            try:
                await handle.retry()
            except TaskNotRevivable as error:
                refused.append(error)

        async with anyio.create_task_group() as callers:
            await anyio.sleep(1)
            backend.hold()
            callers.start_soon(handle.cancel)
            await backend.wait_held()
            await anyio.sleep(1)  # by now its body has stopped
            callers.start_soon(retry)
            await anyio.sleep(1)
            backend.release()
        assert "it is running" in str(refused[0])
        assert (await engine.get(handle.id)).status is CANCELLED
        assert (await handle.retry()).status is PENDING


# -- what is refused -----------------------------------------------------------------------------


async def test_only_what_is_over_and_has_not_completed_can_be_tried_again() -> None:
    async with running(*TYPES) as engine:
        done = await engine.submit(after)
        await done.wait()
        waiting = await engine.submit(after, delay=60)
        begun = await engine.submit(endless)
        await engine.wait_change(begun.id, begun.record.seq)
        for task_id, status in (
            (done.id, "completed"),
            (waiting.id, "pending"),
            (begun.id, "running"),
        ):
            seq = engine.seq
            with pytest.raises(TaskNotRevivable, match=f"it is {status}, neither failed nor"):
                await engine.retry(task_id)
            assert engine.seq == seq
        with pytest.raises(TaskNotFound):
            await engine.retry("task_unknown")


async def test_a_full_queue_takes_no_retry() -> None:
    @task_type("crowded", concurrency=1, max_pending=1)
    async def crowded(ctx: TaskContext) -> None:
        await anyio.sleep_forever()

    async with running(crowded) as engine:
        runs, cancelled = await engine.submit(crowded), await engine.submit(crowded)
        await cancelled.cancel()
        waits = await engine.submit(crowded)
        with pytest.raises(QueueFull):
            await cancelled.retry()
        assert (await engine.get(cancelled.id)).status is CANCELLED
        await waits.cancel()
        assert (await cancelled.retry()).status is PENDING
        await runs.cancel()


async def test_a_key_that_another_task_holds_is_named_in_the_refusal() -> None:
    async with running(*TYPES) as engine:
        handle = await engine.submit(endless, dedupe_key="nightly")
        await handle.cancel()
        other = await engine.submit(endless, dedupe_key="nightly", delay=60)
        with pytest.raises(TaskNotRevivable, match=rf"{other.id}.*pending.*'nightly'"):
            await handle.retry()
        await other.cancel()
        await handle.retry()
        again = await engine.submit(endless, dedupe_key="nightly")
        assert (again.id, again.deduplicated) == (handle.id, True)


async def test_a_type_that_is_gone_is_named_in_the_refusal() -> None:
    backend = await left_by_a_crash(a_record(1, FAILED, type="gone", error="no"))
    async with running(*TYPES, backend=backend) as engine:
        with pytest.raises(UnknownTaskType, match="'gone'"):
            await engine.retry("old_1")


async def test_an_engine_that_is_left_takes_no_retry() -> None:
    engine = an_engine(*TYPES)
    with pytest.raises(EngineNotRunning):
        await engine.retry("task_1")
    async with engine:
        task_id = await failed(engine)
    with pytest.raises(EngineNotRunning):
        await engine.retry(task_id)


async def test_of_a_retry_and_a_cleanup_at_once_the_first_to_be_heard_wins() -> None:
    async with running(*TYPES) as engine:
        outcomes: list[str] = []
        for number in range(10):
            task_id = await failed(engine)

            async def retry(task_id: str = task_id) -> None:
                try:
                    await engine.retry(task_id)
                    outcomes.append("revived")
                except TaskNotFound:
                    outcomes.append("gone")

            async def clean_up() -> None:
                await engine.cleanup(timedelta())

            async with anyio.create_task_group() as both:
                for what in (retry, clean_up) if number % 2 else (clean_up, retry):
                    both.start_soon(what)
            if outcomes[-1] == "revived":
                assert (await engine.wait(task_id)).status is COMPLETED
            else:
                with pytest.raises(TaskNotFound):
                    await engine.get(task_id)
            await engine.cleanup(timedelta())
        assert len(outcomes) == 10


async def test_a_result_of_a_task_that_was_revived_is_that_of_the_wait() -> None:
    async with running(*TYPES) as engine:
        task_id = await failed(engine)
        ended = await engine.wait(task_id)
        await engine.retry(task_id)
        with pytest.raises(TaskFailed, match="refused 1"):
            await engine.result_of(ended)
        handle = await engine.submit(endless)
        await handle.cancel()
        cancelled = await handle.wait()
        await handle.retry()
        with pytest.raises(TaskCancelled):
            await engine.result_of(cancelled)
