"""What has been kept and may therefore be seen: records, lists, changes as they come, ends.

Written by the journal writer alone, right after a commit; read by anyone without asking. So no
reader ever sees what a power cut could take back, and no read waits for a disk.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Protocol

import anyio
import anyio.lowlevel

from .catalogue import Catalogue
from .errors import EngineNotRunning, EventsMissed, TaskNotFound
from .records import TaskEvent, TaskRecord
from .storage import Change, Drop, Pause, Recovered, TaskChange

log = logging.getLogger("cortex_tasks.engine")


class Listener(Protocol):
    """Told of each change the moment it is kept. Never blocks, never calls the engine."""

    def changed(self, event: TaskEvent, before: TaskRecord | None, /) -> None:
        """This has changed; `before` is None of a task that is new."""
        ...

    def closed(self) -> None:
        """Nothing more will change: the engine has been left, or its storage has failed."""
        ...


class Ledger:
    """All that is committed, and the waits for more of it."""

    def __init__(self, *, history: int) -> None:
        self.catalogue = Catalogue()
        self.paused: set[str] = set()  # task types
        self.seq = 0  # the number of the newest change that is kept
        # The newest changes, up to number `seq`: never what they brought, which may be large.
        self._newest: deque[TaskRecord | Drop] = deque(maxlen=history)
        self._ends: dict[str, _End] = {}  # of the tasks for whose end somebody waits
        self._news: dict[str | None, anyio.Event] = {}  # by task; None: of anything
        self._listeners: list[Listener] = []
        self._closed: Exception | None = None

    def load(self, recovered: Recovered) -> None:
        """Take what a backend holds."""
        self.catalogue.load(recovered.records)
        self.paused = set(recovered.paused)
        self.seq = recovered.last_seq
        # The newest changes, as far as each was the last one of its task: nothing is left out.
        oldest = self.seq - (self._newest.maxlen or 0)
        newest = {record.seq: record for record in recovered.records if record.seq > oldest}
        while self._newest.maxlen != len(self._newest):
            latest = newest.get(self.seq - len(self._newest))
            if latest is None:
                break
            self._newest.appendleft(latest)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tell this listener of every change from now on; gives what ends that."""
        self._raise_if_closed()
        self._listeners.append(listener)

        def stop() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return stop

    def publish(self, changes: Sequence[Change], latest: Sequence[Change]) -> None:
        """Show changes that are now kept, and what they come to: the last one of each task."""
        of_tasks = [change for change in changes if not isinstance(change, Pause)]
        before = self._before(of_tasks) if self._listeners else []
        for change in latest:
            if isinstance(change, Drop):
                self.catalogue.drop(change.task_id)
            elif isinstance(change, Pause):
                self._note_pause(change)
            else:
                record = change.record
                self.catalogue.put(record)
                if record.completed_at is not None:
                    end = self._ends.pop(record.id, None)
                    if end is not None:
                        end.come(record)
        self._newest.extend(
            [change if isinstance(change, Drop) else change.record for change in of_tasks]
        )
        self.seq += len(of_tasks)
        if self._news:
            tasks = (_task_of(one) for one in latest if not isinstance(one, Pause))
            self._wake(None, *tasks)
        if before:
            self._tell(of_tasks, before)

    def close(self, reason: Exception) -> None:
        """Nothing more will be published: everyone who waits gets `reason`. Again is fine."""
        if self._closed is None:
            self._closed = reason
            for end in self._ends.values():
                end.come(None)
            self._ends.clear()
            self._wake(*self._news)
            listeners, self._listeners = self._listeners, []
            for listener in listeners:
                _tell(listener.closed)

    def get(self, task_id: str) -> TaskRecord:
        """Give the record; raises TaskNotFound."""
        record = self.catalogue.records.get(task_id)
        if record is None:
            raise TaskNotFound(task_id)
        return record

    async def wait_final(self, task_id: str) -> TaskRecord:
        """Wait until the task is final; gives its record. Safe to cancel: that stops no task."""
        record = self.get(task_id)
        if record.final:
            await anyio.lowlevel.checkpoint()
            return record
        self._raise_if_closed()
        end = self._ends.get(task_id)
        if end is None:
            end = self._ends[task_id] = _End()
        await end.wait()
        if end.record is None:  # it never came
            self._raise_if_closed()
            return self.get(task_id)
        return end.record

    async def wait_change(self, task_id: str, after_seq: int) -> TaskRecord:
        """Wait until the record is newer than `after_seq`, or final; gives it."""
        await anyio.lowlevel.checkpoint()
        while True:
            record = self.get(task_id)
            if record.final or record.seq > after_seq:
                return record
            await self._wait_news(task_id)

    async def wait_event(self, after_seq: int) -> TaskEvent:
        """Wait for the first change after this one. Raises EventsMissed if it is kept no longer."""
        await anyio.lowlevel.checkpoint()
        while after_seq >= self.seq:
            await self._wait_news(None)
        return self.events_after(after_seq, at_most=1)[0]

    def events_after(self, seq: int, *, at_most: int | None = None) -> list[TaskEvent]:
        """Give all changes after this one, or the first of them.

        Raises EventsMissed if one is gone. After a number that is still to come there is none.
        """
        first = self._place_of(seq + 1)
        end = None if at_most is None else first + at_most
        return [_event(change) for change in islice(self._newest, first, end)]

    def _place_of(self, seq: int) -> int:
        oldest = self.seq + 1 - len(self._newest)
        if seq < oldest:
            raise EventsMissed(seq, oldest)
        return seq - oldest

    def _note_pause(self, change: Pause) -> None:
        if change.paused:
            self.paused.add(change.task_type)
        else:
            self.paused.discard(change.task_type)

    async def _wait_news(self, task_id: str | None) -> None:
        self._raise_if_closed()
        news = self._news.get(task_id)
        if news is None:
            news = self._news[task_id] = anyio.Event()
        await news.wait()

    def _wake(self, *whom: str | None) -> None:
        for task_id in whom:
            news = self._news.pop(task_id, None)
            if news is not None:
                news.set()

    def _before(self, changes: Sequence[TaskChange]) -> list[TaskRecord | None]:
        """The record of each change's task as it was right before it."""
        newest: dict[str, TaskRecord | None] = {}
        before = []
        for change in changes:
            task_id = _task_of(change)
            earlier = newest.get(task_id) or self.catalogue.records.get(task_id)
            before.append(earlier)
            newest[task_id] = None if isinstance(change, Drop) else change.record
        return before

    def _tell(self, changes: Sequence[TaskChange], before: list[TaskRecord | None]) -> None:
        for change, earlier in zip(changes, before, strict=True):
            event = _event(change if isinstance(change, Drop) else change.record)
            for listener in self._listeners:
                _tell(listener.changed, event, earlier)

    def _raise_if_closed(self) -> None:
        if self._closed is not None:
            raise self._closed


