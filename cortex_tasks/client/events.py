"""What following tells, and how server-sent events are read; no network in here."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from .errors import NotUnderstood
from .models import Task

LONGEST_RETRY = 30.0  # seconds, whatever the server says
LONGEST_FRAME = 64 * 2**20  # bytes; no event of the server's is as long
LONGEST_SEQ = 19  # digits; an `id` that is no such number is no number of a change, and passed over


class Changed(msgspec.Struct, frozen=True):
    """A task has changed, or is there."""

    task: Task


class Ended(msgspec.Struct, frozen=True):
    """The one task that is followed has ended: this is the last event."""

    task: Task


class Removed(msgspec.Struct, frozen=True):
    """The record of a task is gone."""

    task_id: str
    seq: int


class Reset(msgspec.Struct, frozen=True):
    """What was before `seq` is not known any more: load the list anew; what follows is complete."""

    seq: int
    detail: str = ""


Event: TypeAlias = Changed | Ended | Removed | Reset


class Ready(msgspec.Struct, frozen=True):
    """The stream is open, and goes on after `seq`."""

    seq: int


class Frame(msgspec.Struct, frozen=True):
    """One event as it came."""

    event: str
    data: bytes
    seq: int | None  # its id, if that is the number of a change


class FrameReader:
    """Puts events together from pieces of a stream (https://html.spec.whatwg.org, 9.2)."""

    def __init__(self) -> None:
        self.retry = 1.0  # seconds to wait before connecting again
        self._rest = b""
        self._event = ""
        self._data: list[bytes] = []
        self._size = 0  # bytes of the event's lines that are whole
        self._seq: int | None = None

    def feed(self, piece: bytes) -> list[Frame]:
        """Take a piece; give the events that are whole now."""
        text = (self._rest + piece).replace(b"\r\n", b"\n")
        if self._size + len(text) > LONGEST_FRAME:
            raise NotUnderstood("an event of the server is longer than any should be")
        # A carriage return at the end may be half of a line's end.
        held = b"\r" if text.endswith(b"\r") else b""
        *lines, rest = text.removesuffix(held).replace(b"\r", b"\n").split(b"\n")
        self._rest = rest + held
        return [frame for line in lines if (frame := self._line(line)) is not None]

    def _line(self, line: bytes) -> Frame | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match name:
            case b"event":
                self._event = value.decode("utf-8", "replace")
            case b"data":
                self._data.append(value)
                self._size += len(value) + 1
            case b"id" if value.isdigit() and len(value) <= LONGEST_SEQ:
                self._seq = int(value)
            case b"retry" if value.isdigit():
                self.retry = min(int(value[:9]) / 1000, LONGEST_RETRY)
        return None

    def _dispatch(self) -> Frame | None:
        frame = Frame(self._event, b"\n".join(self._data), self._seq)
        empty = not self._data
        self._event, self._data, self._size = "", [], 0
        return None if empty else frame


def read_event(frame: Frame) -> Event | Ready | None:
    """Give what the frame says; None for what this version does not know."""
    try:
        match frame.event:
            case "task":
                return Changed(msgspec.json.decode(frame.data, type=Task))
            case "end":
                return Ended(msgspec.json.decode(frame.data, type=Task))
            case "removed":
                return msgspec.json.decode(frame.data, type=Removed)
            case "reset":
                return msgspec.json.decode(frame.data, type=Reset)
            case "ready":
                return msgspec.json.decode(frame.data, type=Ready)
            case _:
                return None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotUnderstood(f"an event is not one that this version understands: {error}") from None
