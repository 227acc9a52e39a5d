"""What the supervisor decides: messages in, a Decision out. No clock, no channel, no waiting.

The scheduler knows every task that is not final, and those that are final but not yet kept. The
supervisor hands it messages in the order in which they came; the journal writer carries the
decisions out in the same order, so whatever is answered rests on what is already kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import assert_never

from .admission import Admission
from .errors import (
    AttemptOver,
    EngineNotRunning,
    IdempotencyConflict,
    StorageFull,
    TaskAlreadyFinal,
    TaskNotFound,
)
from .lifecycle import LifeEvent, TaskStatus
from .live_tasks import Decision, LiveTask, LiveTasks
from .messages import (
    Cancel,
    CleanUp,
    Drain,
    Due,
    Failed,
    Halt,
    Heard,
    Outcome,
    Overdue,
    Progressed,
    ProgressReport,
    Recall,
    Reply,
    Revive,
    Save,
    SetPaused,
    Stopped,
    StopReason,
    Submission,
    Submit,
    Succeeded,
)
from .outcomes import STOPPING, Outcomes
from .progress import joined_reports, progress_fields
from .queues import Queues
from .records import TaskRecord
from .recovery import recover
from .registry import Registry
from .reviving import no_revival
from .settings import Limits
from .storage import Change, Drop, Put, Recovered

_SHUTTING_DOWN = "the engine is shutting down and takes no more tasks"


class Scheduler:
    """Every decision about the tasks that are not over."""

    def __init__(
        self,
        registry: Registry,
        kept: Mapping[str, TaskRecord],
        new_task_id: Callable[[], str],
        jitter: Callable[[str, int], float],
        limits: Limits | None = None,
    ) -> None:
        self._registry = registry
        self._kept = kept  # what has been committed; only read here
        self._tasks = LiveTasks(registry, (limits or Limits()).max_error_chars)
        self._outcomes = Outcomes(self._tasks, registry, new_task_id, jitter)
        self._dropping: set[str] = set()  # to be dropped, and not yet gone from what is kept
        self._admission = Admission(self._tasks, kept)
        self._draining = False
        self._drain_replies: list[Reply] = []
        # While it is set, nothing is begun: no task is taken or started, no checkpoint is kept,
        # and progress waits. What ends is written down, with the room that is kept back for that.
        self.no_room: StorageFull | None = None

    # -- the three calls -------------------------------------------------------------------------

    def recover(self, recovered: Recovered, now: datetime) -> Decision:
        """Give every task an owner again after a restart: final, or pending in this process."""
        self._tasks.begin(now)
        self._tasks.pause(recovered.paused)
        recover(self._tasks, recovered, self._registry)
        for record in recovered.records:
            self._admission.requests.note(record)
        return self._end()

    def hear(self, messages: Iterable[Heard], now: datetime) -> Decision:  # noqa: C901, PLR0912  a case a message
        """Decide what follows from the messages, in their order."""
        self._begin(now)
        for message in messages:
            match message:
                case Submit():
                    self._submit(message)
                case Recall():
                    self._recall(message)
                case Succeeded() | Failed() | Stopped():
                    self._outcome(message)
                case Progressed():
                    for report in message.reports:
                        self._progress(report)
                case Save():
                    self._save(message)
                case Cancel():
                    self._cancel(message)
                case Overdue():
                    self._overdue(message)
                case Revive():
                    self._revive(message)
                case SetPaused():
                    self._set_paused(message)
                case CleanUp():
                    self._clean_up(message)
                case Drain():
                    self._drain(message)
                case Halt():
                    self._halt()
                case Due():
                    pass  # any decision begins with those whose time has come
                case _:
                    assert_never(message)
        return self._end()

    def needs_room(self, message: Submit | Revive | SetPaused | Save) -> bool:
        """Whether it asks for something to be kept that is not kept yet."""
        return not isinstance(message, Submit) or any(
            map(self._admission.is_new, message.submissions)
        )

    def roll_back(self, refused: Sequence[Decision], seq: int) -> None:
        """Be again as before these decisions, the newest ones: none of them has been kept, and
        `seq` is the number of the newest change that has.
        """
        for decision in reversed(refused):
            self._tasks.undo(decision)
        self._undo_requests([change for decision in refused for change in decision.changes])
        before = refused[0].drain_replies
        self._draining, self._drain_replies = before is not None, list(before or ())
        self._tasks.seq = seq
        self._tasks.line_up()

    def regain(self, now: datetime) -> Decision:
        """There is room again: say what could not be said, and start what waits."""
        self.no_room = None
        self._begin(now)
        for live in self._tasks.by_id.values():
            if live.unsaid is not None and live.record.status is TaskStatus.RUNNING:
                fields = progress_fields(live.record, live.unsaid)
                self._tasks.change(live, fields)
                live.unsaid = None
        return self._end()

    def _begin(self, now: datetime) -> None:
        self._tasks.begin(now)
        if self._draining:
            self._tasks.decision.drain_replies = tuple(self._drain_replies)

    def _undo_requests(self, changes: Sequence[Change]) -> None:
        """Know the keys again that are kept, of the tasks that these changes were about."""
        tasks: set[str] = set()
        for change in changes:
            if isinstance(change, Drop):
                self._dropping.discard(change.task_id)
                tasks.add(change.task_id)
            elif isinstance(change, Put):
                self._admission.requests.forget(change.record)
                tasks.add(change.record.id)
        for task_id in tasks & self._kept.keys():
            self._admission.requests.note(self._kept[task_id])

    def settle(self, changes: Sequence[Change]) -> None:
        """Let go of tasks that are final, now that these changes are kept."""
        for change in changes:
            if isinstance(change, Drop):
                self._dropping.discard(change.task_id)
            elif isinstance(change, Put) and change.record.final:
                self._tasks.by_id.pop(change.record.id, None)  # not revived yet: see _revive

    def abandon(self) -> list[Reply]:
        """Give up (nothing can be kept any more): everyone who still waits for an answer."""
        owed = self._drain_replies
        for live in self._tasks.by_id.values():
            owed += live.cancel_replies
            live.cancel_replies = ()
        self._drain_replies = []
        return owed

    def told_to_stop(self, task_id: str) -> StopReason | None:
        """Why the body of this task is to stop; a stop may be decided before its run is kept."""
        live = self._tasks.by_id.get(task_id)
        return None if live is None else live.told

    @property
    def next_due(self) -> datetime | None:
        """When it wants to hear something, at the latest: the next task's time has come then."""
        return self._tasks.queues.next_due

    @property
    def queues(self) -> Queues:
        """Who waits and how many run, as far as has been decided; only to be read."""
        return self._tasks.queues

    @property
    def running_total(self) -> int:
        """How many bodies run, as far as has been decided."""
        return self._tasks.queues.running_total

    # -- submissions -----------------------------------------------------------------------------

    def _submit(self, message: Submit) -> None:
        refusal = self._refusal(message.submissions)
        if refusal is not None:
            self._tasks.answer(message.reply, refusal, refused=True)
        else:
            self._tasks.answer(message.reply, self._admission.take(message.submissions))

    def _refusal(self, submissions: tuple[Submission, ...]) -> Exception | None:
        if self._draining:
            return EngineNotRunning(_SHUTTING_DOWN)
        return self._admission.refusal(submissions)

    def _recall(self, message: Recall) -> None:
        try:
            record = self._admission.of_same_request(message)
        except IdempotencyConflict as conflict:
            self._tasks.answer(message.reply, conflict, refused=True)
        else:
            self._tasks.answer(message.reply, record)

    # -- what bodies report ----------------------------------------------------------------------

    def _of_this_attempt(self, task_id: str, attempt: int) -> LiveTask | None:
        """The running task that a report is about; None for a late one, which changes nothing."""
        live = self._tasks.by_id.get(task_id)
        if live is None or live.record.attempt != attempt:
            return None
        return live if live.record.status is TaskStatus.RUNNING else None

    def _progress(self, report: ProgressReport) -> None:
        live = self._of_this_attempt(report.task_id, report.attempt)
        if live is None:
            return
        self._tasks.note(live)
        live.write(report.lines)
        if self.no_room is not None:
            live.unsaid = joined_reports(live.unsaid, report)
        else:
            self._tasks.change(live, progress_fields(live.record, report))

    def _save(self, message: Save) -> None:
        live = self._of_this_attempt(message.task_id, message.attempt)
        if live is None:
            error = AttemptOver(message.task_id, message.attempt)
            self._tasks.answer(message.reply, error, refused=True)
        else:
            self._tasks.save(live, message.checkpoint)
            self._tasks.answer(message.reply, None)

    def _outcome(self, outcome: Outcome) -> None:
        live = self._of_this_attempt(outcome.task_id, outcome.attempt)
        if live is not None:
            self._outcomes.take(live, outcome)

    # -- cancelling ------------------------------------------------------------------------------

    def _cancel(self, message: Cancel) -> None:
        live = self._tasks.by_id.get(message.task_id)
        record = live.record if live is not None else self._kept.get(message.task_id)
        if record is None:
            self._tasks.answer(message.reply, TaskNotFound(message.task_id), refused=True)
        elif record.status is TaskStatus.CANCELLED:
            self._tasks.answer(message.reply, record)
        elif record.final or live is None:
            error = TaskAlreadyFinal(record.id, record.status)
            self._tasks.answer(message.reply, error, refused=True)
        elif record.status is TaskStatus.PENDING:
            asked = {"cancel_requested_at": self._tasks.now, "message": "Task cancelled"}
            self._tasks.finish(live, LifeEvent.CANCEL, asked)
            self._tasks.answer(message.reply, live.record)
        else:
            self._cancel_running(live, message.reply)

    def _cancel_running(self, live: LiveTask, reply: Reply) -> None:
        if live.record.cancel_requested_at is None:
            self._tasks.note(live)
            # What is asked for from now on is not done by this one.
            self._tasks.free_key(live.record)
            # Kept too: a crash before the body stops must not bring back a cancelled task.
            asked = {"cancel_requested_at": self._tasks.now, "message": STOPPING}
            self._tasks.change(live, asked)
            self._tasks.tell(live, "cancel")
        if live.overdue:
            self._tasks.answer(reply, live.record)
        else:
            self._tasks.note(live)
            live.cancel_replies += (reply,)

    def _overdue(self, message: Overdue) -> None:
        live = self._of_this_attempt(message.task_id, message.attempt)
        if live is None:
            return
        self._tasks.note(live)
        live.overdue = True
        text = f"Told to stop, but still running after {message.grace:g} s"
        self._tasks.change(live, {"message": text})
        self._tasks.answer_cancels(live)

    def _revive(self, message: Revive) -> None:
        record = self._kept.get(message.task_id)
        refusal: Exception | None
        if self._draining:
            refusal = EngineNotRunning(_SHUTTING_DOWN)
        elif record is None or record.id in self._dropping:
            refusal = TaskNotFound(message.task_id)
        else:
            refusal = no_revival(record, self._tasks, self._registry)
            if refusal is None:
                live = self._tasks.revive(record, message.params, message.log)
                self._tasks.answer(message.reply, live.record)
                return
        self._tasks.answer(message.reply, refusal, refused=True)

    def _set_paused(self, message: SetPaused) -> None:
        if (message.task_type in self._tasks.paused) is not message.paused:
            self._tasks.set_paused(message.task_type, paused=message.paused)
        self._tasks.answer(message.reply, None)

    # -- cleaning up, draining -------------------------------------------------------------------

    def _clean_up(self, message: CleanUp) -> None:
        dropped = 0
        for task_id in message.task_ids:
            record = self._kept.get(task_id)
            if record is None or not record.final or task_id in self._tasks.by_id:
                continue
            if task_id not in self._dropping:  # by another cleanup, in a commit under way
                self._dropping.add(task_id)
                self._tasks.drop(task_id)
                self._admission.requests.forget(record)
                dropped += 1
        self._tasks.answer(message.reply, dropped)

    def _drain(self, message: Drain) -> None:
        self._draining = True
        self._drain_replies.append(message.reply)

    def _halt(self) -> None:
        for live in self._tasks.by_id.values():
            if live.record.status is TaskStatus.RUNNING and live.record.cancel_requested_at is None:
                self._tasks.tell(live, "shutdown")

    # -- the end of a decision --------------------------------------------------------------------

    def _end(self) -> Decision:
        if not self._draining:
            if self.no_room is None:
                self._tasks.start_all_startable()
        elif self._tasks.queues.running_total == 0:
            for reply in self._drain_replies:
                self._tasks.answer(reply, None)
            self._drain_replies = []
        return self._tasks.decision
