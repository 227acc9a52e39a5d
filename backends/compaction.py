"""Writes what is live in the closed files to one snapshot, then removes them; commits go on.

    journal-7 closed ► snapshot-7 written, synced, named ► values moved ► older files removed

The snapshot counts from the instant it has its name: recovery then ignores what it supersedes. No
file is removed before that, so a crash between any two steps loses and confuses nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..engine.errors import StorageError
from .disk import DiskFiles, NewFile
from .index import Held
from .journal_format import SNAPSHOT, Start, file_name
from .snapshot import SnapshotWriter, groups
from .values import Place, SourceFile

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class CompactionRule:
    """When it is worth while: enough was written since the last time, enough of all is stale."""

    min_bytes: int
    garbage_share: float

    def is_due(self, *, written: int, total: int, live: int) -> bool:
        """Say so from the bytes of the newest journal file, of all files, and of what is live."""
        return written >= self.min_bytes and live <= total * (1 - self.garbage_share)


class Compaction:
    """One compaction, in small steps. `tasks` and `start` say what was held when the newest of the
    `closed` files was closed.
    """

    def __init__(
        self,
        files: DiskFiles,
        folder: Path,
        number: int,
        start: Start,
        tasks: Sequence[Held],
        closed: Sequence[Path],
    ) -> None:
        self.path = folder / file_name(SNAPSHOT, number)
        self.length: int | None = None  # of the snapshot, once it counts
        self._files = files
        self._number = number
        self._start = start
        self._tasks = tasks
        self._superseded = closed

    def steps(self) -> Generator[None]:
        """Do it; most steps take about a millisecond. Closed early, it leaves nothing half done."""
        with NewFile(self._files, self.path) as new:
            snapshot = SnapshotWriter(new, self._number, self._start)
            for tasks in groups(self._tasks):
                snapshot.append(tasks)
                yield
            new.keep()
        try:
            self._files.sync_folder(self.path.parent)
        except OSError:
            # A power cut may take its name from now on, whatever a later sync says: it must not be
            # there for the next process, which would remove what it replaces.
            self._files.remove(self.path)
            raise
        self.length = new.length
        source = SourceFile(self.path)
        for moves in snapshot.moves:
            for value, offset in moves:
                value.place = Place(source, offset)
            yield
        for path in self._superseded:  # one that stays after a crash is removed at the next opening
            self._files.remove(path)


class CompactionRun:
    """A compaction under way, a step at a time. A failure ends it, is logged, and harms nothing:
    the files that it would have replaced stay as they are.
    """

    def __init__(self, compaction: Compaction) -> None:
        self.compaction = compaction
        self.ended = False
        self._steps = compaction.steps()

    def step(self) -> None:
        """Go on for about a millisecond, unless it has ended."""
        try:
            next(self._steps)
        except StopIteration:
            self.ended = True
        except (OSError, StorageError) as error:
            self.ended = True
            logger.warning("%s was not finished: %s", self.compaction.path, error)

    def stop(self) -> None:
        """Give it up if it has not ended; stopping twice is fine."""
        self.ended = True
        self._steps.close()


class CompactionThread(CompactionRun):
    """A compaction in a thread of its own, at work for at most half of the time."""

    def __init__(self, compaction: Compaction) -> None:
        super().__init__(compaction)
        self._stop = threading.Event()
        # A daemon, so that it never holds up the end of the process: it may stop anywhere.
        self._thread = threading.Thread(target=self._run, name="journal compaction", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not (self.ended or self._stop.is_set()):
            begun = time.monotonic()
            self.step()
            self._stop.wait(time.monotonic() - begun)
        super().stop()

    def stop(self) -> None:
        """Give it up; returns once it has stopped."""
        self._stop.set()
        self._thread.join()
