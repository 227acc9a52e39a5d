"""Where the values of tasks are: inside a line, or, when large, in a file of their own.

They stay on disk; memory holds only where they are and how to tell that they are still whole. Only
the newest results are in memory too: whoever waits for a task wants its result the next moment.
"""

from __future__ import annotations

import hashlib
import os
import re
import weakref
import zlib
from collections import deque
from pathlib import Path
from typing import Final

import msgspec

from ..engine.errors import StorageCorrupt
from .disk import DiskFiles, NewFile
from .journal_format import ValueFile
from .unreadable import naming

FOLDERS: Final = ("params", "results", "checkpoints", "logs")

_OVERHEAD: Final = 200  # bytes that holding a text takes beside its length, about
_RESTORE: Final = "Restore it from a copy of the folder."


class SourceFile:
    """A journal or snapshot file open for reading: until nobody refers to it, removed or not.

    So a value can be read while the file it was found in is being superseded.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)

    def read(self, offset: int, length: int) -> bytes:
        """Give so many bytes, or fewer where the file ends."""
        with naming(self.path):
            data = os.pread(self._descriptor, length, offset)
            while len(data) < length:
                more = os.pread(self._descriptor, length - len(data), offset + len(data))
                if not more:
                    break
                data += more
        return data


class Place(msgspec.Struct, frozen=True, gc=False):
    """A byte of a file."""

    source: SourceFile
    offset: int


class Text(msgspec.Struct, gc=False):
    """A value itself, until others need its room."""

    data: bytes | None


class InlineValue(msgspec.Struct, gc=False):
    """A value inside a line. Compaction moves it: `place` is replaced in one assignment, so that
    a reader in another thread finds the old place or the new one, and both hold the same.
    """

    place: Place
    length: int
    crc: int
    kept: Text | None = None  # the value itself, while it is among the newest results

    @property
    def text(self) -> bytes | None:
        """The value, if it is held in memory; another thread may let go of it at any moment."""
        return None if self.kept is None else self.kept.data

    def read(self) -> bytes:
        """Read it, and check it."""
        place = self.place
        return self.check(place, place.source.read(place.offset, self.length))

    def check(self, place: Place, data: bytes) -> bytes:
        """Give what was read at the place, if it is what was written. Else raise StorageCorrupt."""
        if len(data) != self.length or zlib.crc32(data) != self.crc:
            raise StorageCorrupt(
                f"{place.source.path} has changed since it was opened: the {self.length} bytes at "
                f"byte {place.offset} are not what was written there. {_RESTORE}"
            )
        return data


class ReadAhead:
    """Reads values in about the order in which they were written, a large piece at a time.

    Each read from a file lets other threads run; thousands of small ones would take for ever.
    """

    def __init__(self, piece: int) -> None:
        self._piece = piece
        self._pieces: dict[SourceFile, tuple[int, bytes]] = {}

    def read(self, value: InlineValue) -> bytes:
        """Read it, and check it."""
        place = value.place
        start, piece = self._pieces.get(place.source, (0, b""))
        if not start <= place.offset <= place.offset + value.length <= start + len(piece):
            start = place.offset
            piece = place.source.read(start, max(self._piece, value.length))
            self._pieces[place.source] = (start, piece)
        at = place.offset - start
        return value.check(place, piece[at : at + value.length])


class OwnFileValue(msgspec.Struct, frozen=True, gc=False):
    """A value in a file of its own; the file never changes."""

    folder: Path
    file: ValueFile

    @property
    def length(self) -> int:
        """What it takes in the journal itself: nothing."""
        return 0

    @property
    def text(self) -> None:
        """It is never held in memory."""
        return None

    def read(self) -> bytes:
        """Read it, and check it."""
        path = self.folder / self.file.file
        try:
            with naming(path):
                data = path.read_bytes()
        except FileNotFoundError:
            raise StorageCorrupt(f"{path} is missing. {_RESTORE}") from None
        if len(data) != self.file.size:
            raise StorageCorrupt(
                f"{path} has {len(data)} bytes where {self.file.size} were written. {_RESTORE}"
            )
        if f"{zlib.crc32(data):08x}" != self.file.crc:
            raise StorageCorrupt(
                f"{path} is not what was written: its check sum differs. {_RESTORE}"
            )
        return data


Value = InlineValue | OwnFileValue


class NewestResults:
    """Keeps the text of the newest values in memory, up to `limit` bytes in all.

    Of the values it knows no more than that. One whose task was dropped is moved by no compaction,
    so it would hold open, and on the disk, a journal file that was removed long ago.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = 0
        self._texts: deque[tuple[Text, int]] = deque()  # with what each takes, the oldest first

    def add(self, text: Text) -> None:
        """Take in a text; others may be let go."""
        size = len(text.data or b"") + _OVERHEAD
        self._texts.append((text, size))
        self._bytes += size
        while self._bytes > self._limit:
            oldest, size = self._texts.popleft()
            oldest.data = None
            self._bytes -= size


def name_value_file(kind: str, task_id: str, seq: int, data: bytes) -> ValueFile:
    """Choose the file for a value. The change number makes the name one that no kept line uses."""
    readable = re.fullmatch(r"[A-Za-z0-9_-]{1,100}", task_id)
    name = task_id if readable else "id-" + hashlib.sha256(task_id.encode()).hexdigest()[:40]
    return ValueFile(f"{kind}/{name}.{seq}.json", len(data), f"{zlib.crc32(data):08x}")


def write_value_files(
    files: DiskFiles, folder: Path, values: list[tuple[ValueFile, bytes]]
) -> None:
    """Put values on disk, each whole, before a line refers to them."""
    for file, data in values:
        with NewFile(files, folder / file.file) as new:
            new.append(data)
            new.keep()
    for name in FOLDERS:
        if any(file.file.startswith(name) for file, _ in values):
            files.sync_folder(folder / name)


_OURS: Final = re.compile(r".+\.\d+\.json(\.tmp)?")


def find_orphans(folder: Path, referred: set[str]) -> list[Path]:
    """Find the value files that no record refers to: a crash came between the file and its line,
    or between the line that dropped the task and the removal of the file.
    """
    return [
        path
        for name in FOLDERS
        if (folder / name).is_dir()
        for path in sorted((folder / name).iterdir())
        if _OURS.fullmatch(path.name) and f"{name}/{path.name}" not in referred
    ]
