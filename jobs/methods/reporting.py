"""How a long calculation tells how far it is."""

from __future__ import annotations

from collections.abc import Callable

# Called as report(current, total, message) from within a calculation, in its thread or process.
# `current` never falls and ends at `total`. What it raises ends the calculation: that is how a
# thread hears that it was cancelled.
Report = Callable[[int, int, str], None]


def silent(current: int, total: int, message: str) -> None:
    """Take a report and tell nobody."""


def share_of(report: Report, begin: int, end: int) -> Report:
    """Give what a part of a calculation reports to: it moves the whole from `begin` to `end` %."""

    def tell(current: int, total: int, message: str) -> None:
        report(begin + (end - begin) * current // max(1, total), 100, message)

    return tell
