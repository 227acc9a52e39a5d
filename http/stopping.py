"""How a server is told to stop, and made to."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

import anyio

from ..engine.loop_entry import way_into_this_loop

log = logging.getLogger("cortex_tasks.http")

SIGNALS = (signal.SIGTERM, signal.SIGINT)
KILLED_ITSELF = 70  # exit code; EX_SOFTWARE of sysexits.h
HASTE = 5.0  # seconds that everything has once it was told twice
LAST_WORDS = 2.0  # seconds for the line of the log that says why
CALLED = 0x80  # added to a signal's number where a handler tells of it


_listening: list[StopSignals] = []
_forking = threading.local()  # .mask: the signals that the forking thread lets wait otherwise


def _before_fork() -> None:
    # Else a signal that the child gets before it has left them goes to the server, or is lost.
    if _listening:
        _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def _after_fork() -> None:
    if (mask := _forking.__dict__.pop("mask", None)) is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _after_fork_in_child() -> None:
    for listener in reversed(_listening):
        listener.leave_in_child()
    _listening.clear()
    _after_fork()


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child
)


class StopSignals:
    """Within this block, SIGTERM and SIGINT stop the server instead of the program.

    The first sets `draining`. The second calls `cut_off`. The third, or `patience` seconds after
    the first, ends the process whatever holds it up: a task that blocks the event loop, say. No
    record is lost by that: what was acknowledged is on disk.

    They are heard by a thread of its own, from the socket into which the interpreter writes their
    numbers as they come: the event loop's thread, where Python calls handlers, may be deep in C.

    A process that a task forks leaves signals to whoever heard them before: what it is sent is not
    for the server, which would take it for its own from the socket that they share.

    Does nothing outside the main thread, where signals cannot be heard.
    """

    def __init__(
        self, draining: anyio.Event, cut_off: Callable[[], None], *, patience: float
    ) -> None:
        self._steps = [draining.set, cut_off]
        self._patience = [patience, min(patience, HASTE)]
        self._before: dict[int, Any] = {}
        self._thread: threading.Thread | None = None

    def __enter__(self) -> None:
        """Listen, from inside the event loop."""
        if threading.current_thread() is not threading.main_thread():
            return
        self._call_soon = way_into_this_loop()
        self._ear, self._mouth = socket.socketpair()
        self._mouth.setblocking(False)
        _listening.append(self)  # before the first signal, so that no fork comes in between
        self._thread = threading.Thread(target=self._listen, name="stop signals", daemon=True)
        self._thread.start()
        self._loop_wakes_by = signal.set_wakeup_fd(self._mouth.fileno(), warn_on_full_buffer=False)
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._called)

    def __exit__(self, *error: object) -> None:
        """Leave signals to whoever heard them before."""
        if self._thread is None:
            return
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._loop_wakes_by)
        _listening.remove(self)
        self._mouth.shutdown(socket.SHUT_WR)
        self._thread.join()
        self._mouth.close()
        self._ear.close()

    def leave_in_child(self) -> None:
        """Hear nothing any more, in a process that was forked; nothing of it is the child's."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
        self._mouth.close()
        self._ear.close()

    def _called(self, number: int, _frame: FrameType | None) -> None:
        """Tell the thread, in case that somebody has taken the interpreter's socket from us."""
        with contextlib.suppress(BlockingIOError):  # full: then it has enough to hear
            self._mouth.send(bytes([number | CALLED]))

    def _listen(self) -> None:
        """Take the steps as signals come; end the process when its time is up."""
        written = called = taken = 0
        ends: float | None = None
        while True:
            self._ear.settimeout(None if ends is None else max(0.001, ends - time.monotonic()))
            try:
                numbers = self._ear.recv(4096)
            except TimeoutError:
                _end_process()
            if not numbers:
                return
            self._pass_on(bytes(number for number in numbers if number < CALLED))
            for number in numbers:
                if number & ~CALLED in SIGNALS:
                    written += number < CALLED
                    called += number >= CALLED
                # Each is told twice, but for two that came at once, or what others heard.
                while taken < max(written, called):
                    if not self._steps:
                        os._exit(128 + (number & ~CALLED))
                    ends = time.monotonic() + self._patience.pop(0)
                    self._call_soon(self._steps.pop(0))
                    taken += 1

    def _pass_on(self, numbers: bytes) -> None:
        """Wake the event loop, as the interpreter would have: it may hear other signals."""
        if numbers and self._loop_wakes_by != -1:
            with contextlib.suppress(OSError):  # full: it is being woken
                os.write(self._loop_wakes_by, numbers)


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
        self._call_soon = way_into_this_loop()
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


def _end_process() -> NoReturn:
    # What does not end may be a line of the log, which nobody reads: the next one would wait too.
    words = "the server did not stop in time: something in it will not end. Killing it."
    saying = threading.Thread(target=log.critical, args=(words,), daemon=True)
    saying.start()
    saying.join(LAST_WORDS)
    os._exit(KILLED_ITSELF)
