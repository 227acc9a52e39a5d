"""A disk for tests: fails where it is told to, and knows what a power cut would leave of it.

Programs see its files as real ones, below `root`. `root` itself is taken as synced.
"""

from __future__ import annotations

import copy
import errno
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from ..backends.disk import DiskFiles
from .power_cuts import (
    Fate,
    File,
    Folder,
    Name,
    SetLength,
    State,
    Thoroughness,
    Write,
    fail_to_sync,
    states_after_power_cut,
    write_state,
)

# What a system may answer to each operation. (A write may also take a part of the data.)
FAILURES = {
    "make_folder": [errno.EIO, errno.ENOSPC],
    "create": [errno.EIO, errno.ENOSPC, errno.EMFILE],
    "allocate": [errno.EIO, errno.ENOSPC],
    "reopen": [errno.EIO, errno.EMFILE],
    "write": [errno.EIO, errno.ENOSPC],
    "write_again": [errno.EIO],
    "sync": [errno.EIO, errno.ENOSPC],
    "sync_folder": [errno.EIO, errno.ENOSPC],
    "sync_names_above": [errno.EIO],
    "truncate": [errno.EIO],
    "rename": [errno.EIO, errno.ENOSPC],
    "remove": [errno.EIO],
    "close": [errno.EIO],
}
_NEEDS_ROOM = {"make_folder", "create", "allocate", "write"}


def folder_in_memory(otherwise: Path) -> TemporaryDirectory[str]:
    """Give a folder in memory, if the system has such: a real disk is only slow for a simulated."""
    memory = Path("/dev/shm")  # noqa: S108  a folder of its own is made in it
    return TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else otherwise)


@dataclass(frozen=True)
class Fault:
    """What goes wrong at one operation, counted from 1."""

    at: int
    error: int = 0
    short: bool = (
        False  # the write takes half of the data; the next one fails, if there is an error
    )
    lasts: bool = False  # until the disk is healed

    def __str__(self) -> str:
        words = ["half a write, then"] if self.short else []
        words.append(errno.errorcode.get(self.error, "nothing"))
        return f"{' '.join(words)} {'from' if self.lasts else 'at'} operation {self.at}"


