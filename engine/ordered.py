"""A list in ascending order that is cheap to change at its ends, however long it is."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TypeVar, overload

T = TypeVar("T", int, tuple[datetime, int])


class Ordered(Sequence[T]):
    """Items in ascending order, no two the same.

    What comes in order, as most does, goes to the end at once. What leaves moves the shorter side
    alone: a cleanup takes what is near the beginning, and a million items stay where they are.
    """

    def __init__(self, items: Iterable[T] = ()) -> None:
        self._items: list[T] = sorted(items)
        self._begin = 0  # what stands before this has left

    def __len__(self) -> int:
        return len(self._items) - self._begin

    @overload
    def __getitem__(self, at: int) -> T: ...
    @overload
    def __getitem__(self, at: slice) -> list[T]: ...
    def __getitem__(self, at: int | slice) -> T | list[T]:
        if isinstance(at, slice):
            start, stop, step = at.indices(len(self))
            if step != 1:
                return [self[one] for one in range(start, stop, step)]
            return self._items[self._begin + start : self._begin + max(start, stop)]
        if not -len(self) <= at < len(self):
            raise IndexError(at)
        return self._items[at + self._begin if at >= 0 else at]

    def __iter__(self) -> Iterator[T]:
        """Give each, ascending. Do not change anything meanwhile."""
        return (self._items[at] for at in range(self._begin, len(self._items)))

    def __reversed__(self) -> Iterator[T]:
        """Give each, descending. Do not change anything meanwhile."""
        return (self._items[at] for at in range(len(self._items) - 1, self._begin - 1, -1))

    def add(self, item: T) -> None:
        """Put it where it belongs."""
        if len(self) == 0 or self._items[-1] <= item:
            self._items.append(item)
        else:
            insort(self._items, item, lo=self._begin)

    def remove(self, item: T) -> None:
        """Take out this item, which is there."""
        items, begin = self._items, self._begin
        at = bisect_left(items, item, lo=begin)
        if at - begin > len(items) - at:
            del items[at]
            return
        items[begin + 1 : at + 1] = items[begin:at]
        self._begin += 1
        if 2 * self._begin > len(items):  # so each item is moved for that once or twice in all
            del items[: self._begin]
            self._begin = 0

    def newest(self, offset: int, limit: int | None) -> list[T]:
        """Give up to `limit` of them, the highest first, leaving out the first `offset`."""
        end = max(self._begin, len(self._items) - offset)
        start = self._begin if limit is None else max(self._begin, end - limit)
        return self._items[start:end][::-1]
