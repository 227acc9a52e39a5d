"""The folder as a whole: opened, written to, compacted, closed. Blocking; the backend offloads it.

lock                      held while the folder is open
reserve                   room kept back for a full disk
journal-00000008.jsonl    the newest commits, one a line
snapshot-00000007.jsonl   all that was held after journal 7
params/ results/ checkpoints/ logs/   values too large for a line
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..engine.errors import StorageError, StorageFull, TaskNotFound
from ..engine.storage import Change
from .batch import Batch
from .compaction import Compaction, CompactionRule, CompactionRun, CompactionThread
from .disk import NO_ROOM, DiskFiles, as_storage_error
from .index import Held
from .journal_format import SNAPSHOT, Start
from .lock import FolderLock
from .recovery import Recovery, recover
from .reserve import Reserve
from .segment import Segment, start_segment
from .values import FOLDERS, NewestResults, write_value_files

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class JournalOptions:
    """How a journal uses its folder."""

    inline_limit: int
    compaction: CompactionRule
    files: DiskFiles
    background: bool  # compact in a thread; otherwise a step with each commit
    memory: int = 0  # bytes for the newest results
    reserve: int = 0  # bytes kept back for a full disk


class Journal:
    """An open folder. What writes is called by one thread at a time; reading may overlap it."""

    def __init__(
        self,
        folder: Path,
        options: JournalOptions,
        lock: FolderLock,
        found: Recovery,
        segment: Segment,
    ) -> None:
        self.index = found.index
        self._folder = folder
        self._options = options
        self._lock = lock
        self._line = found.line
        self._closed = found.closed  # the files before the newest journal file, and their sizes
        self._segment = segment
        self._compaction: CompactionRun | None = None
        self._not_before = 0  # the length up to which the newest file is not looked at again
        self._newest = NewestResults(options.memory)
        self._broken: StorageError | None = None
        self.reserve = Reserve(options.files, folder, options.reserve)
        self._found_no_room = False  # since the reserve was last whole

    def prepare(self, changes: Sequence[Change]) -> Batch:
        """Make the next commit ready. Raises StorageError if no commit is possible any more."""
        self._check_usable()
        segment, limit = self._segment, self._options.inline_limit
        return Batch(changes, self._line + 1, segment.source, segment.length, limit)

    def write(self, batch: Batch) -> None:
        """Put the commit on disk. After StorageFull nothing has changed; after any other error it
        is unknown what is kept, and nothing is written any more.
        """
        self._check_usable()
        try:
            try:
                self._put_on_disk(batch)
            except StorageFull:
                if not self._stop_compaction():
                    raise
                self._put_on_disk(batch)
        except StorageFull:
            self._found_no_room = True
            raise
        except BaseException as error:
            self._broken = self._describe_break(error)
            if isinstance(error, Exception):
                raise self._broken from error
            raise
        if self._compaction is not None and not self._options.background:
            self._compaction.step()

    def _put_on_disk(self, batch: Batch) -> None:
        """After StorageFull nothing of it is there."""
        try:
            self._write_value_files(batch)
            self._segment.append(batch.line)
        except StorageFull:
            self.remove(file.file for file, _ in batch.value_files)
            raise

    def _stop_compaction(self) -> bool:
        """Have a compaction under way give back the room that it has taken; False: none is."""
        if self._compaction is None or self._compaction.ended:
            return False
        self._compaction.stop()
        return True

    def restore_reserve(self) -> None:
        """See `Backend.restore_reserve`."""
        self._check_usable()
        self.reserve.restore()
        self._found_no_room = False

    def give_up_reserve(self) -> None:
        """See `Backend.give_up_reserve`."""
        self._found_no_room = True
        self._stop_compaction()  # else a failed sync might take the name of its snapshot, untold
        self.reserve.give_up()

    def take(self, batch: Batch) -> set[str]:
        """Hold what has been written; give the value files that are of no use any more."""
        self._line += 1
        for text in batch.results:
            self._newest.add(text)
        return self.index.apply(batch.held)

    def remove(self, value_files: Iterable[str]) -> None:
        """Remove value files, best effort: what stays is removed at the next opening."""
        for name in value_files:
            try:
                self._options.files.remove(self._folder / name)
            except OSError as error:
                logger.warning("%s is of no use but stays: %s", self._folder / name, error)

    def find(self, task_id: str) -> Held:
        """Give what is held of a task."""
        try:
            return self.index.tasks[task_id]
        except KeyError:
            raise TaskNotFound(task_id) from None

    def is_compaction_due(self) -> bool:
        """Whether to call `compact` before the next commit."""
        if self._compaction is not None:
            if not self._compaction.ended:
                return False
            self._finish_compaction(self._compaction.compaction)
        if self._found_no_room:  # what is left is for commits
            return False
        written = self._segment.length
        return written >= self._not_before and self._options.compaction.is_due(
            written=written,
            total=written + sum(self._closed.values()),
            live=self.index.live_bytes,
        )

    def sizes(self) -> dict[str, int]:
        """Bytes of the journal files, of the snapshot, and what of both is of use; about."""
        closed = list(self._closed.items())  # at once: another thread may be changing it
        snapshots = sum(size for path, size in closed if path.name.startswith(SNAPSHOT))
        journals = sum(size for _, size in closed) - snapshots
        return {
            "journal": self._segment.length + journals,
            "snapshot": snapshots,
            "live": self.index.live_bytes,
        }

    def compact(self) -> None:
        """Close the newest journal file, go on in a new one, and begin to compact the closed ones.

        Without room for that it is put off. Commits are not held up by the compaction itself.
        """
        old, options = self._segment, self._options
        try:
            self._segment = start_segment(options.files, self._folder, old.number + 1)
        except OSError as error:
            self._not_before = old.length + options.compaction.min_bytes
            logger.warning("Compaction of %s is put off: %s", self._folder, error)
            return
        except StorageError as error:
            self._broken = self._describe_break(error)
            raise self._broken from error
        self._not_before = 0
        old.close()
        self._closed[old.path] = old.length
        tasks = list(self.index.tasks.values())
        paused = tuple(sorted(self.index.paused))
        start = Start(self._line, self.index.last_seq, len(tasks), paused)
        run = CompactionThread if options.background else CompactionRun
        self._compaction = run(
            Compaction(options.files, self._folder, old.number, start, tasks, list(self._closed))
        )

    def close(self) -> None:
        """Let go of the folder; what was being compacted is compacted another time."""
        if self._compaction is not None:
            self._compaction.stop()
        self._segment.close()
        self._lock.release()

    def _check_usable(self) -> None:
        if self._broken is not None:
            raise StorageError(str(self._broken)) from self._broken

    def _describe_break(self, error: BaseException) -> StorageError:
        return StorageError(
            f"The journal in {self._folder} takes no more commits, because one failed: {error}. "
            "What was acknowledged before is kept. Look after the disk, then open it again."
        )

    def _write_value_files(self, batch: Batch) -> None:
        if not batch.value_files:
            return
        try:
            write_value_files(self._options.files, self._folder, batch.value_files)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            raise as_storage_error(error, self._folder) from error

    def _finish_compaction(self, compaction: Compaction) -> None:
        self._compaction = None
        if compaction.length is not None:
            self._closed = {compaction.path: compaction.length}


def open_journal(folder: Path, options: JournalOptions) -> Journal:
    """Open the folder, or make it. Raises OSError or StorageError, and then holds nothing."""
    _make_folders(options.files, folder)
    lock = FolderLock(folder)
    try:
        found = recover(folder)
        segment = mend(folder, options.files, found)
    except BaseException:
        lock.release()
        raise
    return Journal(folder, options, lock, found, segment)


def _make_folders(files: DiskFiles, folder: Path) -> None:
    if folder.is_dir():
        files.sync_names_above(folder)  # who made it may have been killed before its name was
        return
    if folder.exists():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    _make_folders(files, folder.parent)
    files.make_folder(folder)
    files.sync_folder(folder.parent)


def mend(folder: Path, files: DiskFiles, found: Recovery) -> Segment:
    """Make the folder as if the crash had never been, and ready to be written to.

    What was found may not be on disk yet. It is made sure of before anything is done because of
    it: before a file is removed that it supersedes or leaves over, before anybody is told of it.
    """
    segment = None
    try:
        if found.active is not None:
            segment = Segment(files, found.active, found.number, found.length)
            _settle(segment, found)
        for name in FOLDERS:
            if not (folder / name).exists():
                files.make_folder(folder / name)
        files.sync_folder(folder)
        for path in found.leftovers:
            files.remove(path)
        return segment or start_segment(files, folder, 1)
    except BaseException:
        if segment is not None:
            segment.close()
        raise


def _settle(segment: Segment, found: Recovery) -> None:
    if found.torn:
        logger.warning(
            "%s: a crash cut the last line short; its %d bytes from byte %d on are removed. "
            "They are of a commit that had not been acknowledged, so nothing is lost.",
            segment.path,
            found.torn,
            found.length,
        )
        segment.cut(found.length)
    segment.settle(found.last)
