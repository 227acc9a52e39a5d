"""The first promises of the engine: what is answered is kept, what is cancelled has stopped."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import anyio.abc
import anyio.lowlevel
import msgspec
import pytest

from cortex_tasks.engine.context import TaskContext
from cortex_tasks.engine.errors import (
    ResultNotReady,
    TaskAlreadyFinal,
    TaskCancelled,
    TaskFailed,
    TaskNotFound,
)
from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.engine.records import TaskRecord
from cortex_tasks.engine.registry import task_type
from cortex_tasks.engine.settings import Limits

from .engine_setting import HoldingBackend, running, virtual_time


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return virtual_time(request.param)


class Said(msgspec.Struct):
    text: str


@task_type("echo", concurrency=4)
async def echo(ctx: TaskContext, params: Said) -> Said:
    return params


@task_type("nothing")
async def nothing(ctx: TaskContext) -> None:
    return None


@task_type("endless", concurrency=2)
async def endless(ctx: TaskContext) -> None:
    await anyio.sleep_forever()


async def collect(answers: list[Any], ask: Any, *args: Any) -> None:
    try:
        answers.append(await ask(*args))
    except Exception as error:  # noqa: BLE001  an answer as well
        answers.append(error)


# -- acknowledged means kept ---------------------------------------------------------------------


async def test_a_submit_is_answered_and_seen_only_once_it_is_kept() -> None:
    backend = HoldingBackend()
    async with running(endless, backend=backend) as engine, anyio.create_task_group() as group:
        backend.hold()
        answers: list[Any] = []
        group.start_soon(collect, answers, engine.submit, endless)
        await backend.wait_held()
        await anyio.sleep(60)
        assert answers == []
        assert (await engine.list()).total == 0
        assert engine.seq == 0
        with pytest.raises(TaskNotFound):
            await engine.get("task_1")
        backend.release()
        await anyio.wait_all_tasks_blocked()
        assert [handle.id for handle in answers] == ["task_1"]
        assert (await engine.get("task_1")).status is TaskStatus.RUNNING


async def test_a_body_does_not_begin_before_its_start_is_kept() -> None:
    begun: list[str] = []

    @task_type("begin")
    async def begin(ctx: TaskContext) -> None:
        begun.append(ctx.task_id)

    backend = HoldingBackend()
    async with running(begin, backend=backend) as engine, anyio.create_task_group() as group:
        backend.hold()
        group.start_soon(engine.submit, begin)
        await backend.wait_held()
        await anyio.sleep(60)
        assert begun == []
        backend.release()
        await anyio.wait_all_tasks_blocked()
        assert begun == ["task_1"]


async def test_a_completion_is_seen_only_once_it_is_kept() -> None:
    go = anyio.Event()

    @task_type("gated")
    async def gated(ctx: TaskContext) -> int:
        await go.wait()
        return 7

    backend = HoldingBackend()
    async with running(gated, backend=backend) as engine, anyio.create_task_group() as group:
        handle = await engine.submit(gated)
        events = engine.events()
        answers: list[Any] = []
        changes: list[Any] = []
        group.start_soon(collect, answers, handle.wait)
        group.start_soon(collect, changes, events.__anext__)
        backend.hold()
        go.set()
        await backend.wait_held()
        await anyio.sleep(60)
        assert answers == changes == []
        assert (await engine.get(handle.id)).status is TaskStatus.RUNNING
        assert (await engine.list(status="completed")).total == 0
        with pytest.raises(ResultNotReady):
            await engine.result(handle.id)
        backend.release()
        await anyio.wait_all_tasks_blocked()
        assert [record.status for record in answers] == [TaskStatus.COMPLETED]
        assert [change.record for change in changes] == answers
        assert await handle.result() == 7


async def test_the_cancel_of_a_pending_task_is_answered_only_once_it_is_kept() -> None:
    @task_type("single")
    async def single(ctx: TaskContext) -> None:
        await anyio.sleep_forever()

    backend = HoldingBackend()
    async with running(single, backend=backend) as engine, anyio.create_task_group() as group:
        await engine.submit(single)
        handle = await engine.submit(single)
        backend.hold()
        answers: list[Any] = []
        group.start_soon(collect, answers, handle.cancel)
        await backend.wait_held()
        await anyio.sleep(60)
        assert answers == []
        assert (await engine.get(handle.id)).status is TaskStatus.PENDING
        backend.release()
        await anyio.wait_all_tasks_blocked()
        assert [record.status for record in answers] == [TaskStatus.CANCELLED]


async def test_a_running_body_is_stopped_at_once_and_its_cancel_answered_once_that_is_kept() -> (
    None
):
    stopped = anyio.Event()

    @task_type("watched")
    async def watched(ctx: TaskContext) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            stopped.set()

    backend = HoldingBackend()
    async with running(watched, backend=backend) as engine, anyio.create_task_group() as group:
        handle = await engine.submit(watched)
        await anyio.wait_all_tasks_blocked()
        backend.hold()
        answers: list[Any] = []
        group.start_soon(collect, answers, handle.cancel)
        await stopped.wait()  # a stop must not wait for a disk
        await anyio.sleep(60)
        assert answers == []
        assert (await engine.get(handle.id)).status is TaskStatus.RUNNING
        backend.release()
        await anyio.wait_all_tasks_blocked()
        assert [record.status for record in answers] == [TaskStatus.CANCELLED]


async def test_submit_and_start_are_one_commit_and_so_are_an_end_and_the_next_start() -> None:
    go = anyio.Event()

    @task_type("gated")
    async def gated(ctx: TaskContext) -> None:
        await go.wait()

    backend = HoldingBackend()
    async with running(gated, backend=backend) as engine:
        first = await engine.submit(gated)
        second = await engine.submit(gated)
        go.set()
        await second.wait()
        await first.wait()
    shown = [
        [(change.record.id, change.record.status) for change in commit]  # type: ignore[union-attr]
        for commit in backend.commits
    ]
    assert shown == [
        [(first.id, "running")],
        [(second.id, "pending")],
        [(first.id, "completed"), (second.id, "running")],
        [(second.id, "completed")],
    ]


async def test_many_are_submitted_in_one_commit() -> None:
    backend = HoldingBackend()
    async with running(echo, backend=backend) as engine:
        handles = await engine.submit_many(echo, [Said(str(number)) for number in range(100)])
        assert len(backend.commits[0]) == 100
        results = [await handle.result() for handle in handles]
        assert results == [Said(str(number)) for number in range(100)]
        assert await engine.submit_many(echo, []) == []


# -- completed means readable --------------------------------------------------------------------


async def test_a_result_is_readable_as_soon_as_the_status_says_completed() -> None:
    async with running(echo) as engine:
        handle = await engine.submit(echo, Said("hello"))
        async for change in engine.events(after=0):
            assert change.record is not None
            if change.record.status is TaskStatus.COMPLETED:
                assert await engine.result(handle.id) == {"text": "hello"}
                break
        assert await handle.result() == Said("hello")
        assert bytes(await engine.result_json(handle.id)) == b'{"text":"hello"}'
        assert (await handle.wait()).result_size == len(b'{"text":"hello"}')


async def test_a_body_that_returns_nothing_has_an_empty_result() -> None:
    async with running(nothing) as engine:
        handle = await engine.submit(nothing)
        assert (await handle.wait()).result_size == 2
        assert await engine.result(handle.id) == {}


async def test_a_result_over_the_limit_fails_the_task_and_names_the_limit() -> None:
    limits = Limits(max_result_bytes=1_000)
    async with running(echo, limits=limits) as engine:
        fits = await engine.submit(echo, Said("x" * (1_000 - len(b'{"text":""}'))))
        assert (await fits.wait()).status is TaskStatus.COMPLETED
        handle = await engine.submit(echo, Said("x" * 1_000))
        with pytest.raises(TaskFailed, match=r"over the limit of 1,000 \(Limits.max_result_bytes"):
            await handle.result()
        record = await handle.wait()
        assert record.status is TaskStatus.FAILED
        assert record.result_size is None


async def test_a_result_that_is_no_json_fails_the_task() -> None:
    @task_type("odd")
    async def odd(ctx: TaskContext, params: int) -> Any:
        return [object(), {"a": {1, object()}}, "\ud800", {(1, 2): 3}][params]

    async with running(odd) as engine:
        for number in range(4):
            record = await (await engine.submit(odd, number)).wait()
            assert record.status is TaskStatus.FAILED
            assert record.error


async def test_a_task_without_a_result_says_why() -> None:
    @task_type("broken")
    async def broken(ctx: TaskContext) -> None:
        raise ValueError("no luck")

    async with running(broken, endless) as engine:
        failing = await engine.submit(broken)
        with pytest.raises(TaskFailed, match="ValueError: no luck"):
            await failing.result()
        waiting = await engine.submit(endless)
        with pytest.raises(ResultNotReady, match="is running; it has no result"):
            await engine.result(waiting.id)
        await waiting.cancel()
        with pytest.raises(TaskCancelled, match="Task cancelled"):
            await waiting.result()
        with pytest.raises(TaskNotFound):
            await engine.result("task_unknown")


# -- cancelled means stopped ---------------------------------------------------------------------


async def test_a_cancelled_pending_task_never_begins() -> None:
    begun: list[str] = []

    @task_type("single")
    async def single(ctx: TaskContext) -> None:
        begun.append(ctx.task_id)
        await anyio.sleep(10)

    async with running(single) as engine:
        first, second = await engine.submit(single), await engine.submit(single)
        record = await second.cancel()
        assert (record.status, record.attempt) == (TaskStatus.CANCELLED, 0)
        await first.wait()
        await anyio.wait_all_tasks_blocked()
        assert begun == [first.id]


async def test_a_cancelled_task_says_so_only_once_it_has_stopped_with_all_its_children() -> None:
    over: list[str] = []

    async def child(name: str) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(3)  # it takes its time to clean up
            over.append(name)

    @task_type("parent")
    async def parent(ctx: TaskContext) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(child, "one")
            group.start_soon(child, "two")
            await child("itself")

    async with running(parent) as engine:
        handle = await engine.submit(parent)
        await anyio.wait_all_tasks_blocked()
        record = await handle.cancel()
        assert record.status is TaskStatus.CANCELLED
        assert sorted(over) == ["itself", "one", "two"]
        assert await handle.cancel() == record
        assert await engine.cancel(handle.id) == record


async def test_a_body_that_ignores_its_cancel_is_said_to_run_on_until_it_stops(
    caplog: pytest.LogCaptureFixture,
) -> None:
    go = anyio.Event()

    async def deaf_part() -> None:
        with anyio.CancelScope(shield=True):
            await go.wait()

    @task_type("deaf", cancel_grace=5)
    async def deaf(ctx: TaskContext) -> None:
        await deaf_part()

    async with running(deaf, echo) as engine:
        handle = await engine.submit(deaf)
        await anyio.wait_all_tasks_blocked()
        before = anyio.current_time()
        record = await handle.cancel()
        assert 5 <= anyio.current_time() - before < 6
        assert record.status is TaskStatus.RUNNING
        assert record.message == "Told to stop, but still running after 5 s"
        (logged,) = [entry for entry in caplog.records if entry.levelno == logging.ERROR]
        assert "told to stop and has not" in logged.getMessage()
        assert "in deaf_part" in logged.getMessage()  # where it is
        # No one else waits for it.
        assert await (await engine.submit(echo, Said("a"))).result() == Said("a")
        assert (await handle.cancel()).status is TaskStatus.RUNNING
        go.set()
        ended = await handle.wait()
        assert (ended.status, ended.message) == (TaskStatus.CANCELLED, "Task cancelled")


async def test_a_body_that_swallows_its_cancel_and_returns_in_time_has_completed() -> None:
    @task_type("done_anyway")
    async def done_anyway(ctx: TaskContext) -> str:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(1)
        return "done"

    async with running(done_anyway) as engine:
        handle = await engine.submit(done_anyway)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(TaskAlreadyFinal, match="is already completed"):
            await handle.cancel()
        assert await handle.result() == "done"


async def test_what_a_body_raises_when_it_is_cancelled_makes_it_no_less_cancelled() -> None:
    @task_type("angry")
    async def angry(ctx: TaskContext) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise RuntimeError("not now")

    async with running(angry) as engine:
        handle = await engine.submit(angry)
        await anyio.wait_all_tasks_blocked()
        record = await handle.cancel()
        assert record.status is TaskStatus.CANCELLED
        assert record.message == "Task cancelled (while stopping: RuntimeError: not now)"


async def test_a_cancel_that_is_asked_for_as_the_task_starts_is_heard() -> None:
    async with running(endless) as engine, anyio.create_task_group() as group:
        answers: list[Any] = []
        for number in range(1, 21):
            group.start_soon(engine.submit, endless)
            group.start_soon(collect, answers, engine.cancel, f"task_{number}")
        await anyio.wait_all_tasks_blocked()
        for answer in answers:
            assert isinstance(answer, TaskNotFound) or answer.status is TaskStatus.CANCELLED
        for record in (await engine.list()).records:
            await engine.cancel(record.id)
        assert (await engine.list(status="cancelled")).total == 20


async def test_a_cancel_of_what_is_over_or_unknown_is_refused() -> None:
    async with running(nothing) as engine:
        handle = await engine.submit(nothing)
        await handle.wait()
        with pytest.raises(TaskAlreadyFinal, match="is already completed; it cannot be cancelled"):
            await handle.cancel()
        with pytest.raises(TaskNotFound, match="It may have been cleaned up"):
            await engine.cancel("task_unknown")


async def test_a_task_cancelled_before_its_start_is_kept_never_begins() -> None:
    begun: list[str] = []

    @task_type("begin")
    async def begin(ctx: TaskContext) -> None:
        begun.append(ctx.task_id)
        await anyio.sleep_forever()

    backend = HoldingBackend()
    async with running(begin, backend=backend) as engine, anyio.create_task_group() as group:
        backend.hold()
        answers: list[Any] = []
        group.start_soon(engine.submit, begin)
        await backend.wait_held()
        group.start_soon(collect, answers, engine.cancel, "task_1")
        await anyio.wait_all_tasks_blocked()
        assert answers == []
        backend.release()
        await anyio.sleep(1)
        assert [record.status for record in answers] == [TaskStatus.CANCELLED]
        assert begun == []


async def test_a_caller_that_stops_waiting_for_its_cancel_does_not_take_it_back() -> None:
    go = anyio.Event()

    @task_type("slow_to_stop", cancel_grace=100)
    async def slow_to_stop(ctx: TaskContext) -> None:
        with anyio.CancelScope(shield=True):
            await go.wait()
        await anyio.lowlevel.checkpoint()

    async with running(slow_to_stop) as engine:
        handle = await engine.submit(slow_to_stop)
        await anyio.wait_all_tasks_blocked()
        with anyio.move_on_after(1) as scope:
            await handle.cancel()
        assert scope.cancelled_caught
        go.set()
        assert (await handle.wait()).status is TaskStatus.CANCELLED


# -- timeouts ------------------------------------------------------------------------------------


async def test_a_task_over_its_time_has_failed_and_stopped() -> None:
    stopped: list[float] = []

    @task_type("slow", timeout=2.5)
    async def slow(ctx: TaskContext, params: float) -> str:
        try:
            await anyio.sleep(params)
        finally:
            stopped.append(anyio.current_time())
        return "in time"

    async with running(slow) as engine:
        before = anyio.current_time()
        handle = await engine.submit(slow, 60.0)
        record = await handle.wait()
        assert (record.status, record.error) == (TaskStatus.FAILED, "timed out after 2.5 s")
        assert stopped == [pytest.approx(before + 2.5, abs=0.2)]
        quick = await engine.submit(slow, 2.0)
        assert await quick.result() == "in time"


async def test_the_time_that_a_task_waits_for_its_place_does_not_count() -> None:
    @task_type("slow", timeout=3)
    async def slow(ctx: TaskContext) -> None:
        await anyio.sleep(2)

    async with running(slow) as engine:
        handles = [await engine.submit(slow) for _ in range(4)]
        assert {(await handle.wait()).status for handle in handles} == {TaskStatus.COMPLETED}


async def test_a_body_that_swallows_its_timeout_has_failed_nonetheless(
    caplog: pytest.LogCaptureFixture,
) -> None:
    go = anyio.Event()

    @task_type("deaf", timeout=2, cancel_grace=1)
    async def deaf(ctx: TaskContext) -> str:
        with anyio.CancelScope(shield=True):
            await go.wait()
        return "late"

    async with running(deaf) as engine:
        handle = await engine.submit(deaf)
        await anyio.sleep(10)
        record = await engine.get(handle.id)
        assert record.status is TaskStatus.RUNNING
        assert record.message == "Told to stop, but still running after 1 s"
        assert "told to stop and has not" in caplog.text
        go.set()
        record = await handle.wait()
        assert (record.status, record.error) == (TaskStatus.FAILED, "timed out after 2 s")


async def test_the_timeout_that_a_body_sets_itself_is_its_own_error() -> None:
    @task_type("strict", timeout=100)
    async def strict(ctx: TaskContext) -> None:
        with anyio.fail_after(1):
            await anyio.sleep_forever()

    async with running(strict) as engine:
        record = await (await engine.submit(strict)).wait()
        assert record.error is not None
        assert record.error.startswith("TimeoutError")


async def test_a_record_that_was_given_out_does_not_change() -> None:
    async with running(echo) as engine:
        handle = await engine.submit(echo, Said("a"))
        first: TaskRecord = handle.record
        await handle.wait()
        assert handle.record is first
        assert not first.final
