"""What the laws of the journal share: records, a journal without threads, and files that stop.

`StoppingFiles` ends a run after any operation on files, as a kill or a loss of power would, and can
then make the folder what a disk holds that had lost everything not synced.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from cortex_tasks.backends.compaction import CompactionRule
from cortex_tasks.backends.disk import DiskFiles
from cortex_tasks.backends.journal import Journal, JournalOptions, open_journal
from cortex_tasks.backends.values import FOLDERS
from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.engine.records import TaskRecord
from cortex_tasks.engine.storage import Change, Pause, Put

BEGIN = datetime(2026, 3, 15, 10, 30, tzinfo=UTC)


def pending(task_id: str, seq: int) -> TaskRecord:
    return TaskRecord(
        id=task_id,
        type="word_count",
        status=TaskStatus.PENDING,
        seq=seq,
        created_at=BEGIN,
        updated_at=BEGIN,
    )


def completed(task_id: str, seq: int, result: bytes) -> TaskRecord:
    return msgspec.structs.replace(
        pending(task_id, seq),
        status=TaskStatus.COMPLETED,
        started_at=BEGIN,
        completed_at=BEGIN,
        progress_percent=100,
        message="Done",
        attempt=1,
        result_size=len(result),
    )


def submit(task_id: str, seq: int, params: bytes = b"{}") -> Put:
    return Put(pending(task_id, seq), params=msgspec.Raw(params))


def complete(task_id: str, seq: int, result: bytes = b"{}") -> Put:
    return Put(completed(task_id, seq, result), result=msgspec.Raw(result))


class UnsyncedFiles(DiskFiles):
    """For laws that no power cut has a part in, and that open many folders."""

    def sync(self, descriptor: int) -> None:
        pass

    def sync_folder(self, path: Path) -> None:
        pass

    def sync_names_above(self, path: Path) -> None:
        pass


class Stopped(BaseException):
    """The process is no more. (Not an Exception: nothing may handle it.)"""


class StoppingFiles(DiskFiles):
    """Stops at the operation after the first `operations`, in the middle of it if it is a write.

    No operation works after that. What syncs promised is remembered, for `cut_power`.
    """

    def __init__(self, operations: int, folder: Path, stash: Path) -> None:
        self.left = operations
        self._stash = stash  # holds on to every file that a synced folder ever named
        self._stash.mkdir(parents=True)
        self._synced_lengths: dict[int, int] = {}
        self._synced_names: dict[Path, dict[str, int]] = {}
        self._take_as_synced(folder)

    def _take_as_synced(self, folder: Path) -> None:
        for part in (folder, *(folder / name for name in FOLDERS)):
            if part.exists():
                self._note_names(part)
                for path in part.glob("*.json*"):
                    self._synced_lengths[path.stat().st_ino] = path.stat().st_size

    def _operate(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Stopped

    def make_folder(self, path: Path) -> None:
        self._operate()
        super().make_folder(path)
        self._synced_names[path] = {}

    def create(self, path: Path) -> int:
        self._operate()
        descriptor = super().create(path)
        self._synced_lengths[os.fstat(descriptor).st_ino] = 0
        return descriptor

    def reopen(self, path: Path) -> int:
        self._operate()
        return super().reopen(path)

    def write(self, descriptor: int, data: memoryview) -> int:
        try:
            self._operate()
        except Stopped:
            if self.left == -1:
                super().write(descriptor, data[: len(data) // 2])
            raise
        return super().write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        self._operate()
        status = os.fstat(descriptor)
        self._synced_lengths[status.st_ino] = status.st_size

    def sync_folder(self, path: Path) -> None:
        self._operate()
        self._note_names(path)

    def _note_names(self, path: Path) -> None:
        names = self._synced_names[path] = {}
        for entry in path.iterdir():
            names[entry.name] = inode = entry.stat().st_ino
            kept = self._stash / str(inode)
            if entry.is_file() and not kept.exists():
                kept.hardlink_to(entry)

    def truncate(self, descriptor: int, length: int) -> None:
        self._operate()
        super().truncate(descriptor, length)

    def rename(self, path: Path, new: Path) -> None:
        self._operate()
        super().rename(path, new)

    def remove(self, path: Path) -> None:
        self._operate()
        super().remove(path)

    def close(self, descriptor: int) -> None:
        super().close(descriptor)  # a dead process has no open files either

    def cut_power(self, *, new_names: bool, removals: bool) -> None:
        """Lose what was not synced: the ends of files and, if asked, new names and removals."""
        for folder, names in sorted(self._synced_names.items()):
            if new_names and folder.exists():
                self._lose_new_names(folder, names)
            if removals and folder.exists():
                self._lose_removals(folder, names)
        for path in self._files():
            length = self._synced_lengths.get(path.stat().st_ino, 0)
            os.truncate(path, min(length, path.stat().st_size))

    def _lose_new_names(self, folder: Path, names: dict[str, int]) -> None:
        for entry in list(folder.iterdir()):
            if names.get(entry.name) == entry.stat().st_ino or entry.name == "lock":
                continue
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def _lose_removals(self, folder: Path, names: dict[str, int]) -> None:
        for name, inode in names.items():
            if (self._stash / str(inode)).exists() and not (folder / name).exists():
                (folder / name).hardlink_to(self._stash / str(inode))

    def _files(self) -> list[Path]:
        found = [path for folder in self._synced_names for path in folder.rglob("*.json*")]
        return [path for path in found if path.is_file() and self._stash not in path.parents]


class RefusingFiles(UnsyncedFiles):
    """Refuses chosen operations with a given error, as the system would."""

    def __init__(self) -> None:
        self.refusals: dict[str, int] = {}  # operation: error number
        self.only: Callable[[Path], bool] = lambda path: True
        self.room: int | None = None  # so many bytes can still be written

    def _refuse(self, operation: str, path: Path) -> None:
        number = self.refusals.get(operation)
        if number is not None and self.only(path):
            raise OSError(number, os.strerror(number), str(path))

    def _path(self, descriptor: int) -> Path:
        return Path(f"/proc/self/fd/{descriptor}").readlink()

    def make_folder(self, path: Path) -> None:
        self._refuse("make_folder", path)
        super().make_folder(path)

    def create(self, path: Path) -> int:
        self._refuse("create", path)
        return super().create(path)

    def reopen(self, path: Path) -> int:
        self._refuse("reopen", path)
        return super().reopen(path)

    def write(self, descriptor: int, data: memoryview) -> int:
        self._refuse("write", self._path(descriptor))
        if self.room is not None:
            if self.room == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            data = data[: self.room]
            self.room -= len(data)
        return super().write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        self._refuse("sync", self._path(descriptor))

    def sync_folder(self, path: Path) -> None:
        self._refuse("sync_folder", path)

    def truncate(self, descriptor: int, length: int) -> None:
        self._refuse("truncate", self._path(descriptor))
        super().truncate(descriptor, length)

    def rename(self, path: Path, new: Path) -> None:
        self._refuse("rename", new)
        super().rename(path, new)

    def remove(self, path: Path) -> None:
        self._refuse("remove", path)
        super().remove(path)


NEVER = CompactionRule(min_bytes=1 << 60, garbage_share=1.0)
ALWAYS = CompactionRule(min_bytes=1, garbage_share=0.0)


def open_at(
    folder: Path,
    files: DiskFiles | None = None,
    *,
    compaction: CompactionRule = NEVER,
    inline_limit: int = 100,
) -> Journal:
    """Open a journal that uses no threads."""
    options = JournalOptions(inline_limit, compaction, files or UnsyncedFiles(), background=False)
    return open_journal(folder, options)


def abandon(journal: Journal) -> None:
    """Let go of a journal whose files have stopped, as the end of its process would."""
    with suppress(Stopped):
        journal.close()
    journal._segment.close()
    journal._lock.release()


def commit(journal: Journal, changes: Sequence[Change]) -> None:
    """Commit as the backend does, without an event loop."""
    if journal.is_compaction_due():
        journal.compact()
    batch = journal.prepare(changes)
    journal.write(batch)
    journal.remove(journal.take(batch))


Values = tuple[TaskRecord, bytes | None, bytes | None, bytes | None, bytes | None]
Kept = tuple[dict[str, Values], int]


def kept_by(journal: Journal) -> Kept:
    """All that a journal holds, read from its files: tasks in their order, and `last_seq`."""
    tasks = {
        task_id: (
            held.record,
            held.params.read() if held.params else None,
            held.result.read() if held.result else None,
            held.checkpoint.read() if held.checkpoint else None,
            held.log.read() if held.log else None,
        )
        for task_id, held in journal.index.tasks.items()
    }
    return tasks, journal.index.last_seq


def kept_after(commits: Sequence[Sequence[Change]]) -> Kept:
    """All that must be held after these commits."""
    tasks: dict[str, Values] = {}
    last_seq = 0
    for change in (change for changes in commits for change in changes):
        if isinstance(change, Pause):
            continue
        last_seq = max(last_seq, change.seq)
        if isinstance(change, Put):
            earlier = tasks.get(change.record.id, (None, None, None, None, None))
            _, params, result, saved, log = earlier
            params = bytes(change.params) if change.params else params
            result = bytes(change.result) if change.result else result
            saved = bytes(change.checkpoint) if change.checkpoint else saved
            saved = None if change.record.final else saved
            log = bytes(change.log) if change.log else log
            tasks[change.record.id] = (change.record, params, result, saved, log)
        else:
            tasks.pop(change.task_id, None)
    return tasks, last_seq


def same(one: Kept, other: Kept) -> bool:
    """Whether both hold the same, in the same order."""
    return one == other and list(one[0]) == list(other[0])
