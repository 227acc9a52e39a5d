"""Entering and leaving: every wait has an owner, and after a restart so has every task."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import msgspec
import pytest

from cortex_tasks.backends.memory import MemoryBackend
from cortex_tasks.engine.context import TaskContext
from cortex_tasks.engine.errors import EngineNotRunning, StorageError, UnknownTaskType
from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.engine.records import ChainStep
from cortex_tasks.engine.registry import task_type
from cortex_tasks.engine.storage import Put

from .engine_setting import (
    FailingBackend,
    HoldingBackend,
    a_record,
    an_engine,
    left_by_a_crash,
    running,
    virtual_time,
)

PENDING, RUNNING = TaskStatus.PENDING, TaskStatus.RUNNING
COMPLETED, FAILED, CANCELLED = TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return virtual_time(request.param)


class Nap(msgspec.Struct):
    seconds: float = 0


@task_type("work", concurrency=2)
async def work(ctx: TaskContext, params: Nap) -> str:
    await anyio.sleep(params.seconds)
    return "done"


@task_type("endless")
async def endless(ctx: TaskContext) -> None:
    await anyio.sleep_forever()


@task_type("long", on_restart="resume")
async def long(ctx: TaskContext) -> int:
    if ctx.attempt == 1:
        await anyio.sleep_forever()
    return ctx.attempt


# -- entering ------------------------------------------------------------------------------------


async def test_outside_its_block_an_engine_answers_that_it_does_not_run() -> None:
    engine = an_engine(endless)
    for when in ("before", "after"):
        for ask in (
            lambda: engine.submit(endless),
            lambda: engine.submit_many(endless, []),
            lambda: engine.get("task_1"),
            lambda: engine.list(),
            lambda: engine.wait("task_1"),
            lambda: engine.wait_change("task_1", 0),
            lambda: engine.result("task_1"),
            lambda: engine.cancel("task_1"),
        ):
            with pytest.raises(EngineNotRunning, match="async with"):
                await ask()
        with pytest.raises(EngineNotRunning):
            engine.events()
        assert not engine.accepting
        if when == "before":
            async with engine:
                assert engine.accepting


async def test_an_engine_that_is_entered_cannot_be_entered_again() -> None:
    engine = an_engine(endless)
    async with engine:
        with pytest.raises(EngineNotRunning, match="entered already"):
            async with engine:
                raise AssertionError("the block was entered")
        await (await engine.submit(endless)).cancel()


async def test_an_engine_that_was_left_can_be_entered_again() -> None:
    engine = an_engine(work)
    for count in (1, 2, 3):
        async with engine:
            await (await engine.submit(work, Nap(0.0))).wait()
            assert (await engine.list()).total == count


async def test_a_cancellation_while_entering_leaves_nothing_behind() -> None:
    backend = await left_by_a_crash(a_record(1, RUNNING, type="long"))
    entered = False
    with anyio.CancelScope() as scope:
        scope.cancel()
        async with an_engine(long, backend=backend):
            entered = True
            await anyio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert not entered
    async with running(long, backend=backend) as engine:
        assert (await engine.wait("old_1")).status is COMPLETED


async def test_a_cancellation_while_recovery_is_kept_leaves_nothing_behind() -> None:
    holding = HoldingBackend()
    backend = await left_by_a_crash(a_record(1, RUNNING, type="long"), backend=holding)
    holding.hold()
    with anyio.move_on_after(1) as scope:
        async with an_engine(long, backend=backend):
            raise AssertionError("the block was entered")
    assert scope.cancelled_caught
    holding.release()
    async with running(long, backend=backend) as engine:
        assert (await engine.wait("old_1")).status is COMPLETED


# -- leaving -------------------------------------------------------------------------------------


async def test_leaving_lets_running_bodies_end_within_the_grace() -> None:
    backend = MemoryBackend()
    async with running(work, backend=backend, drain_grace=10) as engine:
        handle = await engine.submit(work, Nap(9.0))
        before = anyio.current_time()
    assert anyio.current_time() - before == pytest.approx(9, abs=0.5)
    async with running(work, backend=backend) as engine:
        assert (await engine.get(handle.id)).status is COMPLETED


async def test_leaving_stops_what_still_runs_after_the_grace() -> None:
    stopped: list[str] = []

    @task_type("watched")
    async def watched(ctx: TaskContext) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            stopped.append(ctx.task_id)

    backend = MemoryBackend()
    async with running(watched, long, backend=backend, drain_grace=10) as engine:
        lost, kept = await engine.submit(watched), await engine.submit(long)
        waiting = await engine.submit(watched)
        before = anyio.current_time()
    assert anyio.current_time() - before == pytest.approx(10, abs=0.5)
    assert stopped == [lost.id]
    held = {record.id: record for record in (await backend.open()).records}
    await backend.close()
    assert (held[lost.id].status, held[lost.id].message) == (
        CANCELLED,
        "Task cancelled by shutdown",
    )
    assert held[kept.id].status is PENDING
    assert held[waiting.id].status is PENDING
    async with running(watched, long, backend=backend) as engine:
        assert await engine.result((await engine.wait(kept.id)).id) == 2
        assert (await engine.get(waiting.id)).status is RUNNING


async def test_leaving_answers_everyone_who_waits() -> None:
    answers: list[str] = []

    async def wait(name: str, question: Any, *args: Any) -> None:
        with pytest.raises((EngineNotRunning, StopAsyncIteration)):
            await question(*args)
        answers.append(name)

    async with anyio.create_task_group() as group:
        async with running(endless, drain_grace=1) as engine:
            await engine.submit(endless)
            waiting = await engine.submit(endless)
            await anyio.wait_all_tasks_blocked()
            group.start_soon(wait, "wait", waiting.wait)
            group.start_soon(wait, "result", waiting.result)
            group.start_soon(wait, "change", engine.wait_change, waiting.id, engine.seq + 100)
            events = engine.events(after=engine.seq + 100)
            group.start_soon(wait, "events", events.__anext__)
            await anyio.wait_all_tasks_blocked()
            assert answers == []
    assert sorted(answers) == ["change", "events", "result", "wait"]


async def test_a_follower_gets_every_change_up_to_the_end_of_the_engine() -> None:
    seen: list[Any] = []
    ended = anyio.Event()

    async def follow(events: Any) -> None:
        seen.extend([change async for change in events])
        ended.set()

    async with anyio.create_task_group() as group:
        async with running(endless, drain_grace=1) as engine:
            group.start_soon(follow, engine.events())
            await engine.submit(endless)
        with anyio.fail_after(10):
            await ended.wait()
    assert [change.seq for change in seen] == list(range(1, len(seen) + 1))
    assert seen[-1].record.status is CANCELLED


async def test_nothing_is_taken_while_the_engine_drains() -> None:
    refused: list[Exception] = []

    @task_type("spawning")
    async def spawning(ctx: TaskContext) -> None:
        await anyio.sleep(5)
        with pytest.raises(EngineNotRunning) as caught:
            await engine.submit(endless)
        refused.append(caught.value)

    async with running(spawning, endless) as engine:
        await engine.submit(spawning)
        await anyio.wait_all_tasks_blocked()
    assert len(refused) == 1


async def test_a_task_may_submit_another_and_wait_for_it() -> None:
    @task_type("outer")
    async def outer(ctx: TaskContext) -> str:
        return "outer " + await (await engine.submit(work, Nap(1.0))).result()

    async with running(outer, work) as engine:
        assert await (await engine.submit(outer)).result() == "outer done"


async def test_an_error_in_the_block_comes_out_as_it_was_raised() -> None:
    for error in (ValueError("mine"), ExceptionGroup("mine", [KeyError("a")]), SystemExit(3)):
        with pytest.raises(type(error)) as caught:
            async with an_engine(endless) as engine:
                await engine.submit(endless)
                raise error
        assert caught.value is error


async def test_an_error_in_the_block_gives_no_grace() -> None:
    before = anyio.current_time()
    backend = MemoryBackend()
    with pytest.raises(ValueError, match="mine"):
        async with an_engine(endless, backend=backend, drain_grace=1000) as engine:
            handle = await engine.submit(endless)
            raise ValueError("mine")
    assert anyio.current_time() - before < 10
    async with running(endless, backend=backend) as engine:
        assert (await engine.get(handle.id)).status is CANCELLED


async def test_an_error_in_the_block_is_not_hidden_by_failing_storage() -> None:
    backend = FailingBackend()
    with pytest.raises(ValueError, match="mine"):
        async with an_engine(endless, backend=backend) as engine:
            await engine.submit(endless)
            backend.failure = StorageError("gone")
            raise ValueError("mine")


async def test_a_cancellation_from_outside_stops_bodies_and_writes_down_their_end() -> None:
    backend, over = HoldingBackend(), list[str]()

    @task_type("tidy")
    async def tidy(ctx: TaskContext) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(3)
            over.append(ctx.task_id)

    with anyio.move_on_after(5) as scope:
        async with an_engine(tidy, long, backend=backend, drain_grace=1000) as engine:
            lost, kept = await engine.submit(tidy), await engine.submit(long)
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert over == [lost.id]
    held = {record.id: record.status for record in (await backend.open()).records}
    await backend.close()
    assert held == {lost.id: CANCELLED, kept.id: PENDING}


async def test_a_cancellation_during_the_drain_ends_the_grace() -> None:
    backend = MemoryBackend()
    with anyio.move_on_after(5) as scope:
        async with an_engine(endless, backend=backend, drain_grace=1000) as engine:
            handle = await engine.submit(endless)
    assert scope.cancelled_caught
    async with running(endless, backend=backend) as engine:
        assert (await engine.get(handle.id)).status is CANCELLED


async def test_a_body_that_ignores_its_stop_holds_up_the_leaving_and_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    over = False

    @task_type("deaf", cancel_grace=2)
    async def deaf(ctx: TaskContext) -> None:
        nonlocal over
        with anyio.CancelScope(shield=True):
            await anyio.sleep(50)
        over = True

    async with running(deaf, drain_grace=1) as engine:
        handle = await engine.submit(deaf)
    assert over  # no engine outlives its tasks
    assert f"{handle.id} of type deaf was told to stop and has not" in caplog.text


# -- after a restart -----------------------------------------------------------------------------


async def test_after_a_crash_every_record_is_there_under_its_id() -> None:
    backend = await left_by_a_crash(
        a_record(1, COMPLETED),
        a_record(2, FAILED, error="no"),
        a_record(3, CANCELLED),
        a_record(4, RUNNING),
        a_record(5, RUNNING, type="long", progress_percent=70),
        a_record(6, RUNNING, type="long", cancel_requested_at=a_record(1, PENDING).created_at),
        a_record(7, PENDING),
        a_record(8, PENDING, type="gone"),
        a_record(9, RUNNING, type="gone"),
    )
    async with running(work, long, backend=backend) as engine:
        # Before the first question is answered, each of them has an owner.
        first = {record.id: record for record in (await engine.list()).records}
        assert {task_id: record.status for task_id, record in first.items()} == {
            "old_1": COMPLETED,
            "old_2": FAILED,
            "old_3": CANCELLED,
            "old_4": FAILED,
            "old_5": RUNNING,
            "old_6": CANCELLED,
            "old_7": RUNNING,
            "old_8": FAILED,
            "old_9": FAILED,
        }
        assert first["old_4"].error == "interrupted by server restart"
        assert first["old_5"].progress_percent == 0
        assert str(first["old_8"].error).startswith("no task type 'gone' is registered")
        resumed = await engine.wait("old_5")
        assert (resumed.status, resumed.attempt) == (COMPLETED, 2)
        assert (await engine.wait("old_7")).status is COMPLETED
        assert (await engine.list()).total == 9
        seqs = [record.seq for record in (await engine.list()).records]
        assert len(set(seqs)) == 9


async def test_a_task_has_its_parameters_again_after_a_restart() -> None:
    @task_type("patient", on_restart="resume")
    async def patient(ctx: TaskContext, params: Nap) -> float:
        if ctx.attempt == 1:
            await anyio.sleep_forever()
        return params.seconds

    backend = MemoryBackend()
    async with running(patient, backend=backend, drain_grace=1) as engine:
        handles = [await engine.submit(patient, Nap(number)) for number in (1, 2)]
        await engine.get(handles[1].id)
    async with running(patient, backend=backend, drain_grace=1) as engine:
        assert (await engine.wait(handles[0].id)).status is COMPLETED
        assert await engine.result(handles[0].id) == 1
    async with running(patient, backend=backend) as engine:
        assert (await engine.wait(handles[1].id)).status is COMPLETED
        assert await engine.result(handles[1].id) == 2


async def test_what_recovery_decides_is_kept_before_anything_is_served() -> None:
    backend = await left_by_a_crash(a_record(1, RUNNING), backend=HoldingBackend())
    assert isinstance(backend, HoldingBackend)
    backend.commits.clear()
    async with running(work, backend=backend):
        ((change,),) = backend.commits
        assert isinstance(change, Put)
        assert change.seq == 2


async def test_a_chain_goes_on_after_a_crash() -> None:
    backend = await left_by_a_crash(
        a_record(1, RUNNING, type="long", then=(ChainStep("work"), ChainStep("long")))
    )
    async with running(work, long, backend=backend) as engine:
        second = (await engine.wait("old_1")).next_id
        assert second is not None
        third = (await engine.wait(second)).next_id
        assert third is not None
        assert (await engine.get(third)).type == "long"


async def test_a_chain_runs_each_step_as_a_task_of_its_own() -> None:
    async with running(work, endless) as engine:
        handle = await engine.submit(work, Nap(1.0), then=[(work, Nap(2.0)), endless])
        first = await handle.wait()
        assert first.next_id is not None
        second = await engine.wait(first.next_id)
        assert (second.status, second.previous_id) == (COMPLETED, first.id)
        assert second.next_id is not None
        assert (await engine.get(second.next_id)).status is RUNNING
        with pytest.raises(UnknownTaskType):
            await engine.submit(work, Nap(1.0), then=["unknown"])


async def test_single_flight_gives_the_same_task_while_it_is_not_over() -> None:
    async with running(endless) as engine:
        first = await engine.submit(endless, dedupe_key="all")
        second = await engine.submit(endless, dedupe_key="all")
        assert (second.id, first.deduplicated, second.deduplicated) == (first.id, False, True)
        await first.cancel()
        third = await engine.submit(endless, dedupe_key="all")
        assert third.id != first.id
