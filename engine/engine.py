"""TaskEngine: what an embedding program holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Any, TypeVar, overload

import anyio
import anyio.lowlevel
import msgspec

from .actors import Actors, Declaration
from .context import Children
from .cursors import START, Cursor, read_cursor
from .errors import (
    EngineNotRunning,
    ResultNotReady,
    TaskCancelled,
    TaskFailed,
    TaskNotFound,
    TaskNotRevivable,
)
from .exact_json import is_large
from .finding import Finding
from .handles import TaskHandle
from .intake import Intake, Then
from .ledger import Listener, TaskEvents
from .lifecycle import TaskStatus
from .messages import Accepted, Cancel, Recall, Revive, SetPaused, Submission, Submit
from .observing import Observer
from .overview import Overview
from .records import TaskEvent, TaskPage, TaskRecord
from .recovery import PARAMS_LOST
from .registry import Registry, TaskType
from .search import Search
from .settings import Limits, Retention
from .statistics import Statistics
from .storage import Backend, Measured
from .submissions import check_idempotency_key, fingerprint_of, start_of
from .surroundings import Surroundings
from .task_log import EMPTY_LOG, TaskLog
from .tracing import Tracer

P = TypeVar("P")
R = TypeVar("R")

_LOST = msgspec.Raw(b"null")


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
        observers: Iterable[Observer] = (),
        tracer: Tracer | None = None,
    ) -> None:
        """Declare an engine; nothing starts before it is entered.

        retention: how long final tasks are kept (default 7 days). progress_interval: seconds
        between two progress changes of a type's tasks. watchdog: seconds after which a blocked
        event loop is reported (None: never). surroundings: clock, ids, chance and threads.
        observers: told of each step of a task's life once it is kept. tracer: see tracing.py.
        """
        self._declaration = Declaration(
            registry=Registry(task_types),
            backend=backend,
            drain_grace=drain_grace,
            limits=limits or Limits(),
            retention=retention or Retention(),
            progress_interval=progress_interval,
            watchdog=watchdog,
            surroundings=surroundings or Surroundings(),
            children=children,
            observers=(*observers, *([] if tracer is None else [tracer])),
            tracer=tracer,
        )
        self._actors = Actors(self._declaration)  # new ones each time it is entered
        self._block: AbstractAsyncContextManager[None] | None = None
        self._intake = Intake(
            self._declaration.registry,
            self._declaration.limits,
            self._declaration.surroundings.new_task_id,
        )

    # -- entering and leaving --------------------------------------------------------------------

    async def __aenter__(self) -> TaskEngine:
        if self._block is not None:
            raise EngineNotRunning("this engine has been entered already")
        self._actors = Actors(self._declaration)
        self._block = self._actors.running()
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

    def abandon(self) -> None:
        """Let go of all channels, without a word to anybody and without waiting.

        For a harness alone, once it has ended the engine's coroutines as a loss of power would.
        """
        self._actors.abandon()

    # -- submitting ------------------------------------------------------------------------------

    @overload
    async def submit(
        self,
        task: TaskType[P, R],
        params: P | Mapping[str, Any] | None = None,
        *,
        dedupe_key: str | None = None,
        then: Then = (),
        delay: float | timedelta | None = None,
        run_at: datetime | None = None,
        priority: int = 0,
        idempotency_key: str | None = None,
        asked: object = None,
    ) -> TaskHandle[R]: ...
    @overload
    async def submit(
        self,
        task: str,
        params: Any = None,
        *,
        dedupe_key: str | None = None,
        then: Then = (),
        delay: float | timedelta | None = None,
        run_at: datetime | None = None,
        priority: int = 0,
        idempotency_key: str | None = None,
        asked: object = None,
    ) -> TaskHandle[Any]: ...
    async def submit(
        self,
        task: TaskType[Any, Any] | str,
        params: Any = None,
        *,
        dedupe_key: str | None = None,
        then: Then = (),
        delay: float | timedelta | None = None,
        run_at: datetime | None = None,
        priority: int = 0,
        idempotency_key: str | None = None,
        asked: object = None,
    ) -> TaskHandle[Any]:
        """Submit a task; returns once the backend has it.

        dedupe_key: while a task of this type with the same key is pending or running, give that
        one instead, as it is. then: steps `(type, params)`, `(type, params, dedupe_key)` or
        `(type, params, dedupe_key, delay)` that follow, each once the one before it has completed,
        all stored with this task and of its priority. A step always gets a task of its own: one
        that finds its key taken runs without it.

        delay: seconds, or a timedelta, for which the task waits as pending. run_at: or the moment
        until which it does, timezone-aware; one that is past means now. Meanwhile it takes no
        place, but counts for max_pending. priority: of the type's tasks that are ready, those of
        a higher one (-1000 to 1000) start first, those of the same in the order in which they
        became ready. While higher ones keep coming, lower ones do not start.

        idempotency_key: names this request, over all types: repeated with the same key while the
        task's record is kept, also after a restart, it gives that task, as it is, even if it has
        ended; so does one that was given the task of another by its dedupe_key (of such requests,
        a task remembers the last 100). IdempotencyConflict if anything else was asked for before.
        asked: what that was, as JSON, where type, parameters and options depend on when it came.

        Raises UnknownTaskType, InvalidParameters, QueueFull and StorageFull; then nothing is
        stored. Cancelled while it waits, the task may or may not have been submitted. Large
        parameters are encoded in a thread: leave them as they are until then.
        """
        start = start_of(delay, run_at)
        request = None if idempotency_key is None else (idempotency_key, asked)
        large = is_large(params)
        if then and not large:
            large = is_large([step[1] for step in then if isinstance(step, tuple)])
        wanted = [(task, params)]
        handles = await self._submit(
            wanted, start, priority, dedupe_key, then, request, large=large
        )
        return handles[0]

    async def submit_many(
        self,
        task: TaskType[P, R] | str,
        params: Iterable[P | Mapping[str, Any]],
        *,
        delay: float | timedelta | None = None,
        run_at: datetime | None = None,
        priority: int = 0,
    ) -> list[TaskHandle[R]]:
        """Submit one task for each of `params`: all of them, in one commit, or none.

        delay, run_at and priority hold for each of them; see `submit`.
        """
        wanted = [(task, one) for one in params]
        large = is_large([one for _, one in wanted])
        return await self._submit(wanted, start_of(delay, run_at), priority, large=large)

    async def _submit(
        self,
        wanted: list[tuple[TaskType[Any, Any] | str, Any]],
        start: datetime | timedelta | None,
        priority: int,
        dedupe_key: str | None = None,
        then: Then = (),
        request: tuple[str, object] | None = None,
        *,
        large: bool,
    ) -> list[TaskHandle[Any]]:
        make = self._intake.submissions
        if large:
            asked = partial(make, wanted, start, priority, dedupe_key, then, request)
            made = await self._declaration.surroundings.encode(asked)
        else:
            made = make(wanted, start, priority, dedupe_key, then, request)
        if not self._actors.accepting:
            raise EngineNotRunning("the engine is not running: enter it with `async with`")
        if not made:
            await anyio.lowlevel.checkpoint()
            return []
        submissions = tuple(submission for _, submission in made)
        accepted = await self._accept(submissions)
        return [
            TaskHandle(self, declared, one.record, deduplicated=one.deduplicated)
            for (declared, _), one in zip(made, accepted, strict=True)
        ]

    async def _accept(self, submissions: tuple[Submission, ...]) -> list[Accepted]:
        tracer = self._declaration.tracer
        if tracer is None:
            asked: list[Accepted] = await self._actors.ask(lambda reply: Submit(submissions, reply))
            return asked
        task_ids = [submission.task_id for submission in submissions]
        with tracer.submitting(submissions[0].task_type, task_ids) as trace:
            traced = tuple(
                msgspec.structs.replace(submission, trace=trace) for submission in submissions
            )
            accepted: list[Accepted] = await self._actors.ask(lambda reply: Submit(traced, reply))
            return accepted

    async def task_of_request(self, idempotency_key: str, asked: object) -> TaskRecord | None:
        """Give the task that a submit with this key and `asked` was given; None if it is new.

        Raises IdempotencyConflict if something else was asked for with the key.
        """
        check_idempotency_key(idempotency_key)
        request = fingerprint_of(asked)
        found: TaskRecord | None = await self._actors.ask(
            lambda reply: Recall(idempotency_key, request, reply)
        )
        return found

    # -- asking ----------------------------------------------------------------------------------

    async def get(self, task_id: str) -> TaskRecord:
        """Give the task's record as last kept. Raises TaskNotFound."""
        self._actors.entered()
        return self._actors.ledger.get(task_id)

    async def list(
        self,
        *,
        status: TaskStatus | str | None = None,
        task_type: str | None = None,
        limit: int | None = None,
        offset: int = 0,
        cursor: str | None = None,
    ) -> TaskPage:
        """Give the matching records, newest first, and how many match in all.

        An unknown status or type matches nothing. Without a limit: all. cursor: the `next` of the
        page before, in place of an offset: whatever is submitted or cleaned up meanwhile, no task
        comes twice and none is left out; `start` may have one, for a list that is entered further
        down. Raises InvalidParameters for what is no cursor.
        """
        self._actors.entered()
        after = _after(cursor, limit, offset)
        if status is not None and status not in TaskStatus.__members__.values():
            return TaskPage([], 0)
        wanted = None if status is None else TaskStatus(status)
        return self._actors.ledger.catalogue.page(
            status=wanted, task_type=task_type, limit=limit, offset=offset, cursor=after
        )

    async def find(
        self,
        search: Search,
        *,
        limit: int | None = None,
        offset: int = 0,
        cursor: str | None = None,
    ) -> TaskPage:
        """Give the records that fit the search, newest first, and how many fit in all.

        Free text is looked for in every record that fits all else; others have their turn
        meanwhile. cursor: as in `list`.
        """
        self._actors.entered()
        after = _after(cursor, limit, offset)
        finding = Finding(
            self._actors.ledger.catalogue, search, limit=limit, offset=offset, cursor=after
        )
        await anyio.lowlevel.checkpoint()
        for _ in finding.steps():
            await anyio.lowlevel.checkpoint()
        return finding.page

    async def wait(self, task_id: str) -> TaskRecord:
        """Wait until the task is final, and give its record. Raises TaskNotFound."""
        self._actors.entered()
        return await self._actors.ledger.wait_final(task_id)

    async def wait_change(self, task_id: str, after_seq: int) -> TaskRecord:
        """Wait until the record is newer than `after_seq` or final. Raises TaskNotFound."""
        self._actors.entered()
        return await self._actors.ledger.wait_change(task_id, after_seq)

    async def result(self, task_id: str) -> Any:
        """Give the result of a completed task, decoded from JSON; errors as in result_json."""
        return msgspec.json.decode(await self.result_json(task_id))

    async def result_json(self, task_id: str) -> msgspec.Raw:
        """Give the result of a completed task as the JSON that is kept, whole.

        Raises TaskFailed, TaskCancelled, ResultNotReady (pending or running) or TaskNotFound.
        """
        return await self.result_of(await self.get(task_id))

    async def result_of(self, record: TaskRecord) -> msgspec.Raw:
        """Give the result that goes with this record, as `wait` gave it; errors as in result_json.

        What the record says counts, even if the task has been revived since.
        """
        if record.status is TaskStatus.COMPLETED:
            return await self._declaration.backend.read(record.id, "result")
        if record.status is TaskStatus.FAILED:
            raise TaskFailed(record.id, record.error or "failed")
        if record.status is TaskStatus.CANCELLED:
            raise TaskCancelled(record.id, record.message)
        raise ResultNotReady(record.id, record.status)

    async def params_json(self, task_id: str) -> msgspec.Raw:
        """Give the parameters of a task as the JSON that is kept; `null` where they are lost, for
        the storage was damaged and then repaired without them. Raises TaskNotFound.
        """
        params = await self._params(task_id)
        return _LOST if params is None else params

    async def _params(self, task_id: str) -> msgspec.Raw | None:
        await self.get(task_id)
        try:
            return await self._declaration.backend.read(task_id, "params")
        except TaskNotFound:
            await self.get(task_id)  # it may have been dropped meanwhile
            return None

    async def log_lines(self, task_id: str) -> TaskLog:
        """Give what the task's bodies have written by `ctx.log`: the newest lines. Raises
        TaskNotFound.
        """
        return msgspec.json.decode(await self.log_json(task_id), type=TaskLog)

    async def log_json(self, task_id: str) -> msgspec.Raw:
        """Give the same as JSON, as it is kept."""
        await self.get(task_id)
        try:
            return await self._declaration.backend.read(task_id, "log")
        except TaskNotFound:  # nothing was written
            return EMPTY_LOG

    def events(self, *, after: int | None = None) -> TaskEvents:
        """Every change of any task from now on, or after the given number, without a gap.

        Iterating raises EventsMissed when a wanted change is kept no longer, and ends when the
        engine is left.
        """
        self._actors.entered()
        return TaskEvents(self._actors.ledger, self._actors.ledger.seq if after is None else after)

    def events_until_now(self, *, after: int, at_most: int | None = None) -> Sequence[TaskEvent]:
        """The changes after the given number that are kept by now; raises EventsMissed."""
        return self._actors.ledger.events_after(after, at_most=at_most)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tell the listener of every change the moment it is kept, until what this gives is called.

        For whoever hands changes on to many; `events` is what a single follower wants.
        """
        self._actors.entered()
        return self._actors.ledger.listen(listener)

    @property
    def seq(self) -> int:
        """The number of the newest change that is kept."""
        return self._actors.ledger.seq

    @property
    def overview(self) -> Overview:
        """What the engine says about itself as a whole."""
        self._actors.entered()
        declaration = self._declaration
        return Overview(self._actors, declaration.registry, declaration.surroundings.clock)

    @property
    def task_types(self) -> Iterable[TaskType[Any, Any]]:
        """The registered task types."""
        return tuple(self._declaration.registry)

    @property
    def limits(self) -> Limits:
        """The limits that it was declared with."""
        return self._declaration.limits

    @property
    def accepting(self) -> bool:
        """Whether a submit can be taken: entered, not draining, storage in order and with room."""
        return self._actors.accepting and self.trouble is None and self.no_room is None

    @property
    def trouble(self) -> str | None:
        """Why nothing can be kept any more; None while all is well."""
        trouble = self._actors.trouble
        return None if trouble is None else str(trouble)

    @property
    def no_room(self) -> str | None:
        """Why nothing is taken or started at present: storage is full. None while it is not.

        It passes by itself once there is room again. Meanwhile a submit raises StorageFull, what
        runs goes on and its end is written down, and pending tasks stay pending.
        """
        lack = self._actors.no_room
        return None if lack is None else str(lack)

    def count(self, *, status: TaskStatus | None = None, task_type: str | None = None) -> int:
        """How many tasks match."""
        return self._actors.ledger.catalogue.count(status=status, task_type=task_type)

    @property
    def storage_sizes(self) -> Mapping[str, int]:
        """Bytes of each part of the storage, where the backend tells (storage.Measured)."""
        backend = self._declaration.backend
        return backend.sizes() if isinstance(backend, Measured) else {}

    @property
    def statistics(self) -> Statistics:
        """What has been counted since the engine was entered; to be read."""
        return self._actors.statistics

    # -- changing --------------------------------------------------------------------------------

    async def cancel(self, task_id: str) -> TaskRecord:
        """Stop a pending or running task; returns once no code of it runs any more.

        Gives the cancelled record, the same again for one that was cancelled before. If the body
        ignores the cancel beyond its type's cancel_grace, gives the record as it is then, still
        running, with a message that says so; it becomes cancelled when it stops. Cancelling the
        call does not take the cancel back.

        Raises TaskNotFound, and TaskAlreadyFinal if it had completed or failed before it heard.
        """
        record: TaskRecord = await self._actors.ask(lambda reply: Cancel(task_id, reply))
        return record

    async def retry(self, task_id: str) -> TaskRecord:
        """Have a failed or cancelled task tried again; returns once the backend has that.

        Gives its record: pending at the end of its queue, under its id, with the parameters,
        priority and chain that it had; the attempts before stay in the record, and the next one
        has the next number. It begins as a new task does: with all retries of its type, without
        a checkpoint, at once whatever delay it had.

        Raises TaskNotFound; TaskNotRevivable if it is neither failed nor cancelled, if a task that
        is pending or running has the same dedupe_key, or if its parameters are lost;
        UnknownTaskType and QueueFull.
        """
        if not self._actors.accepting:
            raise EngineNotRunning("the engine is not running: enter it with `async with`")
        params = await self._params(task_id)
        if params is None:
            why = f"{PARAMS_LOST}. Submit a new task in its place."
            raise TaskNotRevivable(task_id, why)
        log = await self.log_json(task_id)
        record: TaskRecord = await self._actors.ask(
            lambda reply: Revive(task_id, params, reply, None if log == EMPTY_LOG else log)
        )
        return record

    async def pause(self, task: TaskType[Any, Any] | str) -> None:
        """Start no more tasks of this type, until `resume`; returns once the backend has that.

        What runs goes on; submits are taken, and wait. It lasts over restarts. Pausing what is
        paused changes nothing. Raises UnknownTaskType.
        """
        await self._set_paused(task, paused=True)

    async def resume(self, task: TaskType[Any, Any] | str) -> None:
        """Start tasks of this type again; returns once the backend has that. See `pause`."""
        await self._set_paused(task, paused=False)

    async def _set_paused(self, task: TaskType[Any, Any] | str, *, paused: bool) -> None:
        name = self._declaration.registry.find(task).name
        await self._actors.ask(lambda reply: SetPaused(name, paused, reply))

    async def cleanup(self, max_age: timedelta) -> int:
        """Drop the final tasks that ended longer ago than `max_age`; gives how many."""
        return await self._actors.clean_up(max_age=max_age)


def _after(cursor: str | None, limit: int | None, offset: int) -> Cursor | None:
    """Give where a page begins; raises ValueError for one that cannot be."""
    if offset < 0 or (limit is not None and limit < 0):
        raise ValueError("limit and offset must be 0 or more")
    if cursor is None:
        return None
    if (offset and cursor != START) or limit == 0:
        raise ValueError("with a cursor there is no offset, and a limit must be 1 or more")
    return read_cursor(cursor)
