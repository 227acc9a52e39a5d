"""The library: documents, the graph taken from them, and its communities, in one SQLite file."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Self

from ...engine.surroundings import Clock, Offload, WallClock
from .bell import Bell
from .communities import Communities
from .corpus import Corpora
from .database import Database
from .detection import Detection
from .documents import Documents
from .graph import Graph
from .processing import Processing, release_all_claims
from .relationships import Relationships
from .schema import prepare
from .statistics import statistics
from .summaries import Summaries
from .views import Statistics


class Library:
    """A library, open inside `async with`; every call takes its turn off the event loop.

    For all calls: after return a change is committed (and on disk, synced); after an exception
    or a cancellation either all of it is or nothing. Errors are those of `library.errors` and,
    when the file or its disk fails, StorageError. Calls from several tasks at once are fine.

        async with Library("data/library.db") as library:
            document = await library.documents.add(b"…", filename="handbook.md")

    documents: added, listed, read, deleted. graph, communities: to read (and delete).
    processing, relationships, detection, summaries: what each of the four jobs stores.
    corpora: what the analyses read.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None,
        *,
        offload: Offload | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Name the file; nothing is touched before the library is entered.

        path: None keeps everything in memory. offload: runs the blocking calls (default: a few
        threads of the library's own). clock: dates uploads and analyses.
        """
        self._path = None if path is None else Path(path).absolute()
        self._database = database = Database(self._path, offload)
        clock = clock or WallClock()
        bell = Bell()
        self.documents = Documents(database, clock, bell)
        self.processing = Processing(database, bell)
        self.graph = Graph(database)
        self.communities = Communities(database)
        self.corpora = Corpora(database, self._path)
        self.relationships = Relationships(database, clock)
        self.detection = Detection(database, clock)
        self.summaries = Summaries(database)

    @classmethod
    def in_memory(cls, *, offload: Offload | None = None, clock: Clock | None = None) -> Self:
        """A library that is gone when it is closed; for tests and trials."""
        return cls(None, offload=offload, clock=clock)

    @property
    def path(self) -> Path | None:
        """The file, or None for a library in memory."""
        return self._path

    async def __aenter__(self) -> Self:
        """Open the file, or make it (and its folder).

        Raises StorageInUse while another process has it, StorageCorrupt when it is not a library,
        and StorageError when it is of another version or cannot be read and written.

        What was being processed when it was last open is pending again: nobody works on it now.
        """

        def begin(connection: sqlite3.Connection) -> None:
            prepare(connection, self._path)
            release_all_claims(connection)

        await self._database.open(begin)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Finish what is being done, then close. Every later call raises LibraryClosed."""
        await self._database.aclose()

    async def stats(self) -> Statistics:
        """Count everything, as of one moment."""
        return await self._database.read(lambda connection: statistics(connection, self._path))

    async def reachable(self) -> bool:
        """Whether the library can be read at this moment; never raises, for health checks."""
        return await self._database.reachable()
