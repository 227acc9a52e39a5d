"""The life of a task: one table, and the one function that reads it.

    status      event       becomes     who brings it about
    ─────────── ─────────── ─────────── ─────────────────────────────────────────────────────
    pending     start       running     the supervisor: its time has come, and a place is free
    pending     cancel      cancelled   a caller; the body never began
    pending     fail        failed      recovery: nobody can run it (its type is gone)
    running     succeed     completed   the worker: the body returned and its result is kept
    running     fail        failed      the worker: the body raised, or ran out of time
    running     stop        cancelled   the worker: a cancel was asked for and the body stopped
    running     interrupt   failed      recovery: the process died while the body ran
    running     retry       pending     the worker: the body failed, and a retry is left for that
    running     requeue     pending     recovery or drain, for types that resume
    failed      revive      pending     a person, who wants it tried again
    cancelled   revive      pending     a person, likewise

Final statuses are those that nothing but a person's wish leads out of: they never change by
themselves, and a revived task has another attempt. `docs/architecture.md` draws this table; a test
compares.
"""

from __future__ import annotations

import enum
from typing import Final


class TaskStatus(enum.StrEnum):
    """Where a task is in its life."""

    PENDING = "pending"  # the supervisor moves it on
    RUNNING = "running"  # its worker moves it on
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether it is over: this status never changes by itself."""
        return self in FINAL


class LifeEvent(enum.StrEnum):
    """What can happen to a task."""

    START = "start"
    CANCEL = "cancel"
    SUCCEED = "succeed"
    FAIL = "fail"
    STOP = "stop"
    INTERRUPT = "interrupt"
    RETRY = "retry"
    REQUEUE = "requeue"
    REVIVE = "revive"


class IllegalTransition(AssertionError):
    """The engine tried a step that is not in the table: a bug in the engine, never in a task."""


TRANSITIONS: Final[dict[tuple[TaskStatus, LifeEvent], TaskStatus]] = {
    (TaskStatus.PENDING, LifeEvent.START): TaskStatus.RUNNING,
    (TaskStatus.PENDING, LifeEvent.CANCEL): TaskStatus.CANCELLED,
    (TaskStatus.PENDING, LifeEvent.FAIL): TaskStatus.FAILED,
    # Also when a cancel was asked for: it finished before it heard, and the truth wins.
    (TaskStatus.RUNNING, LifeEvent.SUCCEED): TaskStatus.COMPLETED,
    (TaskStatus.RUNNING, LifeEvent.FAIL): TaskStatus.FAILED,
    (TaskStatus.RUNNING, LifeEvent.STOP): TaskStatus.CANCELLED,
    (TaskStatus.RUNNING, LifeEvent.INTERRUPT): TaskStatus.FAILED,
    (TaskStatus.RUNNING, LifeEvent.RETRY): TaskStatus.PENDING,
    (TaskStatus.RUNNING, LifeEvent.REQUEUE): TaskStatus.PENDING,
    (TaskStatus.FAILED, LifeEvent.REVIVE): TaskStatus.PENDING,
    (TaskStatus.CANCELLED, LifeEvent.REVIVE): TaskStatus.PENDING,
}

FINAL: Final = frozenset(TaskStatus) - {
    status for status, event in TRANSITIONS if event is not LifeEvent.REVIVE
}


def advance(status: TaskStatus, event: LifeEvent) -> TaskStatus:
    """Give the status that follows; raises IllegalTransition for a pair not in the table."""
    try:
        return TRANSITIONS[status, event]
    except KeyError:
        raise IllegalTransition(f"a {status} task cannot {event}") from None
