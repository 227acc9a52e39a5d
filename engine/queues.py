"""Who waits and how many run, type by type: first come, first served, never more than allowed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from .registry import Registry


class TypeQueue:
    """The pending tasks of one type in their order, and the number of its places in use."""

    __slots__ = ("concurrency", "max_pending", "pending", "running")

    def __init__(self, concurrency: int, max_pending: int) -> None:
        self.concurrency = concurrency
        self.max_pending = max_pending
        self.pending: OrderedDict[str, None] = OrderedDict()
        self.running = 0

    def has_room_for(self, count: int) -> bool:
        """Whether so many more can be taken; those that can start at once need no room."""
        free = max(0, self.concurrency - self.running)
        return len(self.pending) + count <= self.max_pending + free

    def take_startable(self) -> Iterator[str]:
        """Occupy places for the tasks that come first, as long as both last."""
        while self.pending and self.running < self.concurrency:
            task_id, _ = self.pending.popitem(last=False)
            self.running += 1
            yield task_id


class Queues:
    """The queues of all types. A type that is not registered has one with no places."""

    def __init__(self, registry: Registry) -> None:
        self._by_type = {
            declared.name: TypeQueue(declared.concurrency, declared.max_pending)
            for declared in registry
        }
        self._touched: dict[str, TypeQueue] = {}  # may have both a free place and a task for it
        self.running_total = 0

    def of(self, task_type: str) -> TypeQueue:
        """Give the queue of a type."""
        queue = self._by_type.get(task_type)
        if queue is None:
            queue = self._by_type[task_type] = TypeQueue(concurrency=0, max_pending=0)
        return queue

    def add(self, task_type: str, task_id: str) -> None:
        """Put a task at the end of its queue."""
        queue = self._touched[task_type] = self.of(task_type)
        queue.pending[task_id] = None

    def remove(self, task_type: str, task_id: str) -> None:
        """Take a pending task out of its queue; it may not be there."""
        self.of(task_type).pending.pop(task_id, None)

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
