"""Server-sent events, as bytes. JSON has no line ends in it: one line of data is enough."""

from __future__ import annotations

import msgspec

from ..engine.records import TaskEvent, TaskRecord
from .wire import TaskView, view

RETRY = b"retry: 1000\n\n"  # milliseconds until a client comes back that has lost its connection
# Not a comment, nor without data: browsers tell scripts of neither. It has no id, being no change.
PING = b"event: ping\ndata: {}\n\n"


class Ready(msgspec.Struct, frozen=True):
    """The stream goes on with what comes after this change."""

    seq: int


class Removed(msgspec.Struct, frozen=True):
    """The record of this task is gone."""

    task_id: str
    seq: int


class Reset(msgspec.Struct, frozen=True):
    """What came before this change is not known any more: load anew what you show."""

    seq: int
    detail: str


def frame_of(event: TaskEvent) -> bytes:
    """Tell of a change: `task`, or `removed`."""
    if event.record is None:
        return _frame("removed", event.seq, Removed(event.task_id, event.seq))
    return told(view(event.record), event.seq)


def told(task: TaskView, seq: int) -> bytes:
    """Tell what a task is like since this change."""
    return _frame("task", seq, task)


def ready(seq: int) -> bytes:
    """Say from where it goes on: always the first event of a stream."""
    return _frame("ready", seq, Ready(seq))


def reset(seq: int, detail: str) -> bytes:
    """Say that changes were missed."""
    return _frame("reset", seq, Reset(seq, detail))


def end(record: TaskRecord) -> bytes:
    """Say that this task has ended, and the stream with it."""
    return _frame("end", record.seq, view(record))


def _frame(name: str, seq: int, data: Ready | Removed | Reset | TaskView) -> bytes:
    return b"event: %b\nid: %d\ndata: %b\n\n" % (name.encode(), seq, _ENCODER.encode(data))


_ENCODER = msgspec.json.Encoder()
