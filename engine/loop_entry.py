"""The way into an event loop for other threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import anyio.lowlevel


def way_into_this_loop() -> Callable[..., object]:
    """Give what another thread calls to have a function run in this event loop, soon.

    It never waits, unlike anyio.from_thread: a loop that ends first leaves no thread behind. It
    raises RuntimeError once the loop has ended.
    """
    loop: Any = anyio.lowlevel.current_token().native_token
    run_soon: Callable[..., object] = (
        loop.run_sync_soon if hasattr(loop, "run_sync_soon") else loop.call_soon_threadsafe
    )
    return run_soon


class LoopEntry:
    """Calls functions in the loop that it was made in, from whichever thread."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._run_soon = way_into_this_loop()
        self.lock = threading.Lock()  # around what is shared with other threads; held for moments

    def call(self, function: Callable[..., object], *arguments: Any) -> None:
        """Call it now, in the loop's own thread; from another one soon, and never once the loop has
        ended.
        """
        if threading.get_ident() == self._thread:
            function(*arguments)
            return
        with suppress(RuntimeError):
            self._run_soon(function, *arguments)
