"""What is held, in memory: each task's newest record, and where its values are."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ..engine.records import TaskRecord
from ..engine.storage import Drop, Pause
from .values import OwnFileValue, Value


class Held(msgspec.Struct, gc=False):
    """One task, as of its last put. Never changed once it is in the index: a new put makes a new
    one, so that compaction can go through the old ones in its own thread.
    """

    record: TaskRecord
    params: Value | None
    result: Value | None
    checkpoint: Value | None  # never of a final task
    log: Value | None
    size: int  # bytes that it takes in a file, about

    def take_over(self, old: Held) -> None:
        """Keep the values of the put before, where this one brought none."""
        if self.params is None and old.params is not None:
            self.params = old.params
            self.size += old.params.length
        if self.result is None and old.result is not None:
            self.result = old.result
            self.size += old.result.length
        if self.checkpoint is None and old.checkpoint is not None and not self.record.final:
            self.checkpoint = old.checkpoint
            self.size += old.checkpoint.length
        if self.log is None and old.log is not None:
            self.log = old.log
            self.size += old.log.length

    def values(self) -> tuple[Value | None, ...]:
        """Parameters, result, checkpoint and log."""
        return self.params, self.result, self.checkpoint, self.log

    def has_files(self) -> bool:
        """Whether a value of it is outside the journal."""
        return (
            type(self.params) is OwnFileValue
            or type(self.result) is OwnFileValue
            or type(self.checkpoint) is OwnFileValue
            or type(self.log) is OwnFileValue
        )

    def value_files(self) -> set[str]:
        """The files outside the journal that hold its values."""
        values = self.values()
        return {value.file.file for value in values if isinstance(value, OwnFileValue)}


class TaskIndex:
    """All tasks, in the order in which they were first put."""

    def __init__(self) -> None:
        self.tasks: dict[str, Held] = {}
        self.paused: set[str] = set()  # task types
        self.last_seq = 0
        self.live_bytes = 0  # what a snapshot of all tasks would take, about

    def apply(self, changes: Iterable[Held | Drop | Pause]) -> set[str]:
        """Take in what has been kept; give the value files that no task refers to any more."""
        unreferred: set[str] = set()
        for change in changes:
            if isinstance(change, Held):
                old = self.put(change)
                if old is not None and old.has_files():
                    unreferred |= old.value_files() - change.value_files()
            elif isinstance(change, Pause):
                self.pause(change)
            else:
                old = self.drop(change)
                if old is not None:
                    unreferred |= old.value_files()
        return unreferred

    def put(self, new: Held) -> Held | None:
        """Hold it in place of any earlier one, which is given back."""
        record = new.record
        old = self.tasks.get(record.id)
        if old is not None:
            new.take_over(old)
            self.live_bytes -= old.size
        self.tasks[record.id] = new
        self.live_bytes += new.size
        self.last_seq = max(self.last_seq, record.seq)
        return old

    def pause(self, change: Pause) -> None:
        """Hold whether a type is paused."""
        if change.paused:
            self.paused.add(change.task_type)
        else:
            self.paused.discard(change.task_type)

    def drop(self, change: Drop) -> Held | None:
        """Forget a task; give what was held of it."""
        self.last_seq = max(self.last_seq, change.seq)
        old = self.tasks.pop(change.task_id, None)
        if old is not None:
            self.live_bytes -= old.size
        return old
