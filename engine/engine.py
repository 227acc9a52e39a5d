"""TaskEngine: what an embedding program holds."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import Any, TypeVar, overload

import anyio
import anyio.lowlevel
import msgspec

from .children import ChildPool
from .context import Children
from .errors import (
    EngineError,
    EngineNotRunning,
    InvalidParameters,
    ResultNotReady,
    TaskCancelled,
    TaskFailed,
)
from .handles import TaskHandle
from .ledger import Ledger, TaskEvents
from .lifecycle import TaskStatus
from .messages import Accepted, Cancel, CleanUp, Drain, Halt, Heard, Submission, Submit
from .records import ChainStep, TaskEvent, TaskPage, TaskRecord
from .registry import Registry, TaskType
from .replies import OneReply
from .retention import expired
from .scheduling import Scheduler
from .settings import Limits, Retention
from .storage import Backend
from .supervisor import Mailbox, Supervisor
from .surroundings import Surroundings
from .watchdog import Watchdog
from .worker import Worker

log = logging.getLogger("cortex_tasks.engine")

P = TypeVar("P")
R = TypeVar("R")
# A step of a chain: a type, with its parameters, with the key that it holds while it is under way.
_Task = TaskType[Any, Any] | str
Step = _Task | tuple[_Task, Any] | tuple[_Task, Any, str]
Then = Sequence[Step]


class TaskEngine:
    """Runs tasks of the given types and keeps their records in the backend.

    An async context manager: entering recovers what the backend holds and starts; leaving drains:
    nothing more is taken, running bodies get `drain_grace` seconds, then they are stopped (and
    are pending again where their type resumes). Pending tasks stay pending for the next start.
    Left by an exception or a cancellation, the grace is 0. A body that ignores its stop is logged
    with its stack and holds up the leaving: no engine outlives its tasks.

    Every method may be called from any coroutine of the event loop in which it was entered. All
    raise EngineNotRunning outside the block, and StorageError once the backend has failed.
    """

    def __init__(
        self,
        task_types: Iterable[TaskType[Any, Any]],
        *,
        backend: Backend,
        drain_grace: float = 10.0,
        limits: Limits | None = None,
        retention: Retention | None = None,
        progress_interval: float = 0.1,
        watchdog: float | None = 1.0,
        surroundings: Surroundings | None = None,
        children: Children | None = None,
    ) -> None:
        """Declare an engine; nothing starts before it is entered.

        retention: how long final tasks are kept (default 7 days). progress_interval: seconds
        between two progress changes of a type's tasks. watchdog: seconds after which a blocked
        event loop is reported (None: never). surroundings: clock, ids, chance and threads.
        """
        self._registry = Registry(task_types)
        self._backend = backend
        self._drain_grace = drain_grace
        self._limits = limits or Limits()
        self._retention = retention or Retention()
        self._progress_interval = progress_interval
        self._watchdog = watchdog
        self._surroundings = surroundings or Surroundings()
        self._children_given = children
        self._ledger = Ledger(history=self._limits.events_kept)
        self._mailbox: Mailbox | None = None
        self._supervisor: Supervisor | None = None
        self._accepting = False
        self._block: AbstractAsyncContextManager[None] | None = None

    # -- entering and leaving --------------------------------------------------------------------

    async def __aenter__(self) -> TaskEngine:
        if self._block is not None:
            raise EngineNotRunning("this engine has been entered already")
        self._block = self._running()
        try:
            await self._block.__aenter__()
        except BaseException:
            self._block = None
            raise
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        assert self._block is not None
        block, self._block = self._block, None
        return await block.__aexit__(error_type, error, traceback)

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        failure: BaseException | None = None
        try:
            supervisor, workers = await self._set_up()
            async with self._watched_children(), anyio.create_task_group() as actors:
                inner = [anyio.CancelScope(shield=True) for _ in workers]
                for worker, scope in zip(workers, inner, strict=True):
                    actors.start_soon(_shielded, worker.run, scope)
                actors.start_soon(self._supervise, supervisor)
                actors.start_soon(_shielded, supervisor.writer.run, anyio.CancelScope(shield=True))
                if self._watchdog is not None:
                    actors.start_soon(Watchdog(self._watchdog, lambda: _attempts(workers)).run)
                actors.start_soon(self._retain)
                try:
                    with anyio.CancelScope(shield=True):  # what was recovered waits for its worker
                        for worker in workers:
                            await worker.wait_started()
                    supervisor.begin()
                    self._accepting = True
                    await anyio.lowlevel.checkpoint()
                    yield
                    await self._drain()
                except BaseException as error:  # raised again where no group wraps it
                    if isinstance(error, (anyio.get_cancelled_exc_class(), GeneratorExit)):
                        raise
                    failure = error
                finally:
                    self._accepting = False
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
                await self._backend.close()
        if failure is not None:
            raise failure

    def _watched_children(self) -> AbstractAsyncContextManager[object]:
        """The block in which a pool of children ends idle ones in time."""
        return self._children if isinstance(self._children, ChildPool) else nullcontext()

    async def _set_up(self) -> tuple[Supervisor, list[Worker]]:
        recovered = await self._backend.open()
        self._ledger = ledger = Ledger(history=self._limits.events_kept)
        ledger.load(recovered)
        scheduler = Scheduler(
            self._registry, ledger.catalogue.records, self._surroundings.new_task_id
        )
        outbox, inbox = anyio.create_memory_object_stream[Heard](self._limits.mailbox)
        self._mailbox = mailbox = Mailbox(outbox)
        self._children = self._children_given or ChildPool()
        workers = {
            declared.name: Worker(
                declared,
                post=mailbox.post,
                surroundings=self._surroundings,
                children=self._children,
                progress_interval=self._progress_interval,
                max_result_bytes=self._limits.max_result_bytes,
            )
            for declared in self._registry
        }
        clock = self._surroundings.clock
        self._supervisor = Supervisor(scheduler, workers, self._backend, ledger, clock, inbox)
        # Kept before anything is served: every task has an owner when the first request comes.
        try:
            await self._supervisor.recover(recovered)
        except BaseException:
            mailbox.close()
            inbox.close()
            for worker in workers.values():
                worker.close()
            raise
        return self._supervisor, list(workers.values())

    async def _supervise(self, supervisor: Supervisor) -> None:
        with anyio.CancelScope(shield=True):
            try:
                await supervisor.run()
            except BaseException:
                supervisor.fail("the supervisor crashed; this is a bug in cortex-tasks")
                raise

    async def _drain(self) -> None:
        """Take nothing more, and give running bodies their time."""
        self._accepting = False
        with anyio.move_on_after(self._drain_grace):
            await self._ask(Drain)

    async def _stop(self, supervisor: Supervisor, workers: list[Worker]) -> None:
        """Stop what runs, wait for it, and write down how it ended."""
        mailbox = self._mailbox
        assert mailbox is not None
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
        self._ledger.close(EngineNotRunning("the engine has been left; the task is still pending"))

    def abandon(self) -> None:
        """Let go of all channels, without a word to anybody and without waiting.

        For a harness alone, once it has ended the engine's coroutines as a loss of power would.
        """
        self._accepting = False
        mailbox, self._mailbox = self._mailbox, None
        if mailbox is not None:
            mailbox.close()
        if self._supervisor is not None:
            self._supervisor.abandon()

    async def _retain(self) -> None:
        """Drop final tasks beyond the retention, now and then."""
        keep = self._retention
        if keep.max_age is None and keep.max_count is None:
            return
        while True:
            try:
                await self._clean_up(max_age=keep.max_age, max_count=keep.max_count)
            except EngineError as error:
                log.error("automatic cleanup failed: %s", error)  # noqa: TRY400  its text says all
                return
            await anyio.sleep(keep.every.total_seconds())

    # -- submitting ------------------------------------------------------------------------------

    @overload
    async def submit(
        self,
        task: TaskType[P, R],
        params: P | Mapping[str, Any] | None = None,
        *,
        dedupe_key: str | None = None,
        then: Then = (),
    ) -> TaskHandle[R]: ...
    @overload
    async def submit(
        self,
        task: str,
        params: Any = None,
        *,
        dedupe_key: str | None = None,
        then: Then = (),
    ) -> TaskHandle[Any]: ...
    async def submit(
        self,
        task: TaskType[Any, Any] | str,
        params: Any = None,
        *,
        dedupe_key: str | None = None,
        then: Then = (),
    ) -> TaskHandle[Any]:
        """Submit a task; returns once the backend has it.

        dedupe_key: while a task of this type with the same key is pending or running, give that
        one instead. then: steps `(type, params)` or `(type, params, dedupe_key)` that follow, each
        once the one before it has completed, all stored with this task. A step always gets a task
        of its own: one that finds its key taken runs without it.

        Raises UnknownTaskType, InvalidParameters (nothing is stored) and QueueFull. Cancelled
        while it waits, the task may or may not have been submitted.
        """
        handles = await self._submit([(task, params)], dedupe_key, then)
        return handles[0]

    async def submit_many(
        self,
        task: TaskType[P, R] | str,
        params: Iterable[P | Mapping[str, Any]],
    ) -> list[TaskHandle[R]]:
        """Submit one task for each of `params`: all of them, in one commit, or none."""
        return await self._submit([(task, one) for one in params], None, ())

    async def _submit(
        self,
        wanted: list[tuple[TaskType[Any, Any] | str, Any]],
        dedupe_key: str | None,
        then: Then,
    ) -> list[TaskHandle[Any]]:
        steps = tuple(self._step(step) for step in then)
        if dedupe_key is not None:
            _check_key(dedupe_key)
        types: list[TaskType[Any, Any]] = []
        submissions: list[Submission] = []
        new_task_id = self._surroundings.new_task_id
        for task, params in wanted:
            declared = self._registry.find(task)
            encoded = self._encode(declared, params)
            types.append(declared)
            submissions.append(Submission(new_task_id(), declared.name, encoded, dedupe_key, steps))
        if not self._accepting:
            raise EngineNotRunning("the engine is not running: enter it with `async with`")
        if not submissions:
            await anyio.lowlevel.checkpoint()
            return []
        accepted: list[Accepted] = await self._ask(lambda reply: Submit(tuple(submissions), reply))
        return [
            TaskHandle(self, declared, one.record, deduplicated=one.deduplicated)
            for declared, one in zip(types, accepted, strict=True)
        ]

    def _step(self, step: Step) -> ChainStep:
        parts = step if isinstance(step, tuple) else (step,)
        task, params, dedupe_key = (*parts, None, None)[:3]
        if dedupe_key is not None:
            _check_key(dedupe_key)
        declared = self._registry.find(task)
        return ChainStep(declared.name, self._encode(declared, params), dedupe_key)

    def _encode(self, declared: TaskType[Any, Any], params: Any) -> msgspec.Raw:
        encoded = declared.encode_params(params)
        size, limit = memoryview(encoded).nbytes, self._limits.max_params_bytes
        if size > limit:
            raise InvalidParameters(
                f"the parameters of {declared.name!r} are {size:,} bytes of JSON, over the limit "
                f"of {limit:,} (Limits.max_params_bytes)"
            )
        return encoded

    # -- asking ----------------------------------------------------------------------------------

    async def get(self, task_id: str) -> TaskRecord:
        """Give the task's record as last kept. Raises TaskNotFound."""
        self._check_entered()
        return self._ledger.get(task_id)

    async def list(
        self,
        *,
        status: TaskStatus | str | None = None,
        task_type: str | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> TaskPage:
        """Give the matching records, newest first, and how many match in all.

        An unknown status or type matches nothing. Without a limit: all.
        """
        self._check_entered()
        if status is not None and status not in TaskStatus.__members__.values():
            return TaskPage([], 0)
        wanted = None if status is None else TaskStatus(status)
        if offset < 0 or (limit is not None and limit < 0):
            raise ValueError("limit and offset must be 0 or more")
        return self._ledger.catalogue.page(
            status=wanted, task_type=task_type, limit=limit, offset=offset
        )

    async def wait(self, task_id: str) -> TaskRecord:
        """Wait until the task is final, and give its record. Raises TaskNotFound."""
        self._check_entered()
        return await self._ledger.wait_final(task_id)

    async def wait_change(self, task_id: str, after_seq: int) -> TaskRecord:
        """Wait until the record is newer than `after_seq` or final. Raises TaskNotFound."""
        self._check_entered()
        return await self._ledger.wait_change(task_id, after_seq)

    async def result(self, task_id: str) -> Any:
        """Give the result of a completed task, decoded from JSON; errors as in result_json."""
        return msgspec.json.decode(await self.result_json(task_id))

    async def result_json(self, task_id: str) -> msgspec.Raw:
        """Give the result of a completed task as the JSON that is kept, whole.

        Raises TaskFailed, TaskCancelled, ResultNotReady (pending or running) or TaskNotFound.
        """
        record = await self.get(task_id)
        if record.status is TaskStatus.COMPLETED:
            return await self._backend.read_result(task_id)
        if record.status is TaskStatus.FAILED:
            raise TaskFailed(task_id, record.error or "failed")
        if record.status is TaskStatus.CANCELLED:
            raise TaskCancelled(task_id, record.message)
        raise ResultNotReady(task_id, record.status)

    def events(self, *, after: int | None = None) -> TaskEvents:
        """Every change of any task from now on, or after the given number, without a gap.

        Iterating raises EventsMissed when a wanted change is kept no longer, and ends when the
        engine is left.
        """
        self._check_entered()
        return TaskEvents(self._ledger, self._ledger.seq if after is None else after)

    def events_until_now(self, *, after: int) -> Sequence[TaskEvent]:
        """Every change after the given number that is kept by now; raises EventsMissed."""
        return self._ledger.events_after(after)

    @property
    def seq(self) -> int:
        """The number of the newest change that is kept."""
        return self._ledger.seq

    @property
    def task_types(self) -> Iterable[TaskType[Any, Any]]:
        """The registered task types."""
        return tuple(self._registry)

    @property
    def accepting(self) -> bool:
        """Whether a submit can be taken: entered, not draining, storage in order."""
        return self._accepting and self.trouble is None

    @property
    def trouble(self) -> str | None:
        """Why nothing can be kept any more; None while all is well."""
        failed = None if self._supervisor is None else self._supervisor.trouble
        return None if failed is None else str(failed)

    def count(self, *, status: TaskStatus | None = None, task_type: str | None = None) -> int:
        """How many tasks match."""
        return self._ledger.catalogue.count(status=status, task_type=task_type)

    # -- changing --------------------------------------------------------------------------------

    async def cancel(self, task_id: str) -> TaskRecord:
        """Stop a pending or running task; returns once no code of it runs any more.

        Gives the cancelled record, the same again for one that was cancelled before. If the body
        ignores the cancel beyond its type's cancel_grace, gives the record as it is then, still
        running, with a message that says so; it becomes cancelled when it stops. Cancelling the
        call does not take the cancel back.

        Raises TaskNotFound, and TaskAlreadyFinal if it had completed or failed before it heard.
        """
        record: TaskRecord = await self._ask(lambda reply: Cancel(task_id, reply))
        return record

    async def cleanup(self, max_age: timedelta) -> int:
        """Drop the final tasks that ended longer ago than `max_age`; gives how many."""
        return await self._clean_up(max_age=max_age, max_count=None)

    async def _clean_up(self, *, max_age: timedelta | None, max_count: int | None) -> int:
        dropped, now = 0, self._surroundings.clock.now()
        while ids := expired(self._ledger.catalogue, now, max_age=max_age, max_count=max_count):
            count: int = await self._ask(partial(CleanUp, ids))
            if count == 0:
                break
            dropped += count
        return dropped

    # -- talking to the supervisor ---------------------------------------------------------------

    async def _ask(self, ask: Callable[[OneReply[Any]], Heard]) -> Any:
        mailbox = self._check_entered()
        await anyio.lowlevel.checkpoint_if_cancelled()
        reply: OneReply[Any] = OneReply()
        await mailbox.post(ask(reply))
        return await reply.wait()

    def _check_entered(self) -> Mailbox:
        if self._mailbox is None:
            raise EngineNotRunning("the engine is not running: enter it with `async with`")
        return self._mailbox


async def _shielded(run: Callable[[], Awaitable[None]], scope: anyio.CancelScope) -> None:
    """Run an actor that only the engine stops: it must be there to write down how bodies end."""
    with scope:
        await run()


def _attempts(workers: list[Worker]) -> Iterable[Any]:
    return [attempt for worker in workers for attempt in worker.attempts()]


def _check_key(dedupe_key: object) -> None:
    if not isinstance(dedupe_key, str) or not 0 < len(dedupe_key) <= 500:
        raise InvalidParameters("dedupe_key must be text of 1 to 500 characters")
    if not dedupe_key.isprintable():
        raise InvalidParameters("dedupe_key must be printable text")
