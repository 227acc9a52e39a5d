"""The actors of an engine between its entering and its leaving: set up, run, drained, stopped."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel

from .alarm import Alarm
from .attempts import Attempt
from .children import ChildPool
from .collecting import no_collecting
from .context import Children
from .errors import EngineError, EngineNotRunning, StorageError, StorageFull
from .ledger import Ledger
from .messages import CleanUp, Drain, Halt, Heard
from .observing import Observer, Observers
from .queues import Queues
from .recent import Recent
from .registry import Registry
from .replies import OneReply
from .retention import expired
from .scheduling import Scheduler
from .settings import Limits, Retention
from .statistics import Statistics
from .storage import Backend
from .supervisor import Mailbox, Supervisor
from .surroundings import Surroundings
from .tracing import Tracer
from .watchdog import Watchdog
from .worker import Worker

log = logging.getLogger("cortex_tasks.engine")


@dataclass(frozen=True)
class Declaration:
    """What an engine was declared with; see TaskEngine."""

    registry: Registry
    backend: Backend
    drain_grace: float
    limits: Limits
    retention: Retention
    progress_interval: float
    watchdog: float | None
    surroundings: Surroundings
    children: Children | None
    observers: tuple[Observer, ...] = ()
    tracer: Tracer | None = None


class Actors:
    """The supervisor, journal writer, alarm and workers, for one stay in the engine's block."""

    def __init__(self, declaration: Declaration) -> None:
        self.ledger = Ledger(history=declaration.limits.events_kept)
        self.statistics = Statistics()
        self.recent = Recent()
        self.accepting = False  # whether submits are taken: between the start and the drain
        self._declaration = declaration
        self._mailbox: Mailbox | None = None  # while anybody hears
        self._supervisor: Supervisor | None = None
        self.entered_at = 0.0  # by the event loop's clock
        self._children: Children

    # -- talking to the supervisor ---------------------------------------------------------------

    async def ask(self, ask: Callable[[OneReply[Any]], Heard]) -> Any:
        """Post the message that `ask(reply)` makes; give the answer. Raises EngineNotRunning."""
        mailbox = self.entered()
        await anyio.lowlevel.checkpoint_if_cancelled()
        reply: OneReply[Any] = OneReply()
        await mailbox.post(ask(reply))
        return await reply.wait()

    def entered(self) -> Mailbox:
        """Give the way to the supervisor; raises EngineNotRunning when there is none."""
        if self._mailbox is None:
            raise EngineNotRunning("the engine is not running: enter it with `async with`")
        return self._mailbox

    @property
    def trouble(self) -> StorageError | None:
        """Why nothing can be kept any more; None while all is well."""
        return None if self._supervisor is None else self._supervisor.trouble

    @property
    def queues(self) -> Queues:
        """Who waits and how many run, as far as has been decided; only to be read."""
        self.entered()
        assert self._supervisor is not None
        return self._supervisor.queues

    @property
    def no_room(self) -> StorageFull | None:
        """Why nothing is taken at present; None while there is room."""
        return None if self._supervisor is None else self._supervisor.no_room

    async def clean_up(self, *, max_age: timedelta | None, max_count: int | None = None) -> int:
        """Drop final tasks beyond the age or the count; gives how many."""
        dropped, now = 0, self._declaration.surroundings.clock.now()
        while ids := expired(self.ledger.catalogue, now, max_age=max_age, max_count=max_count):
            count: int = await self.ask(partial(CleanUp, ids))
            if count == 0:
                break
            dropped += count
        return dropped

    # -- their time ------------------------------------------------------------------------------

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The block of the engine: recover and start, then drain and stop; see TaskEngine."""
        failure: BaseException | None = None
        try:
            with no_collecting():
                supervisor, workers = await self._set_up()
            async with self._watched_children(), anyio.create_task_group() as actors:
                inner = [anyio.CancelScope(shield=True) for _ in workers]
                for worker, scope in zip(workers, inner, strict=True):
                    actors.start_soon(_work, worker, supervisor, scope)
                actors.start_soon(_supervise, supervisor)
                actors.start_soon(_write, supervisor)
                if self._declaration.watchdog is not None:
                    watchdog = Watchdog(
                        self._declaration.watchdog,
                        lambda: _attempts(workers),
                        self.statistics.lagged,
                    )
                    actors.start_soon(watchdog.run)
                actors.start_soon(supervisor.alarm.run)
                actors.start_soon(self._retain)
                try:
                    await self._start(supervisor, workers)
                    yield
                    await self._drain()
                except BaseException as error:  # raised again where no group wraps it
                    if isinstance(error, (anyio.get_cancelled_exc_class(), GeneratorExit)):
                        raise
                    failure = error
                finally:
                    self.accepting = False
                    with anyio.CancelScope(shield=True):
                        await self._stop(supervisor, workers)
                        for scope in inner:
                            scope.cancel()
                    actors.cancel_scope.cancel()
            if failure is None and supervisor.trouble is not None:
                failure = supervisor.trouble
        finally:
            self._mailbox = None
            with anyio.CancelScope(shield=True):
                await self._declaration.backend.close()
        if failure is not None:
            raise failure

    def _watched_children(self) -> AbstractAsyncContextManager[object]:
        """The block in which a pool of children ends idle ones in time."""
        return self._children if isinstance(self._children, ChildPool) else nullcontext()

    async def _set_up(self) -> tuple[Supervisor, list[Worker]]:
        declaration = self._declaration
        self.entered_at = anyio.current_time()
        recovered = await declaration.backend.open()
        self.ledger.load(recovered)
        self.recent.seed(self.ledger.catalogue.ended_last())
        scheduler = Scheduler(
            declaration.registry,
            self.ledger.catalogue.records,
            declaration.surroundings.new_task_id,
            declaration.surroundings.jitter,
            declaration.limits,
        )
        outbox, inbox = anyio.create_memory_object_stream[Heard](declaration.limits.mailbox)
        mailbox = Mailbox(outbox)
        self._children = declaration.children or ChildPool()
        workers = self._make_workers(mailbox)
        clock = declaration.surroundings.clock
        self._supervisor = Supervisor(
            scheduler,
            workers,
            declaration.backend,
            self.ledger,
            clock,
            alarm=Alarm(
                clock=clock,
                post=mailbox.post,
                look_again=declaration.surroundings.look_again,
            ),
            inbox=inbox,
            statistics=self.statistics,
            observers=Observers((self.statistics, self.recent, *declaration.observers)),
        )
        # Kept before anything is served: every task has an owner when the first request comes.
        try:
            await self._supervisor.recover(recovered)
        except BaseException:
            mailbox.close()
            inbox.close()
            raise
        self._mailbox = mailbox  # not before: nobody would answer what is asked if that fails
        return self._supervisor, list(workers.values())

    def _make_workers(self, mailbox: Mailbox) -> dict[str, Worker]:
        declaration = self._declaration
        return {
            declared.name: Worker(
                declared,
                post=mailbox.post,
                surroundings=declaration.surroundings,
                children=self._children,
                progress_interval=declaration.progress_interval,
                limits=declaration.limits,
                tracer=declaration.tracer,
            )
            for declared in declaration.registry
        }

    async def _start(self, supervisor: Supervisor, workers: list[Worker]) -> None:
        with anyio.CancelScope(shield=True):  # what was recovered waits for its worker
            for worker in workers:
                await worker.wait_started()
        supervisor.begin()
        self.accepting = True
        await anyio.lowlevel.checkpoint()

    async def _drain(self) -> None:
        """Take nothing more, and give running bodies their time."""
        self.accepting = False
        with anyio.move_on_after(self._declaration.drain_grace):
            await self.ask(Drain)

    async def _stop(self, supervisor: Supervisor, workers: list[Worker]) -> None:
        """Stop what runs, wait for it, and write down how it ended."""
        mailbox = self.entered()
        supervisor.writer.hurry()
        if supervisor.trouble is None:
            drained: OneReply[None] = OneReply()
            try:
                await mailbox.post(Drain(drained))
                await mailbox.post(Halt())
                await drained.wait()
            except EngineError as error:
                log.error("the engine could not drain: %s", error)  # noqa: TRY400  its text says all
        for worker in workers:
            await worker.wait_idle()
        mailbox.close()
        await self._children.aclose()
        await supervisor.wait_ended()
        self.ledger.close(EngineNotRunning("the engine has been left; the task is still pending"))

    def abandon(self) -> None:
        """Let go of all channels; see TaskEngine.abandon."""
        self.accepting = False
        mailbox, self._mailbox = self._mailbox, None
        if mailbox is not None:
            mailbox.close()
        if self._supervisor is not None:
            self._supervisor.abandon()

    async def _retain(self) -> None:
        """Drop final tasks beyond the retention, now and then."""
        keep = self._declaration.retention
        if keep.max_age is None and keep.max_count is None:
            return
        while True:
            try:
                await self.clean_up(max_age=keep.max_age, max_count=keep.max_count)
            except EngineNotRunning:
                return  # left in the middle of it: the next start goes on
            except EngineError as error:
                log.error("automatic cleanup failed: %s", error)  # noqa: TRY400  its text says all
                return
            await anyio.sleep(keep.every.total_seconds())


async def _supervise(supervisor: Supervisor) -> None:
    with anyio.CancelScope(shield=True):
        try:
            await supervisor.run()
        except anyio.get_cancelled_exc_class():  # no scope of ours: on asyncio, KeyboardInterrupt
            supervisor.fail("the event loop was ended while the engine ran")
            raise
        except BaseException:
            supervisor.fail("the supervisor crashed; this is a bug in cortex-tasks")
            raise


async def _write(supervisor: Supervisor) -> None:
    """Run the journal writer, which must be there to write down how bodies end."""
    with anyio.CancelScope(shield=True):
        try:
            await supervisor.writer.run()
        except anyio.get_cancelled_exc_class():  # as above
            raise
        except BaseException as error:  # KeyboardInterrupt in a listener, SystemExit of a backend
            # Nothing is kept from here on: who waits for that must not wait for ever.
            supervisor.fail(f"the journal writer was ended by {type(error).__name__}")
            raise


async def _work(worker: Worker, supervisor: Supervisor, scope: anyio.CancelScope) -> None:
    """Run a worker, which only the engine stops: it must be there until its bodies have ended."""
    with scope:
        try:
            await worker.run()
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException:
            if worker.lost:  # or the drain would wait for outcomes that never come
                supervisor.fail("a worker was ended while its tasks ran")
            raise


def _attempts(workers: list[Worker]) -> list[Attempt]:
    return [attempt for worker in workers for attempt in worker.attempts()]
