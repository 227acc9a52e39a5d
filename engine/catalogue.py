"""All committed records, and lists kept over them so that a page costs what it shows."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from operator import le

from .cursors import Cursor, write_cursor
from .lifecycle import TaskStatus
from .ordered import Ordered
from .records import TaskPage, TaskRecord

_Key = tuple[str | None, TaskStatus | None]  # None: any


class Catalogue:
    """Committed records by id, listed by type and status in the order of their submission.

    Only the ledger changes it. Cost: a change O(log n) comparisons, a page O(its length) for any
    filter and offset, however many records there are.
    """

    def __init__(self) -> None:
        self._records: dict[str, TaskRecord] = {}
        self._number: dict[str, int] = {}  # task id -> place in the order of submission
        self._at: dict[int, TaskRecord] = {}
        self._next = 0
        self._lists: dict[_Key, Ordered[int]] = {}  # places
        self._pairs: dict[_Key, tuple[Ordered[int], Ordered[int]]] = {}  # see `_pair`
        self._ended: Ordered[tuple[datetime, int]] = Ordered()  # final tasks by the time they ended
        self._newest: datetime | None = None
        self.by_age = True  # the order of submission is that of `created_at`: no clock was set back

    @property
    def records(self) -> Mapping[str, TaskRecord]:
        """Every record by its id; to read, not to change."""
        return self._records

    def load(self, records: Iterable[TaskRecord]) -> None:
        """Keep the records of another life in this new catalogue, in the order of submission.

        As if each were put; but each list is put in order once, whenever the tasks ended.
        """
        self._at = dict(enumerate(records))
        self._next = len(self._at)
        self._records = {record.id: record for record in self._at.values()}
        self._number = dict(zip(self._records, self._at, strict=True))
        created = [record.created_at for record in self._at.values()]
        self._newest = max(created, default=None)
        self.by_age = all(map(le, created, islice(created, 1, None)))
        places: defaultdict[tuple[str, TaskStatus], list[int]] = defaultdict(list)
        for number, record in self._at.items():
            places[record.type, record.status].append(number)
        ended = [
            (record.completed_at, number)
            for number, record in self._at.items()
            if record.completed_at is not None
        ]
        lists: defaultdict[_Key, list[int]] = defaultdict(list)
        for (task_type, status), numbers in places.items():
            for key in ((task_type, status), (task_type, None), (None, status), (None, None)):
                lists[key] += numbers
        self._lists = {key: Ordered(numbers) for key, numbers in lists.items()}
        self._ended = Ordered(ended)

    def put(self, record: TaskRecord) -> None:
        """Keep the record in place of the one with the same id."""
        earlier = self._records.get(record.id)
        self._records[record.id] = record
        if earlier is None:
            number = self._number[record.id] = self._next
            self._next += 1
            self._at[number] = record
            self._note_age(record)
            for listed in self._pair(record.type, None):
                listed.add(number)
        else:
            number = self._number[record.id]
            self._at[number] = record
            if earlier.status is record.status and earlier.completed_at == record.completed_at:
                return
            for listed in self._pair(earlier.type, earlier.status):
                listed.remove(number)
            self._forget_end(earlier, number)
        for listed in self._pair(record.type, record.status):
            listed.add(number)
        if record.completed_at is not None:
            self._ended.add((record.completed_at, number))

    def drop(self, task_id: str) -> None:
        """Forget the record; an unknown id does nothing."""
        record = self._records.pop(task_id, None)
        if record is None:
            return
        number = self._number.pop(task_id)
        del self._at[number]
        for status in (None, record.status):
            for listed in self._pair(record.type, status):
                listed.remove(number)
        self._forget_end(record, number)

    def page(
        self,
        *,
        status: TaskStatus | None = None,
        task_type: str | None = None,
        limit: int | None = None,
        offset: int = 0,
        cursor: Cursor | None = None,
    ) -> TaskPage:
        """Give the matching records, newest first, and how many match in all.

        cursor: only those that are older; the offset counts from there.
        """
        listed = self._lists.get((task_type, status))
        if listed is None:
            return TaskPage([], 0)
        if cursor is not None:
            offset += len(listed) - bisect_left(listed, self.place_after(cursor))
        shown = listed.newest(offset, limit)
        records = [self._at[number] for number in shown]
        more = records and offset + len(records) < len(listed)
        following = write_cursor(shown[-1], records[-1]) if more else None
        return TaskPage(records, len(listed), following, min(offset, len(listed)))

    def count(self, *, status: TaskStatus | None = None, task_type: str | None = None) -> int:
        """How many records match."""
        return len(self._lists.get((task_type, status), ()))

    def count_by_type_and_status(self) -> Mapping[tuple[str, TaskStatus], int]:
        """How many records there are of each type in each status."""
        return Counter(
            {
                (task_type, status): len(listed)
                for (task_type, status), listed in self._lists.items()
                if task_type is not None and status is not None
            }
        )

    def places(
        self, *, status: TaskStatus | None = None, task_type: str | None = None
    ) -> Sequence[int]:
        """Give the places of the matching records in the order of submission, ascending.

        To read, at once: it changes with the next change.
        """
        return self._lists.get((task_type, status), ())

    def at(self, place: int) -> TaskRecord | None:
        """Give the record at this place; None where it has been dropped."""
        return self._at.get(place)

    def place_of(self, task_id: str) -> int | None:
        """Give the place of this task; None for one that is not there."""
        return self._number.get(task_id)

    def place_after(self, cursor: Cursor) -> int:
        """Give the place before which everything is that was submitted before the cursor's task.

        Exact, also for a task that has gone. Only of one that went before a restart nothing is
        known but the time of its submission: of those of the very same time some may be taken for
        older, and where a clock had been set back, newer ones as well.
        """
        place = self._number.get(cursor.task_id)
        if place is not None:
            return place
        if not self.by_age:
            return cursor.place  # a restart only ever moves tasks to lower places
        everything = self.places()
        first = bisect_left(everything, cursor.created_at, key=self._created_at)
        after = bisect_right(everything, cursor.created_at, key=self._created_at)
        lowest = everything[first] if first < len(everything) else self._next
        highest = everything[after] if after < len(everything) else self._next
        return min(max(cursor.place, lowest), highest)

    def ended(self) -> Iterator[TaskRecord]:
        """Final records, the one that ended longest ago first. Do not change anything meanwhile."""
        for _, number in self._ended:
            yield self._at[number]

    def ended_last(self) -> Iterator[TaskRecord]:
        """Final records, the one that ended last first. Do not change anything meanwhile."""
        for _, number in reversed(self._ended):
            yield self._at[number]

    @property
    def ended_count(self) -> int:
        """How many records are final."""
        return len(self._ended)

    def _created_at(self, place: int) -> datetime:
        return self._at[place].created_at

    def _note_age(self, record: TaskRecord) -> None:
        if self._newest is not None and record.created_at < self._newest:
            self.by_age = False
        else:
            self._newest = record.created_at

    def _forget_end(self, record: TaskRecord, number: int) -> None:
        if record.completed_at is not None:
            self._ended.remove((record.completed_at, number))

    def _pair(self, task_type: str, status: TaskStatus | None) -> tuple[Ordered[int], Ordered[int]]:
        """Give the two lists that such a task is in: among those of any type, and of its own."""
        pair = self._pairs.get((task_type, status))
        if pair is None:
            of_any = self._lists.setdefault((None, status), Ordered())
            of_its_own = self._lists.setdefault((task_type, status), Ordered())
            pair = self._pairs[task_type, status] = (of_any, of_its_own)
        return pair
