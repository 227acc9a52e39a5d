"""trio, made to repeat itself: batches shuffled by a seed, and a clock that jumps.

Everything private of trio that the harness needs is named in this file, and looked for before it is
used. A running loop is changed in place and put back as it was, so that it does not matter who
started it: `trio.run`, anyio's or trio's pytest plugin.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import trio
import trio.testing

from .errors import DeterminismUnavailable, PowerLost
from .generators import LivingGenerators, Mortal
from .steps import Grave, Steps

_run: Any = getattr(getattr(trio, "_core", None), "_run", None)


def check_trio() -> None:
    """Raise DeterminismUnavailable, naming what is missing, unless this trio can be seeded."""
    wanted = {
        "trio._core._run": ("_ALLOW_DETERMINISTIC_SCHEDULING", "_r", "GLOBAL_RUN_CONTEXT"),
        "trio._core._run.GLOBAL_RUN_CONTEXT.runner": (
            "clock",
            "clock_autojump_threshold",
            "deadlines",
            "instruments",
            "reschedule",
            "asyncgens",
        ),
        "trio.lowlevel.Task": ("coro", "_abort_func", "_next_send_fn", "_child_nurseries"),
        "trio.testing.MockClock": ("_autojump",),
    }
    holders = {
        "trio._core._run": _run,
        "trio._core._run.GLOBAL_RUN_CONTEXT.runner": _runner(),
        "trio.lowlevel.Task": trio.lowlevel.current_task(),
        "trio.testing.MockClock": trio.testing.MockClock,
    }
    for path, names in wanted.items():
        for name in names:
            if not hasattr(holders[path], name):
                raise DeterminismUnavailable(
                    f"trio {trio.__version__} cannot be made deterministic: {path} has no {name!r} "
                    "any more. Use the version of trio that requirements/dev.txt of cortex-tasks "
                    "names, or run on asyncio."
                )


def _runner() -> Any:
    return getattr(getattr(_run, "GLOBAL_RUN_CONTEXT", None), "runner", None)


class TrioLoop(trio.abc.Instrument):
    """The trio run that is under way, with time and order of its own while `seized`."""

    name = "trio"

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._clock = trio.testing.MockClock(autojump_threshold=0)
        self._clock._autojump = self._jump  # type: ignore[method-assign]
        self._graves: list[Grave] = []
        self._generators = LivingGenerators()

    @contextmanager
    def seized(self) -> Iterator[None]:
        """Take the loop over, and put it back: clock, order, and the deadlines that were set."""
        runner = _runner()
        clock, threshold = runner.clock, runner.clock_autojump_threshold
        deadlines = runner.deadlines
        allowed, state = _run._ALLOW_DETERMINISTIC_SCHEDULING, _run._r.getstate()
        runner.clock, runner.clock_autojump_threshold = self._clock, 0
        runner.deadlines = type(deadlines)()  # those of the world outside stand still
        _run._ALLOW_DETERMINISTIC_SCHEDULING = True
        trio.lowlevel.add_instrument(self)
        try:
            with self._generators.hooked():
                yield
        finally:
            trio.lowlevel.remove_instrument(self)
            _run._ALLOW_DETERMINISTIC_SCHEDULING = allowed
            _run._r.setstate(state)
            runner.deadlines = deadlines
            runner.clock, runner.clock_autojump_threshold = clock, threshold

    def seed(self, seed: str) -> None:
        """Draw the order of steps from this seed, from now on."""
        _run._r.seed(seed)

    def now(self) -> float:
        """Seconds of virtual time since the loop was seized."""
        return self._clock.current_time()

    async def wait_idle(self) -> None:
        """Wait until everyone else waits for something; no time passes meanwhile."""
        await trio.testing.wait_all_tasks_blocked()

    # -- time ------------------------------------------------------------------------------------

    def _jump(self) -> None:
        """Go on to the next timer. Called by trio when everyone waits."""
        seconds = trio.lowlevel.current_statistics().seconds_to_next_deadline
        if seconds == math.inf:
            self._steps.no_timer()
        elif seconds > 0:
            self._clock.jump(seconds)
            self._steps.jumped(self.now())

    def before_io_wait(self, timeout: float) -> None:
        """A round of the loop: time must pass even where somebody always has something to do."""
        del timeout
        if self._steps.round():
            self._jump()

    # -- steps -----------------------------------------------------------------------------------

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Somebody runs until it waits again."""
        self._steps.begin(task.context)

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """It waits, or has ended."""
        self._steps.end(task.context)

    # -- death -----------------------------------------------------------------------------------

    def root(self) -> object:
        """The calling task: to be given to `kill`."""
        return trio.lowlevel.current_task()

    def kill(self, root: object, life: Mortal) -> None:
        """End the root of a life and all that it started, at once: none of its code runs again."""
        generators = self._generators.take(life, _runner().asyncgens.alive.discard)
        self._graves += [(root, generator) for generator in generators]
        assert isinstance(root, trio.lowlevel.Task)
        tasks = list(_family(root))
        for task in tasks:
            for nursery in task.child_nurseries:
                nursery._closed = True  # nothing more is started in it
                nursery._parent_waiting_in_aexit = False  # nobody is left to be woken by its end
        for task in tasks:
            self._graves.append((task, task.coro))
            coro = task.coro = _Dead()  # type: ignore[assignment]
            task._child_nurseries.clear()
            if task._next_send_fn is not None:  # it was about to run
                task._next_send_fn = coro.send
                continue
            if task._abort_func is not None:  # no event that it waited for may know it any more
                task._abort_func(_gone)
            _runner().reschedule(task)

    def bury(self) -> None:
        """Close the coroutines of those that were killed."""
        self._steps.bury(self._graves, self)

    @contextmanager
    def posing_as(self, task: Any) -> Iterator[None]:
        """A block in which this task, which is over, passes for the current one."""
        context = _run.GLOBAL_RUN_CONTEXT
        current, context.task = context.task, task
        try:
            yield
        finally:
            context.task = current

    def detach(self, waits: Any) -> None:
        """Take back what a coroutine has set up to be woken by."""
        abort = getattr(waits, "abort_func", None)
        if abort is not None:
            abort(_gone)


class _Dead:
    """In the place of a coroutine whose process is gone: the next step is its end."""

    cr_frame = cr_await = None
    cr_running = False

    def send(self, value: object) -> NoReturn:
        """End."""
        del value
        raise StopIteration(None)

    throw = send


def _family(task: trio.lowlevel.Task) -> Iterator[trio.lowlevel.Task]:
    for nursery in task.child_nurseries:
        for child in sorted(nursery.child_tasks, key=lambda one: one._counter):
            yield from _family(child)
    yield task


def _gone() -> NoReturn:
    raise PowerLost("the power failed")
