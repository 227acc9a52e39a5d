"""How tasks did of late: how long the newest waited and ran, how many ended in the last hour.

An observer (observing.py). It holds no more than the newest values of each type and one hour,
however long the engine runs. What is counted in all since the start is in statistics.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice

import msgspec

from .lifecycle import LifeEvent, TaskStatus
from .observing import Move
from .records import TaskRecord

VALUES_KEPT = 1_000  # of each type: how long its newest tasks ran, and how long they waited
BUCKET = timedelta(minutes=1)
BUCKETS = 60
_SEEDS = 50_000  # records that are looked at after a start, at most


class Percentiles(msgspec.Struct, frozen=True):
    """Of the newest values, in seconds; None while there is no value."""

    count: int  # how many values they rest on: at most VALUES_KEPT
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


class Bucket(msgspec.Struct, frozen=True):
    """What ended in one minute."""

    at: datetime  # when it begins
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    mean_run_seconds: float | None = None  # of those that completed or failed


class _Counts(msgspec.Struct, gc=False):
    """What ended in one minute, so far."""

    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    ran: int = 0
    ran_seconds: float = 0.0


class Recent:
    """Rolling figures, to be read; nothing in here waits or looks at a clock."""

    def __init__(self) -> None:
        self._ran: dict[str, deque[float]] = {}  # by type, the newest last
        self._waited: dict[str, deque[float]] = {}
        self._minutes: dict[int, _Counts] = {}  # by the minutes since 1970; of one hour
        self._begin = self._end = datetime.min.replace(tzinfo=UTC)  # of the minute counted last
        self._latest = _Counts()  # of that minute

    def seed(self, ended: Iterable[TaskRecord]) -> None:
        """Begin with what a backend holds: final records, the one that ended last first.

        How long they waited is not taken from them: see `wait_seconds`.
        """
        for record in reversed(list(islice(ended, _SEEDS))):
            self._ended(record)

    def moved(self, moves: Sequence[Move]) -> None:
        """See Observer."""
        for move in moves:
            if move.before is None:
                continue
            if move.event is LifeEvent.START:
                self._started(move.before, move.after)
            elif move.after.final:
                self._ended(move.after)

    def recovered(self, moves: Sequence[Move]) -> None:
        """See Observer."""
        self.moved(moves)

    def run_seconds(self, task_type: str) -> Percentiles:
        """How long the newest attempts of this type ran that completed or failed for good."""
        return _percentiles(self._ran.get(task_type))

    def wait_seconds(self, task_type: str) -> Percentiles:
        """How long the newest attempts of this type waited for a place, once their time had come.

        Since this engine was entered.
        """
        return _percentiles(self._waited.get(task_type))

    def last_hour(self, now: datetime) -> list[Bucket]:
        """What ended in each of the last 60 minutes, that of `now` last."""
        newest = _minute(now)
        return [self._bucket(minute) for minute in range(newest - BUCKETS + 1, newest + 1)]

    def _started(self, before: TaskRecord, after: TaskRecord) -> None:
        _add(self._waited, after.type, before.seconds_waited(after))

    def _ended(self, record: TaskRecord) -> None:
        ended, seconds = record.completed_at, record.seconds_ran
        assert ended is not None
        counts = self._latest if self._begin <= ended < self._end else self._counts(ended)
        match record.status:
            case TaskStatus.COMPLETED:
                counts.completed += 1
            case TaskStatus.FAILED:
                counts.failed += 1
            case _:
                counts.cancelled += 1
                return  # cut short: how long it ran says nothing about its type
        if seconds is not None:
            counts.ran += 1
            counts.ran_seconds += seconds
            _add(self._ran, record.type, seconds)

    def _counts(self, moment: datetime) -> _Counts:
        minute = _minute(moment)
        counts = self._minutes.get(minute)
        if counts is None:
            # Those of before an hour go, and those of a future that a clock set back took away.
            kept = range(minute - BUCKETS + 1, minute + 1)
            self._minutes = {one: some for one, some in self._minutes.items() if one in kept}
            counts = self._minutes[minute] = _Counts()
        self._begin, self._latest = _beginning(minute), counts
        self._end = self._begin + BUCKET
        return counts

    def _bucket(self, minute: int) -> Bucket:
        at = _beginning(minute)
        counts = self._minutes.get(minute)
        if counts is None:
            return Bucket(at)
        mean = counts.ran_seconds / counts.ran if counts.ran else None
        return Bucket(at, counts.completed, counts.failed, counts.cancelled, mean)


def _minute(moment: datetime) -> int:
    return int(moment.timestamp() // BUCKET.total_seconds())


def _beginning(minute: int) -> datetime:
    return datetime.fromtimestamp(minute * BUCKET.total_seconds(), UTC)


def _add(values: dict[str, deque[float]], task_type: str, value: float) -> None:
    newest = values.get(task_type)
    if newest is None:
        newest = values[task_type] = deque(maxlen=VALUES_KEPT)
    newest.append(value)


def _percentiles(values: deque[float] | None) -> Percentiles:
    """Each is a value that was met: the least that so many per cent do not exceed."""
    if not values:
        return Percentiles(0)
    ordered = sorted(values)

    def at(percent: int) -> float:
        return ordered[-(-len(ordered) * percent // 100) - 1]

    return Percentiles(len(ordered), at(50), at(95), at(99))
