"""The engine's promises (docs/architecture.md), held against every run of the harness.

Some are checked at each change and each step, the rest where the harness is asked. What is found
is kept here until the harness raises it, as an error in the midst of the engine would be taken
for something else.
"""

from __future__ import annotations

import gc
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import anyio
import msgspec

from ..engine.engine import TaskEngine
from ..engine.errors import TaskNotFound
from ..engine.handles import TaskHandle
from ..engine.lifecycle import TRANSITIONS, TaskStatus
from ..engine.records import TaskEvent, TaskPage, TaskRecord
from ..engine.storage import Change, Pause, Put, Recovered
from .bodies import Ended, LiveBodies
from .disk import Storage
from .errors import HarnessError, LeftRunning, PromiseBroken
from .watch import RunningBody


def is_legal(before: TaskStatus | None, after: TaskStatus) -> bool:
    """Whether a record may go from one status to the other in one change."""
    if before is None:
        return after is TaskStatus.PENDING
    return (before is after and not before.final) or any(
        status is before and becomes is after for (status, _), becomes in TRANSITIONS.items()
    )


class Promises:
    """Looks on, and knows which promise was broken first."""

    def __init__(self, storage: Storage, bodies: LiveBodies) -> None:
        self._storage = storage
        self._bodies = bodies
        self._last: dict[str, TaskRecord] = {}  # by the newest change that was seen
        self._seq = 0
        self._returned: dict[tuple[str, int], bytes | None] = {}
        self._begun: set[tuple[str, int]] = set()
        self._concurrency: Callable[[str], int | None] = lambda _name: None
        self.broken: list[str] = []
        self._left_running: LeftRunning | None = None  # no fault of the engine's
        storage.on_commit = self._look_at_commit
        bodies.on_begin = self._look_at_begin
        bodies.on_step = self._look_at_step
        bodies.on_end = self._look_at_end

    def raise_broken(self) -> None:
        """Raise PromiseBroken if any was; LeftRunning where a body is to blame."""
        error = self.first_broken()
        if error is not None:
            raise error

    def first_broken(self) -> HarnessError | None:
        """The error that says which promises were broken, if any was."""
        if self._left_running is not None:
            return self._left_running
        return PromiseBroken("\n".join(self.broken[:5])) if self.broken else None

    def limit_concurrency(self, limit: Callable[[str], int | None]) -> None:
        """How many bodies of a type may run at once."""
        self._concurrency = limit

    # -- one life, truthful progress -------------------------------------------------------------

    def look_at_changes(self, changes: Iterable[TaskEvent]) -> None:
        """Look at changes as the engine shows them, each once and in order."""
        for change in changes:
            self._seq += 1
            if change.seq != self._seq:
                self.note_broken(f"change {self._seq} is missing: after it came {change.seq}")
                self._seq = change.seq
            before = self._last.pop(change.task_id, None)
            record = change.record
            if record is None:
                if before is None or not before.final:
                    self.note_broken(f"{change.task_id} was dropped while it was not over")
                continue
            self._last[change.task_id] = record
            self._look_at_change(before, record)

    def _look_at_change(self, before: TaskRecord | None, after: TaskRecord) -> None:
        if not is_legal(before.status if before else None, after.status):
            was = before.status if before else "not there"
            self.note_broken(f"{after.id} went from {was} to {after.status}, which no rule allows")
        for wrong in _untruths(after):
            self.note_broken(f"{after.id} (change {after.seq}): {wrong}")
        if before is None:
            return
        revived = before.final and not after.final
        if after.revivals != before.revivals + revived:
            self.note_broken(
                f"{after.id} was revived {before.revivals} times, and then {after.revivals} "
                f"(change {after.seq})"
            )
        if (
            after.attempt == before.attempt
            and after.progress_percent < before.progress_percent
            and not revived
        ):
            self.note_broken(
                f"the progress of {after.id} fell from {before.progress_percent} to "
                f"{after.progress_percent} within attempt {after.attempt}"
            )
        if after.updated_at < before.updated_at:
            self.note_broken(f"updated_at of {after.id} went back (change {after.seq})")

    # -- acknowledged means kept -----------------------------------------------------------------

    def look_at_answer(self, answer: object) -> None:
        """What a caller of the engine has been told must have been kept by then."""
        for record in _records_in(answer):
            kept = self._storage.kept.get(record.id)
            if kept is None:
                if record.id not in self._storage.dropped:
                    self.note_broken(f"{record.id} was answered as {record.status} and is not kept")
            elif kept.seq < record.seq:
                self.note_broken(
                    f"{record.id} was answered as {record.status} (change {record.seq}), "
                    f"but only change {kept.seq} is kept"
                )

    def look_at_recovered(self, recovered: Recovered) -> None:
        """What was ever kept is there again after a start; what comes next starts from it."""
        found = {record.id: record for record in recovered.records}
        for task_id, kept in self._storage.kept.items():
            record = found.pop(task_id, None)
            if record != kept:
                now = f"as {record.status}, change {record.seq}" if record else "no more"
                self.note_broken(
                    f"{task_id} was kept as {kept.status}, change {kept.seq}; it is {now}"
                )
        for task_id in found:
            self.note_broken(f"{task_id} was dropped or never kept, and is there after a start")
        if recovered.paused != self._storage.paused:
            self.note_broken(
                f"kept as paused: {sorted(self._storage.paused)}, and after a start "
                f"{sorted(recovered.paused)} are"
            )
        self._last = {record.id: record for record in recovered.records}
        self._seq = recovered.last_seq

    def _look_at_commit(self, changes: Sequence[Change]) -> None:
        """No commit takes back a final status, unless a person wants the task tried again, or ends
        a task whose body still runs.
        """
        for change in changes:
            if not isinstance(change, Put):
                continue
            task_id = change.record.id
            kept = self._storage.kept.get(task_id)
            self._look_whether_paused(change.record, kept, changes)
            if kept is not None and kept.final and change.record.revivals == kept.revivals:
                self.note_broken(f"{task_id} was kept as {kept.status} and then changed again")
            if change.record.final:
                self._look_whether_stopped(change.record)
                self._look_whether_whole(change.record, change.result)

    def _look_whether_paused(
        self, record: TaskRecord, kept: TaskRecord | None, changes: Sequence[Change]
    ) -> None:
        """Nothing starts while its type is paused; `kept`: the record as it was."""
        before = 0 if kept is None else kept.attempt
        if (
            record.attempt > before
            and record.type in self._storage.paused
            and not any(isinstance(one, Pause) and one.task_type == record.type for one in changes)
        ):
            self.note_broken(f"{record.id} was started, and its type {record.type!r} is paused")

    def _look_whether_stopped(self, record: TaskRecord) -> None:
        for task_id, attempt in self._bodies.live:
            if task_id == record.id:
                self.note_broken(
                    f"{task_id} was kept as {record.status} while its attempt {attempt} still runs"
                )

    def _look_whether_whole(self, record: TaskRecord, result: msgspec.Raw | None) -> None:
        if record.status is not TaskStatus.COMPLETED:
            return
        returned = self._returned.get((record.id, record.attempt))
        expected = b"{}" if returned == b"null" else returned
        if result is None or bytes(result) != expected:
            self.note_broken(f"{record.id} completed with another result than its body returned")

    # -- who runs --------------------------------------------------------------------------------

    def _look_at_begin(self, body: RunningBody) -> None:
        pair = body.task_id, body.attempt
        kept = self._storage.kept.get(body.task_id)
        if kept is None or kept.status is not TaskStatus.RUNNING or kept.attempt != body.attempt:
            self.note_broken(f"attempt {body.attempt} of {body.task_id} began before that was kept")
        if pair in self._begun:
            self.note_broken(f"attempt {body.attempt} of {body.task_id} began twice")
        self._begun.add(pair)
        if any(task_id == body.task_id for task_id, _ in self._bodies.live):
            self.note_broken(f"two attempts of {body.task_id} run at the same time")
        limit = self._concurrency(body.task_type)
        running = sum(live.task_type == body.task_type for live in self._bodies.live.values())
        if limit is not None and running >= limit:
            self.note_broken(
                f"more than {limit} bodies of type {body.task_type!r} run at the same time"
            )

    def _look_at_step(self, body: RunningBody) -> None:
        kept = self._storage.kept.get(body.task_id)
        if kept is None or kept.final or kept.attempt != body.attempt:
            now = "gone" if kept is None else f"{kept.status}, attempt {kept.attempt}"
            running = anyio.get_current_task()
            if running.parent_id is None:  # no group has it: all that the engine starts is in one
                left = _generator_behind(running.coro)
                what = str(getattr(left or running.coro, "__qualname__", running.name))
                self._left_running = self._left_running or LeftRunning(
                    body.task_id,
                    attempt=body.attempt,
                    status=now,
                    what=what,
                    is_generator=left is not None,
                )
                return
            self.note_broken(
                f"{body.task_id} is {now}, but code of its attempt {body.attempt} runs"
            )

    def _look_at_end(self, ended: Ended) -> None:
        self._returned[ended.task_id, ended.attempt] = ended.result

    # -- where one asks --------------------------------------------------------------------------

    async def look_at_all(self, engine: TaskEngine) -> None:
        """Compare list, get, result, events, storage and live bodies. Call it while all wait."""
        listed = {record.id: record for record in (await engine.list()).records}
        if listed != self._storage.kept:
            self.note_broken(
                f"the list is not what is kept: {_differing(listed, self._storage.kept)}"
            )
        if listed != self._last:
            self.note_broken(f"the list is not what events say: {_differing(listed, self._last)}")
        for record in listed.values():
            if await engine.get(record.id) != record:
                self.note_broken(f"get and list disagree about {record.id}")
            await self._look_at_result(engine, record)
        running = {
            (record.id, record.attempt)
            for record in listed.values()
            if record.status is TaskStatus.RUNNING
        }
        if running != self._bodies.live.keys():
            self.note_broken(
                f"running are {sorted(running)}, but there live {sorted(self._bodies.live)}"
            )
        self.raise_broken()

    async def _look_at_result(self, engine: TaskEngine, record: TaskRecord) -> None:
        if record.status is not TaskStatus.COMPLETED:
            return
        try:
            result = bytes(await engine.result_json(record.id))
            msgspec.json.decode(result)
        except (TaskNotFound, msgspec.DecodeError) as error:
            self.note_broken(f"{record.id} is completed, but its result cannot be read: {error}")
            return
        if result != self._storage.results.get(record.id) or len(result) != record.result_size:
            self.note_broken(f"the result of {record.id} is not the one that was kept with it")

    def note_broken(self, what: str) -> None:
        """A promise was broken: say which and how."""
        self.broken.append(what)


