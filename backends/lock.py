"""One process at a time: an advisory lock on a file that is never removed.

`flock` is let go by the system the moment its holder dies, however it dies. The file stays,
because between a removal and a new file two processes could each hold "the" lock.
"""

from __future__ import annotations

import fcntl
import os
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ..engine.errors import StorageInUse
from .disk import NO_ROOM


class _Holder(msgspec.Struct):
    """What the file says about who holds the lock, or held it last."""

    pid: int
    started_at: datetime


class FolderLock:
    """Holds a folder from its making until `release()`; raises StorageInUse if another does.

    A second hold in the same process is refused too. The descriptor is not handed on to programs
    that are started (but to forked copies: spawn, never fork).
    """

    def __init__(self, folder: Path) -> None:
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _take(descriptor, folder)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Let go; doing it twice is fine."""
        if self._descriptor is not None:
            # Closing alone is not enough: a program that is just being started has a copy of the
            # descriptor until its exec gets to closing it, which may be after we go on.
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
            self._descriptor = None


def _take(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StorageInUse(_refusal(os.pread(descriptor, 1000, 0), folder)) from None
    holder = msgspec.json.encode(_Holder(os.getpid(), datetime.now(UTC))) + b"\n"
    try:
        os.pwrite(descriptor, holder, 0)
        os.ftruncate(descriptor, len(holder))
    except OSError as error:  # on a full disk it is held unsigned
        if error.errno not in NO_ROOM:
            raise


def _refusal(content: bytes, folder: Path) -> str:
    try:
        holder = msgspec.json.decode(content, type=_Holder)
    except ValueError:  # it took the lock this instant and has not signed yet
        return f"{folder} is in use by another process."
    if holder.pid == os.getpid():
        return f"{folder} is already open in this process (id {holder.pid})."
    return (
        f"{folder} is in use by process {holder.pid}, since {holder.started_at:%Y-%m-%d %H:%M:%S} "
        "UTC. Stop that one first, or choose another folder."
    )
