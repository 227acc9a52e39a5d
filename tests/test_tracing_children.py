"""A trace goes on in the child processes of a body: here they are real ones."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from opentelemetry import trace

from cortex_tasks import MemoryBackend, TaskContext, TaskEngine, task_type
from cortex_tasks.engine.context import ChildContext
from cortex_tasks.engine.current import AROUND_IN_CHILD
from cortex_tasks.engine.tracing import Tracer

from .test_tracing import Spans

NOWHERE = f"{0:032x} {0:016x}"


def where_it_is() -> str:
    """The span that is current in this process."""
    here = trace.get_current_span().get_span_context()
    return f"{here.trace_id:032x} {here.span_id:016x}"


@task_type("apart", runs="process")
def apart(ctx: ChildContext) -> str:
    return where_it_is()


@task_type("hands_over")
async def hands_over(ctx: TaskContext) -> str:
    found: str = await ctx.run_in_child(where_it_is)
    return found


class Fails(msgspec.Struct):
    """Can be sent, and does harm there: when it is made, entered or left."""

    when: str
    how: type[BaseException] = ZeroDivisionError

    def __call__(self) -> Fails:
        return self._pass("made")

    def __enter__(self) -> Fails:
        return self._pass("entered")

    def __exit__(self, *error: object) -> bool:
        self._pass("left")
        return True  # it would swallow what the function raises

    def _pass(self, step: str) -> Fails:
        if self.when == step:
            raise self.how
        return self


def fail() -> None:
    raise LookupError("the function's own")


async def test_a_tracer_that_fails_around_a_child_process_harms_no_body(
    caplog: pytest.LogCaptureFixture,
) -> None:
    harms: list[Any] = [
        *(Fails(step) for step in ("made", "entered", "left", "never")),
        Fails("entered", SystemExit),
        lambda: None,
    ]

    @task_type("harmed")
    async def harmed(ctx: TaskContext, number: int) -> str:
        before = AROUND_IN_CHILD.set(harms[number])
        try:
            with pytest.raises(LookupError, match="the function's own"):
                await ctx.run_in_child(fail)
            found: str = await ctx.run_in_child(where_it_is)
        finally:
            AROUND_IN_CHILD.reset(before)
        return found

    async with TaskEngine([harmed], backend=MemoryBackend()) as engine:
        for number in range(len(harms)):
            assert await (await engine.submit(harmed, number)).result() == NOWHERE
    assert "the tracer failed" in caplog.text


async def where_each_ran(tracer: Tracer | None) -> list[str]:
    types = (apart, hands_over)
    async with TaskEngine(types, backend=MemoryBackend(), tracer=tracer) as engine:
        found: list[str] = [await (await engine.submit(each)).result() for each in types]
    return found


async def test_what_a_body_runs_in_a_child_process_is_within_its_attempt() -> None:
    spans = Spans()
    found = await where_each_ran(spans.tracing)
    attempts = [spans.one(name).get_span_context() for name in ("run apart", "run hands_over")]
    assert all(attempts)
    assert found == [f"{each.trace_id:032x} {each.span_id:016x}" for each in attempts if each]


async def test_without_a_tracer_a_child_process_is_in_no_trace() -> None:
    assert await where_each_ran(None) == [NOWHERE] * 2