def _untruths(record: TaskRecord) -> Iterator[str]:
    """What a record says that cannot be, whatever came before."""
    completed = record.status is TaskStatus.COMPLETED
    if not 0 <= record.progress_percent <= 100:
        yield f"its progress is {record.progress_percent}"
    if (record.progress_percent == 100) != completed:
        yield f"it is {record.status} at {record.progress_percent} %"
    if record.final != record.status.final:
        yield f"it is {record.status}, and completed_at is {record.completed_at}"
    if (record.error is not None) != (record.status is TaskStatus.FAILED):
        yield f"it is {record.status}, and its error is {record.error!r}"
    if (record.result_size is not None) != completed:
        yield f"it is {record.status}, and its result_size is {record.result_size}"


def _records_in(answer: object) -> Iterator[TaskRecord]:
    items: Sequence[Any] = answer if isinstance(answer, list) else [answer]
    for item in items:
        if isinstance(item, TaskRecord):
            yield item
        elif isinstance(item, TaskHandle):
            yield item.record
        elif isinstance(item, TaskPage):
            yield from item.records


def _differing(one: dict[str, TaskRecord], other: dict[str, TaskRecord]) -> str:
    names = sorted(
        task_id for task_id in one.keys() | other.keys() if one.get(task_id) != other.get(task_id)
    )
    return ", ".join(names[:5])


def _generator_behind(coroutine: object) -> object | None:
    """Give the async generator that is closed by this, as asyncio does with one that was left."""
    closing = getattr(coroutine, "within", coroutine)  # what the loop of a scenario has wrapped
    referred = () if inspect.iscoroutine(closing) else gc.get_referents(closing)
    return next((each for each in referred if inspect.isasyncgen(each)), None)
