"""The way to the file: one writer, a few readers, every transaction off the event loop.

What a caller may assume of `read` and `write`: after return it is committed; after an exception
or a cancellation either all of it is or nothing. A cancelled caller does not wait for a long
query: SQLite is interrupted, the transaction undone.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread

from ...engine.errors import EngineError, StorageError
from ...engine.surroundings import Offload
from .errors import LibraryClosed
from .session import Abandoned, Mode, Session, Work, explain
from .sole_owner import SoleOwner

T = TypeVar("T")

READERS = 4  # connections; more would only queue for the same two or four cores


class Database:
    """The sessions over one library file, or over memory when `path` is None.

    A database in memory has a single session, which reads and writes in turn.
    """

    def __init__(
        self, path: Path | None, offload: Offload | None, *, kind: str = "a library"
    ) -> None:
        self._path = path
        self._kind = kind  # what errors call it
        self._offload = offload or _own_threads()
        self._owner = None if path is None else SoleOwner(path)
        self._writer: Session | None = None
        self._idle_readers: list[Session] = []
        # Fair queues in the event loop; the mutex of each session is what keeps threads apart.
        self._writing = anyio.Lock()
        self._reading = anyio.Semaphore(READERS)

    async def open(self, prepare: Callable[[sqlite3.Connection], None]) -> None:
        """Open or make the file and run `prepare` in a first write transaction.

        Raises a StorageError that names the file and what to do; nothing is left open then.
        """

        def begin() -> Session:
            try:
                return self._begin(prepare)
            except sqlite3.Error as error:
                raise explain(error, self._path, self._kind) from error
            except OSError as error:
                raise StorageError(
                    f"{self._path} cannot be opened ({error.strerror or error}). Check that its "
                    "folder exists and that this user may write to it."
                ) from error

        self._writer = await self._offload(begin)

    def _begin(self, prepare: Callable[[sqlite3.Connection], None]) -> Session:
        if self._path is not None and self._owner is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._owner.acquire()
        try:
            if self._path is not None:
                # For its owner alone: it holds every document. SQLite's other files follow its
                # mode. Never before the lock is ours: to close a file that this process has open
                # elsewhere would drop the locks that SQLite holds on it.
                os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
            session = Session(self._path, read_only=False, kind=self._kind)
            try:
                session.transact(Mode.WRITE, prepare, Work())
            except BaseException:
                session.close()
                raise
        except BaseException:
            if self._owner is not None:
                self._owner.release()
            raise
        return session

    async def aclose(self) -> None:
        """Wait for the transactions at hand, then close the file. Closing twice is fine."""
        writer, self._writer = self._writer, None  # from here on every new call is refused
        if writer is None:
            return
        with anyio.CancelScope(shield=True):
            async with self._writing:
                for _ in range(READERS):
                    await self._reading.acquire()

                def close() -> None:
                    for reader in self._idle_readers:
                        reader.close()
                    writer.close()  # the last one out folds the log into the file
                    if self._owner is not None:
                        self._owner.release()

                await self._offload(close)
                self._idle_readers.clear()
                for _ in range(READERS):
                    self._reading.release()

    async def write(self, change: Callable[[sqlite3.Connection], T]) -> T:
        """Run `change` in a transaction of its own; one at a time, in the order of the calls."""
        async with self._writing:
            return await self._run(self._open_writer(), Mode.WRITE, change)

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run `query` on one consistent state of the library, beside any writer."""
        if self._path is None:
            async with self._writing:
                return await self._run(self._open_writer(), Mode.READ, query)
        async with self._reading:
            self._open_writer()
            reader = self._idle_readers.pop() if self._idle_readers else await self._new_reader()
            try:
                return await self._run(reader, Mode.READ, query)
            finally:
                self._idle_readers.append(reader)

    async def reachable(self) -> bool:
        """Whether a query gets an answer now."""
        try:
            await self.read(lambda connection: connection.execute("SELECT 1 FROM state"))
        except (EngineError, sqlite3.Error):
            return False
        return True

    def _open_writer(self) -> Session:
        if self._writer is None:
            raise LibraryClosed(
                "The library is not open: use it inside `async with Library(path)`."
            )
        return self._writer

    async def _new_reader(self) -> Session:
        def connect() -> Session:
            try:
                return Session(self._path, read_only=True, kind=self._kind)
            except sqlite3.Error as error:
                raise explain(error, self._path, self._kind) from error

        return await self._offload(connect)

    async def _run(
        self, session: Session, mode: Mode, statements: Callable[[sqlite3.Connection], T]
    ) -> T:
        work = Work()
        outcome: list[T | Exception] = []

        def transact() -> None:
            try:
                outcome.append(session.transact(mode, statements, work))
            except Exception as error:  # noqa: BLE001 - raised again below
                outcome.append(error)

        # Errors travel as data, so that the group never wraps them in an ExceptionGroup.
        async with anyio.create_task_group() as group:
            group.start_soon(_interrupt_when_cancelled, session, work)
            await self._offload(transact)
            group.cancel_scope.cancel()
        [value] = outcome
        if isinstance(value, Abandoned):
            await anyio.lowlevel.checkpoint()  # raises the cancellation that abandoned it
        if isinstance(value, Exception):
            raise value
        return value


async def _interrupt_when_cancelled(session: Session, work: Work) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        session.interrupt(work)


def _own_threads() -> Offload:
    # Of its own, so that a busy engine cannot keep the library waiting, nor the other way round.
    limiter = anyio.CapacityLimiter(READERS + 1)

    async def offload(function: Callable[[], T], /) -> T:
        return await anyio.to_thread.run_sync(function, limiter=limiter)

    return offload
