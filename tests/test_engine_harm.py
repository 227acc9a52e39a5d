"""No one is harmed by another: not by what a body raises, not by who stops waiting, and by storage
that fails no more than must be.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from typing import Any

import anyio
import msgspec
import pytest

from cortex_tasks.engine.context import TaskContext
from cortex_tasks.engine.errors import (
    EngineNotRunning,
    InvalidParameters,
    QueueFull,
    StorageError,
    TaskNotFound,
    UnknownTaskType,
)
from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.engine.registry import task_type
from cortex_tasks.engine.settings import Limits

from .engine_setting import FailingBackend, HoldingBackend, an_engine, running, virtual_time


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return virtual_time(request.param)


class Panic(BaseException):
    """What an extension module may raise."""


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def sink(depth: int) -> int:
    return sink(depth + 1) + 1


def deep(levels: int) -> BaseException:
    error: Exception = ValueError("at the bottom")
    for _ in range(levels):
        error = ExceptionGroup("deep", [error])
    return error


def shared(levels: int) -> BaseException:
    error: Exception = ValueError("everywhere")
    for _ in range(levels):
        error = ExceptionGroup("shared", [error, error])
    return error


async def raise_in_a_group() -> None:
    async with anyio.create_task_group():
        raise KeyError("inner")


RAISED: dict[str, Callable[[], BaseException]] = {
    "ValueError": lambda: ValueError("no luck"),
    "ExceptionGroup": lambda: ExceptionGroup("many", [ValueError("one"), KeyError("two")]),
    "BaseExceptionGroup": lambda: BaseExceptionGroup("many", [Panic("one"), KeyError("two")]),
    "deep": lambda: deep(1_000),
    "shared": lambda: shared(60),
    "SystemExit": lambda: SystemExit(3),
    "GeneratorExit": lambda: GeneratorExit(),
    "StopIteration": lambda: StopIteration(),
    "StopAsyncIteration": lambda: StopAsyncIteration(),
    "Panic": lambda: Panic("the extension gave up"),
    "Unspeakable": lambda: Unspeakable(),
    "EndOfStream": lambda: anyio.EndOfStream(),
    "EngineNotRunning": lambda: EngineNotRunning("not ours"),
    "StorageError": lambda: StorageError("not ours either"),
    "surrogates": lambda: ValueError("\udcff\ud800"),
    "long": lambda: ValueError("x" * 1_000_000),
}


@task_type("fail", concurrency=3)
async def fail(ctx: TaskContext, params: str) -> None:
    match params:
        case "RecursionError":
            sink(0)
        case "group":
            await raise_in_a_group()
        case "CancelledError":
            raise asyncio.CancelledError
        case _:
            raise RAISED[params]()


@task_type("fine", concurrency=2)
async def fine(ctx: TaskContext) -> str:
    return "fine"


@task_type("endless")
async def endless(ctx: TaskContext) -> None:
    await anyio.sleep_forever()


@pytest.mark.parametrize("what", [*RAISED, "RecursionError", "group"])
async def test_whatever_a_body_raises_fails_that_task_alone(what: str) -> None:
    async with running(fail, fine, endless) as engine:
        bystander = await engine.submit(endless)
        handle = await engine.submit(fail, what)
        record = await handle.wait()
        assert record.status is TaskStatus.FAILED
        assert record.error
        assert len(record.error) <= 4_000
        assert record.traceback is not None
        assert record.message == f"Failed: {record.error}"
        if what in {"ValueError", "SystemExit", "Panic", "RecursionError", "StopIteration"}:
            assert what in record.error
        msgspec.json.encode(record)  # it can be kept
        assert await (await engine.submit(fine)).result() == "fine"
        await (await engine.submit(fail, what)).wait()
        assert (await engine.get(bystander.id)).status is TaskStatus.RUNNING
        await bystander.cancel()


async def test_a_cancel_that_comes_out_at_the_bottom_of_a_deep_group_is_a_cancel() -> None:
    begun = anyio.Event()

    @task_type("wrapping")
    async def wrapping(ctx: TaskContext) -> None:
        try:
            begun.set()
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class() as heard:
            error: BaseException = heard
            for _ in range(1_000):
                error = BaseExceptionGroup("deep", [error])
            raise error from None

    async with running(wrapping) as engine:
        handle = await engine.submit(wrapping)
        await begun.wait()
        assert (await handle.cancel()).status is TaskStatus.CANCELLED


async def test_an_error_is_kept_with_its_type_its_text_and_where_it_was_raised() -> None:
    async with running(fail) as engine:
        record = await (await engine.submit(fail, "ValueError")).wait()
        assert record.error == "ValueError: no luck"
        assert record.traceback is not None
        assert "in fail" in record.traceback
        assert record.traceback.endswith("ValueError: no luck\n")
        record = await (await engine.submit(fail, "group")).wait()
        assert record.error is not None
        assert "KeyError: 'inner'" in record.error


async def test_a_cancelled_error_that_nobody_meant_is_the_failure_of_its_body() -> None:
    async with running(fail, fine) as engine:
        for _ in range(3):
            record = await (await engine.submit(fail, "CancelledError")).wait()
            assert record.status is TaskStatus.FAILED
            assert record.error == "CancelledError"
        assert await (await engine.submit(fine)).result() == "fine"


async def test_a_failure_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    async with running(fail) as engine:
        handle = await engine.submit(fail, "ValueError")
        await handle.wait()
    (entry,) = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert f"{handle.id} of type fail failed: ValueError: no luck" in entry.getMessage()
    assert "Traceback" in entry.getMessage()


async def test_a_body_whose_kept_parameters_fit_no_longer_fails_and_says_so() -> None:
    @task_type("now_a_number")
    async def before(ctx: TaskContext, params: str) -> None:
        await anyio.sleep_forever()

    @task_type("now_a_number")
    async def after(ctx: TaskContext, params: int) -> None:
        return None

    backend = HoldingBackend()
    async with running(before, backend=backend) as engine:
        await engine.submit(before, "text")
        waiting = await engine.submit(before, "text")
    async with running(after, backend=backend) as engine:
        record = await engine.wait(waiting.id)
        assert record.status is TaskStatus.FAILED
        assert "bad parameters for 'now_a_number'" in str(record.error)


# -- callers -------------------------------------------------------------------------------------


async def test_a_caller_that_stops_waiting_harms_nothing() -> None:
    go = anyio.Event()

    @task_type("gated")
    async def gated(ctx: TaskContext) -> str:
        await go.wait()
        return "done"

    async with running(gated) as engine:
        handle = await engine.submit(gated)
        for wait in (handle.wait, handle.result):
            with anyio.move_on_after(1) as scope:
                await wait()
            assert scope.cancelled_caught
        with anyio.move_on_after(1) as scope:
            await engine.wait_change(handle.id, engine.seq)
        assert scope.cancelled_caught
        with anyio.move_on_after(1) as scope:
            await anext(engine.events())
        assert scope.cancelled_caught
        go.set()
        assert await handle.result() == "done"


async def test_a_submitter_that_stops_waiting_leaves_a_task_that_runs_to_its_end() -> None:
    backend = HoldingBackend()
    async with running(fine, backend=backend) as engine:
        backend.hold()
        with anyio.move_on_after(1) as scope:
            await engine.submit(fine)
        assert scope.cancelled_caught
        backend.release()
        await anyio.wait_all_tasks_blocked()
        assert (await engine.wait("task_1")).status is TaskStatus.COMPLETED


async def test_a_submit_that_cannot_be_taken_changes_nothing() -> None:
    @task_type("narrow", max_pending=2)
    async def narrow(ctx: TaskContext, params: int) -> None:
        await anyio.sleep_forever()

    async with running(narrow, limits=Limits(max_params_bytes=1_000)) as engine:
        with pytest.raises(UnknownTaskType, match="unknown task type 'wide'"):
            await engine.submit("wide")
        with pytest.raises(InvalidParameters, match="Expected `int`, got `str`"):
            await engine.submit("narrow", "one")
        with pytest.raises(InvalidParameters):
            await engine.submit_many("narrow", [1, 2, "three"])
        with pytest.raises(InvalidParameters):
            await engine.submit("narrow", 1, then=[("narrow", "two")])
        with pytest.raises(UnknownTaskType):
            await engine.submit("narrow", 1, then=["wide"])
        with pytest.raises(QueueFull):
            await engine.submit_many("narrow", [1, 2, 3, 4])
        for key in ("", "a" * 501, "line\nbreak", 3):
            with pytest.raises(InvalidParameters, match="dedupe_key must be"):
                await engine.submit("narrow", 1, dedupe_key=key)  # type: ignore[arg-type]
        assert (await engine.list()).total == engine.seq == 0


async def test_parameters_over_the_limit_are_refused_by_name() -> None:
    @task_type("text")
    async def text(ctx: TaskContext, params: str) -> None:
        return None

    async with running(text, limits=Limits(max_params_bytes=1_000)) as engine:
        await engine.submit(text, "x" * 998)
        with pytest.raises(InvalidParameters, match=r"over the limit of 1,000 \(Limits.max_params"):
            await engine.submit(text, "x" * 999)


async def test_a_full_queue_refuses_and_takes_again_when_there_is_room() -> None:
    @task_type("narrow", max_pending=2)
    async def narrow(ctx: TaskContext) -> None:
        await anyio.sleep_forever()

    async with running(narrow) as engine:
        handles = [await engine.submit(narrow) for _ in range(3)]
        with pytest.raises(QueueFull, match="The queue of 'narrow' is full: 2 tasks are pending"):
            await engine.submit(narrow)
        await handles[0].cancel()
        await engine.submit(narrow)


# -- storage that fails --------------------------------------------------------------------------

FAILURES = [
    StorageError("the disk is gone"),
    OSError("something of the backend's own"),
]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda error: type(error).__name__)
async def test_when_storage_fails_nothing_is_answered_that_is_not_kept(
    failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    stopped: list[str] = []

    @task_type("watched")
    async def watched(ctx: TaskContext) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            stopped.append(ctx.task_id)

    backend = FailingBackend()
    outcomes: list[Any] = []

    async def ask(question: Any, *args: Any) -> None:
        with pytest.raises(StorageError, match=str(failure)) as refused:
            await question(*args)
        outcomes.append(refused.value)

    with pytest.raises(StorageError, match=str(failure)):
        async with running(watched, fine, backend=backend) as engine:
            handle = await engine.submit(watched)
            waiting = await engine.submit(watched)
            await anyio.wait_all_tasks_blocked()
            async with anyio.create_task_group() as group:
                group.start_soon(ask, handle.wait)
                group.start_soon(ask, waiting.wait)
                group.start_soon(ask, engine.wait_change, handle.id, engine.seq)
                group.start_soon(ask, anext, engine.events())
                await anyio.wait_all_tasks_blocked()
                backend.failure = failure
                await ask(engine.submit, fine)
            assert len(outcomes) == 5
            assert stopped == [handle.id]
            for question, *args in (
                (engine.submit, fine),
                (engine.submit_many, fine, [None]),
                (engine.cancel, handle.id),
                (waiting.wait,),
            ):
                await ask(question, *args)
            # What was kept can still be read, and is what was kept.
            assert (await engine.get(handle.id)).status is TaskStatus.RUNNING
            assert (await engine.list()).total == 2
            with pytest.raises(TaskNotFound):
                await engine.get("task_3")
            assert not engine.accepting
            assert str(failure) in str(engine.trouble)
    assert "storage failed, the engine accepts nothing more" in caplog.text


async def test_a_completion_that_cannot_be_kept_is_never_said() -> None:
    go = anyio.Event()

    @task_type("gated")
    async def gated(ctx: TaskContext) -> str:
        await go.wait()
        return "done"

    backend = FailingBackend()
    with pytest.raises(StorageError, match="gone"):
        async with running(gated, backend=backend) as engine:
            handle = await engine.submit(gated)
            backend.failure = StorageError("gone")
            go.set()
            with pytest.raises(StorageError, match="gone"):
                await handle.result()
    backend.failure = None
    async with running(gated, backend=backend) as engine:
        record = await engine.get(handle.id)
        assert record.error == "interrupted by server restart"


async def test_a_cancel_that_waits_when_storage_fails_is_answered() -> None:
    @task_type("deaf", cancel_grace=100)
    async def deaf(ctx: TaskContext) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(10)

    backend = FailingBackend()
    with pytest.raises(StorageError, match="gone"):
        async with running(deaf, fine, backend=backend) as engine:
            handle = await engine.submit(deaf)
            await anyio.wait_all_tasks_blocked()
            async with anyio.create_task_group() as group:

                async def cancel() -> None:
                    with pytest.raises(StorageError, match="gone"):
                        await handle.cancel()

                group.start_soon(cancel)
                await anyio.wait_all_tasks_blocked()
                backend.failure = StorageError("gone")
                with pytest.raises(StorageError, match="gone"):
                    await engine.submit(fine)


async def test_a_backend_that_cannot_be_opened_lets_no_one_in() -> None:
    backend = FailingBackend()
    async with running(fine, backend=backend):
        with pytest.raises(StorageError, match="already open"):
            async with an_engine(fine, backend=backend):
                raise AssertionError("the block was entered")


async def test_a_recovery_that_cannot_be_kept_lets_no_one_in() -> None:
    backend = FailingBackend()
    async with running(fine, endless, backend=backend) as engine:
        await engine.submit(endless)
        waiting = await engine.submit(endless)
    backend.failure = StorageError("gone")
    engine = an_engine(fine, endless, backend=backend)
    with pytest.raises(StorageError, match="gone"):
        async with engine:
            raise AssertionError("the block was entered")
    backend.failure = None
    async with engine:  # it can be tried again
        assert (await engine.get(waiting.id)).status is TaskStatus.RUNNING
    assert sys.exc_info() == (None, None, None)
