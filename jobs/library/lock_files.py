"""The lock file beside a file that one process at a time may change."""

from __future__ import annotations

import stat
from pathlib import Path


def lock_beside(path: Path) -> Path:
    """Give the file that is locked while that one is in use."""
    return path.with_name(path.name + ".lock")


def problem_of_lock(path: Path) -> str | None:
    """Say why nobody can lock what is at this place, and what to do; or None. Raises OSError.

    A link is refused too: it would have the file of somebody else locked, and written to.
    """
    try:
        if stat.S_ISREG(path.lstat().st_mode):
            return None
    except FileNotFoundError:  # then it is made
        return None
    return f"{path} is no ordinary file, so it cannot be locked: move it out of the folder."