def _tell(call: Callable[..., None], *about: object) -> None:
    """Tell a listener; what it raises ends nothing, unless it is meant for the whole program."""
    try:
        call(*about)
    except KeyboardInterrupt:
        raise
    except BaseException:
        log.exception("a listener failed")


class _End:
    """The end of one task, with the record as it was then: a moment later it may be revived."""

    __slots__ = ("_came", "record")

    def __init__(self) -> None:
        self._came = anyio.Event()
        self.record: TaskRecord | None = None

    def come(self, record: TaskRecord | None) -> None:
        """Let those go on who wait; None: it never will be."""
        self.record = record
        self._came.set()

    async def wait(self) -> None:
        """Wait until it has come, or never will."""
        await self._came.wait()


def _event(change: TaskRecord | Drop) -> TaskEvent:
    if isinstance(change, Drop):
        return TaskEvent(change.seq, change.task_id, None)
    return TaskEvent(change.seq, change.id, change)


def _task_of(change: TaskChange) -> str:
    return change.task_id if isinstance(change, Drop) else change.record.id


class TaskEvents:
    """Every change after a given number, in order, none left out: an async iterator.

    It ends when the engine has been left. A follower that falls more than the kept history behind
    gets EventsMissed instead of a gap, and holds up nobody meanwhile.
    """

    def __init__(self, ledger: Ledger, after: int) -> None:
        self._ledger = ledger
        self.seq = after  # the number of the last change given

    def __aiter__(self) -> TaskEvents:
        return self

    async def __anext__(self) -> TaskEvent:
        try:
            event = await self._ledger.wait_event(self.seq)
        except EngineNotRunning:
            raise StopAsyncIteration from None
        self.seq = event.seq
        return event
