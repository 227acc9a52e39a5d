"""What an engine counts about itself since it was made: durations by task type, and its own pace.

Always on: a step of a task costs it a microsecond. Nothing here decides anything, and nothing is
kept: after a restart it counts from nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence

from .lifecycle import LifeEvent, TaskStatus
from .observing import Move
from .records import TaskRecord

# Looked up once: each step of each task comes by here.
_START, _RUNNING = LifeEvent.START, TaskStatus.RUNNING

# Upper bounds, three a decade: a percentile that is read from them is right within its step.
DURATIONS = tuple(
    float(f"{step}e{power}") for power in range(-3, 5) for step in (1, 2, 5)
)  # 1 ms to 50,000 s
MOMENTS = tuple(float(f"{step}e{power}") for power in range(-4, 1) for step in (1, 2, 5))
SIZES = tuple(2.0**power for power in range(13))  # 1 to 4,096


class Histogram:
    """How many values fell under which bound, and their sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)  # the last is of those beyond all bounds
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count a value; one below 0, from a clock that was set back, counts as 0."""
        if value < 0.0:  # noqa: PLR1730  calling `max` would cost more than all the rest
            value = 0.0
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self.counts)

    def percentile(self, share: float) -> float | None:
        """The value that this share of all are at or below, about: taken as evenly spread between
        two bounds. None while there are no values.
        """
        count = self.count
        if count == 0:
            return None
        wanted, below = share * count, 0
        for number, inside in enumerate(self.counts):
            if inside and below + inside >= wanted:
                low = self.bounds[number - 1] if number else 0.0
                high = self.bounds[number] if number < len(self.bounds) else low
                return low + (high - low) * (wanted - below) / inside
            below += inside
        return self.bounds[-1]


class TypeStatistics:
    """What has been counted of one task type."""

    __slots__ = (
        "ended",
        "interruptions",
        "requeues",
        "retries",
        "run",
        "stop",
        "submitted",
        "wait",
    )

    def __init__(self) -> None:
        self.submitted = 0
        self.retries = 0
        self.requeues = 0  # by a drain or a restart, of types that resume
        self.interruptions = 0  # found at the start: the process before died amid an attempt
        self.ended: Counter[TaskStatus] = Counter()  # tasks, by the final status
        self.wait = Histogram(DURATIONS)  # from being ready (its time had come) to its start
        self.run = Histogram(DURATIONS)  # of each attempt
        self.stop = Histogram(DURATIONS)  # from a cancel of a running body to its end


class Statistics:
    """The observer that counts. Its numbers are to be read, not to be changed."""

    def __init__(self) -> None:
        self._by_type: dict[str, TypeStatistics] = {}
        self.commit = Histogram(MOMENTS)  # seconds that the backend took
        self.batch = Histogram(SIZES)  # changes that one commit kept
        self.lag = Histogram(MOMENTS)  # seconds by which the event loop was late
        self.newest_lag = 0.0

    @property
    def by_type(self) -> Mapping[str, TypeStatistics]:
        """All types of which anything was counted."""
        return self._by_type

    def of(self, task_type: str) -> TypeStatistics:
        """What has been counted of this type."""
        found = self._by_type.get(task_type)
        if found is None:
            found = self._by_type[task_type] = TypeStatistics()
        return found

    def committed(self, seconds: float, changes: int) -> None:
        """A commit took so long, and kept so many changes."""
        self.commit.add(seconds)
        self.batch.add(changes)

    def lagged(self, seconds: float) -> None:
        """A coroutine that was due went on so much later."""
        self.newest_lag = max(seconds, 0.0)
        self.lag.add(seconds)

    def moved(self, moves: Sequence[Move]) -> None:
        """See Observer."""
        for move in moves:
            event, before, after = move.event, move.before, move.after
            counted = self._by_type.get(after.type) or self.of(after.type)
            if event is None or before is None:
                counted.submitted += 1
            elif event is _START:
                counted.wait.add(before.seconds_waited(after))
            else:
                self._note_end(counted, event, before, after)

    def _note_end(
        self, counted: TypeStatistics, event: LifeEvent, before: TaskRecord, after: TaskRecord
    ) -> None:
        now = after.updated_at
        if after.completed_at is not None:
            counted.ended[after.status] += 1
        if before.status is not _RUNNING:
            return
        if before.started_at is not None:
            counted.run.add((now - before.started_at).total_seconds())
        if before.cancel_requested_at is not None:
            counted.stop.add((now - before.cancel_requested_at).total_seconds())
        if event is LifeEvent.RETRY:
            counted.retries += 1
        elif event is LifeEvent.REQUEUE:
            counted.requeues += 1

    def recovered(self, moves: Sequence[Move]) -> None:
        """See Observer. How long those attempts ran is not known."""
        for move in moves:
            counted = self.of(move.after.type)
            if move.event is _START and move.before is not None:
                counted.wait.add(move.before.seconds_waited(move.after))
            if move.after.final:
                counted.ended[move.after.status] += 1
            if move.event is LifeEvent.REQUEUE:
                counted.requeues += 1
            if move.before is not None and move.after.interruptions > move.before.interruptions:
                counted.interruptions += 1
