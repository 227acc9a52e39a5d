"""Who repairs a folder as root leaves nothing of root's in it: a service could not open its own.

The service may write to the folder, so whatever stands in the way of a new file may be a link that
it has put there. Such a link is removed, never written through.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from ..engine.errors import StorageCorrupt
from .disk import DiskFiles


class GivenFiles(DiskFiles):
    """New files and folders belong to this user and group. For root."""

    def __init__(self, user: int, group: int) -> None:
        self._owner = (user, group)

    def make_folder(self, path: Path) -> None:
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
            os.chown(path, *self._owner, follow_symlinks=False)

    def create(self, path: Path) -> int:
        path.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        descriptor = os.open(path, flags, 0o600)
        os.fchown(descriptor, *self._owner)
        return descriptor

    def give_lock(self, path: Path) -> None:
        """Make the file of a lock, or give the one that is there. Raises StorageCorrupt for one
        that has another name: what is written to it would be written there.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(path, flags, 0o600)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
                raise StorageCorrupt(f"{path} is a link to another file: remove it.")
            os.fchown(descriptor, *self._owner)
        finally:
            os.close(descriptor)


def files_of(folder: Path) -> DiskFiles:
    """Give the files for a repair of this folder. Raises OSError, StorageCorrupt."""
    owner = folder.stat()
    if os.geteuid() != 0 or (owner.st_uid, owner.st_gid) == (0, 0):
        return DiskFiles()
    files = GivenFiles(owner.st_uid, owner.st_gid)
    files.give_lock(folder / "lock")
    return files
