"""A block in which the running event loop repeats itself, on trio and on asyncio."""

from __future__ import annotations

import asyncio
import platform
import random
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Protocol

import anyio
import anyio.lowlevel

from .errors import DeterminismUnavailable
from .generators import Mortal
from .steps import Steps

_PROOF_TASKS = 8
_proved: set[str] = set()  # loops of which this process has seen that they repeat themselves


class SeededLoop(Protocol):
    """What both loops offer the harness; see TrioLoop and AsyncioLoop."""

    @property
    def name(self) -> str:
        """As anyio calls it."""
        ...

    def seized(self) -> AbstractContextManager[None]:
        """Take the loop over, and put it back: clock, order, and the timers that were set."""
        ...

    def seed(self, seed: str) -> None:
        """Draw the order of steps from this seed, from now on."""
        ...

    def now(self) -> float:
        """Seconds of virtual time since the loop was seized."""
        ...

    async def wait_idle(self) -> None:
        """Wait until everyone else waits for something; no time passes meanwhile."""
        ...

    def root(self) -> object:
        """The calling task, or whatever stands for it in `kill`."""
        ...

    def kill(self, root: object, life: Mortal) -> None:
        """End the root of a life and all that it started, at once: none of its code runs again."""
        ...

    def bury(self) -> None:
        """Close the coroutines of those that were killed."""
        ...


@asynccontextmanager
async def deterministic(seed: str, steps: Steps) -> AsyncIterator[SeededLoop]:
    """Make the running loop deterministic within the block: order by the seed, time that jumps.

    Deadlines and timers of the world outside stand still meanwhile. Chance of the `random` module
    is seeded too. Raises DeterminismUnavailable when this interpreter or loop cannot do it.
    """
    loop = _running_loop(steps)
    state = random.getstate()
    with loop.seized():
        await _prove(loop)
        await loop.wait_idle()  # whatever the world outside still had to do
        loop.seed(seed)
        random.seed(seed)
        try:
            yield loop
        finally:
            random.setstate(state)


def _running_loop(steps: Steps) -> SeededLoop:
    if platform.python_implementation() != "CPython":
        raise DeterminismUnavailable(
            f"the harness needs CPython, whose coroutines it can end; "
            f"this is {platform.python_implementation()}"
        )
    if "trio" in sys.modules:
        import trio  # noqa: PLC0415  an extra: only where it runs

        if trio.lowlevel.in_trio_task():
            from .trio_loop import TrioLoop, check_trio  # noqa: PLC0415  as above

            check_trio()
            return TrioLoop(steps)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise DeterminismUnavailable("neither trio nor asyncio runs here") from None
    from .asyncio_loop import AsyncioLoop, check_asyncio  # noqa: PLC0415  as above

    check_asyncio()
    return AsyncioLoop(steps)


async def _prove(loop: SeededLoop) -> None:
    """See once in a process that the loop repeats itself; names alone prove too little."""
    if loop.name in _proved:
        return
    orders = []
    for trial in ("a", "a", "b"):
        await loop.wait_idle()
        loop.seed(trial)
        orders.append(await _order_of_steps())
    if orders[0] != orders[1] or orders[0] == orders[2]:
        raise DeterminismUnavailable(
            f"{loop.name} runs here, but the order of its tasks does not follow the seed: it "
            "has changed in a way that cortex_tasks.testing does not know yet"
        )
    _proved.add(loop.name)


async def _order_of_steps() -> list[int]:
    order: list[int] = []

    async def walk(number: int) -> None:
        for _ in range(3):
            order.append(number)
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        for number in range(_PROOF_TASKS):
            group.start_soon(walk, number)
    return order
