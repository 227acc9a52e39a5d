"""Documents as people see them: added, listed, read, deleted."""

from __future__ import annotations

import hashlib
import sqlite3
import unicodedata
from datetime import datetime
from typing import Any

from ...engine.surroundings import Clock
from ..model import Document, DocumentStatus
from .bell import Bell
from .database import Database
from .errors import (
    DocumentNotFound,
    DuplicateDocument,
    EmptyDocument,
    UnusableName,
)
from .extractions import forget
from .file_types import file_type_of, supported_type
from .matching import equal_to, storable
from .merging import merge
from .paging import bounded
from .views import DocumentContent, DocumentPage, PendingDocuments

LONGEST_NAME = 255  # characters, of a filename, a collection or a source

COLUMNS = (
    "id, filename, file_type, file_size, upload_date, status, collection_id, source, error,"
    " chunk_count, entity_count"
)


class Documents:
    """The documents of a library."""

    def __init__(self, database: Database, clock: Clock, bell: Bell) -> None:
        self._database = database
        self._clock = clock
        self._bell = bell

    async def add(
        self,
        content: bytes,
        *,
        filename: str,
        file_type: str | None = None,
        collection_id: str | None = None,
        source: str | None = None,
    ) -> Document:
        """Keep a document; it is pending, and on disk, when this returns.

        `file_type` is taken from the filename when it is not given. The id follows from name and
        content, so the same upload asked for twice, or at the same time, is stored once.

        Raises UnusableName, EmptyDocument or UnsupportedFileType (all DocumentRefused), and
        DuplicateDocument when a document of that name and content is there, whatever its status.
        """
        filename = _usable(filename, "filename")
        kind = file_type_of(filename) if file_type is None else supported_type(file_type)
        if not content or content.isspace():
            raise EmptyDocument(filename)
        collection_id = _usable(collection_id, "collection_id") if collection_id else None
        source = _usable(source, "source") if source else None
        upload_date = self._clock.now()

        def change(connection: sqlite3.Connection) -> Document:
            document = Document(
                id=_document_id(filename, content),  # here, as reading 50 MB takes its time
                filename=filename,
                file_type=kind,
                file_size=len(content),
                upload_date=upload_date,
                status=DocumentStatus.PENDING,
                collection_id=collection_id,
                source=source,
            )
            _insert(connection, document, content)
            return document

        added = await self._database.write(change)
        self._bell.ring()
        return added

    async def page(
        self,
        *,
        limit: int = 50,
        offset: int = 0,
        collection_id: str | None = None,
        status: str | None = None,
    ) -> DocumentPage:
        """List documents, newest first. An unknown collection or status gives an empty list."""
        limit, offset = bounded(limit, offset)
        where, values = equal_to(collection_id=collection_id, status=status)

        def query(connection: sqlite3.Connection) -> DocumentPage:
            rows = connection.execute(
                f"SELECT {COLUMNS} FROM documents{where} ORDER BY seq DESC LIMIT ? OFFSET ?",
                (*values, limit, offset),
            )
            documents = [document_of(row) for row in rows]
            total = connection.execute(f"SELECT count(*) FROM documents{where}", values)
            return DocumentPage(
                documents=documents, total=total.fetchone()[0], limit=limit, offset=offset
            )

        return await self._database.read(query)

    async def pending(
        self, *, limit: int = 100, collection_id: str | None = None
    ) -> PendingDocuments:
        """List documents that wait to be processed, oldest first, and count them all."""
        limit, _ = bounded(limit)
        where, values = equal_to(collection_id=collection_id, status="pending")

        def query(connection: sqlite3.Connection) -> PendingDocuments:
            rows = connection.execute(
                f"SELECT {COLUMNS} FROM documents{where} ORDER BY seq LIMIT ?", (*values, limit)
            )
            documents = [document_of(row) for row in rows]
            count = connection.execute(f"SELECT count(*) FROM documents{where}", values)
            return PendingDocuments(pending_count=count.fetchone()[0], documents=documents)

        return await self._database.read(query)

    async def get(self, document_id: str) -> Document:
        """Give the document as it is now. Raises DocumentNotFound."""
        return await self._database.read(lambda connection: find(connection, document_id)[1])

    async def content(self, document_id: str) -> DocumentContent:
        """Give the document with the bytes that were uploaded. Raises DocumentNotFound."""

        def query(connection: sqlite3.Connection) -> DocumentContent:
            seq, document = find(connection, document_id)
            row = connection.execute("SELECT content FROM contents WHERE document = ?", (seq,))
            return DocumentContent(document=document, content=row.fetchone()[0])

        return await self._database.read(query)

    async def filenames(self, *, collection_id: str | None = None, limit: int) -> list[str]:
        """Give the different names of up to `limit` documents, the newest of them, in order."""
        where, values = equal_to(collection_id=collection_id)

        def query(connection: sqlite3.Connection) -> list[str]:
            rows = connection.execute(
                f"SELECT filename FROM documents{where} ORDER BY seq DESC LIMIT ?",
                (*values, limit),
            )
            return sorted({filename for (filename,) in rows})

        return await self._database.read(query)

    async def delete(self, document_id: str) -> Document:
        """Take the document out, with all that only it said; gives it as it last was.

        Entities and relationships that no other document speaks of go too, and communities
        lose those members. A task that is processing it loses its claim. Raises DocumentNotFound.
        """

        def change(connection: sqlite3.Connection) -> Document:
            seq, document = find(connection, document_id)
            merge(connection, forget(connection, seq))
            connection.execute("DELETE FROM documents WHERE seq = ?", (seq,))
            return document

        deleted = await self._database.write(change)
        self._bell.ring()
        return deleted


def document_of(row: tuple[Any, ...]) -> Document:
    """Make a Document of a row of COLUMNS."""
    return Document(
        id=row[0],
        filename=row[1],
        file_type=row[2],
        file_size=row[3],
        upload_date=datetime.fromisoformat(row[4]),
        status=DocumentStatus(row[5]),
        collection_id=row[6],
        source=row[7],
        error=row[8],
        chunk_count=row[9],
        entity_count=row[10],
    )


def find(connection: sqlite3.Connection, document_id: str) -> tuple[int, Document]:
    """Give the number and the document. Raises DocumentNotFound."""
    row = connection.execute(
        f"SELECT seq, {COLUMNS} FROM documents WHERE id = ?", (storable(document_id),)
    ).fetchone()
    if row is None:
        raise DocumentNotFound(document_id)
    return row[0], document_of(row[1:])


def _insert(connection: sqlite3.Connection, document: Document, content: bytes) -> None:
    try:
        seq = connection.execute(
            "INSERT INTO documents (id, filename, file_type, file_size, upload_date,"
            " collection_id, source) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                document.id,
                document.filename,
                document.file_type,
                document.file_size,
                document.upload_date.isoformat(),
                document.collection_id,
                document.source,
            ),
        ).lastrowid
    except sqlite3.IntegrityError:
        raise DuplicateDocument(document.filename, document.id) from None
    connection.execute("INSERT INTO contents VALUES (?, ?)", (seq, content))


def _document_id(filename: str, content: bytes) -> str:
    digest = hashlib.sha256(filename.encode() + b"\0")
    digest.update(content)
    return f"doc_{digest.hexdigest()[:24]}"


def _usable(name: str, what: str) -> str:
    name = name.strip()
    if not name:
        raise UnusableName(f"The {what} is empty.")
    if len(name) > LONGEST_NAME:
        raise UnusableName(f"The {what} is longer than {LONGEST_NAME} characters.")
    # Control characters corrupt terminals and logs; lone surrogates cannot be stored at all.
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        raise UnusableName(f"The {what} {name[:40]!a} contains control characters.")
    return name
