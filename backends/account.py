"""Says which numbers of changes may be lost, by the lines that can be read and their places.

Of several changes of a task in one commit only the last is written. So a number that no line brings
need not be lost: a line stands for all numbers up to its highest, from that of the line before on.
Whether a line is missing between two is told by their own numbers. Only where one is, the numbers
between its neighbours are in doubt.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class _Place:
    n: int  # the number of the line
    highest: int  # of all changes up to here
    lacking: bool  # whether changes after that may have been in a line that is missing before here


class Account:
    """Is told of the lines in the order in which they stand, each once.

    A line's number is under no check sum. A damaged one is told by its neighbours, but for the very
    last, which looks like one before which lines are missing, and is taken for it.
    """

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int]] = []  # the first and last number of each
        self._newest: tuple[_Place, ...] = ()  # the last two lines
        self._end_damaged = False

    @property
    def end_lost(self) -> bool:
        """Whether changes after the last that can be read may be missing."""
        return self._end_damaged or (bool(self._newest) and self._newest[-1].lacking)

    def begin(self, line: int, seq: int) -> None:
        """What comes now follows on this line, and on the change of this number."""
        self._newest, self._end_damaged = (_Place(line, seq, lacking=False),), False

    def damage(self) -> None:
        """Here stands what cannot be read, or a file is missing. The next line tells what it was:
        one that goes on where the one before ended has lost nothing.
        """
        self._end_damaged = True

    def take(self, n: int, numbers: Collection[int]) -> None:
        """Take the next line, with the numbers of its changes; pauses have none."""
        before = self._whole_from(n)
        newest = self._newest[-1].highest if self._newest else 0
        highest = max(numbers, default=0)
        if numbers:
            first = min(numbers)
            if before is not None and not before.lacking:
                first = min(first, before.highest + 1)
            self._ranges.append((first, highest))
        # What is missing before a new change has lower numbers, which are not in the ranges.
        lacking = highest <= newest and (before is None or before.lacking)
        place = _Place(n, max(newest, highest), lacking)
        self._newest, self._end_damaged = (*self._newest[-1:], place), False

    def _whole_from(self, n: int) -> _Place | None:
        """Give a line between which and this one none is missing: the one before, or, should that
        have a damaged number, the one before that.
        """
        for distance, place in enumerate(reversed(self._newest), 1):
            if n - place.n == distance:
                return place
        return None

    def missing(self, after: int, newest: int, known: Collection[int]) -> list[int]:
        """Give the numbers in doubt, of those from the one to the other, ascending."""
        missing: list[int] = []
        for first, last in [*sorted(self._ranges), (newest + 1, newest + 1)]:
            missing += [seq for seq in range(after + 1, first) if seq not in known]
            after = max(after, last)
        return missing
