"""The supervisor: the one actor that owns task state.

It hears   Submit  Recall  Cancel  Revive  SetPaused  CleanUp  Drain  Halt  from callers
           Progressed  Save  Succeeded  Failed  Stopped  Overdue  from workers
           Due                                             from the alarm
It says    Stop   to a worker, at once
           Run    to a worker, once the start is kept
           Answer to whoever asked, once what it rests on is kept

It decides in plain code (scheduling.py) and never waits for a worker or for a disk: while a commit
is under way it hears and decides on, and a Stop goes out at once. When a commit finds no room, it
goes back to what is kept and decides anew on what it has heard since, by stricter rules.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from .alarm import Alarm
from .errors import EngineNotRunning, StorageError, StorageFull
from .journal import Ears, JournalWriter
from .ledger import Ledger
from .live_tasks import Decision
from .messages import (
    Answer,
    Cancel,
    CleanUp,
    Drain,
    Failed,
    Heard,
    Recall,
    Revive,
    Run,
    Save,
    SetPaused,
    Submit,
    Succeeded,
)
from .observing import Observers
from .queues import Queues
from .scheduling import Scheduler
from .statistics import Statistics
from .storage import Backend, Recovered
from .surroundings import Clock
from .worker import Worker

log = logging.getLogger("cortex_tasks.engine")

_SMALL = 2_000  # bytes of a result: to say that it cannot be kept would take about as much
_BATCH = 256  # messages decided on before their decisions go to the journal writer


class Supervisor:
    """Hears, decides through the scheduler, and has the journal writer carry out."""

    def __init__(
        self,
        scheduler: Scheduler,
        workers: Mapping[str, Worker],
        backend: Backend,
        ledger: Ledger,
        clock: Clock,
        *,
        alarm: Alarm,
        inbox: MemoryObjectReceiveStream[Heard],
        statistics: Statistics,
        observers: Observers,
    ) -> None:
        self._scheduler = scheduler
        self._workers = workers
        self._ledger = ledger
        self._clock = clock
        self.alarm = alarm
        self._inbox = inbox
        self.writer = JournalWriter(
            backend,
            ledger,
            Ears(self._carry_out, self._give_up, self._decide_anew, self._go_on),
            committed=statistics.committed,
        )
        self._observers = observers
        self.trouble: StorageError | None = None  # why nothing can be kept any more
        self._recovered = Decision()
        self._ended = anyio.Event()

    @property
    def queues(self) -> Queues:
        """Who waits and how many run, as far as has been decided; only to be read."""
        return self._scheduler.queues

    async def recover(self, recovered: Recovered) -> None:
        """Decide about what the backend holds, and keep that; nothing runs before `begin`.

        Raises StorageFull where there is no room for that, not even in the reserve.
        """
        self._lack_room(await self.writer.look_for_room())
        self._recovered = self._scheduler.recover(recovered, self._clock.now())
        self._lack_room(await self.writer.keep_with_reserve(self._recovered.changes))
        self._observers.recovered(self._recovered.moves)
        self._recovered.moves = []

    def begin(self) -> None:
        """Start what recovery found to run."""
        self._carry_out(self._recovered)
        self.alarm.set_nowait(self._scheduler.next_due)

    async def wait_ended(self) -> None:
        """Wait until `run` has returned."""
        await self._ended.wait()

    async def run(self) -> None:
        """Hear and decide until the inbox is closed and empty."""
        try:
            with self._inbox:
                while True:
                    try:
                        messages = [await self._inbox.receive()]
                    except anyio.EndOfStream:
                        return
                    self._drain_inbox_into(messages)
                    self._decide(messages)
        finally:
            self.writer.close()
            self._ended.set()

    def _drain_inbox_into(self, messages: list[Heard]) -> None:
        try:
            while len(messages) < _BATCH:
                messages.append(self._inbox.receive_nowait())
        except (anyio.WouldBlock, anyio.EndOfStream):
            pass

    def _decide(self, messages: list[Heard]) -> None:
        if self.trouble is not None:
            self._refuse_all(messages, self.trouble)
        elif self._scheduler.no_room is None:
            self._decide_on(messages)
        else:
            self._decide_without_room(messages, self._scheduler.no_room)

    def _decide_on(self, messages: list[Heard]) -> None:
        decision = self._scheduler.hear(messages, self._clock.now())
        decision.messages = messages
        for stop in decision.at_once:
            self._workers[stop.task_type].stop_nowait(stop.task_id, stop.why)
        # One from which nothing follows may have to be made anew too.
        if not decision.empty or self.writer.busy:
            self.writer.enqueue(decision)
        self.alarm.set_nowait(self._scheduler.next_due)

    def _carry_out(self, decision: Decision) -> None:
        """Called by the journal writer, in the order of the decisions, once each is kept."""
        self._scheduler.settle(decision.changes)
        self._observers.moved(decision.moves)
        for effect in decision.once_kept:
            if isinstance(effect, Run):
                told = self._scheduler.told_to_stop(effect.record.id)
                self._workers[effect.record.type].start_nowait(effect, told)
            elif effect.refused:
                effect.reply.refuse(effect.value)
            else:
                effect.reply.give(effect.value)

    def _give_up(self, error: StorageError, batch: list[Decision]) -> None:
        """Nothing can be kept any more: refuse whatever is owed, and stop what runs."""
        if self.trouble is None:
            self.trouble = error
            log.critical("storage failed, the engine accepts nothing more: %s", error)
            for worker in self._workers.values():
                worker.stop_all_nowait("shutdown")
        for decision in batch:
            for effect in decision.once_kept:
                if isinstance(effect, Answer):
                    effect.reply.refuse(error)
        for reply in self._scheduler.abandon():
            reply.refuse(error)
        self._ledger.close(error)

    # -- no room ---------------------------------------------------------------------------------

    @property
    def no_room(self) -> StorageFull | None:
        """Why nothing is taken at present; None while there is room."""
        return self._scheduler.no_room

    def _decide_without_room(self, messages: list[Heard], lack: StorageFull) -> None:
        """Refuse at once what asks for more; the rest each by itself, as one may be too large."""
        for message in messages:
            if isinstance(
                message, Submit | Revive | SetPaused | Save
            ) and self._scheduler.needs_room(message):
                message.reply.refuse(StorageFull(str(lack)))
            else:
                self._decide_on([message])

    def _decide_anew(self, error: StorageFull, refused: list[Decision]) -> bool:
        """Called by the journal writer: these found no room; False: nothing but room helps."""
        messages = [message for decision in refused for message in decision.messages]
        if self._scheduler.no_room is not None:  # by then a decision is about one message
            smaller = _without_result(messages[0], error) if refused[0].messages else None
            if smaller is None:
                return False  # it is as small as can be
            messages[0] = smaller
        self._scheduler.roll_back(refused, self._ledger.seq)
        self._lack_room(error)
        self._decide(messages)
        return True

    def _lack_room(self, error: StorageFull | None) -> None:
        if error is not None:
            if self._scheduler.no_room is None:
                log.warning("nothing is taken or started until there is room: %s", error)
            self._scheduler.no_room = error

    def _go_on(self) -> None:
        """Called by the journal writer: there is room again."""
        if self.trouble is None:
            log.info("there is room again: tasks are taken and started")
            decision = self._scheduler.regain(self._clock.now())
            if not decision.empty or self.writer.busy:
                self.writer.enqueue(decision)
            self.alarm.set_nowait(self._scheduler.next_due)

    def fail(self, reason: str) -> None:
        """Give up for a reason of our own."""
        self._give_up(StorageError(reason), [])

    def abandon(self) -> None:
        """Let go of the channels, where nobody runs any more who could; see TaskEngine.abandon."""
        if self.trouble is None:  # so that there is nothing left to give up
            self.trouble = StorageError("the engine was abandoned")
        self._inbox.close()

    def _refuse_all(self, messages: list[Heard], error: StorageError) -> None:
        for message in messages:
            if isinstance(
                message, Submit | Recall | Save | Cancel | Revive | SetPaused | CleanUp | Drain
            ):
                message.reply.refuse(error)


def _without_result(message: Heard, error: StorageFull) -> Failed | None:
    """The outcome of a body whose result is too large to be kept; None for any other message."""
    if not isinstance(message, Succeeded):
        return None
    size = memoryview(message.result).nbytes
    if size <= _SMALL:
        return None
    why = f"StorageFull: the result of {size:,} bytes cannot be kept: {error}"
    return Failed(message.task_id, message.attempt, why, None, message.progress)


class Mailbox:
    """The way to the supervisor: bounded, so whoever asks faster than it decides waits."""

    def __init__(self, outbox: MemoryObjectSendStream[Heard]) -> None:
        self._outbox = outbox

    async def post(self, message: Heard) -> None:
        """Hand the message over. Raises EngineNotRunning when nobody hears it."""
        try:
            self._outbox.send_nowait(message)
        except anyio.WouldBlock:
            await self._outbox.send(message)
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            raise EngineNotRunning(
                "the engine is not running: enter it with `async with`"
            ) from None

    def close(self) -> None:
        """Nothing more will be posted."""
        self._outbox.close()
