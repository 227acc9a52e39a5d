"""The lives of the engine under test: power on, an orderly end or the loss of power, and again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.abc

from ..engine.errors import EngineError, EventsMissed
from ..engine.records import TaskEvent, TaskRecord
from ..engine.registry import TaskType
from ..engine.storage import Recovered
from .bodies import LiveBodies
from .determinism import SeededLoop
from .disk import Disk, Storage
from .engine_under_test import EngineUnderTest
from .event_log import EventLog
from .faults import Dice
from .generators import LIFE
from .injected import START
from .promises import Promises
from .steps import Steps

_PATIENCE = 3600.0  # virtual seconds for an orderly end, beyond the engine's own grace


class Life:
    """An engine that is entered, lives in a coroutine of its own, and is left or dies."""

    def __init__(self, engine: EngineUnderTest, disk: Disk, loop: SeededLoop) -> None:
        self.engine = engine
        self._disk = disk
        self._loop = loop
        self._root: object = None
        self._leave = anyio.Event()
        self.started = anyio.Event()
        self.ended = anyio.Event()
        self.failure: Exception | None = None  # with which it could not start, or was left
        self.dead = False

    @property
    def over(self) -> bool:
        """Whether this engine will never answer again."""
        return self.ended.is_set()

    async def run(self) -> None:
        """Enter the engine, and leave it when told to."""
        if self.dead:
            return
        self._root = self._loop.root()
        try:
            async with self.engine:
                self.started.set()
                await self._leave.wait()
        except Exception as error:  # noqa: BLE001  whoever started it decides what that means
            if not self.dead:
                self.failure = error
        finally:
            self.ended.set()
            self.started.set()

    async def leave(self) -> None:
        """End in order: the engine drains. One that cannot come to its end dies."""
        self._leave.set()
        with anyio.move_on_after(_PATIENCE):
            await self.ended.wait()
        self.die()

    def lose_power(self) -> None:
        """Its disk is gone; its code still runs until it dies."""
        self._disk.lose_power()

    def die(self) -> None:
        """End as the process would with the power: no line of its code runs any more."""
        if self.over:
            return
        self.dead = True
        self._disk.lose_power()
        if self._root is not None:
            self._loop.kill(self._root, self)
        self.engine.die()
        self.ended.set()
        self.started.set()


class Lives:
    """Starts engines on one storage, one after another, and lets the power fail."""

    def __init__(
        self,
        task_types: Iterable[TaskType[Any, Any]],
        *,
        storage: Storage,
        bodies: LiveBodies,
        promises: Promises,
        steps: Steps,
        dice: Dice,
        fail: Callable[[BaseException], None],
        crash_at: int,
        options: dict[str, Any],
    ) -> None:
        self._types = tuple(task_types)
        self._storage = storage
        self._bodies = bodies
        self._promises = promises
        self._steps = steps
        self._dice = dice
        self._fail = fail
        self._crash_at = crash_at
        self._options = options
        self._log = EventLog()
        self._logged = 0  # the newest change that is in the log
        self.disturbed = False  # whether an engine was ended before the harness was left
        self._begun = self._closed = False
        self._loop: SeededLoop
        self._nursery: anyio.abc.TaskGroup
        self._changing: anyio.Lock
        self._trouble: anyio.Event  # the keeper is needed
        self._next: anyio.Event  # set when another life has begun
        self._restarting = False
        self._suspect = False  # a fault may have left the engine unable to keep anything
        self._to_cancel: list[str] = []
        self.present: Life
        storage.on_opened = self._look_at_opened
        bodies.cancel = self._plan_cancel

    async def begin(self, loop: SeededLoop, nursery: anyio.abc.TaskGroup) -> None:
        """Start the first life, and the keeper that starts another when the power has failed."""
        self._loop, self._nursery = loop, nursery
        self._changing, self._trouble, self._next = anyio.Lock(), anyio.Event(), anyio.Event()
        async with self._carried_through():
            await self._start("start")
        nursery.start_soon(self._keep)

    @property
    def log(self) -> EventLog:
        """Everything that has happened by now."""
        if self._begun:
            self.read_events()
        return self._log

    async def crash(self) -> None:
        """The power fails; then it is there again, and another engine starts."""
        async with self._carried_through():
            self.disturbed = True
            self._lose_power("crash")
            await self._start("start")

    async def restart(self) -> None:
        """Leave the engine in order, and start another."""
        async with self._carried_through():
            self._restarting = self.disturbed = True
            try:
                await self.end()
                await self._start("restart")
            finally:
                self._restarting = False

    async def recover(self) -> None:
        """Start another engine where this one is gone or can keep nothing any more."""
        async with self._carried_through():
            if not self.present.over and self.present.engine.trouble is not None:
                self._lose_power("crash")
            if self.present.dead:
                await self._start("start")

    async def end(self) -> None:
        """Leave the engine in order."""
        self._steps.disarm()
        await self.present.leave()
        self.read_events()
        if self.present.failure is not None:
            self._note(f"left: {self.present.failure}")

    def die(self) -> None:
        """End the present life, whatever state it is in."""
        if not self._begun:
            return
        self.read_events()
        self.present.die()
        self._bodies.all_gone()

    async def wait_next(self, life: Life) -> None:
        """Wait until another life than this one has begun."""
        while self.present is life or not self.present.started.is_set():
            await self._next.wait()

    def coming_back(self, life: Life) -> bool:
        """Whether a life that fails its callers will be followed by another by itself."""
        gone = life is not self.present or life.dead or self._restarting
        return gone or self._dice.injured(life.engine.trouble)

    async def wait_up(self) -> None:
        """Wait until an engine lives, where one is to come. One that is starting is not it yet."""
        while True:
            life = self.present
            if life.over and self.coming_back(life):
                await self.wait_next(life)
            elif life.started.is_set():
                return
            else:
                await life.started.wait()

    def close(self) -> None:
        """End the present life, whatever state it is in, and start no other."""
        self._closed = True
        self.die()

    @asynccontextmanager
    async def _carried_through(self) -> AsyncIterator[None]:
        """A change of lives: one at a time, and not left half done by whoever is cancelled."""
        async with self._changing:
            with anyio.CancelScope(shield=True):
                yield

    # -- starting and ending ---------------------------------------------------------------------

    async def _start(self, word: str) -> None:
        """Start an engine; again, where a fault keeps it from starting."""
        while not self._closed:
            disk = Disk(
                self._storage,
                self._dice,
                on_commit=self.read_events,
                on_fault=self._suspect_trouble,
                on_cut=self._cut_power,
            )
            engine = EngineUnderTest(
                self._types,
                on_answer=self._promises.look_at_answer,
                backend=disk,
                **self._options,
            )
            life = self.present = Life(engine, disk, self._loop)
            self._begun = True
            steps = self._crash_at or self._dice.crash_after()
            self._crash_at = 0  # once
            if steps:
                self._steps.set_trap(steps, life, self._trapped)
            token = LIFE.set(life)
            try:
                self._nursery.start_soon(self._live, life)
            finally:
                LIFE.reset(token)
            await life.started.wait()
            if life.failure is None and not life.dead:
                self._note(word)
                woken, self._next = self._next, anyio.Event()
                woken.set()
                return
            if life.failure is not None and not self._dice.injured(life.failure):
                raise life.failure
            self._note(f"could not start: {life.failure or 'the power failed'}")

    async def _live(self, life: Life) -> None:
        await life.run()
        failure = life.failure
        if failure is not None and not isinstance(failure, EngineError):
            self._fail(failure)  # a bug in the engine

    def _lose_power(self, word: str) -> None:
        """Called in the midst of anything: between two steps of any coroutine."""
        if self.present.over:
            return
        self._steps.disarm()
        self.die()
        self._note(word)
        self._wake()

    def _trapped(self) -> None:
        try:
            self._dice.happened("crash")
            self._lose_power("crash")
        except Exception as error:  # noqa: BLE001  the loop that called would keep it to itself
            self._fail(error)

    def _cut_power(self) -> None:
        """The power fails now: the step that is under way is the last of this life."""
        if self.present.over:
            return
        self.present.lose_power()
        self._steps.set_trap(1, self.present, self._trapped_by_cut)

    def _trapped_by_cut(self) -> None:
        try:
            self._lose_power("power cut")
        except Exception as error:  # noqa: BLE001  as above
            self._fail(error)

    def _wake(self) -> None:
        self._trouble.set()

    def _suspect_trouble(self) -> None:
        self._suspect = True
        self._wake()

    async def _keep(self) -> None:
        """Do what an operator would: start the engine again when it is gone or of no use."""
        while True:
            await self._trouble.wait()
            self._trouble = anyio.Event()
            self._cancel_planned()
            if self._suspect:
                self._suspect = False
                await anyio.sleep(self._dice.downtime())
            await self.recover()

    def _plan_cancel(self, task_id: str) -> None:
        self._to_cancel.append(task_id)
        self._wake()

    def _cancel_planned(self) -> None:
        planned, self._to_cancel = self._to_cancel, []
        for task_id in planned:
            self._dice.happened("cancel")
            self._nursery.start_soon(self._cancel, self.present.engine, task_id)

    async def _cancel(self, engine: EngineUnderTest, task_id: str) -> None:
        try:
            await engine.cancel(task_id)
        except Exception as error:  # noqa: BLE001  it may be over by now, or the engine
            self._note(f"cancel of {task_id}: {type(error).__name__}")

    # -- the log ---------------------------------------------------------------------------------

    def read_events(self) -> None:
        """Take over what the engine shows by now; before each commit, so that none is missed."""
        engine = self.present.engine
        try:
            changes = engine.events_until_now(after=self._logged)
        except EventsMissed as missed:
            self._promises.note_broken(f"not every change is shown: {missed}")
            self._logged = engine.seq
            return
        for change in changes:
            self._log.note_change(self._at(change.record), change)
            self._logged = change.seq
        self._promises.look_at_changes(changes)

    def _at(self, record: TaskRecord | None) -> float:
        return (record.updated_at - START).total_seconds() if record else self._loop.now()

    def _look_at_opened(self, recovered: Recovered) -> None:
        """The storage was opened: there may be more in it than was ever shown."""
        self._promises.look_at_recovered(recovered)
        held = {record.id for record in recovered.records}
        for task_id in sorted(self._log.known_tasks() - held):
            self._log.note_change(self._loop.now(), TaskEvent(recovered.last_seq, task_id, None))
        for record in sorted(recovered.records, key=lambda one: one.seq):
            if record.seq > self._logged:
                self._log.note_change(self._loop.now(), TaskEvent(record.seq, record.id, record))
        self._logged = recovered.last_seq

    def _note(self, what: str) -> None:
        self._log.note(self._loop.now(), what)
