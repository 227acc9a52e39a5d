"""What relationship_analysis stores: relationships found across documents."""

from __future__ import annotations

import sqlite3

import msgspec

from ...engine.surroundings import Clock
from ..model import Relation
from .analyses import note_finished
from .database import Database
from .entity_ids import EntityIds
from .matching import storable


class StoredRelationships(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the relationships that an analysis found."""

    stored: int  # the others spoke of an entity that is gone by now
    total_relationships: int  # in the whole library, of every kind
    total_entities: int


class Relationships:
    """The relationships of a library as relationship_analysis sees them."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def replace_cross_collection(
        self,
        relations: list[Relation],
        *,
        collection_id: str | None,
        rebuild: bool,
        revision: int,
    ) -> StoredRelationships:
        """Store what an analysis over a scope found, in one transaction, and note that it ended.

        With `rebuild` they replace what earlier analyses of this scope found (one of everything
        replaces what those of its collections found, too); without, they are added, and renew
        those found before. Per-chunk relationships stay as they are. `revision` is that of the
        corpus which was analysed.
        """
        scope = None if collection_id is None else storable(collection_id)
        finished_at = self._clock.now()

        def change(connection: sqlite3.Connection) -> StoredRelationships:
            if rebuild:
                connection.execute(_DELETE_FOUND, {"scope": scope})
            stored = _upsert(connection, relations, scope)
            note_finished(connection, "relationship_analysis", scope, revision, finished_at)
            entities, relationships = connection.execute(
                "SELECT (SELECT count(*) FROM entities), (SELECT count(*) FROM relationships)"
            ).fetchone()
            return StoredRelationships(
                stored=stored, total_relationships=relationships, total_entities=entities
            )

        return await self._database.write(change)


_DELETE_FOUND = """
DELETE FROM relationships
WHERE method = 'cross_collection' AND (:scope IS NULL OR scope = :scope)
"""

# One that two scopes have found belongs to neither: only an analysis of everything replaces it.
_UPSERT = """
INSERT INTO relationships
    (source, target, type, method, description, weight, confidence, evidence, scope)
VALUES (?, ?, ?, 'cross_collection', ?, ?, ?, 1, ?)
ON CONFLICT (source, target, type, method) DO UPDATE SET
    description = excluded.description, weight = excluded.weight,
    confidence = excluded.confidence,
    scope = CASE WHEN scope = excluded.scope THEN scope END
"""


def _upsert(connection: sqlite3.Connection, relations: list[Relation], scope: str | None) -> int:
    ids = EntityIds(connection)
    rows = [
        (source, target, each.type, each.description, each.weight, each.confidence, scope)
        for each in relations
        if (source := ids.of(each.source)) is not None
        and (target := ids.of(each.target)) is not None
        and source != target
    ]
    connection.executemany(_UPSERT, rows)
    return len(rows)
