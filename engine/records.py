"""What the engine keeps about a task, and what it shows of it: immutable, and safe to hand out."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from .failures import plain_text
from .lifecycle import TaskStatus


class ChainStep(msgspec.Struct, frozen=True, gc=False):
    """One task to submit once the one before it has completed."""

    task_type: str
    params: msgspec.Raw = msgspec.Raw(b"{}")
    dedupe_key: str | None = None
    delay: timedelta | None = None  # between that completion and its start, at the least


class TraceContext(msgspec.Struct, frozen=True, gc=False):
    """Where the submit stands in its caller's trace, as the W3C's Trace Context writes it."""

    parent: str  # traceparent
    state: str = ""  # tracestate


class AttemptRecord(msgspec.Struct, frozen=True, gc=False):
    """An attempt that is over, of a task that went on after it."""

    number: int
    started_at: datetime
    ended_at: datetime  # of one that a crash cut short: when that was found
    error: str  # how it ended: what the body raised, or what interrupted it
    ready_at: datetime | None = None  # as in the task's record, then
    revived: bool = False  # so, too
    found_over: bool = False  # so, too


MAX_ATTEMPTS_KEPT = 20  # of earlier attempts; the newest
_MAX_ENDED_CHARS = 500  # of how one ended: a record holds many, and is kept often


class RequestRecord(msgspec.Struct, frozen=True, gc=False):
    """A request with an idempotency key that was given a task which another request had made."""

    idempotency_key: str
    fingerprint: str  # of all that it asked for


MAX_REQUESTS_KEPT = 100  # that were given the same task; the newest


class TaskRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One task as of its last change. Written to disk as it stands: new fields need defaults.

    Times are UTC and timezone-aware. `seq` numbers changes over all tasks of a store, without
    gaps, from 1, and goes on after a restart.
    """

    id: str
    type: str
    status: TaskStatus
    seq: int
    created_at: datetime
    updated_at: datetime  # moves with every change
    started_at: datetime | None = None  # of the newest attempt; None until it runs
    completed_at: datetime | None = None  # when it became final, however it ended
    progress_percent: int = 0  # 0-100; never falls within an attempt; 100 only when completed
    progress_current: int | float | None = None
    progress_total: int | float | None = None
    message: str = ""
    error: str | None = None  # set exactly when failed
    traceback: str | None = None  # for the library and the log; never sent over HTTP
    run_at: datetime | None = None  # while pending: not to be started before this; else None
    # From when the newest attempt waited or waits for nothing but a place, where it was put off
    # or asked for by a person; None: from the end of the one before it, or from the submit.
    ready_at: datetime | None = None
    revived: bool = False  # the newest attempt, or the next, is one that a person asked for
    found_over: bool = False  # a crash ended it: `completed_at` is when a start found that
    priority: int = 0  # within its type; higher ones start first
    attempt: int = 0  # 0 until it first runs
    retries: int = 0  # how often it failed and was to be tried again
    interruptions: int = 0  # how often the process died in the middle of an attempt
    revivals: int = 0  # how often a person had it tried again after it was over
    attempts: tuple[AttemptRecord, ...] = ()  # before the newest; the last MAX_ATTEMPTS_KEPT
    cancel_requested_at: datetime | None = None
    dedupe_key: str | None = None
    idempotency_key: str | None = None  # of the request that made it
    fingerprint: str | None = None  # of all that this request asked for; set with the key
    requests: tuple[RequestRecord, ...] = ()  # given this task by its dedupe key; the last
    then: tuple[ChainStep, ...] = ()  # what follows when this completes
    previous_id: str | None = None  # the task of the chain before this one
    next_id: str | None = None  # the task of the chain after this one, once submitted
    trace: TraceContext | None = None  # of the submit, where the engine is traced
    result_size: int | None = None  # bytes of JSON; set exactly when completed

    @property
    def final(self) -> bool:
        """Whether it is over: nothing about it changes again, unless a person revives it."""
        return self.completed_at is not None

    @property
    def ready_since(self) -> datetime:
        """While pending: from when it waits for nothing but a place, or will wait."""
        if self.run_at is not None:
            return self.run_at
        if self.ready_at is not None:
            return self.ready_at
        return self.attempts[-1].ended_at if self.attempts else self.created_at

    @property
    def seconds_ran(self) -> float | None:
        """How long the newest attempt of a task ran that is over.

        None: it did not run, as the task ended while it waited for it; or nobody knows how long.
        """
        if self.completed_at is None or self.started_at is None or self.found_over:
            return None
        if self.attempts and self.attempts[-1].number == self.attempt:
            return None
        return max(0.0, (self.completed_at - self.started_at).total_seconds())

    def seconds_waited(self, start: TaskRecord) -> float:
        """Give how long this pending task waited for its place until that change started it."""
        return max(0.0, (start.updated_at - self.ready_since).total_seconds())


def with_newest_attempt(record: TaskRecord, ended: str) -> tuple[AttemptRecord, ...]:
    """Give the attempts that are over, the newest among them; `ended`: how that one did."""
    known = record.attempts[-1].number if record.attempts else 0
    if record.attempt == known:  # none has begun since
        return record.attempts
    newest = AttemptRecord(
        record.attempt,
        record.started_at or record.created_at,
        record.completed_at or record.updated_at,
        plain_text(ended, _MAX_ENDED_CHARS),
        record.ready_at,
        record.revived,
        record.found_over,
    )
    return (*record.attempts, newest)[-MAX_ATTEMPTS_KEPT:]


class TaskPage(msgspec.Struct, frozen=True):
    """A part of a list: `records` newest first, `total` how many match over all pages."""

    records: list[TaskRecord]
    total: int
    next: str | None = None  # the cursor of the page after this one; None: there is none
    newer: int = 0  # how many match that are newer than the first of them: on the pages before


class TaskEvent(msgspec.Struct, frozen=True, gc=False):
    """One change: the record right after it, or `removed` when cleanup dropped the task."""

    seq: int
    task_id: str
    record: TaskRecord | None  # None: removed

    @property
    def removed(self) -> bool:
        """Whether the record is gone."""
        return self.record is None
