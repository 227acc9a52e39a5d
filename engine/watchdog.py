"""Notices what holds up the event loop: a thread that looks while the loop cannot."""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from types import FrameType

import anyio

from .attempts import Attempt

log = logging.getLogger("cortex_tasks.engine")

_SUSPECTS = 10  # tasks that are named where it cannot be told which one it is


class Watchdog:
    """Logs, once for each time, that the loop has not moved for `threshold` seconds, and why."""

    def __init__(
        self,
        threshold: float,
        attempts: Callable[[], Iterable[Attempt]],
        lagged: Callable[[float], None],
    ) -> None:
        self._threshold = threshold
        self._attempts = attempts
        self._lagged = lagged  # told, at each beat, how late the loop was
        self._last_beat = time.monotonic()
        self._stop = threading.Event()

    async def run(self) -> None:
        """Watch until cancelled."""
        loop_thread = threading.get_ident()
        self._last_beat = time.monotonic()
        thread = threading.Thread(
            target=self._look, args=(loop_thread,), name="cortex-tasks watchdog", daemon=True
        )
        thread.start()
        try:
            while True:
                self._last_beat = time.monotonic()
                due = anyio.current_time() + self._threshold / 4
                await anyio.sleep_until(due)
                self._lagged(anyio.current_time() - due)
        finally:
            self._stop.set()
            thread.join()  # it looks every quarter threshold and is told at once

    def _look(self, loop_thread: int) -> None:
        reported: float | None = None
        while not self._stop.wait(self._threshold / 4):
            beat = self._last_beat
            held_up = time.monotonic() - beat
            if held_up > self._threshold and beat != reported:
                reported = beat
                self._report(held_up, loop_thread)

    def _report(self, held_up: float, loop_thread: int) -> None:
        frame = sys._current_frames().get(loop_thread)  # noqa: SLF001  the documented way
        log.warning(
            "the event loop has been held up for %.1f s by %s, at %s: a blocking call belongs in "
            "ctx.offload, CPU-bound work in ctx.run_in_child\n%s",
            held_up,
            self._culprit(),
            "(it has just gone on)" if frame is None else _where(frame),
            "" if frame is None else "".join(traceback.format_stack(frame)),
        )

    def _culprit(self) -> str:
        attempts = list(self._attempts())
        for attempt in attempts:
            if attempt.executing:
                return _name(attempt)
        # The loops tell no other thread whose coroutine they execute.
        suspects = ", ".join(map(_name, attempts[:_SUSPECTS])) or "none"
        return f"what is no task's own body, but may be a child of one (under way: {suspects})"


def _name(attempt: Attempt) -> str:
    return f"{attempt.record.id} of type {attempt.record.type}"


def _where(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"
