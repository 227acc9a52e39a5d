"""Which tasks wait for a moment to come, the next one first."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from datetime import datetime
from operator import attrgetter
from typing import NamedTuple


class Entry(NamedTuple):
    """A task and its moment."""

    run_at: datetime
    number: int  # of its entering: the first to enter comes first where moments are the same
    task_id: str
    task_type: str
    priority: int


class Timetable:
    """Pending tasks that may not run yet. Adding and taking one out cost O(log n) comparisons."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []  # ascending; `number` decides before an id is compared
        self._by_id: dict[str, Entry] = {}
        self._next_number = 0

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._by_id

    @property
    def next_due(self) -> datetime | None:
        """When the first of them is due; None where nobody waits."""
        return self._entries[0].run_at if self._entries else None

    def add(self, task_id: str, task_type: str, priority: int, run_at: datetime) -> None:
        """Have the task wait for its moment."""
        entry = Entry(run_at, self._next_number, task_id, task_type, priority)
        self._next_number += 1
        self._by_id[task_id] = entry
        insort(self._entries, entry)

    def remove(self, task_id: str) -> None:
        """Let a task that waits go, before its moment."""
        entry = self._by_id.pop(task_id)
        del self._entries[bisect_left(self._entries, entry)]

    def take_due(self, now: datetime) -> Iterator[Entry]:
        """Let those go whose moment has come, in the order of their moments."""
        count = bisect_right(self._entries, now, key=attrgetter("run_at"))
        due = self._entries[:count]
        del self._entries[:count]
        for entry in due:
            del self._by_id[entry.task_id]
        return iter(due)
