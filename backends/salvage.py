"""Reads from a damaged folder each line that can still be read, and says what cannot be known.

A number of a change that no line accounts for may have been in a line that is lost (account.py says
which these are). Which task it was of nobody knows: it may have been of any.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf, isinf
from pathlib import Path
from typing import BinaryIO

from ..engine.records import TaskRecord
from ..engine.storage import Drop, Pause
from .account import Account
from .index import Held, TaskIndex
from .journal_format import (
    JOURNAL,
    SNAPSHOT,
    Damaged,
    Start,
    check_header,
    file_name,
    find_line,
    parse_name,
)
from .recovery import Recovery, read_changes
from .unreadable import naming
from .values import SourceFile


@dataclass(frozen=True)
class DamagedPiece:
    """Bytes of a file that no line can be read from."""

    path: Path
    row: int  # the number of the line, as an editor counts
    data: bytes


@dataclass
class Salvage:
    """What can still be read of a folder."""

    index: TaskIndex = field(default_factory=TaskIndex)
    opens: bool = False  # whether every line could be read, and was in its place
    line: int = 0  # the last line of the history, as far as that is known
    number: int = 0  # the highest of all files
    damaged: list[DamagedPiece] = field(default_factory=list)
    missing_files: list[Path] = field(default_factory=list)
    lost: int = 0  # how many numbers of changes no line accounts for
    newest_lost: float = 0  # the highest of them; infinite where the end of the history is lost
    # For each task the number up to which no change of it can have been lost unnoticed, if none
    # above it is.
    known: dict[str, int] = field(default_factory=dict)
    # For each task the number up to which no line of its log can have been lost.
    logged: dict[str, int] = field(default_factory=dict)
    missing: list[int] = field(default_factory=list)  # these numbers, ascending

    def is_known(self, task_id: str) -> bool:
        """Whether the record and the checkpoint held of a task are the newest that it had."""
        return self.newest_lost <= self.known.get(task_id, 0)

    def may_lack_log(self, record: TaskRecord) -> bool:
        """Whether a lost line may have brought a log of this task, newer than the one held."""
        if record.attempt == 0:
            return False  # nothing of it ever ran
        after = bisect_right(self.missing, self.logged.get(record.id, 0))
        if not record.final:
            return isinf(self.newest_lost) or after < len(self.missing)
        return after < len(self.missing) and self.missing[after] < record.seq


def salvage_of(found: Recovery) -> Salvage:
    """Say the same of a folder in which every line could be read."""
    return Salvage(found.index, opens=True, line=found.line, number=found.number)


def salvage(folder: Path) -> Salvage:
    """Read what can be read. Changes nothing. Raises StorageError for a file that a newer program
    wrote, and OSError.
    """
    found = Salvage()
    numbers: dict[str, list[int]] = {SNAPSHOT: [], JOURNAL: []}
    for path in folder.iterdir():
        if name := parse_name(path.name):
            numbers[name[0]].append(name[1])
    found.number = max((number for kind in numbers.values() for number in kind), default=0)
    snapshots: list[_Snapshot] = []
    for number in sorted(numbers[SNAPSHOT], reverse=True):
        snapshots.insert(0, _Snapshot(folder, number, found))
        if snapshots[0].whole:  # it stands for all before it
            numbers[JOURNAL] = [one for one in numbers[JOURNAL] if one > number]
            break
    history = _History(folder, numbers, snapshots, found)
    _replay(found, snapshots, history)
    _account(found, snapshots, history)
    return found


class _Snapshot:
    """What can be read of a snapshot. Each task is in it once, as it was at one moment."""

    def __init__(self, folder: Path, number: int, found: Salvage) -> None:
        self.number = number
        self.start: Start | None = None
        self.puts: dict[str, Held] = {}
        reader = _Reader(folder / file_name(SNAPSHOT, number), SNAPSHOT, number, found)
        for _, changes in reader.lines():
            for change in changes:
                if isinstance(change, Held):
                    self.puts[change.record.id] = change
                elif isinstance(change, Start):
                    self.start = change
        newest = max((held.record.seq for held in self.puts.values()), default=0)
        self.seq = max(newest, self.start.seq if self.start else 0)  # of that moment, at the least
        self.whole = self.start is not None and self.start.tasks == len(self.puts)


class _History:
    """What can be read of the journal files, in the order of the numbers of the changes."""

    def __init__(
        self,
        folder: Path,
        numbers: dict[str, list[int]],
        snapshots: list[_Snapshot],
        found: Salvage,
    ) -> None:
        self.changes: dict[int, Held | Drop] = {}
        self.pauses: list[tuple[int, Pause]] = []  # with the number of the file; they have no other
        self.lines: list[tuple[int, int]] = []  # number of the line, highest of its changes
        self.account = Account()
        self._without_changes: set[tuple[int, tuple[Pause, ...]]] = set()
        # The file after a snapshot goes on where that stands; without one the history begins.
        starts = {0: (0, 0)}
        starts |= {one.number: (one.start.line, one.seq) for one in snapshots if one.start}
        before = newest_snapshot = max(numbers[SNAPSHOT], default=0)
        for number in sorted(numbers[JOURNAL]):
            if number > newest_snapshot:
                self._expect(folder, before + 1, number, found)
                before = number
            if number - 1 in starts:
                self.account.begin(*starts[number - 1])
            path = folder / file_name(JOURNAL, number)
            self._read(_Reader(path, JOURNAL, number, found), number)
        if before == newest_snapshot:
            self._expect(folder, before + 1, before + 2, found)

    def _expect(self, folder: Path, number: int, there: int, found: Salvage) -> None:
        """Note that the files up to the one that is there are missing, if any is."""
        if number < there:
            found.missing_files.append(folder / file_name(JOURNAL, number))
            self.account.damage()

    def _read(self, reader: _Reader, number: int) -> None:
        for n, changes in reader.lines():
            if n is None:
                self.account.damage()
                continue
            kept = {_seq(one): one for one in changes if isinstance(one, Held | Drop)}
            pauses = tuple(one for one in changes if isinstance(one, Pause))
            self.pauses += [(number, pause) for pause in pauses]
            if self._is_new(n, kept, pauses):
                self.changes |= kept
                self.lines.append((n, max(kept, default=0)))
                self.account.take(n, kept)

    def _is_new(self, n: int, kept: dict[int, Held | Drop], pauses: tuple[Pause, ...]) -> bool:
        """Whether this line has not been there before: one that stands there twice lost nothing."""
        if kept:
            return not kept.keys() <= self.changes.keys()
        new = (n, pauses) not in self._without_changes
        self._without_changes.add((n, pauses))
        return new


def _seq(change: Held | Drop) -> int:
    return change.seq if isinstance(change, Drop) else change.record.seq


Line = tuple[int | None, list[Held | Drop | Pause | Start]]


class _Reader:
    """Goes through one file; what cannot be read is noted, and skipped."""

    def __init__(self, path: Path, kind: str, number: int, found: Salvage) -> None:
        self._path = path
        self._kind = kind
        self._number = number
        self._found = found
        self._source = SourceFile(path)

    def lines(self) -> Iterator[Line]:
        """Give each line, with its number, and each damage, with None and no changes."""
        with naming(self._path), self._path.open("rb") as file:
            yield from self._lines(file)

    def _lines(self, file: BinaryIO) -> Iterator[Line]:
        offset = 0
        for row, data in enumerate(file, 1):
            if not (row == 1 and self._is_header(data)):
                yield from self._read(data, row, offset)
            offset += len(data)
        if offset == 0:  # not even a header
            yield self._damage(b"", 1)

    def _is_header(self, data: bytes) -> bool:
        try:
            check_header(data, self._kind, self._number, self._path)
        except Damaged:
            return False
        return True

    def _read(self, data: bytes, row: int, offset: int) -> Iterator[Line]:
        found = find_line(data)
        if found is None:
            yield self._damage(data, row)
            return
        begin, n, text = found
        at = offset + len(data) - 2 - len(text)
        try:
            changes = list(read_changes(text, self._source, at))
        except (ValueError, RecursionError):
            yield self._damage(data, row)
            return
        if begin:
            yield self._damage(data[:begin], row)
        yield n, changes

    def _damage(self, data: bytes, row: int) -> Line:
        self._found.damaged.append(DamagedPiece(self._path, row, data))
        return None, []


def _replay(found: Salvage, snapshots: list[_Snapshot], history: _History) -> None:
    """Take in all that was read, in the order in which it came to be."""
    left = sorted(history.changes)
    for snapshot in snapshots:
        superseded = [seq for seq in left if seq <= snapshot.seq]
        left = left[len(superseded) :]
        if not snapshot.whole:
            _take(found, [history.changes[seq] for seq in superseded])
        for task_id, held in snapshot.puts.items():
            # In place of all that older lines say: a checkpoint that it has not is gone.
            found.index.drop(Drop(task_id, 0))
            found.index.put(held)
            found.known[task_id] = found.logged[task_id] = snapshot.seq
    _take(found, [history.changes[seq] for seq in left])
    started = [snapshot for snapshot in snapshots if snapshot.start]
    for snapshot in started[-1:]:
        found.index.paused = set(snapshot.start.paused if snapshot.start else ())
    for number, pause in history.pauses:
        if not started or number > started[-1].number:
            found.index.pause(pause)


def _take(found: Salvage, changes: list[Held | Drop]) -> None:
    for change in changes:
        if isinstance(change, Drop):
            found.index.drop(change)
            continue
        record = change.record
        first = change.params is not None
        # Any other put may follow a lost one that brought a newer checkpoint than the one held.
        if first or record.final or record.attempt == 0 or change.checkpoint is not None:
            found.known[record.id] = record.seq
        if first or change.log is not None:  # which is the whole log
            found.logged[record.id] = record.seq
        found.index.put(change)  # from now on it has the values of the put before, too


def _account(found: Salvage, snapshots: list[_Snapshot], history: _History) -> None:
    """Find the numbers of changes that may be lost."""
    whole = snapshots[0].seq if snapshots and snapshots[0].whole else 0
    seqs = {held.record.seq for snapshot in snapshots for held in snapshot.puts.values()}
    seqs |= history.changes.keys()
    newest = max([whole, *seqs, *(snapshot.seq for snapshot in snapshots)])
    missing = history.account.missing(whole, newest, seqs)
    found.index.last_seq = newest
    found.missing = missing
    found.lost = len(missing)
    found.newest_lost = inf if history.account.end_lost else max(missing, default=0)
    # A line's number is under no check sum. One above those of the changes is of a history with
    # pauses, or damaged: not to know it does no harm, for the lines that follow count on from here.
    starts = [snapshot.start.line for snapshot in snapshots if snapshot.start]
    found.line = max([*starts, *(n for n, seq in history.lines if n <= seq)], default=0)
