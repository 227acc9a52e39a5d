"""TaskHarness: an engine of which nothing is left to chance, to real time or to real disks."""

from __future__ import annotations

import math
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, overload

import anyio
import msgspec

from ..engine.engine import TaskEngine
from ..engine.handles import TaskHandle
from ..engine.records import TaskRecord
from ..engine.registry import TaskType
from ..engine.settings import Retention
from ..engine.storage import Backend
from ..engine.surroundings import Surroundings
from ..engine.task_log import LogLine
from .arguments import (
    check_count,
    check_faults,
    check_makes,
    check_span,
    check_storage,
    check_types,
    id_of,
    refuse_bodies,
)
from .bodies import LiveBodies
from .children import InlineChildren
from .determinism import SeededLoop, deterministic
from .disk import Storage
from .errors import HarnessError, Stuck
from .event_log import EventLog
from .faults import NO_FAULTS, Dice, Faults
from .files import SimulatedFiles
from .injected import NumberedIds, VirtualClock, offload_in_sight
from .lasting import LastingEngine, lasting_handle
from .lives import Lives
from .promises import Promises
from .steps import STEPS_AT_ONE_INSTANT, Steps
from .watch import Watch

P = TypeVar("P")
R = TypeVar("R")

FOR_EVER = Retention(max_age=None, max_count=None)
A_YEAR = timedelta(days=366)

_active: list[object] = []  # at most one: what a harness takes hold of is the process's


