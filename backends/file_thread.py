"""The thread in which a backend's files are written: blocking calls, one after another.

A commit is a hop to a thread and back. Through anyio's pool it costs two to four times as much as
here: the pool looks for an idle thread, counts it against a limit and copies a context each time.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Generic, TypeVar, cast

import anyio
import anyio.lowlevel

from ..engine.errors import StorageError
from ..engine.loop_entry import way_into_this_loop

T = TypeVar("T")


class FileThread:
    """An `Offload` with a thread of its own, for the coroutines of any event loop.

    Calls are made in the order in which they were asked for. The thread ends with `close()`, or
    when nobody refers to this any more; being a daemon, it never holds up the end of the process.
    """

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[_Call[Any] | None] = SimpleQueue()
        # It knows the calls, not this object: so it ends although nobody may have closed it.
        self._thread = threading.Thread(
            target=_make_calls, args=(self._calls,), name=name, daemon=True
        )
        self._end = weakref.finalize(self, self._calls.put, None)
        self._thread.start()

    async def __call__(self, function: Callable[[], T], /) -> T:
        """Give what `function()` gives in the thread, or raise what it raises.

        Cancelled before it is asked for, the call is not made; after that it is waited for, and
        its outcome given as if nothing had happened. Raises StorageError when the thread has ended.
        """
        await anyio.lowlevel.checkpoint_if_cancelled()
        if not (self._end.alive and self._thread.is_alive()):  # closed, or a fork left it behind
            raise StorageError("The thread that writes files has ended.")
        call = _Call(function, way_into_this_loop())
        self._calls.put(call)
        with anyio.CancelScope(shield=True):
            await call.made.wait()
        return call.outcome()

    def close(self) -> None:
        """End the thread, once the calls asked for have been made. Closing twice is fine."""
        self._end()
        self._thread.join()


class _Call(Generic[T]):
    """A call that is to be made or has been."""

    __slots__ = ("_error", "_function", "_run_in_loop", "_value", "made")

    def __init__(self, function: Callable[[], T], run_in_loop: Callable[..., object]) -> None:
        self.made = anyio.Event()
        self._function = function
        self._run_in_loop = run_in_loop
        self._value: T | None = None
        self._error: BaseException | None = None

    def make(self) -> None:
        """Make it, in the thread."""
        try:
            self._value = self._function()
        except BaseException as error:  # noqa: BLE001  whatever it is belongs to who asked
            self._error = error
        with suppress(RuntimeError):  # the loop has ended, and with it whoever waited
            self._run_in_loop(self.made.set)

    def outcome(self) -> T:
        """What came of it, once it is made."""
        error, self._error = self._error, None  # or the error would refer to itself
        if error is not None:
            raise error
        return cast("T", self._value)


def _make_calls(calls: SimpleQueue[_Call[Any] | None]) -> None:
    while call := calls.get():
        call.make()
        del call  # else the last function, and all that it holds, would live until the next
