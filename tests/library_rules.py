"""What holds in a library at every moment, whoever was stopped or killed while changing it."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from pathlib import Path

from cortex_tasks.jobs.library.schema import APPLICATION_ID, VERSION
from cortex_tasks.jobs.methods.entities import ENTITY_TYPES, entity_key
from cortex_tasks.jobs.methods.relations import RELATIONSHIP_TYPES

# Each query gives what breaks the rule.
RULES = {
    "every document has its content": """
        SELECT id FROM documents LEFT JOIN contents ON document = seq
        WHERE content IS NULL OR length(content) <> file_size""",
    "a pending document is nobody's, and any other is somebody's": """
        SELECT id, task_id FROM documents WHERE (status = 'pending') <> (task_id IS NULL)""",
    "a failed document has an error, and no other": """
        SELECT id, status, error FROM documents WHERE (status = 'failed') <> (error IS NOT NULL)""",
    "a completed document has chunks, and no other": """
        SELECT id, status FROM documents
        WHERE (status = 'completed') <> EXISTS (SELECT 1 FROM chunks WHERE document = seq)""",
    "only completed documents say something": """
        SELECT id FROM documents WHERE status <> 'completed' AND seq IN (SELECT document
            FROM document_entities UNION SELECT document FROM document_relations)""",
    "a document's counts agree": """
        SELECT id, chunk_count, entity_count FROM documents
        WHERE chunk_count <> (SELECT count(*) FROM chunks WHERE document = seq)
        OR entity_count <> (SELECT count(*) FROM document_entities WHERE document = seq)""",
    "chunks are numbered without a gap": """
        SELECT document FROM chunks GROUP BY document
        HAVING min(position) <> 0 OR max(position) <> count(*) - 1""",
    "an entity is mentioned, as often as it says": """
        SELECT key, mention_count FROM entities WHERE mention_count < 1
        OR mention_count <> (SELECT sum(mentions) FROM spellings WHERE entity = id)""",
    "an entity has a name and type that a document gave it": """
        SELECT key, name FROM entities WHERE name NOT IN (
            SELECT name FROM document_entities WHERE entity = id)
        OR type NOT IN (SELECT type FROM document_entities WHERE entity = id)""",
    "no relationship leads back to its own source": """
        SELECT source FROM relationships WHERE source = target
        UNION SELECT source FROM document_relations WHERE source = target""",
    "weights and confidences stay on their scales": """
        SELECT id FROM relationships
        WHERE weight NOT BETWEEN 0 AND 10 OR confidence NOT BETWEEN 0 AND 1""",
    "a community has members": """
        SELECT id FROM communities WHERE id NOT IN (SELECT community FROM community_members)""",
    "an entity is once in a community, and in one of each scope": """
        SELECT collection_id, entity FROM community_members JOIN communities ON id = community
        GROUP BY collection_id, entity HAVING count(*) > 1""",
    "a community has both a name and a summary, or neither": """
        SELECT id FROM communities WHERE (name = '') <> (summary = '') OR drift < 0""",
    "nothing is newer than the library": """
        SELECT key FROM entities, state WHERE entities.revision > state.revision
        UNION SELECT kind FROM analyses, state WHERE analyses.revision > state.revision""",
}

# Each two queries give the same; sums of floats are rounded, as they depend on their order.
AGREEMENTS = {
    "what a document says of an entity is the sum of what its chunks say": (
        "SELECT document, entity, mentions FROM document_entities",
        """SELECT document, entity, sum(count) FROM mentions JOIN chunks ON id = chunk
        GROUP BY document, entity HAVING min(count) > 0""",
    ),
    "spellings are the sum of what documents say": (
        "SELECT entity, name, type, mentions FROM spellings",
        """SELECT entity, name, type, sum(mentions) FROM document_entities
        GROUP BY entity, name, type""",
    ),
    "what documents say of two entities is merged": (
        """SELECT source, target, type, evidence, confidence, round(weight, 6)
        FROM relationships WHERE method = 'per_chunk'""",
        """SELECT source, target, type, count(*), max(confidence), round(min(10, sum(weight)), 6)
        FROM document_relations GROUP BY source, target, type""",
    ),
}


def broken_rules(connection: sqlite3.Connection, owners: Collection[str] = ()) -> list[str]:
    """Give the rules that do not hold, and where. Documents may be claimed by `owners` alone."""
    differences = {
        rule: f"SELECT * FROM ({one} EXCEPT {other}) UNION ALL SELECT * FROM ({other} EXCEPT {one})"
        for rule, (one, other) in AGREEMENTS.items()
    }
    broken = [
        f"{rule}: {found[:3]}"
        for rule, query in {**RULES, **differences}.items()
        if (found := connection.execute(query).fetchall())
    ]
    claims = connection.execute(
        "SELECT id, task_id FROM documents WHERE status IN ('processing', 'extracting')"
    )
    broken += [f"{id_} is claimed by {owner}" for id_, owner in claims if owner not in owners]
    for name, key, kind in connection.execute("SELECT name, key, type FROM entities"):
        if entity_key(name) != key or kind not in ENTITY_TYPES:
            broken.append(f"{name!r} has the key {key!r} and the type {kind!r}")
    for (kind,) in connection.execute("SELECT DISTINCT type FROM relationships"):
        if kind not in RELATIONSHIP_TYPES:
            broken.append(f"there is no relationship type {kind!r}")
    for pragma, sound in (
        ("integrity_check", [("ok",)]),
        ("foreign_key_check", []),
        ("application_id", [(APPLICATION_ID,)]),
        ("user_version", [(VERSION,)]),
    ):
        if (said := connection.execute(f"PRAGMA {pragma}").fetchall()) != sound:
            broken.append(f"{pragma} says {said[:3]}")
    return broken


def broken_rules_of_file(path: Path, owners: Collection[str] = ()) -> list[str]:
    """The same of a file as it lies there, opened by nobody."""
    connection = sqlite3.connect(path)
    try:
        return broken_rules(connection, owners)
    finally:
        connection.close()
