"""Room that is kept back, so that on a full disk there is some to write down how tasks end.

A file that says nothing and takes real blocks. It is given up when a commit finds no room, and made
again when there is enough for it and for something beyond it: otherwise the very next commit would
find none.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from ..engine.errors import StorageFull
from .disk import NO_ROOM, DiskFiles

logger = logging.getLogger(__name__)

RESERVE_FILE: Final = "reserve"
_BEYOND: Final = 64 * 1024  # at the least; a quarter of a large reserve


class Reserve:
    """The reserve of one folder; `size` 0: none is kept, but there is room or there is not."""

    def __init__(self, files: DiskFiles, folder: Path, size: int) -> None:
        self.path = folder / RESERVE_FILE
        self._files = files
        self._folder = folder
        self._size = size
        self.whole = False  # whether it is there, since this object was made

    def give_up(self) -> None:
        """Free its room. Raises OSError."""
        self.whole = False
        self._files.remove(self.path)
        self._files.sync_folder(self._folder)  # some systems free it only then

    def restore(self) -> None:
        """Make it again, if it is not there. Raises StorageFull where there is no room for that.

        Never called before the first journal file is on disk: an opening takes a reserve for proof
        that there was one. Whatever else keeps it from being made is logged: commits are possible
        without it.
        """
        if self.whole or self._is_there():
            self.whole = True
            return
        beyond = max(_BEYOND, self._size // 4)
        try:
            try:
                self._files.allocate(self.path, self._size, beyond)
            except OSError:
                self._files.remove(self.path)
                raise
            if self._size == 0:
                self._files.remove(self.path)
        except OSError as error:
            if error.errno in NO_ROOM:
                raise StorageFull(
                    f"There is no room left at {self._folder}: free {self._size + beyond:,} bytes, "
                    "then it goes on by itself."
                ) from error
            logger.warning("There is no reserve for a full disk at %s: %s", self.path, error)
        self.whole = True

    def _is_there(self) -> bool:
        """Whether it was made before, in this size."""
        try:
            return self._size > 0 and self.path.lstat().st_size == self._size
        except FileNotFoundError:
            return False
