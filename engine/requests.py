"""Which task a request was given, by its idempotency key: pure, the scheduler's own."""

from __future__ import annotations

from collections.abc import Sequence

from .errors import IdempotencyConflict
from .records import MAX_REQUESTS_KEPT, RequestRecord, TaskRecord


class Requests:
    """The keys of all requests whose task is kept, decided or committed."""

    def __init__(self) -> None:
        self._given: dict[str, tuple[str, str]] = {}  # key -> the task's id, what was asked for

    def note(self, record: TaskRecord) -> None:
        """Know all keys of a task."""
        for request in _all_of(record):
            self._given[request.idempotency_key] = record.id, request.fingerprint

    def forget(self, record: TaskRecord) -> None:
        """Let others have all keys of a task."""
        for request in _all_of(record):
            self._forget(request, record.id)

    def task_of(self, key: str | None, fingerprint: str | None) -> str | None:
        """Give the id of the task that a request with this key was given; None if it is new.

        Raises IdempotencyConflict if that request asked for something else.
        """
        if key is None or key not in self._given:
            return None
        task_id, asked = self._given[key]
        if asked != fingerprint:
            raise IdempotencyConflict(task_id)
        return task_id

    def given_too(
        self, record: TaskRecord, key: str, fingerprint: str
    ) -> tuple[RequestRecord, ...]:
        """Give the task's requests with this one; beyond MAX_REQUESTS_KEPT, forgets the first."""
        requests = (*record.requests, RequestRecord(key, fingerprint))
        for request in requests[:-MAX_REQUESTS_KEPT]:
            self._forget(request, record.id)
        self._given[key] = record.id, fingerprint
        return requests[-MAX_REQUESTS_KEPT:]

    def _forget(self, request: RequestRecord, task_id: str) -> None:
        if self._given.get(request.idempotency_key, ("", ""))[0] == task_id:
            del self._given[request.idempotency_key]


def _all_of(record: TaskRecord) -> Sequence[RequestRecord]:
    if record.idempotency_key is not None and record.fingerprint is not None:
        return (RequestRecord(record.idempotency_key, record.fingerprint), *record.requests)
    return record.requests
