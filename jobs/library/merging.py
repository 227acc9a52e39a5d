"""What all documents say together: entities and per-chunk relationships, merged from each one's.

The outcome depends on what is said only, never on the order in which documents were processed
(except that, among equals, the document uploaded first speaks).
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field


@dataclass
class Touched:
    """Entities, and (source, target, type) triples, of which a document says something else now."""

    entities: set[int] = field(default_factory=set)
    relations: set[tuple[int, int, str]] = field(default_factory=set)

    def __or__(self, other: Touched) -> Touched:
        """What either has touched."""
        return Touched(self.entities | other.entities, self.relations | other.relations)


def merge(connection: sqlite3.Connection, touched: Touched) -> None:
    """Bring the merged rows up to date; what no document speaks of any more goes.

    Moves the library's revision, also when nothing was touched.
    """
    [revision] = connection.execute(
        "UPDATE state SET revision = revision + 1 RETURNING revision"
    ).fetchone()
    entities = [{"entity": entity, "revision": revision} for entity in sorted(touched.entities)]
    connection.executemany(_MERGE_ENTITY, entities)
    connection.executemany("UPDATE entities SET folded = fold(name) WHERE id = :entity", entities)
    _merge_relations(connection, sorted(touched.relations))
    _remove_orphans(connection, sorted(touched.entities))


# The name most often written, the type most often given (Concept is what is given for want of a
# better one, so it loses to any other), and the description from the document that says most of it.
_MERGE_ENTITY = """
UPDATE entities SET
    mention_count = (SELECT coalesce(sum(mentions), 0) FROM spellings WHERE entity = :entity),
    name = coalesce((SELECT name FROM spellings WHERE entity = :entity
        GROUP BY name ORDER BY sum(mentions) DESC, name LIMIT 1), name),
    type = coalesce((SELECT type FROM spellings WHERE entity = :entity
        GROUP BY type ORDER BY type = 'Concept', sum(mentions) DESC, type LIMIT 1), type),
    description = coalesce((SELECT description FROM document_entities
        WHERE entity = :entity AND description <> ''
        ORDER BY mentions DESC, document LIMIT 1), ''),
    revision = :revision
WHERE id = :entity
"""

# Weights of several documents add up, to the end of the scale; confidence is that of the surest,
# whose sentence is the description.
_MERGE_RELATION = """
INSERT INTO relationships
    (source, target, type, method, description, weight, confidence, evidence)
SELECT :source, :target, :type, 'per_chunk',
    (SELECT description FROM document_relations
        WHERE source = :source AND target = :target AND type = :type
        ORDER BY confidence DESC, weight DESC, document LIMIT 1),
    min(10.0, sum(weight)), max(confidence), count(*)
FROM document_relations
WHERE source = :source AND target = :target AND type = :type
HAVING count(*) > 0
ON CONFLICT (source, target, type, method) DO UPDATE SET
    description = excluded.description, weight = excluded.weight,
    confidence = excluded.confidence, evidence = excluded.evidence
"""

_REMOVE_UNSAID_RELATION = """
DELETE FROM relationships
WHERE source = :source AND target = :target AND type = :type AND method = 'per_chunk'
    AND NOT EXISTS (SELECT 1 FROM document_relations
        WHERE source = :source AND target = :target AND type = :type)
"""


def _merge_relations(connection: sqlite3.Connection, relations: list[tuple[int, int, str]]) -> None:
    named = [dict(zip(("source", "target", "type"), each, strict=True)) for each in relations]
    connection.executemany(_REMOVE_UNSAID_RELATION, named)
    connection.executemany(_MERGE_RELATION, named)


def _remove_orphans(connection: sqlite3.Connection, entities: list[int]) -> None:
    unmentioned = "SELECT id FROM entities WHERE id = ? AND mention_count = 0"
    for entity in entities:
        if connection.execute(unmentioned, (entity,)).fetchone() is None:
            continue
        communities = connection.execute(
            "SELECT community FROM community_members WHERE entity = ?", (entity,)
        ).fetchall()
        # A summary may speak of the member that goes, so the loss counts as drift.
        connection.executemany(
            "UPDATE communities SET drift = drift + 1.0 /"
            " (SELECT count(*) FROM community_members WHERE community = communities.id)"
            " WHERE id = ?",
            communities,
        )
        connection.execute("DELETE FROM entities WHERE id = ?", (entity,))
        connection.executemany(
            "DELETE FROM communities WHERE id = ?1"
            " AND NOT EXISTS (SELECT 1 FROM community_members WHERE community = ?1)",
            communities,
        )
