"""Small extractions for tests of the library: documents that say what a test needs them to say."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

from cortex_tasks.jobs.library import Library
from cortex_tasks.jobs.model import Document, ExtractedEntity, Extraction, Relation


def saying(*chunks: str, relations: list[Relation] | None = None) -> Extraction:
    """An extraction whose chunks are lists of entity names: `saying("Alpha Beta", "Alpha")`.

    A name may carry a type: "Alpha:Product". The description of an entity is its first chunk.
    """
    mentions: dict[str, dict[int, int]] = {}
    types: dict[str, str] = {}
    for position, chunk in enumerate(chunks):
        for word in chunk.split():
            name, _, kind = word.partition(":")
            types.setdefault(name, kind or "Concept")
            counts = mentions.setdefault(name, {})
            counts[position] = counts.get(position, 0) + 1
    return Extraction(
        chunks=list(chunks),
        entities=[
            ExtractedEntity(
                name=name, type=types[name], description=chunks[min(counts)], mentions=counts
            )
            for name, counts in mentions.items()
        ],
        relations=relations or [],
    )


def relation(
    source: str,
    target: str,
    type: str = "USES",
    *,
    weight: float = 3.0,
    confidence: float = 0.5,
    method: str = "per_chunk",
) -> Relation:
    """A relation whose description says which it is."""
    return Relation(
        source=source,
        target=target,
        type=type,
        description=f"{source} {type} {target}.",
        weight=weight,
        confidence=confidence,
        extraction_method=method,
    )


async def learn(
    library: Library, filename: str, extraction: Extraction, *, collection_id: str | None = None
) -> Document:
    """Add a document and store what it says."""
    document = await library.documents.add(
        filename.encode(), filename=filename, collection_id=collection_id
    )
    claimed = await library.processing.claim_pending("task_learn", limit=1000)
    assert document.id in {each.id for each in claimed}
    return await library.processing.store_extraction(document.id, "task_learn", extraction)


def said_together(connection: sqlite3.Connection) -> Iterator[tuple[str, list[Any]]]:
    """All that is kept of the graph, without the numbers that depend on its history."""
    queries = {
        "entities": "SELECT key, name, folded, type, description, mention_count FROM entities",
        "spellings": "SELECT key, s.name, s.type, mentions FROM spellings AS s"
        " JOIN entities AS e ON e.id = entity",
        "relationships": "SELECT s.key, t.key, r.type, method, r.description, weight, confidence,"
        " evidence FROM relationships AS r JOIN entities AS s ON s.id = source"
        " JOIN entities AS t ON t.id = target",
        "chunks": "SELECT document, position, text FROM chunks",
        "mentions": "SELECT document, position, key, count FROM mentions"
        " JOIN chunks ON chunks.id = chunk JOIN entities ON entities.id = entity",
        "communities": "SELECT name, summary, group_concat(key) FROM communities AS c"
        " JOIN (SELECT community, key FROM community_members"
        " JOIN entities ON entities.id = entity ORDER BY rank) ON community = c.id"
        " GROUP BY c.id",
    }
    for name, query in queries.items():
        if rows := sorted(connection.execute(query).fetchall()):
            yield name, rows
