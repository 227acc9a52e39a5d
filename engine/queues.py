"""Who waits and how many run, type by type: never more than allowed.

Tasks of a higher priority go first, and of one priority the one that has been ready for longest.
A task with a `run_at` is ready from then on; before, it takes no place and is in nobody's way.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterator
from datetime import datetime

from .registry import Registry
from .timetable import Timetable


class TypeQueue:
    """The pending tasks of one type in their order, and the number of its places in use."""

    __slots__ = (
        "_lines",
        "_priorities",
        "concurrency",
        "early",
        "max_pending",
        "paused",
        "ready",
        "running",
    )

    def __init__(self, concurrency: int, max_pending: int) -> None:
        self.concurrency = concurrency
        self.max_pending = max_pending
        self.paused = False  # nothing more is started
        self.running = 0
        self.ready = 0  # how many wait for a place alone
        self.early = 0  # how many wait for their time
        # A line for each priority, which ends with its last task; that of most tasks always stays.
        self._lines: dict[int, OrderedDict[str, None]] = {0: OrderedDict()}
        self._priorities = [0]  # those that have a line, ascending

    def __iter__(self) -> Iterator[str]:
        """Give those that are ready, first the one that will start first."""
        for priority in reversed(self._priorities):
            yield from self._lines[priority]

    def firsts(self) -> Iterator[str]:
        """Give of each priority the one that has been ready for longest."""
        return (next(iter(line)) for line in self._lines.values() if line)

    def has_room_for(self, ready: int, early: int) -> bool:
        """Whether so many more can be taken; those that can start at once need no room."""
        free = 0 if self.paused else max(0, self.concurrency - self.running)
        waiting = max(0, self.ready + ready - free)
        return self.early + early + waiting <= self.max_pending

    def add(self, task_id: str, priority: int) -> None:
        """Put a task that is ready behind the others of its priority."""
        line = self._lines.get(priority)
        if line is None:
            line = self._lines[priority] = OrderedDict()
            insort(self._priorities, priority)
        line[task_id] = None
        self.ready += 1

    def remove(self, task_id: str, priority: int) -> None:
        """Take out a task that is ready; it may not be there."""
        line = self._lines.get(priority)
        if line is not None and task_id in line:
            del line[task_id]
            self.ready -= 1
            if not line and priority != 0:
                self._end_line(priority)

    def take_startable(self) -> Iterator[str]:
        """Occupy places for the tasks that come first, as long as both last."""
        while self.ready and self.running < self.concurrency and not self.paused:
            priority = self._priorities[-1]
            line = self._lines[priority]
            if not line:  # that of most tasks, and only lower ones wait
                priority = self._priorities[-2]
                line = self._lines[priority]
            task_id, _ = line.popitem(last=False)
            if not line and priority != 0:
                self._end_line(priority)
            self.ready -= 1
            self.running += 1
            yield task_id

    def _end_line(self, priority: int) -> None:
        del self._lines[priority]
        del self._priorities[bisect_left(self._priorities, priority)]


class Queues:
    """The queues of all types. A type that is not registered has one with no places."""

    def __init__(self, registry: Registry) -> None:
        self._by_type = {
            declared.name: TypeQueue(declared.concurrency, declared.max_pending)
            for declared in registry
        }
        self._touched: dict[str, TypeQueue] = {}  # may have both a free place and a task for it
        self._timetable = Timetable()
        self.running_total = 0

    def of(self, task_type: str) -> TypeQueue:
        """Give the queue of a type."""
        queue = self._by_type.get(task_type)
        if queue is None:
            queue = self._by_type[task_type] = TypeQueue(concurrency=0, max_pending=0)
        return queue

    @property
    def next_due(self) -> datetime | None:
        """When the first task that waits for its time is ready."""
        return self._timetable.next_due

    def add(self, task_type: str, task_id: str, priority: int = 0) -> None:
        """Put a task that is ready at the end of its queue."""
        queue = self._touched[task_type] = self.of(task_type)
        queue.add(task_id, priority)

    def set_paused(self, task_type: str, *, paused: bool) -> None:
        """Start no more tasks of this type, or go on to start them."""
        queue = self._touched[task_type] = self.of(task_type)
        queue.paused = paused

    def add_early(self, task_type: str, task_id: str, priority: int, run_at: datetime) -> None:
        """Have a task wait for its time."""
        self.of(task_type).early += 1
        self._timetable.add(task_id, task_type, priority, run_at)

    def ripen(self, now: datetime) -> None:
        """Put those whose time has come at the end of their queues, in the order of their times."""
        due = self._timetable.next_due
        if due is None or due > now:
            return
        for entry in self._timetable.take_due(now):
            self.of(entry.task_type).early -= 1
            self.add(entry.task_type, entry.task_id, entry.priority)

    def remove(self, task_type: str, task_id: str, priority: int) -> None:
        """Take a pending task out, wherever it waits; it may not be there."""
        if task_id in self._timetable:
            self._timetable.remove(task_id)
            self.of(task_type).early -= 1
        else:
            self.of(task_type).remove(task_id, priority)

    def occupy(self, task_type: str) -> None:
        """Count a task that runs already (found so after a restart)."""
        self.of(task_type).running += 1
        self.running_total += 1

    def leave(self, task_type: str) -> None:
        """Free a place."""
        queue = self._touched[task_type] = self.of(task_type)
        queue.running -= 1
        self.running_total -= 1

    def take_startable(self) -> Iterator[str]:
        """Occupy every free place that a pending task can have; give those tasks' ids."""
        touched, self._touched = self._touched, {}
        for queue in touched.values():
            for task_id in queue.take_startable():
                self.running_total += 1
                yield task_id
