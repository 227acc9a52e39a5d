"""Looks at the file of a library and says what is wrong with it. Changes nothing."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from .lock_files import lock_beside, problem_of_lock
from .schema import APPLICATION_ID, VERSION, create
from .tables import lacking

LIBRARY_FILE = "library.sqlite"  # in the data folder of a server
_UNREADABLE = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
_MOST = 10  # things said of one file


def problems_of(path: Path) -> list[str]:
    """Give what is wrong, in words; nothing for a file that is sound, or that is not there.

    May be called beside a server that has the library open. Reads the whole file; raises OSError
    where it cannot.
    """
    return problems_in(path, "a library", _problems)


def problems_in(
    path: Path, kind: str, look: Callable[[sqlite3.Connection], list[str]]
) -> list[str]:
    """Give what `look` finds in an SQLite file, which is read without a trace; or why it cannot
    be read; or why its lock cannot be taken.
    """
    if problem := problem_of_lock(lock_beside(path)):
        return [problem]
    try:
        found = path.lstat()
    except FileNotFoundError:
        return []
    if not stat.S_ISREG(found.st_mode):
        return [f"{path} is no ordinary file"]
    if not os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    # Without a log beside it nobody writes, and reading must not make one.
    logged = path.with_name(path.name + "-wal").exists()
    if found.st_size == 0 and not logged:  # to SQLite one in which nothing has been written yet
        return [f"{path} is empty: what was in it is gone. Put a copy of it there, or remove it"]
    how = "mode=ro" if logged else "mode=ro&immutable=1"
    try:
        address = f"file:{quote(os.fsencode(path))}?{how}"
        with closing(sqlite3.connect(address, uri=True, timeout=5)) as connection:
            return [f"{path}: {problem}" for problem in look(connection)]
    except (sqlite3.Error, ValueError) as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _UNREADABLE:
            raise OSError(errno.EIO, str(error), str(path)) from None
        return [f"{path} is not {kind} that can be read: {error}"]


def _problems(connection: sqlite3.Connection) -> list[str]:
    [application] = connection.execute("PRAGMA application_id").fetchone()
    [version] = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        return ["it is an SQLite file, but no library"]
    if version != VERSION:
        return [f"its format is {version}; this version of cortex-tasks reads format {VERSION}"]
    return lacking(connection, create) or problems_of_pages(connection)


def problems_of_pages(connection: sqlite3.Connection) -> list[str]:
    """Give what SQLite's own check finds."""
    rows = connection.execute(f"PRAGMA quick_check({_MOST})").fetchall()
    return [str(text) for (text,) in rows if text != "ok"]
