"""One process at a time per library: a lock file that frees itself when its holder dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from ...engine.errors import StorageError, StorageInUse
from .lock_files import lock_beside, problem_of_lock


class SoleOwner:
    """Holds the lock beside a file from `acquire` to `release`.

    It is an flock: freed by the kernel at the death of the process, however that comes, and not
    inherited by the children that it starts. The lock file itself is never unlinked: whoever
    holds an unlinked one would hold nothing.
    """

    def __init__(self, path: Path) -> None:
        self._guarded = path
        self._path = lock_beside(path)
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock or raise StorageInUse, naming the process that has it; StorageError for
        what cannot be locked.
        """
        if problem := problem_of_lock(self._path):
            raise StorageError(problem)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 20).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise StorageInUse(
                f"{self._guarded} is in use by another process (pid {holder}). "
                "Stop that process, or give this one another data folder."
            ) from None
        except BaseException:
            os.close(descriptor)
            raise
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Let go; releasing twice, or without having acquired, is fine."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