class TaskHarness:
    """An engine in a block in which one seed decides everything.

    An async context manager, on trio or asyncio, whoever runs the loop. Within the block the loop's
    time is virtual: it stands still while anyone has something to do, and jumps to the next timer
    once everyone waits. The order in which coroutines run is drawn from the seed. It begins on
    2026-03-15 at 10:30 UTC; ids are task_000001, task_000002, … Calls that would go to a thread or
    to a child process run inline.

    Leaving the block raises NotDeterministic, LeftRunning, PromiseBroken or Stuck if there was
    cause for it.
    Deadlines set around the block stand still within it. One harness at a time in a process.
    """

    def __init__(
        self,
        *task_types: TaskType[Any, Any],
        seed: int = 0,
        faults: Faults = NO_FAULTS,
        crash_at: int = 0,
        storage: Literal["memory", "json"] = "memory",
        make_backend: Callable[[], Backend] | None = None,
        watch: bool = True,
        limit: timedelta = A_YEAR,
        steps_at_one_instant: int = STEPS_AT_ONE_INSTANT,
        **engine_options: Any,
    ) -> None:
        """Declare a harness; nothing happens before it is entered.

        crash_at: the power fails once, after so many steps of the first engine (0: it does not).
        storage: what the engine keeps things in. "json": the JSON backend, on a simulated disk of
        which a loss of power leaves what was synced, and of the rest whatever chance will have.
        make_backend: gives a backend on the same storage at each start, in place of that.
        watch: notice bodies that use threads, processes and real clocks. limit: virtual time after
        which the run is taken for stuck. steps_at_one_instant: after so many while no time has
        passed a body spins: time goes on to the next timer, and without one the run is stuck.
        engine_options: as for TaskEngine.
        """
        check_types(task_types)
        check_faults(faults)
        check_count("crash_at", crash_at, 0)
        check_storage(storage)
        check_makes(make_backend)
        check_span("limit", limit)
        check_count("steps_at_one_instant", steps_at_one_instant, 1)
        self.seed = seed
        self.random = random.Random(f"{seed} scenario")
        self._types = task_types
        self._limit = limit.total_seconds()
        self._watch = Watch(enabled=watch)
        self._steps = Steps(self._watch, steps_at_one_instant)
        self._files = None
        if storage == "json" and make_backend is None:
            self._files = SimulatedFiles(f"{seed} files")
        self._storage = Storage(make_backend, self._files)
        self._bodies = LiveBodies(self._watch)
        self._promises = Promises(self._storage, self._bodies)
        self._dice = Dice(faults, f"{seed} faults")
        self._bodies.employ(self._dice if faults.names else None)
        self._lives = Lives(
            task_types,
            storage=self._storage,
            bodies=self._bodies,
            promises=self._promises,
            steps=self._steps,
            dice=self._dice,
            fail=self._fail,
            crash_at=crash_at,
            options={
                "retention": FOR_EVER,
                "watchdog": None,
                "children": InlineChildren(faithful=True),
                "surroundings": Surroundings(
                    clock=VirtualClock(self._elapsed),
                    new_task_id=NumberedIds(),
                    random=random.Random(f"{seed} engine"),
                    offload=offload_in_sight,
                    look_again=math.inf,
                    seed=seed,
                ),
                **engine_options,
            },
        )
        self._lasting = LastingEngine(self._lives)
        self._entered = self._left = False
        self.before_entering: Callable[[], None] = _nothing  # may refuse, by an error
        self._block: AbstractAsyncContextManager[None] | None = None
        self._failure: BaseException | None = None
        self._loop: SeededLoop
        self._scope: anyio.CancelScope

    # -- entering and leaving --------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._block is not None:
            raise HarnessError("a harness is entered once: make another")
        self.before_entering()
        self._block = self._running()
        await self._block.__aenter__()
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        assert self._block is not None
        return await self._block.__aexit__(error_type, error, traceback)

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        if _active:
            raise HarnessError("another harness is at work in this process: one at a time")
        _active.append(self)
        error: BaseException | None = None
        try:
            async with deterministic(f"{self.seed} order", self._steps) as self._loop:
                self._steps.on_idle_for_ever = self._idle_for_ever
                self._steps.on_jump = self._look_at_time
                with self._bodies.known(self._types):
                    try:
                        async with anyio.create_task_group() as nursery:
                            try:
                                with anyio.CancelScope() as self._scope:
                                    await self._lives.begin(self._loop, nursery)
                                    self._entered = True
                                    yield
                                    await self._end()
                            except BaseException as raised:  # raised again where no group wraps it
                                if isinstance(raised, anyio.get_cancelled_exc_class()):
                                    raise
                                error = raised
                            finally:
                                self._left = True
                                self._lives.close()
                                nursery.cancel_scope.cancel()
                    finally:
                        self._loop.bury()
        finally:
            _active.remove(self)
            if self._files is not None:
                self._files.remove()
        self._raise_what_was_found(error)

    async def _end(self) -> None:
        """Leave the engine in order, where nothing is wrong."""
        self._dice.off = True
        await self.check()
        await self._lives.end()

    def _raise_what_was_found(self, error: BaseException | None) -> None:
        """Raise the cause rather than what came of it."""
        found: list[BaseException] = list(self._watch.found[:1])
        found += [broken] if (broken := self._promises.first_broken()) else []
        found += [self._failure] if self._failure else []
        if found and found[0] is not error:
            raise found[0] from error
        if error is not None:
            raise error

    def _check_entered(self) -> None:
        """Raise HarnessError if there is nothing yet."""
        if not self._entered:
            raise HarnessError(
                "the harness has not been entered: `async with TaskHarness(...) as harness:`"
            )

    def _check_at_work(self) -> None:
        """Raise HarnessError outside of the block."""
        self._check_entered()
        if self._left:
            raise HarnessError("the harness has been left: it does this only within its block")

    # -- what it shows ---------------------------------------------------------------------------

    @property
    def engine(self) -> TaskEngine:
        """The engine as it is now: another one after each crash and each restart."""
        self._check_entered()
        return self._lives.present.engine

    @property
    def events(self) -> EventLog:
        """Every change of every task by now, and every start, crash and restart, in order."""
        return self._lives.log

    @property
    def loop(self) -> str:
        """The event loop: "trio" or "asyncio"."""
        self._check_entered()
        return self._loop.name

    @property
    def now(self) -> datetime:
        """The virtual time of day."""
        self._check_entered()
        return VirtualClock(self._elapsed).now()

    @property
    def jumps(self) -> int:
        """How often time has jumped."""
        return self._steps.jumps

    @property
    def steps(self) -> int:
        """How many steps the engine and its bodies have taken, over all lives."""
        return self._steps.taken

    @property
    def injected(self) -> Mapping[str, int]:
        """How often each fault has happened."""
        return dict(self._dice.injected)

    @property
    def disturbed(self) -> bool:
        """Whether a fault has happened, or the engine that began is no longer the same."""
        return bool(self._dice.injected) or self._lives.disturbed

    @property
    def kept(self) -> Mapping[str, TaskRecord]:
        """What the storage holds at this moment, crash or not."""
        return dict(self._storage.kept)

    @property
    def paused(self) -> frozenset[str]:
        """The task types that are paused, as the storage holds it at this moment."""
        return frozenset(self._storage.paused)

    # -- time ------------------------------------------------------------------------------------

    async def settle(self) -> None:
        """Let everyone go on until all wait; no time passes."""
        self._check_at_work()
        await self._loop.wait_idle()

    async def advance(self, by: timedelta | None = None, **units: float) -> None:
        """Let time pass, as in `advance(hours=3)`, and all that is due by then happen."""
        self._check_at_work()
        if by is not None:
            check_span("advance(by=)", by)
        span = (by or timedelta()) + timedelta(**units)
        check_span("advance", span)
        await anyio.sleep(span.total_seconds())
        await self.settle()

    async def run_until_idle(self, *, limit: timedelta = A_YEAR) -> None:
        """Let time pass until no task is pending or running.

        Raises Stuck when that is not so after `limit`, or can never be.
        """
        self._check_at_work()
        refuse_bodies("run_until_idle")
        check_span("limit", limit)
        with anyio.move_on_after(limit.total_seconds()):
            while True:
                await self.settle()
                changed = self._storage.next_commit()
                if not self._unfinished() and not self._lives.present.over:
                    return
                await changed.wait()
        raise Stuck(f"after {limit} of virtual time {self._situation()}")

    # -- calamities ------------------------------------------------------------------------------

    async def crash(self) -> None:
        """Let the power fail and come back: only what was committed is left.

        No line of the old engine's code, or of its tasks', runs within the block any more, not even
        `finally`. (Once the block is left, Python ends the dead coroutines by running these blocks:
        no engine and no storage is there for them, and nobody hears what they raise.) Who waits for
        an answer of the old engine gets PowerLost. Returns once another engine runs.
        """
        self._check_at_work()
        refuse_bodies("crash")
        await self._lives.crash()

    async def restart(self) -> None:
        """Leave the engine in order, as a server does that is told to stop, and start another."""
        self._check_at_work()
        refuse_bodies("restart")
        await self._lives.restart()

    def calm(self) -> None:
        """From now on no fault happens; bodies that were made to hang go on."""
        self._dice.off = True
        self._steps.disarm()
        self._bodies.calm()

    async def recover(self) -> None:
        """Start another engine if a fault has left this one dead or unable to keep anything; let
        time pass until an engine whose disk was full has found room.
        """
        self._check_at_work()
        await self._lives.recover()
        while self.engine.no_room is not None:
            await self.advance(seconds=1)

    # -- tasks -----------------------------------------------------------------------------------

    @overload
    async def submit(
        self, task: TaskType[P, R], params: P | Mapping[str, Any] | None = None, **options: Any
    ) -> TaskHandle[R]: ...
    @overload
    async def submit(self, task: str, params: Any = None, **options: Any) -> TaskHandle[Any]: ...
    async def submit(
        self, task: TaskType[Any, Any] | str, params: Any = None, **options: Any
    ) -> TaskHandle[Any]:
        """Submit a task; see TaskEngine.submit. The handle stays good over crash and restart."""
        self._check_at_work()
        await self._lives.wait_up()
        handle = await self.engine.submit(task, params, **options)
        return lasting_handle(handle, self._lasting)

    async def get(self, task: TaskHandle[Any] | str) -> TaskRecord:
        """Give the task's record as last kept. Raises TaskNotFound."""
        self._check_at_work()
        return await self._lasting.get(id_of(task))

    async def wait(self, task: TaskHandle[Any] | str) -> TaskRecord:
        """Wait until the task is final, over crash and restart, and give its record."""
        self._check_at_work()
        return await self._lasting.wait(id_of(task))

    async def result(self, task: TaskHandle[Any] | str) -> Any:
        """Wait until the task is final, and give its result, decoded from JSON."""
        self._check_at_work()
        record = await self._lasting.wait(id_of(task))
        return msgspec.json.decode(await self._lasting.result_of(record))

    async def log_lines(self, task: TaskHandle[Any] | str) -> list[LogLine]:
        """Give what the task's bodies have written by `ctx.log` and what is kept of it by now."""
        self._check_at_work()
        return (await self._lasting.log_lines(id_of(task))).lines

    async def cancel(self, task: TaskHandle[Any] | str) -> TaskRecord:
        """Stop the task; see TaskEngine.cancel."""
        self._check_at_work()
        return await self._lasting.cancel(id_of(task))

    async def retry(self, task: TaskHandle[Any] | str) -> TaskRecord:
        """Have the task tried again; see TaskEngine.retry."""
        self._check_at_work()
        return await self._lasting.retry(id_of(task))

    async def pause(self, task: TaskType[Any, Any] | str) -> None:
        """Start no more tasks of this type; see TaskEngine.pause."""
        self._check_at_work()
        await self._lasting.pause(task)

    async def resume(self, task: TaskType[Any, Any] | str) -> None:
        """Start tasks of this type again; see TaskEngine.pause."""
        self._check_at_work()
        await self._lasting.resume(task)

    async def check(self) -> None:
        """Raise PromiseBroken if the engine has broken a promise by now, NotDeterministic if a
        body has asked the world outside, LeftRunning if what it started outlives it.
        """
        self._check_at_work()
        if self._watch.found:
            raise self._watch.found[0]
        await self.settle()
        self._lives.read_events()
        if not self._lives.present.over and self.engine.trouble is None:
            await self._promises.look_at_all(self.engine)
        self._promises.raise_broken()

    # -- when nothing goes on --------------------------------------------------------------------

    def _elapsed(self) -> float:
        return self._loop.now()

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error
            self._scope.cancel()
        else:
            self._lives.close()  # not even its end comes to an end

    def _idle_for_ever(self, why: str) -> None:
        if self._bodies.hanging:
            self._bodies.release()
        else:
            self._fail(Stuck(f"{why}; {self._situation()}"))

    def _look_at_time(self, now: float) -> None:
        if now > self._limit:
            self._fail(
                Stuck(f"{timedelta(seconds=now)} of virtual time are over; {self._situation()}")
            )

    def _unfinished(self) -> list[TaskRecord]:
        return [record for record in self._storage.kept.values() if not record.final]

    def _situation(self) -> str:
        """What is not over, and where it waits."""
        unfinished = self._unfinished()
        lines = [f"{len(unfinished)} tasks are not over"]
        lines += [f"  {one.id} of type {one.type!r} is {one.status}" for one in unfinished[:10]]
        lines += [f"  {line}" for line in self._bodies.where_they_are(self._steps.spins)]
        lines += [
            f"  type {name!r} is paused: nobody has resumed it" for name in sorted(self.paused)
        ]
        return "\n".join(lines)


def _nothing() -> None:
    pass
