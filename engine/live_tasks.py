"""The tasks that are not over, and the only places where the state of a task changes.

Each change makes a new record with the next number, and is noted in the decision under way. What
is to change is for scheduling.py and recovery.py to say.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from .errors import TaskAlreadyFinal
from .failures import plain_text
from .lifecycle import LifeEvent, TaskStatus, advance
from .messages import (
    Answer,
    Heard,
    ProgressReport,
    Reply,
    Run,
    Stop,
    StopReason,
    Submission,
)
from .observing import Move
from .queues import Queues
from .records import TaskRecord, with_newest_attempt
from .registry import Registry
from .storage import Change, Drop, Pause, Put
from .task_log import LogLines

_replace = msgspec.structs.replace
_NO_PARAMS = msgspec.Raw(b"")  # of a task that is over

Fields = dict[str, Any]  # new values of a record's fields; given away with the call


class Decision:
    """What follows from a batch of messages, and what it takes to undo it."""

    __slots__ = (
        "at_once",
        "before",
        "changes",
        "drain_replies",
        "keys_before",
        "messages",
        "moves",
        "once_kept",
    )

    def __init__(self) -> None:
        self.changes: list[Change] = []  # to keep, all or none, in this order
        self.moves: list[Move] = []  # what of these changes are steps of a task's life
        self.at_once: list[Stop] = []  # needs nothing kept: a stop must not wait for a disk
        self.once_kept: list[Run | Answer] = []
        self.messages: Sequence[Heard] = ()
        self.before: dict[str, LiveTask | None] = {}  # None: was not there
        self.keys_before: list[tuple[tuple[str, str], str | None]] = []  # and who held them
        self.drain_replies: tuple[Reply, ...] | None = None  # None: was not draining

    @property
    def empty(self) -> bool:
        """Whether nothing follows."""
        return not (self.changes or self.at_once or self.once_kept)


class LiveTask(msgspec.Struct):
    """A task that is not both final and kept."""

    record: TaskRecord
    params: msgspec.Raw
    checkpoint: msgspec.Raw | None = None  # the newest that an attempt has saved
    log: msgspec.Raw | None = None  # all of it that is to be kept
    log_moved: bool = False  # since the last change
    cancel_replies: tuple[Reply, ...] = ()
    told: StopReason | None = None  # why its body was told to stop, if it was
    overdue: bool = False  # it did not, beyond its grace
    unsaid: ProgressReport | None = None  # what came while there was no room to keep it

    def write(self, lines: LogLines | None) -> None:
        """Put these lines into the log; the next change brings it."""
        if lines is not None:
            self.log = lines.after(self.log)
            self.log_moved = True

    def take_log(self) -> msgspec.Raw | None:
        """Give the log, if it has moved since the last take."""
        moved, self.log_moved = self.log_moved, False
        return self.log if moved else None


class LiveTasks:
    """All of them, their queues, and the keys that they hold."""

    def __init__(self, registry: Registry, max_error_chars: int) -> None:
        self.max_error_chars = max_error_chars  # see Limits
        self.by_id: dict[str, LiveTask] = {}
        self.queues = Queues(registry)
        self._registry = registry
        self.paused: set[str] = set()  # task types of which nothing is started
        self.key_holders: dict[tuple[str, str], str] = {}  # (type, dedupe key) -> task id
        self.seq = 0  # the number of the newest change, kept or not
        self.now: datetime
        self.decision = Decision()

    def begin(self, now: datetime) -> None:
        """Begin a decision, all of it made at this time."""
        self.now = now
        self.decision = Decision()
        self.queues.ripen(now)

    def note(self, live: LiveTask) -> None:
        """Remember what this task is before it changes: the decision may have to be undone."""
        if live.record.id not in self.decision.before:
            self.decision.before[live.record.id] = copy.copy(live)

    def undo(self, decision: Decision) -> None:
        """Make the tasks and keys what they were before the decision; the queues follow later."""
        for task_id, before in decision.before.items():
            if before is None:
                self.by_id.pop(task_id, None)
            elif not before.record.final:  # one that is final is gone, or undone with its end
                self.by_id[task_id] = before
        for change in reversed(decision.changes):
            if isinstance(change, Pause):  # which is decided only where it changes something
                self._hold(Pause(change.task_type, not change.paused))
        for key, holder in reversed(decision.keys_before):
            if holder is None:
                self.key_holders.pop(key, None)
            else:
                self.key_holders[key] = holder

    def pause(self, task_types: Iterable[str]) -> None:
        """Start nothing of these types, as was decided before."""
        for task_type in tuple(task_types):
            self._hold(Pause(task_type, paused=True))

    def line_up(self) -> None:
        """Make the queues anew from the tasks alone, in the order in which they became ready."""
        self.queues = Queues(self._registry)
        self.pause(self.paused)
        pending: list[TaskRecord] = []
        for live in self.by_id.values():
            if live.record.status is TaskStatus.PENDING:
                pending.append(live.record)
            elif live.record.status is TaskStatus.RUNNING:
                self.queues.occupy(live.record.type)
        pending.sort(key=lambda record: (record.ready_since, record.seq))
        for record in pending:
            self._queue(record)

    # -- a task's beginning ----------------------------------------------------------------------

    def admit(self, submission: Submission, previous_id: str | None = None) -> LiveTask:
        """Make a new task, pending in its queue."""
        self.seq += 1
        record = TaskRecord(
            id=submission.task_id,
            type=submission.task_type,
            status=TaskStatus.PENDING,
            seq=self.seq,
            created_at=self.now,
            updated_at=self.now,
            message="Pending",
            dedupe_key=submission.dedupe_key,
            then=submission.then,
            previous_id=previous_id,
            run_at=self.in_future(submission.run_at),
            priority=submission.priority,
            idempotency_key=submission.idempotency_key,
            fingerprint=submission.fingerprint,
            trace=submission.trace,
        )
        live = self.by_id[record.id] = LiveTask(record, submission.params)
        self.decision.before[record.id] = None
        self.decision.changes.append(Put(record, params=submission.params))
        self.decision.moves.append(Move(None, None, record))
        self.enqueue(record)
        return live

    def revive(self, record: TaskRecord, params: msgspec.Raw, log: msgspec.Raw | None) -> LiveTask:
        """Make a task that is over pending again, at the end of its queue, as if it were new.

        Under its id, with the history of its attempts, its log and its chain. Its last
        checkpoint went with its end.
        """
        live = self.by_id[record.id] = LiveTask(record, params, log=log)
        self.decision.before[record.id] = None
        fields: Fields = {
            "message": "Pending: to be tried again",
            "started_at": None,
            "completed_at": None,
            "progress_percent": 0,
            "progress_current": None,
            "progress_total": None,
            "error": None,
            "traceback": None,
            "run_at": None,
            "ready_at": self.now,
            "revived": True,
            "found_over": False,
            "retries": 0,
            "interruptions": 0,
            "revivals": record.revivals + 1,
            "attempts": with_newest_attempt(record, record.error or record.message),
            "cancel_requested_at": None,
        }
        self.move(live, LifeEvent.REVIVE, fields)
        self.enqueue(live.record)
        return live

    def in_future(self, run_at: datetime | timedelta | None) -> datetime | None:
        """Give the moment, if it is still to come; a timedelta counts from now."""
        if run_at is None:
            return None
        if isinstance(run_at, timedelta):
            run_at = self.now + run_at
        return run_at if run_at > self.now else None

    def enqueue(self, record: TaskRecord) -> None:
        """Put a pending task at the end of its queue, now or when its time has come.

        It holds its key if that is free.
        """
        if record.dedupe_key is not None:
            # A chain's step may find its key taken; it then runs without holding it.
            key = (record.type, record.dedupe_key)
            if key not in self.key_holders:
                self.decision.keys_before.append((key, None))
                self.key_holders[key] = record.id
        self._queue(record)

    def _queue(self, record: TaskRecord) -> None:
        if record.run_at is None or record.run_at <= self.now:
            self.queues.add(record.type, record.id, record.priority)
        else:
            self.queues.add_early(record.type, record.id, record.priority, record.run_at)

    def holder(self, task_type: str, dedupe_key: str | None) -> LiveTask | None:
        """Give the task that holds the key."""
        if dedupe_key is None:
            return None
        task_id = self.key_holders.get((task_type, dedupe_key))
        return None if task_id is None else self.by_id[task_id]

    def free_key(self, record: TaskRecord) -> None:
        """Let others have the key, if this task holds one."""
        if record.dedupe_key is not None:
            key = (record.type, record.dedupe_key)
            if self.key_holders.get(key) == record.id:
                self.decision.keys_before.append((key, record.id))
                del self.key_holders[key]

    def start_all_startable(self) -> None:
        """Start the tasks that are first in their queues, as far as there are places."""
        for task_id in self.queues.take_startable():
            live = self.by_id[task_id]
            attempt: Fields = {
                "started_at": self.now,
                "attempt": live.record.attempt + 1,
                "progress_percent": 0,
                "progress_current": None,
                "progress_total": None,
                "message": "Running",
            }
            if live.record.run_at is not None:
                attempt |= {"run_at": None, "ready_at": live.record.run_at}
            self.move(live, LifeEvent.START, attempt)
            # Kept before it is handed over: a crash in between reports it rather than runs it
            # twice.
            self.decision.once_kept.append(Run(live.record, live.params, live.checkpoint))

    # -- its changes -----------------------------------------------------------------------------

    def change(self, live: LiveTask, fields: Fields, result: msgspec.Raw | None = None) -> None:
        """Give the record new values."""
        self.note(live)
        self.seq += 1
        live.record = record = _replace(live.record, seq=self.seq, updated_at=self.now, **fields)
        self.decision.changes.append(Put(record, result=result, log=live.take_log()))

    def save(self, live: LiveTask, checkpoint: msgspec.Raw) -> None:
        """Keep a checkpoint: a change like any other, so that whoever follows sees life."""
        self.note(live)
        self.seq += 1
        live.checkpoint = checkpoint
        live.record = _replace(live.record, seq=self.seq, updated_at=self.now)
        put = Put(live.record, checkpoint=checkpoint, log=live.take_log())
        self.decision.changes.append(put)

    def move(
        self,
        live: LiveTask,
        event: LifeEvent,
        fields: Fields,
        result: msgspec.Raw | None = None,
    ) -> None:
        """Move the task on along the transition table."""
        before = live.record
        fields["status"] = advance(before.status, event)
        self.change(live, fields, result)
        self.decision.moves.append(Move(event, before, live.record))

    def requeue(
        self,
        live: LiveTask,
        event: LifeEvent,
        ended: str,
        fields: Fields,
        *,
        found_over: bool = False,
    ) -> None:
        """Make a running task pending again, at the end of its queue; `ended`: how the attempt did.

        It keeps its key, and waits for its time if it is given a `run_at`.
        """
        self.note(live)
        before = live.record
        over = _replace(before, completed_at=self.now, found_over=found_over)
        fields["attempts"] = with_newest_attempt(over, ended)
        fields |= {"ready_at": None, "revived": False}
        live.told, live.overdue, live.unsaid = None, False, None
        self.move(live, event, fields)
        self.queues.leave(before.type)
        self.enqueue(live.record)

    def finish(
        self,
        live: LiveTask,
        event: LifeEvent,
        fields: Fields,
        result: msgspec.Raw | None = None,
    ) -> None:
        """Make the task final: its place, its key and those who wait for its end are free."""
        record = live.record
        if record.status is TaskStatus.PENDING:
            self.queues.remove(record.type, record.id, record.priority)
        else:
            self.queues.leave(record.type)
        self.free_key(record)
        fields["completed_at"] = self.now
        if record.run_at is not None:
            fields |= {"run_at": None, "ready_at": record.run_at}
        if "error" in fields:  # also one in words of the engine
            fields["error"] = plain_text(fields["error"], self.max_error_chars)
        self.move(live, event, fields, result)
        live.params, live.checkpoint, live.log = _NO_PARAMS, None, None
        self.answer_cancels(live)

    def fail_unrunnable(self, live: LiveTask) -> None:
        """Fail a task whose type is gone since it was stored, where one can see it."""
        error = f"no task type {live.record.type!r} is registered in this process"
        self.finish(live, LifeEvent.FAIL, {"error": error, "message": f"Failed: {error}"})

    def set_paused(self, task_type: str, *, paused: bool) -> None:
        """Start no more tasks of this type, or go on to start them; what runs is not touched."""
        self._hold(Pause(task_type, paused))
        self.decision.changes.append(Pause(task_type, paused))

    def _hold(self, pause: Pause) -> None:
        (self.paused.add if pause.paused else self.paused.discard)(pause.task_type)
        self.queues.set_paused(pause.task_type, paused=pause.paused)

    def drop(self, task_id: str) -> None:
        """Forget a task that is over."""
        self.seq += 1
        self.decision.changes.append(Drop(task_id, self.seq))

    # -- what is said of them --------------------------------------------------------------------

    def answer(self, reply: Reply, value: Any, *, refused: bool = False) -> None:
        """Answer, once what has been decided so far is kept."""
        self.decision.once_kept.append(Answer(reply, value, refused))

    def answer_cancels(self, live: LiveTask) -> None:
        """Answer all who asked for this task to be cancelled."""
        self.note(live)
        for reply in live.cancel_replies:
            if live.record.final and live.record.status is not TaskStatus.CANCELLED:
                error = TaskAlreadyFinal(live.record.id, live.record.status)
                self.answer(reply, error, refused=True)
            else:
                self.answer(reply, live.record)
        live.cancel_replies = ()

    def tell(self, live: LiveTask, why: StopReason) -> None:
        """Tell the worker to stop the body, at once."""
        self.note(live)
        live.told = why
        self.decision.at_once.append(Stop(live.record.type, live.record.id, why))
