"""One SQLite connection, used by one thread at a time, whose work is done whole or not at all."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import TypeVar

from ...engine.errors import StorageCorrupt, StorageError, StorageFull, StorageInUse

T = TypeVar("T")

BUSY_TIMEOUT = 10.0  # how long a statement waits for another program that holds the file


class Mode(Enum):
    """What a transaction may do; the value is the statement that begins it."""

    READ = "BEGIN"
    WRITE = "BEGIN IMMEDIATE"


class Abandoned(Exception):
    """Nobody waits for this work any more; it left no trace."""


class Work:
    """Says whether what is being worked out is still wanted."""

    def __init__(self) -> None:
        self.abandoned = False
        self.begun = False  # true exactly while the connection works for this and nothing else


class Session:
    """A connection and the mutex that makes its transactions exclude each other.

    The mutex is held inside the thread that works, so transactions stay apart even when a caller
    was torn out of its wait (a native asyncio cancellation does that) and another call follows.
    """

    def __init__(self, path: Path | None, *, read_only: bool, kind: str = "a library") -> None:
        self._path = path
        self._kind = kind
        self._mutex = threading.Lock()
        self._disk_failure: StorageError | None = None
        self._connection = sqlite3.connect(
            ":memory:" if path is None else path,
            timeout=BUSY_TIMEOUT,
            isolation_level=None,  # transactions begin and end where this file says so
            check_same_thread=False,
        )
        try:
            self._configure(read_only)
        except BaseException:
            self._connection.close()
            raise

    def _configure(self, read_only: bool) -> None:
        run = self._connection.execute
        run("PRAGMA foreign_keys = ON")
        run("PRAGMA cache_size = -16000")  # 16 MB
        run("PRAGMA temp_store = MEMORY")
        # SQLite's own LIKE and lower() know the case of ASCII letters only.
        self._connection.create_function("fold", 1, str.casefold, deterministic=True)
        if self._path is None:
            return
        if read_only:
            run("PRAGMA query_only = ON")
            return
        mode = run("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise StorageError(
                f"{self._path} cannot be kept with a write-ahead log here (a network file "
                "system?). Choose a data folder on a local disk."
            )
        # A commit that was answered survives the loss of power: the log is synced at each one.
        run("PRAGMA synchronous = FULL")
        # A document touches hundreds of pages, mostly the same ones as the document before: folded
        # into the file every 32 MB rather than every 4, they are written half as often.
        run("PRAGMA wal_autocheckpoint = 8000")
        run("PRAGMA journal_size_limit = 67108864")

    def transact(self, mode: Mode, statements: Callable[[sqlite3.Connection], T], work: Work) -> T:
        """Run the statements in one transaction: committed after return, undone after any raise.

        Raises Abandoned if `work` was abandoned meanwhile, a StorageError when SQLite or the disk
        fails, and whatever `statements` raises.
        """
        with self._mutex:
            if self._disk_failure is not None:
                raise self._disk_failure
            work.begun = True
            try:
                return self._transact(mode, statements, work)
            except sqlite3.Error as error:
                explained = explain(error, self._path, self._kind)
                if mode is Mode.WRITE and _primary_code(error) == sqlite3.SQLITE_IOERR:
                    # After a failed sync nobody knows which pages the disk has: never try again.
                    self._disk_failure = StorageError(f"{explained} Then start again.")
                raise explained from error
            finally:
                work.begun = False

    def _transact(self, mode: Mode, statements: Callable[[sqlite3.Connection], T], work: Work) -> T:
        connection = self._connection
        connection.execute(mode.value)
        try:
            value = statements(connection)
            # Last chance to stop: an interrupt between two statements interrupts neither.
            if work.abandoned:
                raise Abandoned
            connection.execute("COMMIT")
            return value
        except BaseException:
            if connection.in_transaction:  # a full disk or an interrupt may have ended it already
                connection.execute("ROLLBACK")
            raise

    def interrupt(self, work: Work) -> None:
        """Give up `work`, from any thread: what it is doing ends within about a millisecond."""
        work.abandoned = True
        if work.begun:
            self._connection.interrupt()

    def close(self) -> None:
        """Wait for the work at hand, then close the connection."""
        with self._mutex:
            self._connection.close()


def explain(error: sqlite3.Error, path: Path | None, kind: str) -> Exception:
    """Say in terms of the file what went wrong, and what a person can do about it.

    kind: what it should be, as in "a library".
    """
    name = path or f"{kind} in memory"
    match _primary_code(error):
        case sqlite3.SQLITE_INTERRUPT:
            return Abandoned()
        case sqlite3.SQLITE_FULL:
            return StorageFull(f"No room left for {name} ({error}). Free space on its disk.")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StorageInUse(
                f"{name} is locked by another program. Close what has it open, then try again."
            )
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return StorageCorrupt(
                f"{name} is not {kind}, or it is damaged ({error}). Nothing was changed. "
                "Restore it from a copy, or move it away to begin a new one."
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return StorageError(
                f"{name} cannot be opened for writing ({error}). Check that it and its folder "
                "exist and that this user may write to both."
            )
        case sqlite3.SQLITE_IOERR:
            return StorageError(f"The disk failed under {name} ({error}). Check the disk.")
        case _:
            return error


def _primary_code(error: sqlite3.Error) -> int:
    # Errors of the sqlite3 module itself (a wrong use of it) carry no code.
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF
