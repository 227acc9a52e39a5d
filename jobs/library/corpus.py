"""What the analyses read: every chunk of a scope, who is mentioned in which, and what is known.

An analysis runs in a child process and reads there: a corpus of 100,000 chunks then costs the
server neither time nor memory. Only a library in memory has to be handed over.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from pathlib import Path

import msgspec

from ..model import Relation
from .database import Database
from .matching import storable
from .session import Mode, Session, Work


class Corpus(msgspec.Struct, frozen=True, kw_only=True):
    """One scope of the library as of one moment. Chunks are known by their position here."""

    chunks: list[str]  # in the order of upload, then of reading
    documents: list[int]  # for each chunk the number of its document; ascending
    mentions: dict[str, list[int]]  # entity -> the chunks that mention it, ascending
    types: dict[str, str]  # entity -> its type
    relations: list[Relation]  # between them, where asked for; strongest first, not described
    changed: frozenset[str]  # entities mentioned otherwise than at the last relationship analysis
    revision: int  # of the library; what the analysis has seen

    def load(self) -> Corpus:
        """Give the corpus."""
        return self


class CorpusFile(msgspec.Struct, frozen=True):
    """A corpus that is still to be read from the library's file, by any process."""

    path: Path
    collection_id: str | None
    with_relations: bool

    def load(self) -> Corpus:
        """Read the corpus as it is now, beside whoever writes."""
        session = Session(self.path, read_only=True)
        try:
            return session.transact(
                Mode.READ,
                lambda connection: read_corpus(
                    connection, self.collection_id, with_relations=self.with_relations
                ),
                Work(),
            )
        finally:
            session.close()


class Corpora:
    """Gives the corpora of a library."""

    def __init__(self, database: Database, path: Path | None) -> None:
        self._database = database
        self._path = path

    async def of(
        self, collection_id: str | None = None, *, with_relations: bool
    ) -> Corpus | CorpusFile:
        """Give the corpus of a collection, or of everything; `load()` it where it is needed."""
        if self._path is not None:
            return CorpusFile(self._path, collection_id, with_relations)
        return await self._database.read(
            lambda connection: read_corpus(connection, collection_id, with_relations=with_relations)
        )


def read_corpus(
    connection: sqlite3.Connection, collection_id: str | None, *, with_relations: bool
) -> Corpus:
    """Read a corpus in one transaction, so that all of it fits together."""
    scope = None if collection_id is None else storable(collection_id)
    [revision] = connection.execute("SELECT revision FROM state").fetchone()
    positions: dict[int, int] = {}
    chunks: list[str] = []
    documents: list[int] = []
    for chunk, document, text in connection.execute(_CHUNKS, {"scope": scope}):
        positions[chunk] = len(chunks)
        chunks.append(text)
        documents.append(document)
    mentions = _mentions(connection, scope, positions)
    types = dict(connection.execute("SELECT name, type FROM entities"))
    [analysed] = connection.execute(_ANALYSED, {"scope": scope or ""}).fetchone()
    changed = connection.execute("SELECT name FROM entities WHERE revision > ?", (analysed,))
    return Corpus(
        chunks=chunks,
        documents=documents,
        mentions=mentions,
        types={name: types[name] for name in mentions},
        relations=_relations(connection, mentions) if with_relations else [],
        changed=frozenset(name for (name,) in changed if name in mentions),
        revision=revision,
    )


_CHUNKS = """
SELECT chunks.id, document, text FROM documents JOIN chunks ON document = seq
WHERE :scope IS NULL OR collection_id = :scope
ORDER BY document, position
"""

_MENTIONS = """
SELECT name, chunk FROM mentions JOIN entities ON entities.id = entity
WHERE :scope IS NULL OR chunk IN (
    SELECT chunks.id FROM documents JOIN chunks ON document = seq WHERE collection_id = :scope)
"""

_RELATIONS = """
SELECT source.name, target.name, found.type, weight, confidence, method
FROM relationships AS found
JOIN entities AS source ON source.id = source
JOIN entities AS target ON target.id = target
ORDER BY weight DESC, source.name, target.name, found.type, method
"""

# An analysis of everything has seen every collection too.
_ANALYSED = """
SELECT coalesce(max(revision), -1) FROM analyses
WHERE kind = 'relationship_analysis' AND scope IN ('', :scope)
"""


def _mentions(
    connection: sqlite3.Connection, scope: str | None, positions: dict[int, int]
) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for name, chunk in connection.execute(_MENTIONS, {"scope": scope}):
        found[name].append(positions[chunk])
    return {name: sorted(found[name]) for name in sorted(found)}


def _relations(connection: sqlite3.Connection, mentions: dict[str, list[int]]) -> list[Relation]:
    return [
        Relation(
            source=source,
            target=target,
            type=kind,
            description="",
            weight=weight,
            confidence=confidence,
            extraction_method=method,
        )
        for source, target, kind, weight, confidence, method in connection.execute(_RELATIONS)
        if source in mentions and target in mentions
    ]
