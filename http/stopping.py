"""How a server is told to stop, and made to."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import anyio

from .extras import from_extra

with from_extra("server"):
    import trio

log = logging.getLogger("cortex_tasks.http")

SIGNALS = (signal.SIGTERM, signal.SIGINT)
KILLED_ITSELF = 70  # exit code; EX_SOFTWARE of sysexits.h
HASTE = 5.0  # seconds that everything has once it was told twice


class StopSignals:
    """Within this block, SIGTERM and SIGINT stop the server instead of the program.

    The first sets `draining`. The second calls `cut_off`. The third, or `patience` seconds after
    the first, ends the process whatever holds it up: a task that blocks the event loop, say. No
    record is lost by that: what was acknowledged is on disk.

    Does nothing outside the main thread, where signals cannot be heard.
    """

    def __init__(
        self, draining: anyio.Event, cut_off: Callable[[], None], *, patience: float
    ) -> None:
        self._steps = [draining.set, cut_off]
        self._patience = [patience, min(patience, HASTE)]
        self._before: dict[int, Any] = {}
        self._last_resort: threading.Timer | None = None

    def __enter__(self) -> None:
        """Listen, from inside the event loop."""
        if threading.current_thread() is not threading.main_thread():
            return
        self._call_soon = _call_soon()
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._heard)

    def __exit__(self, *error: object) -> None:
        """Leave signals to whoever heard them before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._disarm()

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        """Called between two instructions of the main thread, even where the loop is blocked."""
        if not self._steps:
            os._exit(128 + number)
        self._disarm()
        self._last_resort = threading.Timer(self._patience.pop(0), _end_process)
        self._last_resort.daemon = True
        self._last_resort.start()
        self._call_soon(self._steps.pop(0))

    def _disarm(self) -> None:
        if self._last_resort is not None:
            self._last_resort.cancel()


class DrainSignals:
    """Within this block, SIGTERM and SIGINT set `draining`, and go on to whoever heard them before.

    For the lifespan of a program that has the application mounted: its server may wait for open
    requests before it leaves the lifespan, and a long poll is one. Signals that nobody hears are
    left alone. Does nothing outside the main thread.
    """

    def __init__(self, draining: anyio.Event) -> None:
        self._draining = draining
        self._before: dict[int, Callable[[int, FrameType | None], Any]] = {}

    def __enter__(self) -> None:
        """Listen, from inside the event loop."""
        if threading.current_thread() is not threading.main_thread():
            return
        self._call_soon = _call_soon()
        for number in SIGNALS:
            handler = signal.getsignal(number)
            if callable(handler):
                self._before[number] = handler
                signal.signal(number, self._heard)

    def __exit__(self, *error: object) -> None:
        """Leave signals to whoever heard them before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        self._call_soon(self._draining.set)
        self._before[number](number, frame)


def _end_process() -> None:
    log.critical("the server did not stop in time: something in it will not end. Killing it.")
    os._exit(KILLED_ITSELF)


def _call_soon() -> Callable[[Callable[[], Any]], object]:
    """Give what makes the running event loop call something; safe to use in a signal handler."""
    try:
        return asyncio.get_running_loop().call_soon_threadsafe
    except RuntimeError:
        return trio.lowlevel.current_trio_token().run_sync_soon
