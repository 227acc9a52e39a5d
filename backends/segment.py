"""The journal file that grows: appends lines, and gives back only once they are on disk."""

from __future__ import annotations

import logging
from pathlib import Path

from ..engine.errors import StorageError
from .disk import NO_ROOM, DiskFiles, NewFile, as_storage_error, write_all
from .journal_format import JOURNAL, file_name, header_line
from .values import SourceFile

logger = logging.getLogger(__name__)


class Segment:
    """The newest journal file, open for appending and for reading."""

    def __init__(self, files: DiskFiles, source: SourceFile, number: int, length: int) -> None:
        self.source = source
        self.number = number
        self.length = length
        self._files = files
        self._descriptor: int | None = files.reopen(source.path)

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.source.path

    def append(self, line: bytes) -> None:
        """Keep the line. Raises StorageFull when it found no room: then the file is as before.

        Any other OSError leaves unknown what is kept. Above all a failed sync: the system may
        have forgotten the data and would report success the next time, so there is no next time.
        """
        assert self._descriptor is not None, "append after close"
        try:
            write_all(self._files, self._descriptor, line)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            self.cut(self.length)
            raise as_storage_error(error, self.path) from error
        self._files.sync(self._descriptor)
        self.length += len(line)

    def settle(self, last: int) -> None:
        """Make sure that all that was found in the file is on disk; its last line begins at `last`.

        The system may have it in memory only: who wrote it was killed before the sync. Or the sync
        failed, and since then the system takes for synced what it has lost: thus written again.
        """
        assert self._descriptor is not None, "settle after close"
        line = self.source.read(last, self.length - last)
        self._files.write_again(self.path, last, line)
        self._files.sync(self._descriptor)

    def cut(self, length: int) -> None:
        """Cut off what follows, for good."""
        assert self._descriptor is not None, "cut after close"
        self._files.truncate(self._descriptor, length)
        self._files.sync(self._descriptor)

    def close(self) -> None:
        """Stop appending; the file can still be read. Closing twice is fine.

        What the system may have against it is only logged: all that counts was synced before.
        """
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            try:
                self._files.close(descriptor)
            except OSError as error:
                logger.warning("%s was not closed cleanly: %s", self.path, error)


def start_segment(files: DiskFiles, folder: Path, number: int) -> Segment:
    """Make the journal file of this number: a header, and no lines yet.

    After an OSError it does not exist. (It must not: a crash may tear only the newest file, and
    commits would go on in the one before.) If it could not be removed, raises StorageError.
    """
    path = folder / file_name(JOURNAL, number)
    header = header_line(JOURNAL, number)
    with NewFile(files, path) as new:
        new.append(header)
        new.keep()
    try:
        files.sync_folder(folder)
        return Segment(files, SourceFile(path), number, len(header))
    except OSError:
        try:
            files.remove(path)
            files.sync_folder(folder)
        except OSError as error:
            raise StorageError(
                f"{path} could neither be used nor removed: {error} (look after the disk, then "
                "open the folder again)"
            ) from error
        raise
