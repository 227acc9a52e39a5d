"""What a harness gives an engine in place of the world's time and chance."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import anyio.lowlevel

from .watch import call_in_sight

T = TypeVar("T")

START = datetime(2026, 3, 15, 10, 30, tzinfo=UTC)


class VirtualClock:
    """The time of day under test: a fixed date, and the virtual seconds since."""

    def __init__(self, elapsed: Callable[[], float]) -> None:
        self._elapsed = elapsed

    def now(self) -> datetime:
        """The time in UTC, timezone-aware."""
        return START + timedelta(seconds=self._elapsed())


async def offload_in_sight(function: Callable[[], T], /) -> T:
    """Run the call at once, in the event loop, where the watch sees what it is."""
    await anyio.lowlevel.checkpoint()
    return call_in_sight(function)


class NumberedIds:
    """Ids in the order in which they were asked for: task_000001, task_000002, …"""

    def __init__(self, pattern: str = "task_{:06}") -> None:
        self._pattern = pattern
        self.given = 0

    def __call__(self) -> str:
        self.given += 1
        return self._pattern.format(self.given)
