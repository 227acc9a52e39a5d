"""asyncio, made to repeat itself: ready tasks shuffled by a seed, and a clock that jumps.

The running loop is changed in place and put back as it was. What the loop itself has called
(timers, transports) keeps its order, on which asyncio's own code relies; the tasks that are ready
at the same time run in an order drawn from the seed. They are first put in the order in which
they were made, as the sets in which they wait have an order that changes from run to run.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import random
from asyncio.tasks import _enter_task, _leave_task
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context, copy_context
from typing import Any, cast
from weakref import WeakKeyDictionary

from .errors import DeterminismUnavailable
from .generators import LIFE, LivingGenerators, Mortal
from .steps import Grave, Steps

_NEEDED = "_run_once _ready _scheduled _stopping _timer_cancelled_count _asyncgens".split()


def check_asyncio() -> None:
    """Raise DeterminismUnavailable, naming what is missing, unless this loop can be seeded."""
    loop = asyncio.get_running_loop()
    missing = [name for name in _NEEDED if not hasattr(loop, name)]
    if not missing and not isinstance(loop._ready, deque):  # type: ignore[attr-defined]
        missing = ["_ready as a deque"]
    if missing:
        kind = f"{type(loop).__module__}.{type(loop).__qualname__}"
        raise DeterminismUnavailable(
            f"the event loop {kind} cannot be made deterministic: it has no {', '.join(missing)}. "
            "Run on asyncio's own selector event loop, or on trio."
        )


class AsyncioLoop:
    """The asyncio loop that runs, with time and order of its own while `seized`."""

    name = "asyncio"

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._loop: Any = asyncio.get_running_loop()
        self._now = 0.0
        self._random = random.Random()  # seeded when the loop is seized
        self._numbers: WeakKeyDictionary[asyncio.Task[Any], int] = WeakKeyDictionary()
        self._count = 0
        self._families: dict[object, list[asyncio.Task[Any]]] = {}
        self._idlers: list[asyncio.Future[None]] = []
        self._graves: list[Grave] = []
        self._generators = LivingGenerators()

    @contextmanager
    def seized(self) -> Iterator[None]:
        """Take the loop over, and put it back: clock, order, and the timers that were set."""
        loop = self._loop
        factory, timers = loop.get_task_factory(), loop._scheduled
        cancelled = loop._timer_cancelled_count
        loop._scheduled, loop._timer_cancelled_count = [], 0  # the world outside stands still
        loop.time = self.now
        loop._run_once = self._run_once
        loop.set_task_factory(self._make_task)
        try:
            with self._generators.hooked():
                yield
        finally:
            loop.set_task_factory(factory)
            del loop.time, loop._run_once
            loop._scheduled = timers
            loop._timer_cancelled_count = cancelled

    def seed(self, seed: str) -> None:
        """Draw the order of steps from this seed, from now on."""
        self._random.seed(seed)

    def now(self) -> float:
        """Seconds of virtual time since the loop was seized."""
        return self._now

    async def wait_idle(self) -> None:
        """Wait until everyone else waits for something; no time passes meanwhile."""
        idle: asyncio.Future[None] = self._loop.create_future()
        self._idlers.append(idle)
        await idle

    # -- time and order --------------------------------------------------------------------------

    def _run_once(self) -> None:
        loop = self._loop
        busy = self._steps.round()
        self._forget_cancelled_timers()
        if not loop._ready and not loop._stopping:
            self._pass_time()
        elif busy:
            self._jump()
        self._take_due_timers()
        self._adopt_callbacks()
        if len(loop._ready) > 1:
            self._shuffle()
        type(loop)._run_once(loop)

    def _forget_cancelled_timers(self) -> None:
        loop = self._loop
        while loop._scheduled and loop._scheduled[0]._cancelled:
            loop._timer_cancelled_count -= 1
            heapq.heappop(loop._scheduled)._scheduled = False

    def _pass_time(self) -> None:
        """Everyone waits."""
        if self._idlers:
            idlers, self._idlers = self._idlers, []
            for idle in idlers:
                if not idle.done():
                    idle.set_result(None)
            if self._loop._ready:
                return
        self._jump()

    def _jump(self) -> None:
        timers = self._loop._scheduled
        when = timers[0]._when if timers else math.inf
        if when == math.inf:
            self._steps.no_timer()
        elif when > self._now:
            self._now = when
            self._steps.jumped(when)

    def _take_due_timers(self) -> None:
        loop = self._loop
        while loop._scheduled and loop._scheduled[0]._when <= self._now:
            timer = heapq.heappop(loop._scheduled)
            timer._scheduled = False
            loop._ready.append(timer)

    def _adopt_callbacks(self) -> None:
        """What bodies have told the loop to call is theirs, as their coroutines are."""
        for handle in self._loop._ready:
            if handle._cancelled or handle._context.get(LIFE) is None:
                continue
            if not _is_of_a_library(handle._callback):
                handle._callback = _Callback(self._steps, handle._context, handle._callback)

    def _shuffle(self) -> None:
        ready = self._loop._ready
        steps = [handle for handle in ready if self._task_of(handle) is not None]
        others = [handle for handle in ready if self._task_of(handle) is None]
        steps.sort(key=lambda handle: self._number(self._task_of(handle)))
        self._random.shuffle(steps)
        ready.clear()
        ready.extend(others)
        ready.extend(steps)

    def _task_of(self, handle: asyncio.Handle) -> asyncio.Task[Any] | None:
        owner = getattr(handle._callback, "__self__", None)  # type: ignore[attr-defined]
        return owner if isinstance(owner, asyncio.Task) else None

    def _number(self, task: Any) -> int:
        number = self._numbers.get(task)
        if number is None:
            self._count += 1
            number = self._numbers[task] = self._count
        return number

    # -- tasks -----------------------------------------------------------------------------------

    def _make_task(
        self, loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Task[Any]:
        if self._steps.burying:
            coro.close()
            raise RuntimeError("the dead start nothing")
        life = (options.get("context") or copy_context()).get(LIFE)
        if life is not None:
            coro = _Switch(coro, self._steps)
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=loop, **options)
        self._number(task)
        if life is not None:
            family = self._families.setdefault(life, [])
            family.append(task)
            task.add_done_callback(family.remove)
        return task

    def root(self) -> object:
        """The engine's life that the calling task belongs to: to be given to `kill`."""
        return LIFE.get()

    def kill(self, root: object, life: Mortal) -> None:
        """End a life's tasks, at once: none of its code runs again."""
        family = self._families.pop(root, []).copy()
        generators = self._generators.take(life, self._loop._asyncgens.discard)
        self._graves += [(family[0], generator) for generator in generators]
        for task in family:
            switch = cast("_Switch", task.get_coro())
            self._graves.append((task, switch.turn_off()))
            if task is asyncio.current_task():
                self._loop.call_soon(task.cancel)  # it is in the midst of a step
            else:
                task.cancel()

    def bury(self) -> None:
        """Close the coroutines of those that were killed."""
        self._steps.bury(self._graves, self)

    @contextmanager
    def posing_as(self, task: Any) -> Iterator[None]:
        """A block in which this task, which is over, passes for the current one."""
        current = asyncio.current_task()
        assert current is not None
        _leave_task(self._loop, current)
        _enter_task(self._loop, task)
        try:
            yield
        finally:
            _leave_task(self._loop, task)
            _enter_task(self._loop, current)

    def detach(self, waits: Any) -> None:
        """Nothing is set up: a future is awaited by the task that runs, and none does."""


