"""The spans of tasks, named as the semantic conventions for messaging have it.

submit TYPE   while the submit lasts, in whatever span it is called
run TYPE      an attempt, while its body runs; a child of the submit, however much later it is and
              in whichever process, since the record keeps the submit's trace context
task TYPE     from submission to end, made once it has ended; likewise a child of the submit

The steps of a chain are children of the submit that began it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from opentelemetry import context, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider
from opentelemetry.util.types import AttributeValue

from ..engine.current import AROUND_IN_CHILD
from ..engine.lifecycle import TaskStatus
from ..engine.messages import Failed, Outcome, Stopped
from ..engine.observing import Move
from ..engine.records import TaskRecord, TraceContext
from .child import InTrace, carried, context_of

_SYSTEM = "cortex_tasks"


class Tracing:
    """A Tracer (engine/tracing.py) that makes spans. `tracer_provider`: the global one if None."""

    def __init__(self, tracer_provider: TracerProvider | None = None) -> None:
        self._tracer = trace.get_tracer("cortex_tasks", tracer_provider=tracer_provider)

    @contextmanager
    def submitting(self, task_type: str, task_ids: Sequence[str]) -> Iterator[TraceContext | None]:
        """See Tracer."""
        about: dict[str, AttributeValue] = {**_messaging("submit", "send", task_type)}
        if len(task_ids) == 1:
            about["messaging.message.id"] = task_ids[0]
        else:
            about["messaging.batch.message_count"] = len(task_ids)
        with self._tracer.start_as_current_span(
            f"submit {task_type}", kind=SpanKind.PRODUCER, attributes=about
        ):
            yield carried()

    @contextmanager
    def running(self, record: TaskRecord) -> Iterator[Callable[[Outcome], None]]:
        """See Tracer."""
        span = self._tracer.start_span(
            f"run {record.type}",
            context=context_of(record.trace),
            kind=SpanKind.CONSUMER,
            attributes=_attempt(record),
        )

        def ended(outcome: Outcome) -> None:
            if isinstance(outcome, Failed):
                _fail(span, outcome.error, outcome.traceback)
            elif isinstance(outcome, Stopped):
                span.set_attribute("cortex_tasks.attempt.stopped", True)

        token = context.attach(trace.set_span_in_context(span, context_of(record.trace)))
        here = carried()
        in_child = AROUND_IN_CHILD.set(None if here is None else InTrace(here))
        try:
            yield ended
        finally:
            AROUND_IN_CHILD.reset(in_child)
            context.detach(token)
            span.end()

    def moved(self, moves: Sequence[Move]) -> None:
        """See Observer: a task that has ended gets its span."""
        for move in moves:
            if move.after.final:
                self._note_task(move.after)

    def recovered(self, moves: Sequence[Move]) -> None:
        """See Observer: the attempts that a crash cut short have no span yet."""
        for move in moves:
            before = move.before
            if before is not None and before.status is TaskStatus.RUNNING:
                self._note_interrupted(before, move.after.updated_at)
            if move.after.final:
                self._note_task(move.after)

    def _note_task(self, record: TaskRecord) -> None:
        about: dict[str, AttributeValue] = {
            **_messaging("settle", "settle", record.type),
            "messaging.message.id": record.id,
            "cortex_tasks.task.status": record.status.value,
            "cortex_tasks.task.attempts": record.attempt,
        }
        span = self._tracer.start_span(
            f"task {record.type}",
            context=context_of(record.trace),
            kind=SpanKind.INTERNAL,
            attributes=about,
            start_time=_nanoseconds(record.created_at),
        )
        if record.error is not None:
            _fail(span, record.error, None)
        span.end(end_time=_nanoseconds(record.completed_at or record.updated_at))

    def _note_interrupted(self, record: TaskRecord, found_at: datetime) -> None:
        span = self._tracer.start_span(
            f"run {record.type}",
            context=context_of(record.trace),
            kind=SpanKind.CONSUMER,
            attributes=_attempt(record),
            start_time=_nanoseconds(record.started_at or record.created_at),
        )
        span.set_attribute("error.type", "interrupted")
        span.set_status(Status(StatusCode.ERROR, "interrupted by server restart"))
        # When it was cut short is not known: after the last that was heard of it.
        span.end(end_time=_nanoseconds(min(record.updated_at, found_at)))


def _messaging(name: str, kind: str, task_type: str) -> dict[str, AttributeValue]:
    return {
        "messaging.system": _SYSTEM,
        "messaging.operation.name": name,
        "messaging.operation.type": kind,
        "messaging.destination.name": task_type,
    }


def _attempt(record: TaskRecord) -> dict[str, AttributeValue]:
    return {
        **_messaging("run", "process", record.type),
        "messaging.message.id": record.id,
        "cortex_tasks.task.attempt": record.attempt,
    }


def _fail(span: Span, error: str, stack: str | None) -> None:
    kind = error.partition(":")[0]
    if not kind.isidentifier():
        kind = "_OTHER"
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR, error))
    if stack is not None:
        said = {"exception.type": kind, "exception.message": error, "exception.stacktrace": stack}
        span.add_event("exception", said)


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1_000
