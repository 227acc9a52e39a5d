"""What one document says: its chunks, the entities it mentions, the relations it shows."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable

from ..methods.entities import entity_key
from ..model import ExtractedEntity, Extraction, Relation
from .merging import Touched


def forget(connection: sqlite3.Connection, document: int) -> Touched:
    """Take out all that the document says; gives what has to be merged anew."""
    parameters = (document,)
    entities = connection.execute(
        "SELECT entity FROM document_entities WHERE document = ?", parameters
    ).fetchall()
    relations = connection.execute(
        "SELECT source, target, type FROM document_relations WHERE document = ?", parameters
    ).fetchall()
    connection.execute(
        "UPDATE spellings SET mentions = spellings.mentions - said.mentions"
        " FROM document_entities AS said WHERE said.document = ? AND spellings.entity = said.entity"
        " AND spellings.name = said.name AND spellings.type = said.type",
        parameters,
    )
    connection.executemany("DELETE FROM spellings WHERE entity = ? AND mentions <= 0", entities)
    for table in ("chunks", "document_entities", "document_relations"):
        connection.execute(f"DELETE FROM {table} WHERE document = ?", parameters)
    return Touched({entity for (entity,) in entities}, set(relations))


def remember(connection: sqlite3.Connection, document: int, extraction: Extraction) -> Touched:
    """Put in what the document says, after `forget`; gives what has to be merged anew."""
    first_chunk = _insert_chunks(connection, document, extraction.chunks)
    said = _by_key(extraction.entities)
    ids = {key: _entity_id(connection, key) for key in said}
    for key, spoken_of in said.items():
        _insert_entity(connection, document, ids[key], spoken_of, first_chunk)
    relations = _insert_relations(connection, document, extraction.relations, ids)
    return Touched(set(ids.values()), relations)


def _insert_chunks(connection: sqlite3.Connection, document: int, chunks: list[str]) -> int:
    row = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM chunks").fetchone()
    first: int = row[0]
    connection.executemany(
        "INSERT INTO chunks (id, document, position, text) VALUES (?, ?, ?, ?)",
        ((first + position, document, position, text) for position, text in enumerate(chunks)),
    )
    return first


def _by_key(entities: Iterable[ExtractedEntity]) -> dict[str, list[ExtractedEntity]]:
    # "Task Engine" and "task engine" may come as two names of the one entity.
    said: dict[str, list[ExtractedEntity]] = defaultdict(list)
    for entity in entities:
        if key := entity_key(entity.name):
            said[key].append(entity)
    return said


def _entity_id(connection: sqlite3.Connection, key: str) -> int:
    row = connection.execute("SELECT id FROM entities WHERE key = ?", (key,)).fetchone()
    if row is None:
        row = connection.execute(
            "INSERT INTO entities (key) VALUES (?) RETURNING id", (key,)
        ).fetchone()
    entity: int = row[0]
    return entity


def _insert_entity(
    connection: sqlite3.Connection,
    document: int,
    entity: int,
    spoken_of: list[ExtractedEntity],
    first_chunk: int,
) -> None:
    counts: dict[int, int] = defaultdict(int)
    for said in spoken_of:
        for position, count in said.mentions.items():
            counts[first_chunk + position] += count
    connection.executemany(
        "INSERT INTO mentions (chunk, entity, count) VALUES (?, ?, ?)",
        ((chunk, entity, count) for chunk, count in counts.items()),
    )
    usual = max(spoken_of, key=_times)
    kind = max(spoken_of, key=lambda said: (said.type != "Concept", _times(said))).type
    description = usual.description or max(said.description for said in spoken_of)
    total = sum(counts.values())
    connection.execute(
        "INSERT INTO document_entities (document, entity, name, type, description, mentions)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (document, entity, usual.name, kind, description, total),
    )
    connection.execute(
        "INSERT INTO spellings (entity, name, type, mentions) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET mentions = mentions + excluded.mentions",
        (entity, usual.name, kind, total),
    )


def _times(said: ExtractedEntity) -> int:
    return sum(said.mentions.values())


def _insert_relations(
    connection: sqlite3.Connection, document: int, relations: list[Relation], ids: dict[str, int]
) -> set[tuple[int, int, str]]:
    written: set[tuple[int, int, str]] = set()
    for relation in relations:
        source, target = ids[entity_key(relation.source)], ids[entity_key(relation.target)]
        if source == target:  # two spellings of one name
            continue
        connection.execute(
            "INSERT INTO document_relations"
            " (document, source, target, type, description, weight, confidence)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " weight = min(10.0, weight + excluded.weight),"
            " confidence = max(confidence, excluded.confidence)",
            (
                document,
                source,
                target,
                relation.type,
                relation.description,
                relation.weight,
                relation.confidence,
            ),
        )
        written.add((source, target, relation.type))
    return written
