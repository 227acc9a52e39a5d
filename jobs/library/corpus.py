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
    relations: list[Relation]  # between them, where asked for; not described, in no order
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
    [analysed] = connection.execute(_ANALYSED, {"scope": scope or ""}).fetchone()
    rows = connection.execute(_CHUNKS, {"scope": scope}).fetchall()
    mentions = _mentions(connection, scope, {row[0]: at for at, row in enumerate(rows)})
    # Names are looked up here rather than joined: a million times, that takes seconds less.
    known: dict[int, tuple[str, str, int]] = {
        row[0]: row[1:]
        for row in connection.execute("SELECT id, name, type, revision FROM entities")
        if row[0] in mentions
    }
    by_name = sorted((name, entity) for entity, (name, _, _) in known.items())
    return Corpus(
        chunks=[text for _, _, text in rows],
        documents=[document for _, document, _ in rows],
        mentions={name: mentions[entity] for name, entity in by_name},
        types={name: known[entity][1] for name, entity in by_name},
        relations=_relations(connection, known) if with_relations else [],
        changed=frozenset(name for name, _, changed in known.values() if changed > analysed),
        revision=revision,
    )


_CHUNKS = """
SELECT chunks.id, document, text FROM documents JOIN chunks ON document = seq
WHERE :scope IS NULL OR collection_id = :scope
ORDER BY document, position
"""

_ALL_MENTIONS = "SELECT chunk, entity FROM mentions"

_MENTIONS = """
SELECT chunk, entity FROM documents
CROSS JOIN chunks ON document = seq CROSS JOIN mentions ON chunk = chunks.id
WHERE collection_id = ?
"""

# An analysis of everything has seen every collection too.
_ANALYSED = """
SELECT coalesce(max(revision), -1) FROM analyses
WHERE kind = 'relationship_analysis' AND scope IN ('', :scope)
"""


def _mentions(
    connection: sqlite3.Connection, scope: str | None, positions: dict[int, int]
) -> dict[int, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    rows = (
        connection.execute(_ALL_MENTIONS)
        if scope is None
        else connection.execute(_MENTIONS, (scope,))
    )
    for chunk, entity in rows:
        found[entity].append(positions[chunk])
    for chunks in found.values():
        chunks.sort()
    return found


def _relations(
    connection: sqlite3.Connection, known: dict[int, tuple[str, str, int]]
) -> list[Relation]:
    rows = connection.execute(
        "SELECT source, target, type, weight, confidence, method FROM relationships ORDER BY id"
    )
    return [
        Relation(
            source=known[source][0],
            target=known[target][0],
            type=kind,
            description="",
            weight=weight,
            confidence=confidence,
            extraction_method=method,
        )
        for source, target, kind, weight, confidence, method in rows
        if source in known and target in known
    ]