class _Callback:
    """What a body, or something else of a life, has told the loop to call."""

    def __init__(self, steps: Steps, context: Context, callback: Callable[..., Any]) -> None:
        self._steps = steps
        self._context = context
        self._callback = callback

    def __call__(self, *given: Any) -> Any:
        return self._steps.call(self._context, self._callback, *given)


_LIBRARIES = frozenset(("_asyncio", "anyio", "asyncio", "cortex_tasks"))


def _is_of_a_library(callback: Any) -> bool:
    """Whether it belongs to the workings of tasks, timers and cancel scopes themselves."""
    owner = getattr(callback, "__self__", None)
    modules = (getattr(callback, "__module__", None), type(owner).__module__)
    return any(str(module).partition(".")[0] in _LIBRARIES for module in modules)


class _Switch(Coroutine[Any, Any, Any]):
    """A coroutine that can be turned off; until then it is the one within, step by step."""

    def __init__(self, within: Coroutine[Any, Any, Any], steps: Steps) -> None:
        self.within = within
        self._steps = steps
        self._on = True

    def __getattr__(self, name: str) -> Any:  # cr_frame, cr_running, cr_await, names
        return getattr(self.within, name)

    def turn_off(self) -> Coroutine[Any, Any, Any]:
        """No step of it will be taken; gives the coroutine within."""
        self._on = False
        return self.within

    def send(self, value: Any) -> Any:
        """Take a step."""
        return self._step(self.within.send, value)

    def throw(self, *error: Any) -> Any:
        """Take a step with an error."""
        return self._step(self.within.throw, *error)

    def _step(self, how: Any, *given: Any) -> Any:
        if not self._on:
            raise StopIteration(None)
        context = copy_context()
        self._steps.begin(context)
        try:
            return how(*given)
        finally:
            self._steps.end(context)

    def close(self) -> None:
        """End it."""
        if self._on:
            self.within.close()

    def __await__(self) -> Any:
        return self.within.__await__()
