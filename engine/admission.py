"""Which submissions are taken: all that were handed in together, or none of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .errors import IdempotencyConflict, QueueFull
from .live_tasks import LiveTask, LiveTasks
from .messages import Accepted, Recall, Submission
from .records import TaskRecord
from .requests import Requests


class Admission:
    """Decides about submissions, for the scheduler."""

    def __init__(self, tasks: LiveTasks, kept: Mapping[str, TaskRecord]) -> None:
        self.requests = Requests()
        self._tasks = tasks
        self._kept = kept  # what has been committed; only read here

    def refusal(self, submissions: Sequence[Submission]) -> Exception | None:
        """Give the error that says why these are not taken, or None."""
        wanted: dict[str, list[int]] = {}  # by type: how many are ready, and how many are not yet
        for submission in submissions:
            try:
                earlier = self.of_same_request(submission)
            except IdempotencyConflict as conflict:
                return conflict
            if earlier is not None:
                continue
            task_type = submission.task_type
            if self._tasks.holder(task_type, submission.dedupe_key) is None:
                counts = wanted.setdefault(task_type, [0, 0])
                counts[self._tasks.in_future(submission.run_at) is not None] += 1
        for task_type, (ready, early) in wanted.items():
            queue = self._tasks.queues.of(task_type)
            if not queue.has_room_for(ready, early):
                return QueueFull(task_type, queue.max_pending)
        return None

    def take(self, submissions: Sequence[Submission]) -> list[Accepted]:
        """Take what is not refused: give a task for each, a new one or one that is there."""
        accepted = []
        for submission in submissions:
            earlier = self.of_same_request(submission)
            if earlier is not None:
                accepted.append(Accepted(earlier, deduplicated=True))
                continue
            twin = self._tasks.holder(submission.task_type, submission.dedupe_key)
            live = twin or self._tasks.admit(submission)
            self._note_request(submission, live, new=twin is None)
            accepted.append(Accepted(live.record, twin is not None))
        return accepted

    def is_new(self, submission: Submission) -> bool:
        """Whether it asks for something to be kept that is not kept yet."""
        try:
            if self.of_same_request(submission) is not None:
                return False
        except IdempotencyConflict:
            return False
        twin = self._tasks.holder(submission.task_type, submission.dedupe_key)
        return twin is None or submission.idempotency_key is not None

    def of_same_request(self, request: Submission | Recall) -> TaskRecord | None:
        """The task that an earlier request with the key was given; raises IdempotencyConflict."""
        task_id = self.requests.task_of(request.idempotency_key, request.fingerprint)
        if task_id is None:
            return None
        live = self._tasks.by_id.get(task_id)
        return self._kept[task_id] if live is None else live.record

    def _note_request(self, submission: Submission, live: LiveTask, *, new: bool) -> None:
        """Remember by its key which task a request was given; it is kept with that task."""
        key, asked = submission.idempotency_key, submission.fingerprint
        if key is None or asked is None:
            return
        if new:
            self.requests.note(live.record)
        else:
            requests = self.requests.given_too(live.record, key, asked)
            self._tasks.change(live, {"requests": requests})
