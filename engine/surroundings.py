"""Time, chance and threads, injected in one place so that a test can replay a run exactly."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random, SystemRandom
from typing import Protocol, TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar, checkpoint

T = TypeVar("T")

ENCODERS = 4  # large values that are encoded at a time
LOOK_AGAIN = 30.0  # seconds: the longest that a jump of the clock can delay anything


class Clock(Protocol):
    """Tells the time of day. (Durations and deadlines use the event loop's own clock.)"""

    def now(self) -> datetime:
        """The time in UTC, timezone-aware."""
        ...


class Offload(Protocol):
    """Runs a blocking call without holding up the event loop."""

    async def __call__(self, function: Callable[[], T], /) -> T:
        """Give what `function()` gives; a call once begun is waited for, even when cancelled."""
        ...


class WallClock:
    """The system's clock."""

    def now(self) -> datetime:
        """The time in UTC, timezone-aware."""
        return datetime.now(UTC)


async def offload_to_thread(function: Callable[[], T], /) -> T:
    """Run the call in a worker thread."""
    return await anyio.to_thread.run_sync(function)


_encoders: RunVar[anyio.CapacityLimiter] = RunVar("cortex_tasks_encoders")


async def encode_in_thread(function: Callable[[], T], /) -> T:
    """Run what encodes or checks a large value in a thread of a few that are kept for that.

    All others may be held by bodies, for as long as they like (`ctx.offload`).
    """
    limiter = _encoders.get(None)
    if limiter is None:
        limiter = anyio.CapacityLimiter(ENCODERS)
        _encoders.set(limiter)
    return await anyio.to_thread.run_sync(function, limiter=limiter)


async def offload_inline(function: Callable[[], T], /) -> T:
    """Run the call at once, in the event loop: for tests on virtual time, where a thread at work
    would look like idleness and let the clock jump.
    """
    await checkpoint()
    return function()


def random_task_id() -> str:
    """An id that nobody can guess: `task_` and 24 hexadecimal digits (96 random bits)."""
    return "task_" + os.urandom(12).hex()


@dataclass(frozen=True)
class Surroundings:
    """What the engine takes from the world outside."""

    clock: Clock = field(default_factory=WallClock)
    new_task_id: Callable[[], str] = random_task_id
    random: Random = field(default_factory=Random)
    offload: Offload = offload_to_thread
    look_again: float = LOOK_AGAIN  # inf for a clock that never jumps, as in tests
    seed: int = field(default_factory=lambda: SystemRandom().getrandbits(64))

    @property
    def encode(self) -> Offload:
        """Runs what encodes a large value: where calls are offloaded otherwise, so is this."""
        return encode_in_thread if self.offload is offload_to_thread else self.offload

    def random_for(self, task_id: str, attempt: int) -> Random:
        """Chance for one attempt: the same for the same seed, whatever else runs meanwhile."""
        return Random(f"{self.seed} {task_id} {attempt}")  # noqa: S311  it keeps no secret

    def jitter(self, task_id: str, attempt: int) -> float:
        """Chance for the wait after an attempt, from 0 to 1: none of what its body draws."""
        return Random(f"{self.seed} {task_id} {attempt} wait").random()  # noqa: S311  nor this
