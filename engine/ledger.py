"""What has been kept and may therefore be seen: records, lists, changes as they come, ends.

Written by the journal writer alone, right after a commit; read by anyone without asking. So no
reader ever sees what a power cut could take back, and no read waits for a disk.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import anyio
import anyio.lowlevel

from .catalogue import Catalogue
from .errors import EngineNotRunning, EventsMissed, TaskNotFound
from .records import TaskEvent, TaskRecord
from .storage import Change, Drop, Recovered


class Ledger:
    """All that is committed, and the waits for more of it."""

    def __init__(self, *, history: int) -> None:
        self.catalogue = Catalogue()
        self.seq = 0  # the number of the newest change that is kept
        # The newest changes, up to number `seq`: never what they brought, which may be large.
        self._newest: deque[TaskRecord | Drop] = deque(maxlen=history)
        self._ends: dict[str, _End] = {}  # of the tasks for whose end somebody waits
        self._changed: anyio.Event | None = None  # set at the next change of anything
        self._closed: Exception | None = None

    def load(self, recovered: Recovered) -> None:
        """Take what a backend holds."""
        self.catalogue.load(recovered.records)
        self.seq = recovered.last_seq

    def publish(self, changes: Sequence[Change], latest: Sequence[Change]) -> None:
        """Show changes that are now kept, and what they come to: the last one of each task."""
        for change in latest:
            if isinstance(change, Drop):
                self.catalogue.drop(change.task_id)
            else:
                record = change.record
                self.catalogue.put(record)
                if record.completed_at is not None:
                    end = self._ends.pop(record.id, None)
                    if end is not None:
                        end.come(record)
        self._newest.extend(
            [change if isinstance(change, Drop) else change.record for change in changes]
        )
        self.seq += len(changes)
        self._wake_followers()

    def close(self, reason: Exception) -> None:
        """Nothing more will be published: everyone who waits gets `reason`. Again is fine."""
        if self._closed is None:
            self._closed = reason
            for end in self._ends.values():
                end.come(None)
            self._ends.clear()
            self._wake_followers()

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
            await self._wait_any_change()

    async def wait_event(self, after_seq: int) -> TaskEvent:
        """Wait for the first change after this one. Raises EventsMissed if it is kept no longer."""
        await anyio.lowlevel.checkpoint()
        while after_seq >= self.seq:
            await self._wait_any_change()
        return self._event(after_seq + 1)

    def events_after(self, seq: int) -> list[TaskEvent]:
        """Give all changes after this one, at once; raises EventsMissed if one is gone."""
        return [self._event(wanted) for wanted in range(seq + 1, self.seq + 1)]

    def _event(self, seq: int) -> TaskEvent:
        oldest = self.seq + 1 - len(self._newest)
        if seq < oldest:
            raise EventsMissed(seq, oldest)
        change = self._newest[seq - oldest]
        if isinstance(change, Drop):
            return TaskEvent(change.seq, change.task_id, None)
        return TaskEvent(change.seq, change.id, change)

    async def _wait_any_change(self) -> None:
        self._raise_if_closed()
        if self._changed is None:
            self._changed = anyio.Event()
        await self._changed.wait()

    def _wake_followers(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    def _raise_if_closed(self) -> None:
        if self._closed is not None:
            raise self._closed


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
