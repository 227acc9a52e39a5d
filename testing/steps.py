"""What the harness learns from an event loop: each step of a task's coroutine, each jump of time.

A step is what a coroutine does between two checkpoints. Both loops (trio_loop, asyncio_loop) call
the same `Steps`, so crashes, cancels and the watch on bodies work alike on both.
"""

from __future__ import annotations

import ctypes
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Protocol

from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from .generators import LIFE
from .watch import BODY, RunningBody, Watch

# Time passes all the same, as it would on a real clock, once a body has taken so many steps at one
# instant (it spins instead of stopping), or the loop so many rounds without a step of a body.
STEPS_AT_ONE_INSTANT = 100_000
STEPS_OF_A_SPINNING_BODY = 10  # once it is known to
_CLOSINGS = 100  # a coroutine that awaits in its `finally` needs one more for each

Grave = tuple[Any, Any]  # a task that is over, and the coroutine that it ran


class Undertaker(Protocol):
    """What a loop does for coroutines that are to end outside of their task."""

    def posing_as(self, task: Any) -> AbstractContextManager[None]:
        """A block in which this task, which is over, passes for the current one."""
        ...

    def detach(self, waits: Any) -> None:
        """Take back what a coroutine has set up to be woken by."""
        ...


@dataclass
class _Trap:
    """What is to happen in the midst of a life, and after how many more of its steps."""

    steps: int
    life: object
    spring: Callable[[], None]


class Steps:
    """Counts the steps of the engine under test, and calls whoever wants to know."""

    def __init__(self, watch: Watch, most_at_one_instant: int = STEPS_AT_ONE_INSTANT) -> None:
        self.taken = 0  # by all coroutines of the engine's present life
        self.jumps = 0  # how often time jumped
        self._most = most_at_one_instant
        self._busy = ""  # why time must pass though not everyone waits
        self._rounds = 0  # of the loop, since time moved or a body took a step
        self._at_instant: dict[RunningBody, int] = {}  # steps of each body since time last moved
        self._spinning: set[RunningBody] = set()  # those that were found to
        self.burying = False  # what runs at this moment is the end of the dead
        self._watch = watch
        self._trap: _Trap | None = None
        self.on_idle_for_ever: Callable[[str], None] = _nothing
        self.on_jump: Callable[[float], None] = _nothing

    def set_trap(self, steps: int, life: object, spring: Callable[[], None]) -> None:
        """Call `spring` right after so many steps of this life; in place of any earlier trap."""
        self._trap = _Trap(steps, life, spring)

    def disarm(self) -> None:
        """Forget the trap."""
        self._trap = None

    def spins(self, body: RunningBody) -> bool:
        """Whether this body was found to spin: too many steps while no time passed."""
        return body in self._spinning

    # -- called by the loops; nothing in here may raise ------------------------------------------

    def round(self) -> bool:
        """A round of the loop: whether time must pass though somebody has something to do."""
        self._rounds += 1
        if self._rounds > self._most and not self._busy:
            self._busy = f"the event loop has gone round {self._most:,} times at one instant"
        return bool(self._busy)

    def begin(self, context: Context) -> None:
        """A step of a coroutine with this context begins."""
        body = context.get(BODY)
        if body is not None:
            body.step()
            self._rounds = 0
            self._count(body)
            self._watch.look_at(body)

    def end(self, context: Context) -> None:
        """It has ended."""
        self._watch.look_away()
        life = context.get(LIFE)
        if life is None:
            return
        self.taken += 1
        trap = self._trap
        if trap is not None and life is trap.life:
            trap.steps -= 1
            if trap.steps <= 0:
                self._trap = None
                trap.spring()

    def call(self, context: Context, callback: Callable[..., Any], *given: Any) -> Any:
        """Call what a coroutine with this context has told the loop to call. Not for the dead."""
        life, body = context.get(LIFE), context.get(BODY)
        if life is not None and life.dead:
            return None
        if body is not None:
            self._watch.look_at(body)
        try:
            return callback(*given)
        finally:
            self._watch.look_away()

    def jumped(self, now: float) -> None:
        """Time went on to the next timer."""
        self.jumps += 1
        self._begin_instant()
        self.on_jump(now)

    def no_timer(self) -> None:
        """Time would have to pass, and no timer is set."""
        why = self._busy or "everyone waits"
        self._begin_instant()
        self.on_idle_for_ever(f"{why}, and no timer is set")

    def _begin_instant(self) -> None:
        self._busy = ""
        self._rounds = 0
        self._at_instant.clear()

    def _count(self, body: RunningBody) -> None:
        taken = self._at_instant[body] = self._at_instant.get(body, 0) + 1
        if taken > (STEPS_OF_A_SPINNING_BODY if body in self._spinning else self._most):
            self._spinning.add(body)
            self._busy = (
                f"{body.task_id} of type {body.task_type!r} spins: it has taken more than "
                f"{self._most:,} steps at one instant (steps_at_one_instant of TaskHarness)"
            )

    # -- coroutines that nobody will run any more ------------------------------------------------

    def bury(self, graves: list[Grave], undertaker: Undertaker) -> None:
        """Close the coroutines of the dead. Their `finally` blocks run now; nobody hears of it.

        An async generator whose caller is gone cannot be closed; what it awaits can.
        """
        self.burying = True
        try:
            with _silence():
                while graves:
                    task, coroutine = graves.pop()
                    coroutine = getattr(coroutine, "ag_await", coroutine)
                    if hasattr(coroutine, "throw"):
                        with undertaker.posing_as(task):
                            _close_streams(coroutine)
                            if not _ended(coroutine, undertaker):
                                # It swallows whatever it is told. Never let go of, as that would
                                # run it again, if only when the interpreter ends.
                                ctypes.pythonapi.Py_IncRef(ctypes.py_object(coroutine))
        finally:
            self.burying = False


class _TheEnd(BaseException):
    """Thrown into the dead. (GeneratorExit would end a coroutine without what it awaits.)"""


def _ended(coroutine: Any, undertaker: Undertaker) -> bool:
    """End it where it waits, and again where it waits then: whether that came to an end."""
    for _ in range(_CLOSINGS):
        try:
            waits = coroutine.throw(_TheEnd())
        except BaseException:  # noqa: BLE001  its end, or its last words
            return True
        undertaker.detach(waits)
    return False


def _close_streams(coroutine: Any) -> None:
    """Close the channels that it holds, as they complain when they are dropped unclosed."""
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None)
        for value in frame.f_locals.values() if frame is not None else ():
            if isinstance(value, MemoryObjectReceiveStream | MemoryObjectSendStream):
                value.close()
        coroutine = getattr(coroutine, "cr_await", None)


@contextmanager
def _silence() -> Iterator[None]:
    """What the dead say is of no interest: no log, no warning, no complaint of the interpreter."""
    hook, disabled = sys.unraisablehook, logging.root.manager.disable
    sys.unraisablehook = _nothing
    logging.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.unraisablehook = hook
        logging.disable(disabled)


def _nothing(*ignored: object) -> None:
    del ignored
