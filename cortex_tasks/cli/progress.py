"""Progress as a person follows it: bars on a terminal, a few plain lines anywhere else.

Both are drawn on standard error; the answer on standard output stays clean.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from .exits import ExtraMissing
from .screen import draws, line, note

LINE_EVERY = 10.0  # percent; a line is also printed at each new state


class ProgressView(Protocol):
    """Where progress is shown."""

    def show(self, key: str, title: str, percent: float, state: str, message: str) -> None:
        """Show how far the work called `key` has come; `state` is one word."""
        ...


@contextmanager
def progress_view() -> Iterator[ProgressView]:
    """Give the view that fits standard error; it is put away at the end of the block."""
    if not draws(sys.stderr):
        yield PlainLines()
        return
    try:
        from .bars import drawn_bars  # noqa: PLC0415 - of an extra, and slow to import
    except ModuleNotFoundError as error:
        raise ExtraMissing(error.name, "cli") from None
    with drawn_bars() as bars:
        yield bars


class PlainLines:
    """For files, pipes and terminals that cannot draw: a line now and then."""

    def __init__(self) -> None:
        self._shown: dict[str, tuple[str, float]] = {}

    def show(self, key: str, title: str, percent: float, state: str, message: str) -> None:
        """Print a line when the state is new or the work has come on by LINE_EVERY percent."""
        before = self._shown.get(key)
        if before is not None and before[0] == state and percent < before[1] + LINE_EVERY:
            return
        self._shown[key] = state, percent
        note(f"{title}  {percent:3.0f}%  {state}" + (f"  {line(message)}" if message else ""))