class SimulatedDisk(DiskFiles):
    """Files below `root`, which is made. `after` is called after each operation."""

    def __init__(self, root: Path, top: Folder | None = None, faults: Sequence[Fault] = ()) -> None:
        self.root = root
        self.top = top or Folder()
        self.operations: list[tuple[str, str]] = []  # with the path below the root
        self.after: Callable[[], None] = lambda: None
        self.faults = faults
        self.capacity: int | None = None  # bytes that all files together can have
        self.struck = 0  # how many operations have failed, or done half
        self._write_fails: Fault | None = None  # what the rest of a short write meets
        self._open: dict[int, tuple[File, Path]] = {}
        self._numbers = count(1_000_000 if top else 1)
        self._lock = threading.RLock()
        write_state(root, self.top.state())

    @classmethod
    def holding(cls, root: Path, state: State) -> SimulatedDisk:
        """Make one on which all of this is synced."""
        top = Folder()
        folders = {"": top}
        for path, content in state.items():
            parent, _, name = path.rpartition("/")
            node = Folder() if content is None else File(content)
            folders[parent].synced[name] = node
            if isinstance(node, Folder):
                folders[path] = node
        return cls(root, top)

    def healthy(self, root: Path) -> SimulatedDisk:
        """Give the disk as the next process finds it, at another place and without faults.

        The system is still up, so it sees all that was written, synced or not.
        """
        return SimulatedDisk(root, copy.deepcopy(self.top))

    def halfway(self) -> Folder:
        """Give what is there if the last operation, a write, was stopped half way by a kill."""
        top = copy.deepcopy(self.top)
        writes = (step for node in top.everything() for step in node.steps)
        last = max((step for step in writes if isinstance(step, Write)), key=lambda one: one.number)
        last.data = last.data[: len(last.data) // 2]
        return top

    def states(self, how: Thoroughness, chance: Random) -> list[State]:
        """Give different states that a power cut at this moment may leave."""
        with self._lock:
            return states_after_power_cut(self.top, how, chance)

    def has_lost_names(self) -> bool:
        """Whether a folder could not be synced. A system lets nobody use such a disk before it has
        been mounted anew, and has read from it what is really there.
        """
        folders = (node for node in self.top.everything() if isinstance(node, Folder))
        return any(step.fate is Fate.LOST for folder in folders for step in folder.steps)

    def heal(self) -> None:
        """Let nothing fail any more."""
        self.faults = ()
        self._write_fails = None

    # The operations.

    def make_folder(self, path: Path) -> None:
        with self._operation("make_folder", path):
            parent = self._folder(path.parent)
            if path.name not in parent.names():
                parent.steps.append(Name(next(self._numbers), path.name, Folder()))
            super().make_folder(path)

    def create(self, path: Path) -> int:
        with self._operation("create", path):
            parent = self._folder(path.parent)
            file = parent.names().get(path.name)
            if isinstance(file, File):
                file.steps.append(SetLength(next(self._numbers), 0))
            else:
                file = File()
                parent.steps.append(Name(next(self._numbers), path.name, file))
            descriptor = super().create(path)
            self._open[descriptor] = file, path
            return descriptor

    def allocate(self, path: Path, size: int, beyond: int) -> None:
        with self._operation("allocate", path):
            self._room(size + beyond)
            parent = self._folder(path.parent)
            file = File(bytes(size))
            parent.steps.append(Name(next(self._numbers), path.name, file))
            path.write_bytes(bytes(size))

    def reopen(self, path: Path) -> int:
        with self._operation("reopen", path):
            descriptor = super().reopen(path)
            self._open[descriptor] = self._file(path), path
            return descriptor

    def write(self, descriptor: int, data: memoryview) -> int:
        file, path = self._open[descriptor]
        with self._operation("write", path) as short:
            if short and len(data) > 1:
                data = data[: len(data) // 2]
            data = data[: self._room(1)]
            offset = os.fstat(descriptor).st_size
            written = super().write(descriptor, data)
            file.steps.append(Write(next(self._numbers), offset, bytes(data[:written])))
            return written

    def write_again(self, path: Path, offset: int, data: bytes) -> None:
        with self._operation("write_again", path):
            file = self._file(path)
            assert file.content()[offset : offset + len(data)] == data
            file.steps.append(Write(next(self._numbers), offset, data))

    def sync(self, descriptor: int) -> None:
        file, path = self._open[descriptor]
        with self._operation("sync", path, fails=lambda: fail_to_sync(file)):
            file.sync(next(self._numbers))

    def sync_folder(self, path: Path) -> None:
        folder = self._folder(path)
        with self._operation("sync_folder", path, fails=lambda: fail_to_sync(folder)):
            folder.sync()

    def sync_names_above(self, path: Path) -> None:
        with self._operation("sync_names_above", path):
            for parent in path.relative_to(self.root).parents:
                self._folder(self.root / parent).sync()

    def truncate(self, descriptor: int, length: int) -> None:
        file, path = self._open[descriptor]
        with self._operation("truncate", path):
            file.steps.append(SetLength(next(self._numbers), length))
            super().truncate(descriptor, length)

    def rename(self, path: Path, new: Path) -> None:
        assert path.parent == new.parent
        with self._operation("rename", new):
            folder = self._folder(path.parent)
            node = folder.names()[path.name]
            folder.steps.append(Name(next(self._numbers), new.name, node, old=path.name))
            super().rename(path, new)

    def remove(self, path: Path) -> None:
        with self._operation("remove", path):
            folder = self._folder(path.parent)
            if path.name in folder.names():
                folder.steps.append(Name(next(self._numbers), path.name, None))
            super().remove(path)

    def close(self, descriptor: int) -> None:
        _, path = self._open.pop(descriptor)
        super().close(descriptor)  # a system has closed the file even when it reports an error
        with self._operation("close", path):
            pass

    @property
    def used(self) -> int:
        """Bytes that the files have."""
        return sum(path.stat().st_size for path in self.root.rglob("*") if path.is_file())

    def _room(self, least: int) -> int | None:
        """How many bytes there is room for; None: any number. Raises ENOSPC for less than that."""
        if self.capacity is None:
            return None
        room = self.capacity - self.used
        if room < least:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return room

    @contextmanager
    def _operation(
        self,
        kind: str,
        path: Path,
        *,
        fails: Callable[[], None] = lambda: None,
    ) -> Iterator[bool]:
        """Count it, and let it fail if it must; give whether it takes only half of the data."""
        with self._lock:
            self.operations.append((kind, str(path.relative_to(self.root))))
            fault = next((fault for fault in self.faults if self._strikes(fault, kind)), None)
            rest, self._write_fails = self._write_fails, None
            short = fault is not None and fault.short and fault is not rest
            if fault is not None:
                self.struck += 1
                if short:
                    self._write_fails = fault if fault.error else None
                else:
                    fails()
                    raise OSError(fault.error, os.strerror(fault.error), str(path))
            yield short
            self.after()

    def _strikes(self, fault: Fault, kind: str) -> bool:
        now = len(self.operations)
        if fault is self._write_fails:
            return True
        if fault.short and kind != "write":
            return False
        if not fault.lasts:
            return now == fault.at
        concerned = kind in _NEEDS_ROOM if fault.error == errno.ENOSPC else kind != "close"
        return now >= fault.at and concerned

    def _folder(self, path: Path) -> Folder:
        folder = self.top
        for name in path.relative_to(self.root).parts:
            inner = folder.names()[name]
            assert isinstance(inner, Folder), path
            folder = inner
        return folder

    def _file(self, path: Path) -> File:
        file = self._folder(path.parent).names()[path.name]
        assert isinstance(file, File), path
        return file
