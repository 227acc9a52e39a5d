"""The JSON backend's files on a simulated disk, over all the lives of an engine."""

from __future__ import annotations

import errno
import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from ..backends.json_backend import JsonBackend
from ..engine.storage import Backend
from ..engine.surroundings import offload_inline
from .power_cuts import some_state_after_power_cut
from .simulated_disk import Fault, SimulatedDisk, folder_in_memory

# Small, so that a short run has values in files of their own, and compactions.
INLINE_LIMIT = 300
COMPACT_AFTER = 10_000
RESERVE = 3_000
_MOST_OPERATIONS = 12  # of one commit, after which the power may fail


class SimulatedFiles:
    """Outlives each engine: what was synced is there for the next one, after a loss of power."""

    def __init__(self, seed: str) -> None:
        self._place = folder_in_memory(otherwise=Path(tempfile.gettempdir()))
        self._chance = random.Random(seed)
        self._disk = SimulatedDisk(Path(self._place.name) / "0")
        self._number = 0
        self._powered = True

    def make_backend(self) -> Backend:
        """Give a backend on what is there."""
        if not self._powered or self._disk.has_lost_names():
            self._come_back()
        return JsonBackend(
            self._disk.root / "tasks",
            offload=offload_inline,
            inline_limit=INLINE_LIMIT,
            memory=0,  # each result is read from the disk
            reserve=RESERVE,
            compact_after=COMPACT_AFTER,
            files=self._disk,
        )

    def lose_power(self) -> None:
        """No operation succeeds any more, before the next backend is made."""
        self._powered = False
        self._disk.after = _nothing
        done = len(self._disk.operations)
        self._disk.faults = [Fault(done + 1, errno.EIO, lasts=True)]

    def fail_power_amid(self, die: Callable[[], None]) -> None:
        """Call `die`, which takes the power, after one of the next operations."""
        left = self._chance.randint(1, _MOST_OPERATIONS)

        def count() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                die()
                raise OSError(errno.EIO, "the power failed")

        self._disk.after = count

    def remove(self) -> None:
        """Leave nothing of it on the real disk."""
        self._place.cleanup()

    def _come_back(self) -> None:
        """The power is there again, and the disk is as the loss has left it."""
        state = some_state_after_power_cut(self._disk.top, self._chance)
        shutil.rmtree(self._disk.root)
        self._number += 1
        root = Path(self._place.name) / str(self._number)
        self._disk = SimulatedDisk.holding(root, state)
        self._powered = True


def _nothing() -> None:
    return None
