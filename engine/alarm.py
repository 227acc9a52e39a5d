"""The alarm: the actor that tells the supervisor when a moment has come.

It hears   set_nowait(at)   from the supervisor, after each of its decisions
It says    Due              to the supervisor, once that time of day has come

The supervisor's plans are times of day, and those move: clocks are set, laptops sleep. So the
alarm sleeps on the event loop's clock, and looks at the time of day again every `look_again`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

import anyio

from .errors import EngineNotRunning
from .messages import Due
from .surroundings import LOOK_AGAIN, Clock


class Alarm:
    """Waits for one moment at a time: the next."""

    def __init__(
        self,
        *,
        clock: Clock,
        post: Callable[[Due], Awaitable[None]],
        look_again: float = LOOK_AGAIN,
    ) -> None:
        self._clock = clock
        self._post = post
        self._look_again = look_again
        self._at: datetime | None = None
        self._sooner = anyio.Event()

    def set_nowait(self, at: datetime | None) -> None:
        """Ring at this moment, and at no other any more; None: never."""
        if at == self._at:
            return
        sooner = at is not None and (self._at is None or at < self._at)
        self._at = at
        if sooner:  # at a later one it finds out by itself, when it wakes
            self._sooner.set()

    async def run(self) -> None:
        """Ring until cancelled, or until nobody hears it any more."""
        while True:
            if self._at is not None and self._at <= self._clock.now():
                self._at = None  # rung; who still waits for this moment says so again
                try:
                    await self._post(Due())
                except EngineNotRunning:
                    return
                continue
            with anyio.move_on_after(self._seconds_to_sleep()):
                await self._sooner.wait()
            self._sooner = anyio.Event()

    def _seconds_to_sleep(self) -> float:
        if self._at is None:
            return float("inf")
        return min((self._at - self._clock.now()).total_seconds(), self._look_again)
