"""Keeps everything in a folder of JSON files: a journal with one line for each commit.

`docs/journal.md` describes the files, for people and for programs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from operator import attrgetter
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread
import msgspec

from ..engine.errors import StorageCorrupt, StorageError, StorageInUse, TaskNotFound
from ..engine.storage import Change, Recovered, ValueName
from ..engine.surroundings import Offload
from .compaction import CompactionRule
from .disk import DiskFiles, as_storage_error
from .file_thread import FileThread
from .index import Held
from .journal import Journal, JournalOptions, open_journal
from .values import Value

T = TypeVar("T")

KIB = 1024
MIB = 1024 * KIB

_MANY = 1000  # changes that take longer to encode than a hop to a thread, by far


class JsonBackend:
    """A backend in the folder `path`, which is made when it is missing.

    A commit is on disk, synced, when it returns. Parameters and results up to `inline_limit` bytes
    stand in the journal's lines, larger ones in files of their own. The newest of the results in
    lines are in memory too, up to `memory` bytes; all else is read from disk when asked for. When
    `compact_after` bytes have been written since the last time, and `garbage_share` of all bytes is
    stale, what is live is written anew in the background and the rest removed. `reserve` bytes of
    the disk are kept back, to write down how tasks end when there is no more room (0: none).

    Files are used in threads of its own: one that writes, a few that read, one that compacts. With
    an `offload` everything runs through that instead, and a commit also does a step of a
    compaction, so that a run can be replayed. `files` lets a test see and stop each operation.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        offload: Offload | None = None,
        inline_limit: int = 16 * KIB,
        memory: int = 4 * MIB,
        compact_after: int = 16 * MIB,
        garbage_share: float = 0.5,
        reserve: int = 4 * MIB,
        files: DiskFiles | None = None,
    ) -> None:
        self._folder = Path(path).absolute()
        self._offload = offload
        self._options = JournalOptions(
            inline_limit,
            CompactionRule(compact_after, garbage_share),
            files or DiskFiles(),
            background=offload is None,
            memory=memory,
            reserve=reserve,
        )
        self._run_write: Offload
        self._run_read: Offload
        self._thread: FileThread | None = None
        self._journal: Journal | None = None
        self._committing = False

    async def open(self) -> Recovered:
        """Lock the folder, read it, mend what a crash left; see `Backend.open`."""
        if self._journal is not None:
            raise StorageInUse(f"{self._folder} is already open in this backend.")
        # A thread for writing: a commit never waits for other blocking calls of the program.
        if self._offload is None:
            self._run_write = self._thread = FileThread("journal writing")
            self._run_read = _threads(4)
        else:
            self._run_write = self._run_read = self._offload
        try:
            self._journal, recovered = await self._write(self._open)
        except BaseException:
            self._end_thread()
            raise
        return recovered

    def _open(self) -> tuple[Journal, Recovered]:
        journal = open_journal(self._folder, self._options)
        try:
            return journal, _recovered(journal)
        except BaseException:
            journal.close()
            raise

    async def commit(self, changes: Sequence[Change]) -> None:
        """Write one line and sync it; see `Backend.commit`.

        Raises ValueError, and keeps nothing, for what is not JSON or not Unicode.
        """
        journal = self._opened()
        if not changes:
            return
        if self._committing:
            raise RuntimeError("commit() was called while another commit was under way")
        self._committing = True
        try:
            if journal.is_compaction_due():
                await self._write(journal.compact)
            if len(changes) > _MANY:
                batch = await self._write(lambda: journal.prepare(changes))
            else:
                batch = journal.prepare(changes)
            await self._write(lambda: journal.write(batch))
            unreferred = journal.take(batch)
            if unreferred:
                with anyio.CancelScope(shield=True):  # it is committed, whatever comes now
                    await self._write(lambda: journal.remove(unreferred))
        finally:
            self._committing = False

    async def give_up_reserve(self) -> None:
        """Remove the file that takes the room; see `Backend.give_up_reserve`."""
        await self._write(self._opened().give_up_reserve)

    async def restore_reserve(self) -> None:
        """Make that file again; see `Backend.restore_reserve`."""
        await self._write(self._opened().restore_reserve)

    async def read(self, task_id: str, value: ValueName) -> msgspec.Raw:
        """Read it from disk, and check that it is whole; a new result is there in memory. See
        `Backend.read`.
        """
        return await self._read(task_id, attrgetter(value))

    def sizes(self) -> dict[str, int]:
        """Give bytes in files of lines (`journal`, `snapshot`), and of those of use (`live`)."""
        return {} if self._journal is None else self._journal.sizes()

    async def close(self) -> None:
        """Stop a compaction, let go of the folder; see `Backend.close`."""
        journal, self._journal = self._journal, None
        if journal is None:
            return
        try:
            with anyio.CancelScope(shield=True):  # cancelled, it would hold the lock for ever
                await self._write(journal.close)
        finally:
            self._end_thread()

    async def _read(self, task_id: str, pick: Callable[[Held], Value | None]) -> msgspec.Raw:
        journal = self._opened()

        def find() -> Value:
            value = pick(journal.find(task_id))
            if value is None:
                raise TaskNotFound(task_id)
            return value

        while True:
            value = find()
            text = value.text  # once: a commit may let go of it meanwhile
            if text is not None:
                await anyio.lowlevel.checkpoint()
                return msgspec.Raw(text)
            try:
                return msgspec.Raw(await self._run_read(value.read))
            except StorageCorrupt:
                if find() is value:  # otherwise it was replaced or dropped while being read
                    raise
            except OSError as error:
                raise as_storage_error(error, self._folder) from error

    async def _write(self, function: Callable[[], T]) -> T:
        try:
            return await self._run_write(function)
        except OSError as error:
            raise as_storage_error(error, self._folder) from error

    def _end_thread(self) -> None:
        if self._thread is not None:
            self._thread.close()

    def _opened(self) -> Journal:
        if self._journal is None:
            raise StorageError(f"The journal in {self._folder} is not open.")
        return self._journal


def _recovered(journal: Journal) -> Recovered:
    tasks = journal.index.tasks
    live = {task_id: held for task_id, held in tasks.items() if not held.record.final}
    return Recovered(
        records=[held.record for held in tasks.values()],
        params=_read_each(live, lambda held: held.params),
        last_seq=journal.index.last_seq,
        checkpoints=_read_each(live, lambda held: held.checkpoint),
        logs=_read_each(live, lambda held: held.log),
        paused=set(journal.index.paused),
    )


def _read_each(
    tasks: dict[str, Held], pick: Callable[[Held], Value | None]
) -> dict[str, msgspec.Raw]:
    return {
        task_id: msgspec.Raw(value.read())
        for task_id, held in tasks.items()
        if (value := pick(held)) is not None
    }


def _threads(limit: int) -> Offload:
    """Run calls in threads, at most so many at a time."""
    limiter = anyio.CapacityLimiter(limit)

    async def offload(function: Callable[[], T], /) -> T:
        return await anyio.to_thread.run_sync(function, limiter=limiter)

    return offload
