"""What the journal does to files, each operation once, so that a test can stop after any of them.

A write that is not synced, and a name whose folder is not synced, may be gone after a power cut.
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

from ..engine.errors import StorageError, StorageFull

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})

_CANNOT_ALLOCATE = frozenset({errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS})
_PIECE = 64 * 1024

# macOS: fsync leaves the data in the drive's own cache; this waits until it has left that too.
_FULL_SYNC: int | None = getattr(fcntl, "F_FULLFSYNC", None)


class DiskFiles:
    """Files of the operating system. Files are for their owner alone (0600), folders too (0700)."""

    def make_folder(self, path: Path) -> None:
        path.mkdir(mode=0o700, exist_ok=True)

    def create(self, path: Path) -> int:
        """Open an empty file for appending, whatever was there before."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)

    def allocate(self, path: Path, size: int, beyond: int) -> None:
        """Make a file that takes up `size` bytes of the disk, if it has so many and `beyond` more.

        After an OSError something of it may be there.
        """
        descriptor = self.create(path)
        try:
            _take_room(descriptor, size + beyond)
            os.ftruncate(descriptor, size)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def reopen(self, path: Path) -> int:
        """Open a file for appending."""
        return os.open(path, os.O_WRONLY | os.O_APPEND)

    def write(self, descriptor: int, data: memoryview) -> int:
        """Append some of the data; give how many bytes."""
        return os.write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        """Wait until the data of the file, and its length, outlast a power cut."""
        if _FULL_SYNC is not None:
            fcntl.fcntl(descriptor, _FULL_SYNC)
        else:
            os.fdatasync(descriptor)

    def sync_folder(self, path: Path) -> None:
        """Wait until the names in the folder outlast a power cut."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def sync_names_above(self, path: Path) -> None:
        """Wait until the names on the way to the folder outlast a power cut, as far as this user
        may: a folder that was made a moment ago is lost with all that is in it otherwise.
        """
        for below, parent in pairwise((path, *path.parents)):
            if below.is_mount():  # its name is on no disk
                break
            with suppress(PermissionError):
                DiskFiles.sync_folder(self, parent)

    def write_again(self, path: Path, offset: int, data: bytes) -> None:
        """Write the bytes that a part of the file has already, so that the next sync writes them
        even if the system takes them for synced.
        """
        descriptor = os.open(path, os.O_WRONLY)
        try:
            rest = memoryview(data)
            while rest:
                written = os.pwrite(descriptor, rest, offset)
                rest, offset = rest[written:], offset + written
        finally:
            os.close(descriptor)

    def truncate(self, descriptor: int, length: int) -> None:
        os.ftruncate(descriptor, length)

    def rename(self, path: Path, new: Path) -> None:
        path.replace(new)

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)


def _take_room(descriptor: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, 0, size)
        except OSError as error:
            if error.errno not in _CANNOT_ALLOCATE:
                raise
        else:
            return
    for _ in range(0, size, _PIECE):  # of bytes that no file system can make smaller
        write_all(DiskFiles(), descriptor, os.urandom(_PIECE))


def write_all(files: DiskFiles, descriptor: int, data: bytes) -> None:
    """Append all of the data; the system may take it in several parts."""
    rest = memoryview(data)
    while rest:
        rest = rest[files.write(descriptor, rest) :]


class NewFile:
    """A file that takes its name when it is whole and synced, or never.

    Leaving the block without `keep()` removes it. The caller syncs the folder afterwards.
    """

    def __init__(self, files: DiskFiles, path: Path) -> None:
        self.path = path
        self.length = 0
        self._files = files
        self._temporary = path.with_name(path.name + ".tmp")
        self._descriptor = files.create(self._temporary)
        self._open = True
        self._kept = False

    def append(self, data: bytes) -> None:
        write_all(self._files, self._descriptor, data)
        self.length += len(data)

    def keep(self) -> None:
        """Sync the file and give it its name, in place of any file that had it."""
        self._files.sync(self._descriptor)
        self._close()
        self._files.rename(self._temporary, self.path)
        self._kept = True

    def _close(self) -> None:
        if self._open:
            self._open = False
            self._files.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._kept:
            return
        with suppress(OSError):  # what stays is removed when the folder is opened
            self._close()
            self._files.remove(self._temporary)


def as_storage_error(error: OSError, path: Path) -> StorageError:
    """Say what the system refused, where, and what a person can do about it."""
    where = error.filename or path
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return StorageFull(f"There is no room left at {where}: free some, then try again.")
        case errno.EACCES | errno.EPERM:
            return StorageError(
                f"Permission denied: {where}. Let this user (id {os.geteuid()}) read and write "
                "it, or choose another folder."
            )
        case errno.EROFS:
            return StorageError(f"{where} is on a read-only file system: choose another folder.")
        case errno.ENOTDIR | errno.EEXIST:
            return StorageError(f"{where} is a file where a folder is needed: choose another path.")
        case _:
            return StorageError(
                f"The files in {path} cannot be used: {error}. Look after the disk, then try again."
            )
