"""What happened, in order: every change of every task, and every start, crash and restart."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import msgspec

from ..engine.lifecycle import TaskStatus
from ..engine.records import TaskEvent, TaskRecord


class LoggedEvent(msgspec.Struct, frozen=True):
    """One change of a task, or of the engine (then without task and record)."""

    at: float  # seconds of virtual time since the harness started
    seq: int  # the change's number; 0 for what happened to the engine
    what: str  # the status, "removed", or what happened to the engine
    task_id: str = ""
    record: TaskRecord | None = None  # right after the change; None when removed

    def __str__(self) -> str:
        if not self.task_id:
            return f"{self.at:10.3f}  -- {self.what}"
        line = f"{self.at:10.3f}  {self.task_id}  {self.what}"
        record = self.record
        if record is None:
            return line
        line += f"  {record.type} #{record.attempt} {record.progress_percent}%"
        return f"{line} {record.message!r}" if record.message else line


class EventLog(Sequence[LoggedEvent]):
    """The log: a sequence of LoggedEvent; `str()` gives a line for each; equal when all are."""

    def __init__(self, events: Iterable[LoggedEvent] = ()) -> None:
        self._events = list(events)

    def __len__(self) -> int:
        return len(self._events)

    @overload
    def __getitem__(self, index: int) -> LoggedEvent: ...
    @overload
    def __getitem__(self, index: slice) -> EventLog: ...
    def __getitem__(self, index: int | slice) -> LoggedEvent | EventLog:
        if isinstance(index, slice):
            return EventLog(self._events[index])
        return self._events[index]

    def __iter__(self) -> Iterator[LoggedEvent]:
        return iter(self._events)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EventLog) and self._events == other._events

    __hash__ = None  # type: ignore[assignment]  # it grows

    def __str__(self) -> str:
        return "\n".join(map(str, self._events))

    def __repr__(self) -> str:
        return f"<EventLog of {len(self)} events>"

    @property
    def lines(self) -> list[str]:
        """The log as text, a line for each event."""
        return [str(event) for event in self._events]

    @property
    def digest(self) -> str:
        """A short text that is the same exactly when all of the log is, in any process."""
        encoded = msgspec.json.encode(self._events, order="deterministic")
        return hashlib.sha256(encoded).hexdigest()[:16]

    def of(self, task_id: str) -> EventLog:
        """What happened to one task."""
        return EventLog(event for event in self._events if event.task_id == task_id)

    def statuses(self, task_id: str) -> list[str]:
        """The statuses of one task in their order, each as often as it was entered."""
        found: list[str] = []
        for event in self.of(task_id):
            if not found or found[-1] != event.what:
                found.append(event.what)
        return found

    def known_tasks(self) -> set[str]:
        """The ids of the tasks that are there: those that were not removed since."""
        known: set[str] = set()
        for event in self._events:
            if event.record is not None:
                known.add(event.task_id)
            elif event.task_id:
                known.discard(event.task_id)
        return known

    # -- written by the harness ------------------------------------------------------------------

    def note(self, at: float, what: str) -> None:
        """Something happened to the engine."""
        self._events.append(LoggedEvent(at, 0, what))

    def note_change(self, at: float, change: TaskEvent) -> None:
        """Something happened to a task."""
        what = "removed" if change.record is None else str(TaskStatus(change.record.status))
        self._events.append(LoggedEvent(at, change.seq, what, change.task_id, change.record))
