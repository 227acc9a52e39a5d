"""What the actors say to one another: verbs ask, participles report.

Heard by the supervisor          Submit  Recall  Cancel  Revive  SetPaused  CleanUp  Drain  Halt
   from the alarm                Due
   from workers                  Progressed  Save  Succeeded  Failed  Stopped  Overdue
Said by the supervisor
   at once, to a worker          Stop
   once its changes are kept     Run (to a worker)  Answer (to whoever asked)

None of these reaches a disk or a wire. Those that hold a reply are part of reference cycles where
an engine is ended in their midst; all others never are: hence gc=False.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

import msgspec

from .records import ChainStep, TaskRecord, TraceContext
from .task_log import LogLines


class Reply(Protocol):
    """Where an answer goes: set exactly once, by whoever was asked."""

    def give(self, value: Any) -> None:
        """Answer."""
        ...

    def refuse(self, error: Exception) -> None:
        """Answer that it cannot be done."""
        ...


class Submission(msgspec.Struct, frozen=True, gc=False):
    """One task to be: checked by the caller, given its id."""

    task_id: str
    task_type: str
    params: msgspec.Raw
    dedupe_key: str | None = None
    then: tuple[ChainStep, ...] = ()
    run_at: datetime | timedelta | None = None  # not before; a timedelta counts from `created_at`
    priority: int = 0
    idempotency_key: str | None = None
    fingerprint: str | None = None  # of the request; given with the key
    trace: TraceContext | None = None


class Submit(msgspec.Struct, frozen=True):
    """Take all of these or none. Answer: a list of Accepted."""

    submissions: tuple[Submission, ...]
    reply: Reply


class Recall(msgspec.Struct, frozen=True):
    """Answer: the record of the task that an earlier request with this key was given, or None.

    Refused with IdempotencyConflict if that request asked for something else.
    """

    idempotency_key: str
    fingerprint: str
    reply: Reply


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """The task that stands for a submission: a new one, or one that has the same key."""

    record: TaskRecord
    deduplicated: bool = False


class Cancel(msgspec.Struct, frozen=True):
    """Stop this task. Answer: its record, once it is final or known to ignore the cancel."""

    task_id: str
    reply: Reply


class Revive(msgspec.Struct, frozen=True):
    """Have this failed or cancelled task tried again. Answer: its record, pending."""

    task_id: str
    params: msgspec.Raw  # as they are kept: the supervisor does not hold those of final tasks
    reply: Reply
    log: msgspec.Raw | None = None  # likewise


class SetPaused(msgspec.Struct, frozen=True):
    """Start no more tasks of this type, or go on to start them. Answer: None, once it is kept."""

    task_type: str
    paused: bool
    reply: Reply


class CleanUp(msgspec.Struct, frozen=True):
    """Drop these tasks where they are final. Answer: how many were dropped."""

    task_ids: tuple[str, ...]
    reply: Reply


class Drain(msgspec.Struct, frozen=True):
    """Take nothing more and start nothing more. Answer: None, once nothing runs."""

    reply: Reply


class Halt(msgspec.Struct, frozen=True, gc=False):
    """The grace is over: stop what still runs."""


class Due(msgspec.Struct, frozen=True, gc=False):
    """A moment has come for which the scheduler waits: let it decide anew."""


class ProgressReport(msgspec.Struct, frozen=True, gc=False):
    """The newest of what a body said about its progress; None: not said."""

    task_id: str
    attempt: int
    percent: float | None = None
    current: int | float | None = None
    total: int | float | None = None
    message: str | None = None
    lines: LogLines | None = None  # that it wrote to its task's log


class Progressed(msgspec.Struct, frozen=True, gc=False):
    """Some bodies have moved on."""

    reports: tuple[ProgressReport, ...]


class Save(msgspec.Struct, frozen=True):
    """Keep this checkpoint, JSON, in place of the one before. Answer: None, once it is kept."""

    task_id: str
    attempt: int
    checkpoint: msgspec.Raw
    reply: Reply


class Succeeded(msgspec.Struct, frozen=True, gc=False):
    """The body returned; `result` is JSON."""

    task_id: str
    attempt: int
    result: msgspec.Raw
    progress: ProgressReport | None


class Failed(msgspec.Struct, frozen=True, gc=False):
    """The body raised, ran out of time, or gave what cannot be kept."""

    task_id: str
    attempt: int
    error: str
    traceback: str | None
    progress: ProgressReport | None
    retriable: bool = False  # its type tries again after such a failure
    retry_after: timedelta | None = None  # and the body said when


class Stopped(msgspec.Struct, frozen=True, gc=False):
    """The body ended because it was told to; `trouble` is what it raised meanwhile, if anything."""

    task_id: str
    attempt: int
    trouble: str | None
    progress: ProgressReport | None


class Overdue(msgspec.Struct, frozen=True, gc=False):
    """The body was told to stop and has not, beyond its grace."""

    task_id: str
    attempt: int
    grace: float  # seconds


Heard = (
    Submit
    | Recall
    | Cancel
    | Revive
    | SetPaused
    | CleanUp
    | Drain
    | Halt
    | Due
    | Progressed
    | Save
    | Succeeded
    | Failed
    | Stopped
    | Overdue
)
Outcome = Succeeded | Failed | Stopped


StopReason = Literal["cancel", "shutdown"]


class Stop(msgspec.Struct, frozen=True, gc=False):
    """To a worker: stop the body of this task."""

    task_type: str
    task_id: str
    why: StopReason


class Run(msgspec.Struct, frozen=True, gc=False):
    """To a worker: run this attempt."""

    record: TaskRecord
    params: msgspec.Raw
    checkpoint: msgspec.Raw | None = None  # the newest of an earlier attempt


class Answer(msgspec.Struct, frozen=True):
    """To whoever asked."""

    reply: Reply
    value: Any
    refused: bool = False  # then `value` is the error
