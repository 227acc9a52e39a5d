"""How everything here is measured: rounds of both sides in turn, and the median of each."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec

Measure = Callable[[], Awaitable[float]]  # one round; what it gives is a rate or a time


class Figure(msgspec.Struct, frozen=True):
    """One line of the report."""

    name: str
    value: float
    unit: str
    beside: str = ""  # what the ratio is to
    ratio: float | None = None
    aim: str = ""
    met: bool | None = None

    def line(self) -> str:
        """The figure as one line of text."""
        digits = 0 if self.value >= 100 else 2
        text = f"  {self.name:<52} {self.value:>10,.{digits}f} {self.unit:<8}"
        if self.ratio is not None:
            text += f" {self.ratio:6.2f} x {self.beside}"
        if self.aim:
            text += f"  (aim {self.aim}: {'met' if self.met else 'MISSED'})"
        return text.rstrip()


async def in_turn(measures: Sequence[Measure], rounds: int) -> list[float]:
    """Run each measure once per round, one after the other; give the median of each."""
    values: list[list[float]] = [[] for _ in measures]
    for _ in range(rounds):
        for found, measure in zip(values, measures, strict=True):
            found.append(await measure())
    return [statistics.median(found) for found in values]


def at_least(name: str, rate: float, limit: float, beside: str, aim: float) -> Figure:
    """A rate that should reach a share of a limit."""
    ratio = rate / limit
    return Figure(name, rate, "/s", beside, ratio, f">= {aim:g}", ratio >= aim)


def under(name: str, seconds: float, limit: float, beside: str, extra: float = 0.0) -> Figure:
    """A time that should stay under a limit (plus `extra` seconds)."""
    aim = f"< {limit * 1e6:,.0f} us"
    met = seconds < limit + extra
    if extra:
        aim = f"{aim} + {extra * 1e6:,.0f} us"
    return Figure(name, seconds * 1e6, "us", beside, seconds / limit, aim, met)


class Stopwatch:
    """Counts seconds from its making."""

    def __init__(self) -> None:
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return time.perf_counter() - self._start


def machine() -> str:
    """The machine in one line."""
    cores = len(os.sched_getaffinity(0))
    return (
        f"Python {platform.python_version()} on {platform.system()} {platform.machine()}, "
        f"{cores} cores, {_processor()}"
    )


def _processor() -> str:
    with Path("/proc/cpuinfo").open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return "unknown processor"
