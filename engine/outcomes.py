"""What becomes of a task once its body has ended: its end, a retry, the next of its chain."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from .failures import plain_text, with_more
from .lifecycle import LifeEvent
from .live_tasks import Fields, LiveTask, LiveTasks
from .messages import Failed, Outcome, Stopped, Submission, Succeeded
from .progress import joined_reports, progress_fields
from .records import TaskRecord
from .registry import Registry
from .retrying import RetryPolicy

STOPPING = "Cancel requested"

_MAX_MESSAGE_CHARS = 1_000
_SAYS_NOTHING = frozenset({"", "Running", STOPPING})  # messages that no body gave


class Outcomes:
    """Decides about ends of bodies, for the scheduler."""

    def __init__(
        self,
        tasks: LiveTasks,
        registry: Registry,
        new_task_id: Callable[[], str],
        jitter: Callable[[str, int], float],
    ) -> None:
        self._tasks = tasks
        self._registry = registry
        self._new_task_id = new_task_id
        self._jitter = jitter  # 0 to 1, for the wait after this attempt of this task

    def take(self, live: LiveTask, outcome: Outcome) -> None:
        """Decide what follows from the end of this task's running attempt."""
        fields: Fields = {}
        if outcome.progress is not None:
            self._tasks.note(live)
            live.write(outcome.progress.lines)
        report = joined_reports(live.unsaid, outcome.progress)
        if report is not None:  # the last report is never lost
            fields = progress_fields(live.record, report)
        match outcome:
            case Succeeded():
                self._succeed(live, outcome, fields)
            case Failed():
                self._failed(live, outcome, fields)
            case Stopped():
                self._stopped(live, outcome, fields)
            case _:
                assert_never(outcome)

    def _succeed(self, live: LiveTask, outcome: Succeeded, fields: Fields) -> None:
        if live.overdue and live.told == "cancel":
            # Whoever cancelled was answered that it becomes cancelled when it stops.
            self._tasks.finish(live, LifeEvent.STOP, {**fields, "message": "Task cancelled"})
            return
        message = fields.get("message", live.record.message)
        fields["message"] = "Completed" if message in _SAYS_NOTHING else message
        fields["progress_percent"] = 100
        fields["result_size"] = memoryview(outcome.result).nbytes
        follow = self._follow_up(live.record)
        if follow is not None:
            fields["next_id"] = follow.task_id
        self._tasks.finish(live, LifeEvent.SUCCEED, fields, result=outcome.result)
        if follow is not None:
            step = self._tasks.admit(follow, previous_id=live.record.id)
            if follow.task_type not in self._registry:
                self._tasks.fail_unrunnable(step)

    def _failed(self, live: LiveTask, outcome: Failed, fields: Fields) -> None:
        record, error = live.record, outcome.error
        policy = self._registry.find(record.type).retry_policy
        if outcome.retriable and record.retries < policy.retries:
            if record.cancel_requested_at is None:
                self._retry(live, outcome, policy, fields)
            else:
                # It would have gone on: so it is the cancel that ends it.
                fields["message"] = f"Task cancelled (while stopping: {error})"
                self._tasks.finish(live, LifeEvent.STOP, fields)
            return
        if record.retries:
            more = f" (after {record.attempt} attempts)"
            error = with_more(error, more, self._tasks.max_error_chars)
        fields.update(error=error, traceback=outcome.traceback, message=f"Failed: {error}")
        self._tasks.finish(live, LifeEvent.FAIL, fields)

    def _retry(self, live: LiveTask, outcome: Failed, policy: RetryPolicy, fields: Fields) -> None:
        retry, now = live.record.retries + 1, self._tasks.now
        wait = outcome.retry_after
        if wait is None:
            chance = self._jitter(live.record.id, live.record.attempt)
            wait = policy.backoff.wait_before(retry, chance)
        run_at = now + wait
        at = f"{run_at:%H:%M:%S}" if run_at.date() == now.date() else f"{run_at:%Y-%m-%d %H:%M:%S}"
        message = f"Retry {retry} of {policy.retries} at {at} UTC: {outcome.error}"
        fields.update(retries=retry, run_at=run_at, message=plain_text(message, _MAX_MESSAGE_CHARS))
        self._tasks.requeue(live, LifeEvent.RETRY, outcome.error, fields)

    def _stopped(self, live: LiveTask, outcome: Stopped, fields: Fields) -> None:
        declared = self._registry.find(live.record.type)
        if live.record.cancel_requested_at is None and declared.on_restart == "resume":
            why = "interrupted by shutdown"
            self._tasks.requeue(live, LifeEvent.REQUEUE, why, {"message": f"Pending: {why}"})
            return
        asked = live.record.cancel_requested_at is not None
        message = "Task cancelled" if asked else "Task cancelled by shutdown"
        if outcome.trouble is not None:
            message = f"{message} (while stopping: {outcome.trouble})"
        self._tasks.finish(live, LifeEvent.STOP, {**fields, "message": message})

    def _follow_up(self, record: TaskRecord) -> Submission | None:
        if not record.then:
            return None
        step, *rest = record.then
        return Submission(
            self._new_task_id(),
            step.task_type,
            step.params,
            step.dedupe_key,
            tuple(rest),
            step.delay,
            record.priority,
            trace=record.trace,
        )
