"""What a program hands to the engine beside bodies may raise whatever it will, and ends nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import anyio
import pytest

from cortex_tasks.engine.context import TaskContext
from cortex_tasks.engine.engine import TaskEngine
from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.engine.messages import Outcome
from cortex_tasks.engine.observing import Move
from cortex_tasks.engine.records import TaskEvent, TaskRecord
from cortex_tasks.engine.registry import TaskType, task_type

from .engine_setting import an_engine, running, virtual_time


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return virtual_time(request.param)


class Panic(BaseException):
    """What an extension module may raise."""


Raise = Callable[[], NoReturn]


def raising(error: type[BaseException]) -> Raise:
    def raise_it() -> NoReturn:
        raise error

    return raise_it


def choosy(raise_it: Raise) -> TaskType[Any, Any]:
    """A type that asks a predicate, which raises, whether to try again."""

    def retry_on(error: Exception) -> bool:
        raise_it()

    @task_type("choosy", retries=3, retry_on=retry_on)
    async def choosy(ctx: TaskContext) -> None:
        raise ValueError("no luck")

    return choosy


@task_type("fine")
async def fine(ctx: TaskContext) -> str:
    return "fine"


class RaisingListener:
    def __init__(self, raise_it: Raise) -> None:
        self._raise_it = raise_it

    def changed(self, event: TaskEvent, before: TaskRecord | None, /) -> None:
        self._raise_it()

    def closed(self) -> None:
        self._raise_it()


class RaisingObserver:
    def __init__(self, raise_it: Raise) -> None:
        self._raise_it = raise_it

    def moved(self, moves: Sequence[Move]) -> None:
        self._raise_it()

    def recovered(self, moves: Sequence[Move]) -> None:
        self._raise_it()


class RaisingTracer(RaisingObserver):
    """Raises at one point of an attempt; `where`: at its begin, of its outcome, or at its end."""

    def __init__(self, raise_it: Raise, where: str) -> None:
        super().__init__(raise_it)
        self._where = where

    @contextmanager
    def submitting(self, task_type: str, task_ids: Sequence[str]) -> Iterator[None]:
        yield None

    @contextmanager
    def running(self, record: TaskRecord) -> Iterator[Callable[[Outcome], None]]:
        def ended(outcome: Outcome) -> None:
            if self._where == "outcome":
                self._raise_it()

        if self._where == "begin":
            self._raise_it()
        yield ended
        if self._where == "end":
            self._raise_it()


ERRORS = [ValueError, SystemExit, GeneratorExit, Panic]


@pytest.mark.parametrize("error", ERRORS)
async def test_a_predicate_may_raise_anything_and_then_nothing_is_tried_again(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    choosy_type = choosy(raising(error))
    async with running(choosy_type, fine) as engine:
        record = await (await engine.submit(choosy_type)).wait()
        assert (record.status, record.error) == (TaskStatus.FAILED, "ValueError: no luck")
        assert "retry_on of 'choosy' raised" in caplog.text
        assert await (await engine.submit(fine)).result() == "fine"


@pytest.mark.parametrize("error", ERRORS)
async def test_a_listener_or_an_observer_may_raise_anything(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    async with running(fine, observers=[RaisingObserver(raising(error))]) as engine:
        engine.listen(RaisingListener(raising(error)))
        assert await (await engine.submit(fine)).result() == "fine"
    assert "an observer failed" in caplog.text
    assert "a listener failed" in caplog.text


@pytest.mark.parametrize("where", ["begin", "outcome", "end"])
@pytest.mark.parametrize("error", ERRORS)
async def test_a_tracer_may_raise_anything(
    error: type[BaseException], where: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        async with running(fine, tracer=RaisingTracer(raising(error), where)) as engine:
            assert await (await engine.submit(fine)).result() == "fine"
            assert await (await engine.submit(fine)).result() == "fine"
    assert "the tracer failed" in caplog.text


def with_a_predicate(raise_it: Raise) -> tuple[TaskEngine, TaskType[Any, Any]]:
    declared = choosy(raise_it)
    return an_engine(declared), declared


def with_an_observer(raise_it: Raise) -> tuple[TaskEngine, TaskType[Any, Any]]:
    return an_engine(fine, observers=[RaisingObserver(raise_it)]), fine


def with_a_tracer(raise_it: Raise) -> tuple[TaskEngine, TaskType[Any, Any]]:
    return an_engine(fine, tracer=RaisingTracer(raise_it, "begin")), fine


@pytest.mark.parametrize("loop", ["trio", "asyncio"])
@pytest.mark.parametrize("make", [with_a_predicate, with_an_observer, with_a_tracer])
def test_a_keyboard_interrupt_in_any_of_them_ends_the_program_instead_of_hanging_it(
    make: Callable[[Raise], tuple[TaskEngine, TaskType[Any, Any]]], loop: str
) -> None:
    raised: list[str] = []

    def interrupt() -> NoReturn:
        raised.append("once")
        raise KeyboardInterrupt

    async def main() -> None:
        engine, declared = make(interrupt)
        with anyio.fail_after(60):
            async with engine:
                await (await engine.submit(declared)).wait()
                await anyio.sleep_forever()

    backend, options = virtual_time(loop)
    with pytest.raises(BaseException) as caught:  # noqa: PT011  looked at below
        anyio.run(main, backend=backend, backend_options=options)
    assert raised
    assert causes(caught.value) == {KeyboardInterrupt}


def causes(error: BaseException) -> set[type[BaseException]]:
    if isinstance(error, BaseExceptionGroup):
        return {cause for inner in error.exceptions for cause in causes(inner)}
    return {type(error)}
