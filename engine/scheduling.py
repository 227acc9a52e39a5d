"""What the supervisor decides: messages in, a Decision out. No clock, no channel, no waiting.

The scheduler knows every task that is not final, and those that are final but not yet kept. The
supervisor hands it messages in the order in which they came; the journal writer carries the
decisions out in the same order, so whatever is answered rests on what is already kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, assert_never

import msgspec

from .errors import EngineNotRunning, QueueFull, TaskAlreadyFinal, TaskNotFound
from .lifecycle import LifeEvent, TaskStatus, advance
from .messages import (
    Accepted,
    Answer,
    Cancel,
    CleanUp,
    Drain,
    Failed,
    Halt,
    Heard,
    Outcome,
    Overdue,
    Progressed,
    ProgressReport,
    Reply,
    Run,
    Stop,
    Stopped,
    StopReason,
    Submission,
    Submit,
    Succeeded,
)
from .queues import Queues
from .records import TaskRecord
from .registry import Registry
from .storage import Change, Drop, Put, Recovered

_replace = msgspec.structs.replace

MAX_INTERRUPTIONS = 5  # attempts that a resumable task may lose to crashes before it is poisonous


class Decision:
    """What follows from a batch of messages."""

    __slots__ = ("at_once", "changes", "once_kept")

    def __init__(self) -> None:
        self.changes: list[Change] = []  # to keep, all or none, in this order
        self.at_once: list[Stop] = []  # needs nothing kept: a stop must not wait for a disk
        self.once_kept: list[Run | Answer] = []

    @property
    def empty(self) -> bool:
        """Whether nothing follows."""
        return not (self.changes or self.at_once or self.once_kept)


class _Live:
    """A task that is not both final and kept."""

    __slots__ = ("cancel_replies", "overdue", "params", "record", "told")

    def __init__(self, record: TaskRecord, params: msgspec.Raw) -> None:
        self.record = record
        self.params = params
        self.cancel_replies: tuple[Reply, ...] = ()
        self.told: StopReason | None = None  # why its body was told to stop, if it was
        self.overdue = False  # it did not, beyond its grace


class Scheduler:
    """The state of all tasks that are not over, and every decision about them."""

    def __init__(
        self,
        registry: Registry,
        kept: Mapping[str, TaskRecord],
        new_task_id: Callable[[], str],
    ) -> None:
        self._registry = registry
        self._kept = kept  # what has been committed; only read here
        self._new_task_id = new_task_id
        self._live: dict[str, _Live] = {}
        self._queues = Queues(registry)
        self._dedupe: dict[tuple[str, str], str] = {}
        self._dropping: set[str] = set()  # to be dropped, and not yet gone from what is kept
        self._seq = 0
        self._draining = False
        self._drain_replies: list[Reply] = []
        self._now: datetime
        self._decision = Decision()

    # -- the three calls -------------------------------------------------------------------------

    def recover(self, recovered: Recovered, now: datetime) -> Decision:
        """Give every task an owner again after a restart: final, or pending in this process."""
        self._begin(now)
        self._seq = recovered.last_seq
        for record in recovered.records:
            if not record.final:
                live = _Live(record, recovered.params.get(record.id, msgspec.Raw(b"{}")))
                self._live[record.id] = live
                self._recover_one(live)
        return self._end()

    def hear(self, messages: Iterable[Heard], now: datetime) -> Decision:  # noqa: C901  a case a message
        """Decide what follows from the messages, in their order."""
        self._begin(now)
        for message in messages:
            match message:
                case Submit():
                    self._submit(message)
                case Succeeded() | Failed() | Stopped():
                    self._outcome(message)
                case Progressed():
                    for report in message.reports:
                        self._progress(report)
                case Cancel():
                    self._cancel(message)
                case Overdue():
                    self._overdue(message)
                case CleanUp():
                    self._clean_up(message)
                case Drain():
                    self._drain(message)
                case Halt():
                    self._halt()
                case _:
                    assert_never(message)
        return self._end()

    def settle(self, changes: Sequence[Change]) -> None:
        """Let go of tasks that are final, now that these changes are kept."""
        for change in changes:
            if isinstance(change, Drop):
                self._dropping.discard(change.task_id)
            elif change.record.final:
                self._live.pop(change.record.id, None)

    def abandon(self) -> list[Reply]:
        """Give up (nothing can be kept any more): everyone who still waits for an answer."""
        owed = self._drain_replies
        for live in self._live.values():
            owed += live.cancel_replies
            live.cancel_replies = ()
        self._drain_replies = []
        return owed

    def told_to_stop(self, task_id: str) -> StopReason | None:
        """Why the body of this task is to stop; a stop may be decided before its run is kept."""
        live = self._live.get(task_id)
        return None if live is None else live.told

    @property
    def running_total(self) -> int:
        """How many bodies run, as far as has been decided."""
        return self._queues.running_total

    # -- submissions -----------------------------------------------------------------------------

    def _submit(self, message: Submit) -> None:
        refusal = self._refusal(message.submissions)
        if refusal is not None:
            self._answer(message.reply, refusal, refused=True)
            return
        accepted = []
        for submission in message.submissions:
            twin = self._twin(submission)
            if twin is not None:
                accepted.append(Accepted(twin.record, deduplicated=True))
            else:
                accepted.append(Accepted(self._admit(submission).record))
        self._answer(message.reply, accepted)

    def _refusal(self, submissions: tuple[Submission, ...]) -> Exception | None:
        if self._draining:
            return EngineNotRunning("the engine is shutting down and takes no more tasks")
        wanted: dict[str, int] = {}
        for submission in submissions:
            if self._twin(submission) is None:
                wanted[submission.task_type] = wanted.get(submission.task_type, 0) + 1
        for task_type, count in wanted.items():
            queue = self._queues.of(task_type)
            if not queue.has_room_for(count):
                return QueueFull(task_type, queue.max_pending)
        return None

    def _twin(self, submission: Submission) -> _Live | None:
        if submission.dedupe_key is None:
            return None
        task_id = self._dedupe.get((submission.task_type, submission.dedupe_key))
        return None if task_id is None else self._live[task_id]

    def _admit(self, submission: Submission, previous_id: str | None = None) -> _Live:
        record = TaskRecord(
            id=submission.task_id,
            type=submission.task_type,
            status=TaskStatus.PENDING,
            seq=self._next_seq(),
            created_at=self._now,
            updated_at=self._now,
            message="Pending",
            dedupe_key=submission.dedupe_key,
            then=submission.then,
            previous_id=previous_id,
        )
        live = self._live[record.id] = _Live(record, submission.params)
        self._decision.changes.append(Put(record, params=submission.params))
        self._enqueue(live)
        return live

    def _enqueue(self, live: _Live) -> None:
        record = live.record
        if record.dedupe_key is not None:
            # A chain's step may find its key taken; it then runs without holding it.
            self._dedupe.setdefault((record.type, record.dedupe_key), record.id)
        self._queues.add(record.type, record.id)

    def _start(self, live: _Live) -> None:
        self._move(
            live,
            LifeEvent.START,
            started_at=self._now,
            attempt=live.record.attempt + 1,
            progress_percent=0,
            progress_current=None,
            progress_total=None,
            message="Running",
        )
        # Kept before it is handed over: a crash in between reports it rather than runs it twice.
        self._decision.once_kept.append(Run(live.record, live.params))

    # -- what bodies report ----------------------------------------------------------------------

    def _of_this_attempt(self, task_id: str, attempt: int) -> _Live | None:
        """The running task that a report is about; None for a late one, which changes nothing."""
        live = self._live.get(task_id)
        if live is None or live.record.attempt != attempt:
            return None
        return live if live.record.status is TaskStatus.RUNNING else None

    def _progress(self, report: ProgressReport) -> None:
        live = self._of_this_attempt(report.task_id, report.attempt)
        if live is not None:
            self._change(live, **_progress_fields(live.record, report))

    def _outcome(self, outcome: Outcome) -> None:
        live = self._of_this_attempt(outcome.task_id, outcome.attempt)
        if live is None:
            return
        fields: dict[str, Any] = {}
        if outcome.progress is not None:  # the last report is never lost
            fields = _progress_fields(live.record, outcome.progress)
        match outcome:
            case Succeeded():
                self._succeed(live, outcome, fields)
            case Failed():
                fields.update(error=outcome.error, traceback=outcome.traceback)
                fields.update(message=f"Failed: {outcome.error}")
                self._finish(live, LifeEvent.FAIL, fields)
            case Stopped():
                self._stopped(live, outcome, fields)
            case _:
                assert_never(outcome)

    def _succeed(self, live: _Live, outcome: Succeeded, fields: dict[str, Any]) -> None:
        if live.overdue and live.told == "cancel":
            # Whoever cancelled was answered that it becomes cancelled when it stops.
            self._finish(live, LifeEvent.STOP, {**fields, "message": "Task cancelled"})
            return
        message = fields.get("message", live.record.message)
        fields["message"] = "Completed" if message in ("", "Running", _STOPPING) else message
        fields.update(progress_percent=100, result_size=memoryview(outcome.result).nbytes)
        follow = self._follow_up(live.record)
        if follow is not None:
            fields["next_id"] = follow.task_id
        self._finish(live, LifeEvent.SUCCEED, fields, result=outcome.result)
        if follow is not None:
            if follow.task_type in self._registry:
                self._admit(follow, previous_id=live.record.id)
            else:
                self._admit_unrunnable(follow, previous_id=live.record.id)

    def _stopped(self, live: _Live, outcome: Stopped, fields: dict[str, Any]) -> None:
        declared = self._registry.find(live.record.type)
        if live.record.cancel_requested_at is None and declared.on_restart == "resume":
            live.told, live.overdue = None, False
            self._move(live, LifeEvent.REQUEUE, message="Pending: interrupted by shutdown")
            self._queues.leave(live.record.type)
            self._queues.add(live.record.type, live.record.id)
            return
        asked = live.record.cancel_requested_at is not None
        message = "Task cancelled" if asked else "Task cancelled by shutdown"
        if outcome.trouble is not None:
            message = f"{message} (while stopping: {outcome.trouble})"
        self._finish(live, LifeEvent.STOP, {**fields, "message": message})

    def _follow_up(self, record: TaskRecord) -> Submission | None:
        if not record.then:
            return None
        step, *rest = record.then
        return Submission(
            self._new_task_id(), step.task_type, step.params, step.dedupe_key, tuple(rest)
        )

    def _admit_unrunnable(self, submission: Submission, previous_id: str) -> None:
        """A chain's step whose type is gone since it was stored: it fails where one can see it."""
        self._fail_unrunnable(self._admit(submission, previous_id))

    def _fail_unrunnable(self, live: _Live) -> None:
        error = f"no task type {live.record.type!r} is registered in this process"
        self._finish(live, LifeEvent.FAIL, {"error": error, "message": f"Failed: {error}"})

    # -- cancelling ------------------------------------------------------------------------------

    def _cancel(self, message: Cancel) -> None:
        live = self._live.get(message.task_id)
        record = live.record if live is not None else self._kept.get(message.task_id)
        if record is None:
            self._answer(message.reply, TaskNotFound(message.task_id), refused=True)
        elif record.status is TaskStatus.CANCELLED:
            self._answer(message.reply, record)
        elif record.final or live is None:
            error = TaskAlreadyFinal(record.id, record.status)
            self._answer(message.reply, error, refused=True)
        elif record.status is TaskStatus.PENDING:
            asked = {"cancel_requested_at": self._now, "message": "Task cancelled"}
            self._finish(live, LifeEvent.CANCEL, asked)
            self._answer(message.reply, live.record)
        else:
            self._cancel_running(live, message.reply)

    def _free_key(self, record: TaskRecord) -> None:
        key = None if record.dedupe_key is None else (record.type, record.dedupe_key)
        if key is not None and self._dedupe.get(key) == record.id:
            del self._dedupe[key]

    def _cancel_running(self, live: _Live, reply: Reply) -> None:
        if live.record.cancel_requested_at is None:
            self._free_key(live.record)  # what is asked for from now on is not done by this one
            # Kept too: a crash before the body stops must not bring back a cancelled task.
            self._change(live, cancel_requested_at=self._now, message=_STOPPING)
            self._tell(live, "cancel")
        if live.overdue:
            self._answer(reply, live.record)
        else:
            live.cancel_replies += (reply,)

    def _tell(self, live: _Live, why: StopReason) -> None:
        live.told = why
        self._decision.at_once.append(Stop(live.record.type, live.record.id, why))

    def _overdue(self, message: Overdue) -> None:
        live = self._of_this_attempt(message.task_id, message.attempt)
        if live is None:
            return
        live.overdue = True
        text = f"Told to stop, but still running after {message.grace:g} s"
        self._change(live, message=text)
        self._answer_cancels(live)

    def _answer_cancels(self, live: _Live) -> None:
        for reply in live.cancel_replies:
            if live.record.final and live.record.status is not TaskStatus.CANCELLED:
                error = TaskAlreadyFinal(live.record.id, live.record.status)
                self._answer(reply, error, refused=True)
            else:
                self._answer(reply, live.record)
        live.cancel_replies = ()

    # -- cleaning up, draining -------------------------------------------------------------------

    def _clean_up(self, message: CleanUp) -> None:
        dropped = 0
        for task_id in message.task_ids:
            record = self._kept.get(task_id)
            if record is None or not record.final or task_id in self._live:
                continue
            if task_id not in self._dropping:  # by another cleanup, in a commit under way
                self._dropping.add(task_id)
                self._decision.changes.append(Drop(task_id, self._next_seq()))
                dropped += 1
        self._answer(message.reply, dropped)

    def _drain(self, message: Drain) -> None:
        self._draining = True
        self._drain_replies.append(message.reply)

    def _halt(self) -> None:
        for live in self._live.values():
            if live.record.status is TaskStatus.RUNNING and live.record.cancel_requested_at is None:
                self._tell(live, "shutdown")

    # -- recovery --------------------------------------------------------------------------------

    def _recover_one(self, live: _Live) -> None:
        record = live.record
        if record.status is TaskStatus.RUNNING:
            self._queues.occupy(record.type)
        if record.status is TaskStatus.PENDING and record.type in self._registry:
            self._enqueue(live)
        elif record.status is TaskStatus.PENDING:
            self._fail_unrunnable(live)
        elif record.cancel_requested_at is not None:
            # The process is gone, and the body with it: what was asked for has happened.
            self._finish(live, LifeEvent.STOP, {"message": "Task cancelled"})
        elif (
            record.type in self._registry
            and self._registry.find(record.type).on_restart == "resume"
            and record.interruptions + 1 < MAX_INTERRUPTIONS
        ):
            interruptions = record.interruptions + 1
            text = "Pending: interrupted by server restart"
            self._move(live, LifeEvent.REQUEUE, message=text, interruptions=interruptions)
            self._queues.leave(record.type)
            self._enqueue(live)
        else:
            self._interrupt(live)

    def _interrupt(self, live: _Live) -> None:
        count = live.record.interruptions + 1
        error = "interrupted by server restart"
        if count >= MAX_INTERRUPTIONS:
            error = f"{error} {count} times: given up, it may be what brings the server down"
        fields = {"error": error, "message": f"Failed: {error}", "interruptions": count}
        self._finish(live, LifeEvent.INTERRUPT, fields)

    # -- the only places where state changes -----------------------------------------------------

    def _begin(self, now: datetime) -> None:
        self._now = now
        self._decision = Decision()

    def _end(self) -> Decision:
        if not self._draining:
            for task_id in self._queues.take_startable():
                self._start(self._live[task_id])
        elif self._queues.running_total == 0:
            for reply in self._drain_replies:
                self._answer(reply, None)
            self._drain_replies = []
        return self._decision

    def _finish(
        self,
        live: _Live,
        event: LifeEvent,
        fields: dict[str, Any],
        result: msgspec.Raw | None = None,
    ) -> None:
        """Make the task final: its place, its key and those who wait for its end are free."""
        record = live.record
        if record.status is TaskStatus.PENDING:
            self._queues.remove(record.type, record.id)
        else:
            self._queues.leave(record.type)
        self._free_key(record)
        self._move(live, event, result, completed_at=self._now, **fields)
        live.params = msgspec.Raw(b"")
        self._answer_cancels(live)

    def _move(
        self, live: _Live, event: LifeEvent, result: msgspec.Raw | None = None, **fields: Any
    ) -> None:
        self._change(live, result, status=advance(live.record.status, event), **fields)

    def _change(self, live: _Live, result: msgspec.Raw | None = None, **fields: Any) -> None:
        live.record = _replace(live.record, seq=self._next_seq(), updated_at=self._now, **fields)
        self._decision.changes.append(Put(live.record, result=result))

    def _next_seq(self) -> int:
        self._seq += 1
        return self._seq

    def _answer(self, reply: Reply, value: Any, *, refused: bool = False) -> None:
        self._decision.once_kept.append(Answer(reply, value, refused))


_STOPPING = "Cancel requested"


def _progress_fields(record: TaskRecord, report: ProgressReport) -> dict[str, Any]:
    """What a report changes. The percentage never falls, and is 100 only for a completed task."""
    fields: dict[str, Any] = {}
    percent = report.percent
    if report.current is not None:
        fields["progress_current"] = report.current
    if report.total is not None:
        fields["progress_total"] = report.total
    current, total = report.current, report.total or record.progress_total
    if percent is None and current is not None and total:
        percent = 100 * current / total
    if percent is not None:
        # Bounded before it is made whole: a tiny total makes it infinite.
        fields["progress_percent"] = int(max(record.progress_percent, min(99, percent)))
    if report.message is not None:
        fields["message"] = report.message
    return fields
