"""Reads everything back from a folder, and says what a crash left lying there. Changes nothing.

Which files count: the newest snapshot, and the journal files with higher numbers. All others were
superseded by that snapshot; a crash kept them from being removed.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from ..engine.errors import StorageCorrupt
from ..engine.storage import Drop, Pause
from .batch import hold
from .index import Held, TaskIndex
from .journal_format import (
    JOURNAL,
    SNAPSHOT,
    Damaged,
    KeptPut,
    Start,
    changes_offset,
    check_header,
    decode_change,
    file_name,
    holds_line,
    parse_line,
    parse_name,
    split_changes,
)
from .reserve import RESERVE_FILE
from .unreadable import naming
from .values import FOLDERS, OwnFileValue, SourceFile, find_orphans

_READ_AHEAD = 1 << 20
_ADVICE = (
    "Restore the folder from a copy, or have cortex-tasks doctor set aside what is damaged "
    "(--repair --accept-loss)"
)


@dataclass
class Recovery:
    """What a folder holds."""

    index: TaskIndex = field(default_factory=TaskIndex)
    line: int = 0  # the last line of the history
    closed: dict[Path, int] = field(default_factory=dict)  # files that only get read, their sizes
    active: SourceFile | None = None  # the newest journal file; None in an empty folder
    number: int = 0  # of the newest journal file
    length: int = 0  # of its whole lines
    last: int = 0  # where the last of them begins
    torn: int = 0  # bytes after them: a commit that a crash cut short
    leftovers: list[Path] = field(default_factory=list)  # files that nothing refers to


def recover(folder: Path) -> Recovery:
    """Read the folder. Raises StorageCorrupt for anything that a crash cannot explain."""
    found = Recovery()
    snapshots, journals = _list_files(folder, found)
    if snapshots:
        _read_snapshot(folder, snapshots[-1], found)
        superseded = [file_name(SNAPSHOT, number) for number in snapshots[:-1]]
        superseded += [file_name(JOURNAL, number) for number in journals if number <= found.number]
        found.leftovers += [folder / name for name in superseded]
        journals = [number for number in journals if number > found.number]
    _check_complete(folder, journals, found)
    for number in journals:
        _read_journal(folder, number, found, newest=number == journals[-1])
    outside = (held for held in found.index.tasks.values() if held.has_files())
    referred = {name for held in outside for name in held.value_files()}
    found.leftovers += find_orphans(folder, referred)
    return found


def _list_files(folder: Path, found: Recovery) -> tuple[list[int], list[int]]:
    numbers: dict[str, list[int]] = {SNAPSHOT: [], JOURNAL: []}
    for path in sorted(folder.iterdir()):
        if name := parse_name(path.name):
            numbers[name[0]].append(name[1])
        elif path.suffix == ".tmp" and parse_name(path.stem):
            found.leftovers.append(path)  # never got its name, so never counted
    return sorted(numbers[SNAPSHOT]), sorted(numbers[JOURNAL])


def _check_complete(folder: Path, journals: list[int], found: Recovery) -> None:
    """A missing file would look like tasks that never were."""
    expected = list(range(found.number + 1, found.number + 1 + len(journals)))
    gaps = (one for one, other in zip(expected, journals, strict=True) if one != other)
    missing = next(gaps, None)
    if missing is None and not journals and (found.number or _was_used(folder)):
        missing = found.number + 1
    if missing is not None:
        raise StorageCorrupt(
            f"{folder / file_name(JOURNAL, missing)} is missing, though the folder holds files "
            f"that need it. Nothing was changed. {_ADVICE}."
        )


def _was_used(folder: Path) -> bool:
    """Whether what is there was made only after the first journal file was on disk."""
    if os.path.lexists(folder / RESERVE_FILE):
        return True
    return any((folder / name).is_dir() and any((folder / name).iterdir()) for name in FOLDERS)


def _read_snapshot(folder: Path, number: int, found: Recovery) -> None:
    path = folder / file_name(SNAPSHOT, number)
    reader = _FileReader(path, SNAPSHOT, number, found.index)
    reader.read(0)
    start = reader.start
    if start is None or start.tasks != len(found.index.tasks):
        promised = "some" if start is None else str(start.tasks)
        reader.refuse(f"it ends here, with {len(found.index.tasks)} of {promised} tasks")
    found.index.last_seq = max(found.index.last_seq, start.seq)
    found.index.paused.update(start.paused)
    found.line, found.number = start.line, number
    found.closed[path] = reader.offset


def _read_journal(folder: Path, number: int, found: Recovery, *, newest: bool) -> None:
    path = folder / file_name(JOURNAL, number)
    reader = _FileReader(path, JOURNAL, number, found.index, may_be_torn=newest)
    found.line = reader.read(found.line)
    if newest:
        found.active, found.number = reader.source, number
        found.length, found.last, found.torn = reader.offset, reader.last, reader.torn
    else:
        found.closed[path] = reader.offset


class _FileReader:
    """Goes through one file, line by line, and takes what the lines say into the index."""

    def __init__(
        self, path: Path, kind: str, number: int, index: TaskIndex, *, may_be_torn: bool = False
    ) -> None:
        self.source = SourceFile(path)
        self.offset = 0  # of the line being read; at the end, the length of the whole lines
        self.last = 0  # where the line before begins
        self.torn = 0
        self.start: Start | None = None
        self._path = path
        self._kind = kind
        self._number = number
        self._index = index
        self._may_be_torn = may_be_torn
        self._row = 1  # the number of the line in the file, as an editor counts

    def read(self, n: int) -> int:
        """Read the lines after line `n` of the history; give the number of the last one."""
        with naming(self._path), self._path.open("rb", buffering=_READ_AHEAD) as file:
            size = os.fstat(file.fileno()).st_size
            try:
                header = file.readline()
                check_header(header, self._kind, self._number, self._path)
                self._next_line(header)
                for line in file:
                    if self._is_torn(line, size):
                        if holds_line(line):
                            self.refuse("it is damaged, and a whole line comes after the damage")
                        self.torn = len(line)
                        break
                    self._take(parse_line(line, n + 1), self.offset + changes_offset(n + 1))
                    self._next_line(line)
                    n += 1
            except Damaged as damage:
                self.refuse(str(damage))
            except ValueError as error:
                self.refuse(f"it is whole, but says what cannot be understood ({error})")
        return n

    def _next_line(self, line: bytes) -> None:
        self.last = self.offset
        self.offset += len(line)
        self._row += 1

    def _is_torn(self, line: bytes, size: int) -> bool:
        """Whether a crash cut this line short: the end never came, or came as a hole of zeros."""
        last = self._may_be_torn and self.offset + len(line) == size
        return last and (not line.endswith(b"\n") or b"\0" in line)

    def _take(self, changes: bytes, offset: int) -> None:
        for change in read_changes(changes, self.source, offset):
            if isinstance(change, Held):
                self._index.put(change)
            elif isinstance(change, Drop):
                self._index.drop(change)
            elif isinstance(change, Pause):
                self._index.pause(change)
            else:
                self.start = change

    def refuse(self, reason: str) -> NoReturn:
        advice = f"{_ADVICE}."
        if self._kind == JOURNAL and self._row > 1:
            path, good = (shlex.quote(f"{self._path}{end}") for end in ("", ".good"))
            advice = (
                f"{_ADVICE}. Or go on without this line and all that came after it: "
                "keep a copy of the folder, then "
                f"head -n {self._row - 1} {path} > {good} && mv {good} {path}"
            )
            if not self._may_be_torn:
                advice += " and move the journal files with higher numbers out of the folder"
        raise StorageCorrupt(
            f"{self._path}, line {self._row} (byte {self.offset}): {reason}. A crash cannot have "
            f"done this, so nothing was changed. {advice}"
        )


def read_changes(
    changes: bytes, source: SourceFile, offset: int
) -> Iterator[Held | Drop | Pause | Start]:
    """Give what a line's list of changes says, the list being at `offset` of the source.

    Raises ValueError for what cannot be understood.
    """
    offset += 1  # the bracket
    for encoded in split_changes(changes):
        change, length = decode_change(encoded), len(encoded)
        if isinstance(change, KeptPut):
            values = change.params, change.result, change.checkpoint, change.log
            held = hold(change.record, source, offset, length, values)
            if (
                change.params_file
                or change.result_file
                or change.checkpoint_file
                or change.log_file
            ):
                _hold_files(held, change, source.path.parent)
            yield held
        else:
            yield change
        offset += length + 1


def _hold_files(held: Held, put: KeptPut, folder: Path) -> None:
    if put.params_file:
        held.params = OwnFileValue(folder, put.params_file)
    if put.result_file:
        held.result = OwnFileValue(folder, put.result_file)
    if put.checkpoint_file:
        held.checkpoint = OwnFileValue(folder, put.checkpoint_file)
    if put.log_file:
        held.log = OwnFileValue(folder, put.log_file)
