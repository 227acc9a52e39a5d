"""What a law of the engine stands on: time that jumps when all wait, a clock of its own, numbered
ids, backends whose commits can be held or made to fail, and a scheduler without an engine.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import anyio
import msgspec
import trio.testing

from cortex_tasks.backends.memory import MemoryBackend
from cortex_tasks.engine.engine import TaskEngine
from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.engine.live_tasks import Decision
from cortex_tasks.engine.messages import (
    Accepted,
    Cancel,
    Due,
    Heard,
    ProgressReport,
    Run,
    Stop,
    Submission,
    Submit,
    Succeeded,
)
from cortex_tasks.engine.records import ChainStep, TaskRecord
from cortex_tasks.engine.registry import Registry, TaskType
from cortex_tasks.engine.scheduling import Scheduler
from cortex_tasks.engine.storage import Backend, Change, Drop, Pause, Put, Recovered
from cortex_tasks.engine.surroundings import Surroundings, offload_inline
from cortex_tasks.testing.harness import FOR_EVER
from cortex_tasks.testing.injected import START, NumberedIds

EMPTY = msgspec.Raw(b"{}")


# -- time ----------------------------------------------------------------------------------------


class _JumpingSelector(selectors.DefaultSelector):
    """Waits for no time: where nothing is ready, it says how far the time may jump."""

    jumped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        ready = super().select(0)
        if not ready:
            self.jumped += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An asyncio loop whose time stands still while it has work, and jumps when all wait."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.jumped


def virtual_time(loop: str) -> tuple[str, dict[str, Any]]:
    """The `anyio_backend` of a module whose laws sleep for hours in no time."""
    if loop == "trio":
        return "trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}
    return "asyncio", {"loop_factory": VirtualTimeLoop}


class TickingClock:
    """A time of day that moves by a millisecond at each look, and otherwise as it is told."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        self.time += timedelta(milliseconds=1)
        return self.time


