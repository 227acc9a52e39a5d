"""Writes a snapshot: one put for each task, many of them a line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from .disk import NewFile
from .index import Held
from .journal_format import (
    ABSENT,
    CHECKPOINT_KEY,
    LOG_KEY,
    PARAMS_KEY,
    RESULT_KEY,
    SNAPSHOT,
    KeptPut,
    Start,
    ValueFile,
    changes_offset,
    encode_change,
    header_line,
    join_changes,
    make_line,
    raw,
)
from .values import InlineValue, OwnFileValue, ReadAhead, Value

_LINE_BYTES = 64 * 1024  # a line becomes about so long
_READ_AHEAD = 512 * 1024
_KEYS = (PARAMS_KEY, RESULT_KEY, CHECKPOINT_KEY, LOG_KEY)


def groups(tasks: Sequence[Held]) -> Iterator[list[Held]]:
    """Divide the tasks, in their order, into groups that make a line each."""
    group: list[Held] = []
    size = 0
    for held in tasks:
        group.append(held)
        size += held.size
        if size >= _LINE_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


class SnapshotWriter:
    """Writes the lines of one snapshot.

    `moves` says for each line which values it holds, and where in the file they are now.
    """

    def __init__(self, new: NewFile, number: int, start: Start) -> None:
        self.moves: list[list[tuple[InlineValue, int]]] = []
        self._new = new
        self._line = 1
        self._ahead = ReadAhead(_READ_AHEAD)
        new.append(header_line(SNAPSHOT, number))
        new.append(make_line(1, join_changes([encode_change(start)])))

    def append(self, tasks: Sequence[Held]) -> None:
        """Write the next line."""
        self._line += 1
        at = self._new.length + changes_offset(self._line) + 1
        changes: list[bytes] = []
        moves: list[tuple[InlineValue, int]] = []
        for held in tasks:
            encoded = encode_change(self._put_again(held))
            at += len(encoded)
            moves.extend(_places(held, at))
            changes.append(encoded)
            at += len(b",")
        self._new.append(make_line(self._line, join_changes(changes)))
        self.moves.append(moves)

    def _put_again(self, held: Held) -> KeptPut:
        """The put that says all that is held of a task. Its values are checked as they are read,
        so that no damage is copied under a fresh check sum.
        """
        return KeptPut(
            held.record,
            _file(held.params),
            _file(held.result),
            _file(held.checkpoint),
            _file(held.log),
            self._inline(held.params),
            self._inline(held.result),
            self._inline(held.checkpoint),
            self._inline(held.log),
        )

    def _inline(self, value: Value | None) -> msgspec.Raw:
        return raw(self._ahead.read(value)) if isinstance(value, InlineValue) else ABSENT


def _places(held: Held, end: int) -> Iterator[tuple[InlineValue, int]]:
    """Give each inline value with its place in the put that ends there, the last one first."""
    at = end - len(b"}")
    for value, key in zip(reversed(held.values()), reversed(_KEYS), strict=True):
        if isinstance(value, InlineValue):
            at -= value.length
            yield value, at
            at -= key


def _file(value: Value | None) -> ValueFile | None:
    return value.file if isinstance(value, OwnFileValue) else None
