"""Seeing each step of an event loop, so that a law can interfere at any of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import sniffio
import trio


@contextmanager
def at_every_step(hook: Callable[[], None]) -> Iterator[None]:
    """Call `hook` at each step of the running loop until the end of the block.

    A step is what runs from one suspension to the next: on trio it is about to begin, on asyncio
    it has been put into the loop's queue.
    """
    if sniffio.current_async_library() == "trio":
        instrument = _Instrument(hook)
        trio.lowlevel.add_instrument(instrument)
        try:
            yield
        finally:
            trio.lowlevel.remove_instrument(instrument)
        return
    loop: Any = asyncio.get_running_loop()
    call_soon = loop.call_soon

    def queue(*call: Any, **context: Any) -> asyncio.Handle:
        handle: asyncio.Handle = call_soon(*call, **context)
        hook()
        return handle

    loop.call_soon = queue
    try:
        yield
    finally:
        del loop.call_soon


class _Instrument(trio.abc.Instrument):
    def __init__(self, hook: Callable[[], None]) -> None:
        self._hook = hook

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """The task runs next."""
        self._hook()