class LoopClock:
    """A time of day that goes with the loop's clock, except where it is set ahead or back."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return START + timedelta(seconds=anyio.current_time()) + self.ahead


def short_ids() -> NumberedIds:
    """task_1, task_2, …"""
    return NumberedIds("task_{}")


# -- engines -------------------------------------------------------------------------------------


def an_engine(
    *task_types: TaskType[Any, Any], backend: Backend | None = None, **options: Any
) -> TaskEngine:
    """An engine of which nothing is left to chance, to threads or to the time of day."""
    options.setdefault("watchdog", None)
    options.setdefault("retention", FOR_EVER)
    options.setdefault("surroundings", numbered_surroundings())
    return TaskEngine(task_types, backend=backend or MemoryBackend(), **options)


def numbered_surroundings() -> Surroundings:
    return Surroundings(clock=TickingClock(), new_task_id=short_ids(), offload=offload_inline)


@asynccontextmanager
async def running(*task_types: TaskType[Any, Any], **options: Any) -> AsyncIterator[TaskEngine]:
    """An entered engine; whatever hangs in it fails after an hour of virtual time."""
    with anyio.fail_after(3600):
        async with an_engine(*task_types, **options) as engine:
            yield engine


class HoldingBackend(MemoryBackend):
    """A memory backend whose commits wait while it is told to hold them."""

    def __init__(self) -> None:
        super().__init__()
        self._may_go = anyio.Event()
        self._may_go.set()
        self._arrived = anyio.Event()
        self.commits: list[list[Change]] = []  # those that were carried out

    def hold(self) -> None:
        self._may_go = anyio.Event()
        self._arrived = anyio.Event()

    def release(self) -> None:
        self._may_go.set()

    async def wait_held(self) -> None:
        """Wait until a commit has come that is held."""
        await self._arrived.wait()

    async def commit(self, changes: Sequence[Change]) -> None:
        if not self._may_go.is_set():
            self._arrived.set()
        await self._may_go.wait()
        await super().commit(changes)
        self.commits.append(list(changes))


class FailingBackend(MemoryBackend):
    """A memory backend that fails each commit with `failure` once that is set."""

    failure: BaseException | None = None

    async def commit(self, changes: Sequence[Change]) -> None:
        if self.failure is not None:
            raise self.failure
        await super().commit(changes)


async def left_by_a_crash(
    *records: TaskRecord, backend: MemoryBackend | None = None
) -> MemoryBackend:
    """A backend that holds these records, as after the death of the process that wrote them."""
    backend = backend or MemoryBackend()
    await backend.open()
    await backend.commit([Put(record, params=EMPTY) for record in records])
    await backend.close()
    return backend


def a_record(number: int, status: TaskStatus, *, type: str = "work", **fields: Any) -> TaskRecord:
    """Task `old_<number>`, whose last change had the same number."""
    if status is not TaskStatus.PENDING:
        fields = {"started_at": START, "attempt": 1, **fields}
    if status.final:
        fields.setdefault("completed_at", START)
    return TaskRecord(
        id=f"old_{number}",
        type=type,
        status=status,
        seq=number,
        created_at=START,
        updated_at=START,
        **fields,
    )


# -- a scheduler without an engine ---------------------------------------------------------------


class ListedReply:
    """A reply that remembers every answer it was given."""

    def __init__(self) -> None:
        self.answers: list[Any] = []

    def give(self, value: Any) -> None:
        self.answers.append(value)

    def refuse(self, error: Exception) -> None:
        self.answers.append(error)

    @property
    def answer(self) -> Any:
        (answer,) = self.answers
        return answer


class Desk:
    """A scheduler, and the journal writer's part: what is decided is kept at once, or on `keep`."""

    def __init__(self, *task_types: TaskType[Any, Any]) -> None:
        self.kept: dict[str, TaskRecord] = {}
        self.results: dict[str, msgspec.Raw] = {}
        self.params: dict[str, msgspec.Raw] = {}
        self.history: list[Change] = []
        self.paused: set[str] = set()
        self.runs: list[Run] = []  # in the order in which they were handed over
        self.stops: list[Stop] = []
        self.registry = Registry(task_types)
        self.new_task_id = short_ids()
        self.clock = TickingClock()
        self.chance = 0.0  # of every wait before a retry
        self.scheduler = Scheduler(
            self.registry, self.kept, self.new_task_id, lambda task_id, attempt: self.chance
        )

    def recover(self, records: Iterable[TaskRecord], paused: Iterable[str] = ()) -> Decision:
        found = list(records)
        self.kept.update({record.id: record for record in found})
        last_seq = max((record.seq for record in found), default=0)
        self.paused = set(paused)
        params = {record.id: EMPTY for record in found}
        recovered = Recovered(found, params, last_seq, paused=set(paused))
        decision = self.scheduler.recover(recovered, self.clock.now())
        self.keep(decision)
        return decision

    def hear(self, *messages: Heard) -> Decision:
        decision = self.decide(*messages)
        self.keep(decision)
        return decision

    def decide(self, *messages: Heard) -> Decision:
        """Only decide; nothing of it is kept before `keep`."""
        decision = self.scheduler.hear(messages, self.clock.now())
        self.stops += decision.at_once
        return decision

    def keep(self, decision: Decision) -> None:
        for change in decision.changes:
            self.history.append(change)
            if isinstance(change, Pause):
                (self.paused.add if change.paused else self.paused.discard)(change.task_type)
                continue
            if isinstance(change, Drop):
                del self.kept[change.task_id]
                continue
            self.kept[change.record.id] = change.record
            if change.params is not None:
                self.params[change.record.id] = change.params
            if change.result is not None:
                self.results[change.record.id] = change.result
        self.scheduler.settle(decision.changes)
        for effect in decision.once_kept:
            if isinstance(effect, Run):
                self.runs.append(effect)
            elif effect.refused:
                effect.reply.refuse(effect.value)
            else:
                effect.reply.give(effect.value)

    # -- what callers and workers would say --

    def submit(
        self,
        *types: str,
        dedupe_key: str | None = None,
        then: tuple[ChainStep, ...] = (),
        params: msgspec.Raw = EMPTY,
        run_at: datetime | timedelta | None = None,
        priority: int = 0,
    ) -> Any:
        """Submit one task of each type in one message; gives the accepted, or the refusal."""
        reply = ListedReply()
        wanted = [
            Submission(self.new_task_id(), name, params, dedupe_key, then, run_at, priority)
            for name in types
        ]
        self.hear(Submit(tuple(wanted), reply))
        return reply.answer

    def submit_one(self, name: str = "work", **options: Any) -> TaskRecord:
        (accepted,) = self.submit(name, **options)
        assert isinstance(accepted, Accepted)
        return accepted.record

    def wait(self, seconds: float) -> None:
        """Let time pass, and tell the scheduler so, as the alarm would."""
        self.clock.time += timedelta(seconds=seconds)
        self.hear(Due())

    def cancel(self, task_id: str) -> ListedReply:
        reply = ListedReply()
        self.hear(Cancel(task_id, reply))
        return reply

    def succeed(self, task_id: str, progress: ProgressReport | None = None) -> None:
        self.hear(Succeeded(task_id, self.kept[task_id].attempt, msgspec.Raw(b"1"), progress))

    def status(self, task_id: str) -> TaskStatus:
        return self.kept[task_id].status

    def running(self) -> list[str]:
        return [task.id for task in self.kept.values() if task.status is TaskStatus.RUNNING]

    def puts(self) -> Iterator[TaskRecord]:
        return (change.record for change in self.history if isinstance(change, Put))
