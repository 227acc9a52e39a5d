"""Finds what a search asks for in the catalogue, and looks at no more records than it must.

Types, statuses, ids and, unless a clock was set back, ages are found in lists that are kept: such
a page costs about what it shows, however many records there are. Free text is looked for in every
record that fits all else, some at a time, so that others have their turn.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime
from heapq import merge
from itertools import chain, islice

import msgspec

from .catalogue import Catalogue
from .cursors import Cursor, write_cursor
from .records import TaskPage, TaskRecord
from .search import Search

_AT_A_TIME = 500  # records that are looked at before others have their turn
_LONG_PAGE = 5_000


class _Part(msgspec.Struct, gc=False):
    """A part of a list of places."""

    places: Sequence[int]
    start: int
    end: int


class Finding:
    """One search under way: `steps` until they end, then `page`.

    A task that changes meanwhile is taken as it is when it is looked at.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        search: Search,
        *,
        limit: int | None,
        offset: int,
        cursor: Cursor | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._search = search
        self._offset = offset
        self._end = None if limit is None else offset + limit
        self._before = None if cursor is None else catalogue.place_after(cursor)
        self._long = limit is None or limit > _LONG_PAGE
        self.page = TaskPage([], 0)

    def steps(self) -> Iterator[None]:
        """Find them; after each step others may have their turn."""
        parts = _parts(self._catalogue, self._search)
        aged = self._search.created_from is not None or self._search.created_until is not None
        if self._long or self._search.words or (aged and not self._catalogue.by_age):
            return self._look_at(_all_newest_first(parts))
        self.page = self._cut(parts)
        return iter(())

    def _cut(self, parts: list[_Part]) -> TaskPage:
        assert self._end is not None
        total = sum(part.end - part.start for part in parts)
        older = parts if self._before is None else _older(parts, self._before)
        newer = total - sum(part.end - part.start for part in older) + self._offset
        places = _newest_first(older, self._offset)
        shown = list(islice(places, self._end - self._offset))
        more = next(places, None) is not None
        found = (self._catalogue.at(place) for place in shown)
        records = [record for record in found if record is not None]
        return self._page(records, total, newer, shown[-1] if shown and more else None)

    def _page(
        self, records: list[TaskRecord], total: int, newer: int, left_at: int | None
    ) -> TaskPage:
        """left_at: the place of the last record, where there are more."""
        following = None if left_at is None else write_cursor(left_at, records[-1])
        return TaskPage(records, total, following, min(newer, total))

    def _look_at(self, places: Sequence[int]) -> Iterator[None]:
        found: list[TaskRecord] = []
        total = older = last = 0
        for start in range(0, len(places), _AT_A_TIME):
            for place in places[start : start + _AT_A_TIME]:
                record = self._catalogue.at(place)
                if record is not None and self._search.matches(record):
                    total += 1
                    if self._before is not None and place >= self._before:
                        continue
                    if older >= self._offset and (self._end is None or older < self._end):
                        found.append(record)
                        last = place
                    older += 1
            yield
        more = found and self._end is not None and older > self._end
        self.page = self._page(found, total, total - older + self._offset, last if more else None)


def _parts(catalogue: Catalogue, search: Search) -> list[_Part]:
    """Give the parts of kept lists in which all is that fits, but for words; they are disjoint."""
    if search.ids is not None:
        places = sorted(
            place
            for task_id in set(search.ids)
            if (place := catalogue.place_of(task_id)) is not None
            and (record := catalogue.at(place)) is not None
            and msgspec.structs.replace(search, words=()).matches(record)
        )
        return [_Part(places, 0, len(places))]
    first, last = _bounds(catalogue, search)
    parts = []
    for task_type in (None,) if search.types is None else dict.fromkeys(search.types):
        for status in (None,) if search.statuses is None else dict.fromkeys(search.statuses):
            places_of = catalogue.places(status=status, task_type=task_type)
            start = 0 if first is None else bisect_left(places_of, first)
            end = len(places_of) if last is None else bisect_left(places_of, last)
            if start < end:
                parts.append(_Part(places_of, start, end))
    return parts


def _bounds(catalogue: Catalogue, search: Search) -> tuple[int | None, int | None]:
    """Give the place of the first that is young enough, and of the first that is not old enough."""
    if not catalogue.by_age:
        return None, None
    everything = catalogue.places()

    def age(place: int) -> datetime:
        record = catalogue.at(place)
        assert record is not None
        return record.created_at

    first = last = None
    if search.created_from is not None:
        at = bisect_left(everything, search.created_from, key=age)
        first = everything[at] if at < len(everything) else None
        if first is None:
            return 0, 0
    if search.created_until is not None:
        at = bisect_right(everything, search.created_until, key=age)
        last = everything[at] if at < len(everything) else None
    return first, last


def _older(parts: list[_Part], before: int) -> list[_Part]:
    """Give what there is in these parts before a place."""
    ends = [bisect_left(part.places, before, part.start, part.end) for part in parts]
    return [
        _Part(part.places, part.start, end)
        for part, end in zip(parts, ends, strict=True)
        if part.start < end
    ]


def _all_newest_first(parts: list[_Part]) -> list[int]:
    pieces = [part.places[part.start : part.end] for part in parts]
    if len(pieces) == 1:
        return list(reversed(pieces[0]))
    return sorted(chain.from_iterable(pieces), reverse=True)


def _newest_first(parts: list[_Part], offset: int) -> Iterator[int]:
    """Give the places from the `offset`-th newest on, without a look at those before it."""
    if len(parts) > 1 and offset:
        newest = _place_at(parts, offset)
        if newest is None:
            return iter(())
        for part in parts:
            part.end = bisect_right(part.places, newest, part.start, part.end)
        offset = 0
    return merge(
        *(_backwards(part, part.end - offset) for part in parts),
        reverse=True,
    )


def _backwards(part: _Part, end: int) -> Iterator[int]:
    return (part.places[at] for at in range(end - 1, part.start - 1, -1))


def _place_at(parts: list[_Part], offset: int) -> int | None:
    """Give the place of the `offset`-th newest over all parts."""
    low = min(part.places[part.start] for part in parts)
    high = max(part.places[part.end - 1] for part in parts)
    if sum(part.end - part.start for part in parts) <= offset:
        return None
    while low < high:  # the highest place with more than `offset` at or after it
        middle = (low + high + 1) // 2
        after = sum(
            part.end - bisect_left(part.places, middle, part.start, part.end) for part in parts
        )
        if after > offset:
            low = middle
        else:
            high = middle - 1
    return low
