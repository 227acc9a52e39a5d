"""How tasks look to clients. Names are doubled so that clients of every vintage can read them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ..engine.lifecycle import TaskStatus
from ..engine.records import AttemptRecord, TaskRecord

# Older names, of a task type when a list is filtered, and of one in `kind`.
TYPE_ALIASES = {
    "batch_processing": "document_processing",
    "reprocess_batch": "document_processing",
    "summarization": "community_summarization",
}
_KINDS = {"document_processing": "process_documents"}


class TaskView(msgspec.Struct, frozen=True):
    """A task as lists show it. Its traceback is never shown."""

    task_id: str
    id: str
    task_type: str
    type: str
    kind: str
    status: TaskStatus
    progress_percent: int
    progress: int
    progress_current: int | float | None
    progress_total: int | float | None
    message: str
    error: str | None
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    previous_task_id: str | None  # of the chain that this task is part of
    next_task_id: str | None  # None until that task is submitted, when this one completes
    run_seconds: float | None  # of the newest attempt, once over; null: none, or nobody knows
    run_at: datetime | None  # while it waits for its time; None: for nothing but a free place
    # From when the newest attempt waits or waited for a free place, where it was put off or asked
    # for by a person; null: from the end of the one before it, or from the submit.
    ready_at: datetime | None
    revived: bool  # the newest attempt, or the next, is one that a person asked for
    priority: int
    attempt: int  # 0 until it first runs
    seq: int  # the number of its newest change, counted over all tasks
    cancel_requested_at: datetime | None  # told to stop, then; it may not have stopped yet
    chain: tuple[str, ...]  # the types of the tasks that still follow


class TaskDetail(TaskView, frozen=True):
    """A task on its own; `result` is null until it has completed."""

    params: msgspec.Raw  # as they were kept; null if damage to the storage has lost them
    result: msgspec.Raw
    attempts: tuple[AttemptRecord, ...]  # that ended before the newest, and how: the last 20


class TaskList(msgspec.Struct, frozen=True):
    """Some tasks, newest first, and how many match in all."""

    tasks: list[TaskView]
    total: int
    seq: int  # of the newest change of any task: follow /api/tasks/events from here
    # There only for who asked with a cursor: that of the page after this one, null after the last;
    # and how many tasks that match are newer than the first of these, on the pages before.
    next: str | msgspec.UnsetType | None = msgspec.UNSET
    newer: int | msgspec.UnsetType = msgspec.UNSET


Result = Annotated[
    Any,
    Meta(
        description="What the task returned, as its type has it; `{}` if that was nothing.",
        examples=[{"communities": [], "total": 0, "algorithm": "leiden"}],
    ),
]


class TaskProgress(msgspec.Struct, frozen=True):
    """Why there is no result yet."""

    task_id: str
    status: TaskStatus
    progress_percent: int
    message: str


class TaskStopped(msgspec.Struct, frozen=True):
    """What became of a cancel."""

    task_id: str
    status: TaskStatus
    message: str


class CleanedUp(msgspec.Struct, frozen=True):
    """How many tasks were removed, and how many there are now."""

    removed: int
    remaining: int
    message: str


class Health(msgspec.Struct, frozen=True):
    """Whether the server can do its work. Clients test the two names of an earlier store."""

    status: str
    neo4j_connected: bool
    schema_initialized: bool
    version: str
    reason: str | msgspec.UnsetType = msgspec.UNSET  # there only where it is degraded


def view(record: TaskRecord) -> TaskView:
    """Show a task in a list."""
    return TaskView(*_shown(record))


def detail(record: TaskRecord, params: msgspec.Raw, result: msgspec.Raw) -> TaskDetail:
    """Show a task with its parameters and its result, as JSON."""
    return TaskDetail(*(*_shown(record), params, result, record.attempts))


def _shown(record: TaskRecord) -> tuple[Any, ...]:
    kind = _KINDS.get(record.type, record.type)
    return (
        record.id,
        record.id,
        record.type,
        record.type,
        kind,
        record.status,
        record.progress_percent,
        record.progress_percent,
        record.progress_current,
        record.progress_total,
        record.message,
        record.error,
        record.created_at,
        record.updated_at,
        record.started_at,
        record.completed_at,
        record.previous_id,
        record.next_id,
        record.seconds_ran,
        record.run_at,
        record.ready_at,
        record.revived,
        record.priority,
        record.attempt,
        record.seq,
        record.cancel_requested_at,
        tuple([step.task_type for step in record.then]) if record.then else (),
    )
