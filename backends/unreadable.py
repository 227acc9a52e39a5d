"""Files that cannot be read: which, and what a person can do. What they hold may be whole."""

from __future__ import annotations

import errno
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Around reads of an open file: the system names no file where its disk fails."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def cannot_read(error: OSError, folder: Path) -> str:
    """Say which file of the folder the system refused, why, and what to do."""
    said = f"{error.filename or folder}: {error.strerror or error}."
    match error.errno:
        case errno.EACCES | errno.EPERM:
            return f"{said} Run this as the user of the service{_owner(folder)}."
        case errno.EIO:
            return (
                f"{said} The disk fails there. Copy the folder to another disk, as far as it can "
                "be read, and look at that."
            )
        case _:
            return said


def _owner(folder: Path) -> str:
    try:
        return f" ({pwd.getpwuid(folder.stat().st_uid).pw_name})"
    except (OSError, KeyError):
        return ""
