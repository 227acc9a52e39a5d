"""How documents pass through document_processing: claimed, then completed, failed or released.

    pending ──claim_pending──► processing ──mark_extracting──► extracting
       ▲                           │                              │
       └───── release_claims ──────┴───────────┬──────────────────┘
                                               ├──store_extraction──► completed
                                               └──mark_failed───────► failed

A claim is the id of a task in the document's row. Only that task may finish the document; a task
that lost its claim (the document was deleted, or released and claimed by another) gets ClaimLost
and has changed nothing. So a document is never processed by two, whoever crashes when.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TypeVar

import msgspec

from ..model import Document, Extraction
from .bell import Bell
from .database import Database
from .documents import COLUMNS, document_of
from .errors import ClaimLost
from .extractions import forget, remember
from .matching import storable
from .merging import merge

T = TypeVar("T")

CLAIMED = "status IN ('processing', 'extracting')"
UNFINISHED = "status IN ('pending', 'processing', 'extracting')"


class Intake(msgspec.Struct, frozen=True, kw_only=True):
    """What waits for a document_processing over one scope.

    `generation` moves each time such a task has found nothing left and will not look again: a
    document counted in `pending_count` is seen by every task begun in this generation.
    """

    pending_count: int
    generation: int


class Processing:
    """The documents of a library as document_processing sees them."""

    def __init__(self, database: Database, bell: Bell) -> None:
        self._database = database
        self.bell = bell  # rung when there may be more to claim, or less under way
        self._at_work: set[str] = set()

    async def claim_pending(
        self, task_id: str, *, collection_id: str | None = None, limit: int
    ) -> list[Document]:
        """Claim up to `limit` pending documents for the task, those uploaded first, in order.

        Each document is given to one caller only, however many ask at once.
        """
        where, values = _in_collection(collection_id)

        def change(connection: sqlite3.Connection) -> list[Document]:
            rows = connection.execute(
                "UPDATE documents SET status = 'processing', task_id = ?, error = NULL"
                " WHERE seq IN (SELECT seq FROM documents"
                f" WHERE status = 'pending'{where} ORDER BY seq LIMIT ?)"
                f" RETURNING seq, {COLUMNS}",
                (task_id, *values, max(0, limit)),
            ).fetchall()
            return [document_of(row[1:]) for row in sorted(rows)]

        return await self._database.write(change)

    async def mark_extracting(self, document_id: str, task_id: str) -> None:
        """Note that its text is being worked on. Raises ClaimLost."""

        def change(connection: sqlite3.Connection) -> None:
            seq = _claimed(connection, document_id, task_id)
            connection.execute("UPDATE documents SET status = 'extracting' WHERE seq = ?", (seq,))

        await self._database.write(change)

    async def store_extraction(
        self, document_id: str, task_id: str, extraction: Extraction
    ) -> Document:
        """Keep what the document says in place of what it said before, and complete it.

        One transaction: readers see all of it or none. Raises ClaimLost.
        """

        def change(connection: sqlite3.Connection) -> Document:
            seq = _claimed(connection, document_id, task_id)
            touched = forget(connection, seq) | remember(connection, seq, extraction)
            merge(connection, touched)
            return _finish(connection, seq, "completed", None)

        return await self._write_and_ring(change)

    async def mark_failed(self, document_id: str, task_id: str, error: str) -> Document:
        """Fail the document; `error` is for people. What it said before goes. Raises ClaimLost."""

        def change(connection: sqlite3.Connection) -> Document:
            seq = _claimed(connection, document_id, task_id)
            merge(connection, forget(connection, seq))
            return _finish(connection, seq, "failed", storable(error))

        return await self._write_and_ring(change)

    async def release_claims(self, task_id: str) -> int:
        """Put back what the task has claimed and not finished; gives how many. Idempotent."""

        def change(connection: sqlite3.Connection) -> int:
            return connection.execute(
                "UPDATE documents SET status = 'pending', task_id = NULL"
                f" WHERE task_id = ? AND {CLAIMED}",
                (task_id,),
            ).rowcount

        return await self._write_and_ring(change)

    async def release_claims_except(self, alive_task_ids: Collection[str]) -> int:
        """Put back what is claimed by any task but these; gives how many.

        A claim of a task that could not put it back would otherwise stay until the next start.
        """
        alive = msgspec.json.encode(list(alive_task_ids)).decode()

        def change(connection: sqlite3.Connection) -> int:
            return connection.execute(
                "UPDATE documents SET status = 'pending', task_id = NULL"
                f" WHERE {CLAIMED} AND task_id NOT IN (SELECT value FROM json_each(?))",
                (alive,),
            ).rowcount

        return await self._write_and_ring(change)

    @contextmanager
    def at_work(self, task_id: str) -> Iterator[None]:
        """Say that the task works on documents for as long as the block lasts."""
        self._at_work.add(task_id)
        try:
            yield
        finally:
            self._at_work.discard(task_id)

    async def release_abandoned(self) -> int:
        """Put back what is claimed by tasks that are not at work (any more); gives how many."""
        return await self.release_claims_except(self._at_work)

    async def _write_and_ring(self, change: Callable[[sqlite3.Connection], T]) -> T:
        value = await self._database.write(change)
        if value:  # not for nothing: who is woken looks, and may find just that nothing to release
            self.bell.ring()
        return value

    async def claimed(self) -> list[str]:
        """List the documents that some task has claimed and not finished."""

        def query(connection: sqlite3.Connection) -> list[str]:
            rows = connection.execute(f"SELECT id FROM documents WHERE {CLAIMED} ORDER BY seq")
            return [document_id for (document_id,) in rows]

        return await self._database.read(query)

    async def count_pending(self, document_ids: Collection[str]) -> int:
        """Count those of these documents that are pending."""
        ids = msgspec.json.encode(list(document_ids)).decode()

        def query(connection: sqlite3.Connection) -> int:
            row = connection.execute(
                "SELECT count(*) FROM documents WHERE status = 'pending'"
                " AND id IN (SELECT value FROM json_each(?))",
                (ids,),
            ).fetchone()
            count: int = row[0]
            return count

        return await self._database.read(query)

    async def outcomes(self, task_id: str) -> list[Document]:
        """List the documents that the task completed or failed, over all its attempts.

        Kept with the documents themselves: an attempt that crashed is counted, once.
        """

        def query(connection: sqlite3.Connection) -> list[Document]:
            rows = connection.execute(
                f"SELECT {COLUMNS} FROM documents"
                " WHERE task_id = ? AND status IN ('completed', 'failed') ORDER BY seq",
                (task_id,),
            )
            return [document_of(row) for row in rows]

        return await self._database.read(query)

    async def intake(self, *, collection_id: str | None = None) -> Intake:
        """Tell what waits, and in which generation, as of one moment."""
        where, values = _in_collection(collection_id)

        def query(connection: sqlite3.Connection) -> Intake:
            count = connection.execute(
                f"SELECT count(*) FROM documents WHERE status = 'pending'{where}", values
            ).fetchone()[0]
            row = connection.execute(
                "SELECT generation FROM intakes WHERE scope = ?", (_scope(collection_id),)
            ).fetchone()
            return Intake(pending_count=count, generation=row[0] if row else 0)

        return await self._database.read(query)

    async def close_intake(self, *, collection_id: str | None = None) -> bool:
        """Begin a new generation if no document of the scope is pending, or claimed by anyone.

        False, and nothing done, if some is. A task calls it before it ends: whatever it was asked
        to process is processed then, also what another task had claimed. Whoever uploads after
        this and asks for processing sees the new generation and gets a new task, so no document
        is left between two tasks.
        """
        where, values = _in_collection(collection_id)

        def change(connection: sqlite3.Connection) -> bool:
            [unfinished] = connection.execute(
                f"SELECT EXISTS (SELECT 1 FROM documents WHERE {UNFINISHED}{where})", values
            ).fetchone()
            if unfinished:
                return False
            connection.execute(
                "INSERT INTO intakes VALUES (?, 1)"
                " ON CONFLICT DO UPDATE SET generation = generation + 1",
                (_scope(collection_id),),
            )
            return True

        return await self._database.write(change)


def release_all_claims(connection: sqlite3.Connection) -> None:
    """Put back whatever is claimed: for the moment in which a library is opened.

    It has one owner at a time, so a claim that is there already is that of a process which is gone.
    """
    connection.execute(f"UPDATE documents SET status = 'pending', task_id = NULL WHERE {CLAIMED}")


def _claimed(connection: sqlite3.Connection, document_id: str, task_id: str) -> int:
    row = connection.execute(
        f"SELECT seq FROM documents WHERE id = ? AND task_id = ? AND {CLAIMED}",
        (storable(document_id), task_id),
    ).fetchone()
    if row is None:
        raise ClaimLost(document_id, task_id)
    seq: int = row[0]
    return seq


def _finish(connection: sqlite3.Connection, seq: int, status: str, error: str | None) -> Document:
    row = connection.execute(
        "UPDATE documents SET status = ?, error = ?,"
        " chunk_count = (SELECT count(*) FROM chunks WHERE document = seq),"
        " entity_count = (SELECT count(*) FROM document_entities WHERE document = seq)"
        f" WHERE seq = ? RETURNING {COLUMNS}",
        (status, error, seq),
    ).fetchone()
    return document_of(row)


def _in_collection(collection_id: str | None) -> tuple[str, tuple[str, ...]]:
    if collection_id is None:
        return "", ()
    return " AND collection_id = ?", (storable(collection_id),)


def _scope(collection_id: str | None) -> str:
    return "" if collection_id is None else storable(collection_id)
