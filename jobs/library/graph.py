"""The graph as people see it: entities, one entity, the picture, and how it stands."""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from ..methods.entities import entity_key
from ..model import Entity
from .analyses import last_finished
from .database import Database
from .errors import EntityNotFound
from .matching import equal_to, storable
from .paging import bounded
from .views import (
    Edge,
    EntityDetail,
    EntityPage,
    EntityRelationship,
    GraphStatus,
    Node,
    Visualization,
    VisualizationStats,
)

MOST_RELATIONSHIPS = 200  # of one entity, strongest first
MOST_DOCUMENTS = 1000  # that mention one entity, those that mention it most first
EDGES_PER_NODE = 5
LARGEST_PICTURE = 5000  # entities


class Graph:
    """The entities and relationships of a library, to read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def entities(
        self,
        *,
        limit: int = 50,
        skip: int = 0,
        entity_type: str | None = None,
        search: str | None = None,
    ) -> EntityPage:
        """List entities, most mentioned first.

        `search` finds names that contain it, in any case. An unknown type gives an empty list.
        """
        limit, skip = bounded(limit, skip)
        where, values = equal_to(type=entity_type)
        if search:
            where += (" AND" if where else " WHERE") + " instr(folded, ?)"
            values = (*values, storable(search.casefold()))

        def query(connection: sqlite3.Connection) -> EntityPage:
            rows = connection.execute(
                f"SELECT name, type, description, mention_count FROM entities{where}"
                " ORDER BY mention_count DESC, name LIMIT ? OFFSET ?",
                (*values, limit, skip),
            )
            entities = [entity_of(row) for row in rows]
            total = connection.execute(f"SELECT count(*) FROM entities{where}", values)
            return EntityPage(entities=entities, total=total.fetchone()[0])

        return await self._database.read(query)

    async def entity(self, name: str) -> EntityDetail:
        """Give an entity by any spelling of its name. Raises EntityNotFound."""

        def query(connection: sqlite3.Connection) -> EntityDetail:
            row = connection.execute(
                "SELECT id, name, type, description, mention_count,"
                " (SELECT count(*) FROM document_entities WHERE entity = id)"
                " FROM entities WHERE key = ?",
                (storable(entity_key(name)),),
            ).fetchone()
            if row is None:
                raise EntityNotFound(name)
            return EntityDetail(
                name=row[1],
                type=row[2],
                description=row[3],
                mention_count=row[4],
                document_count=row[5],
                relationships=_relationships(connection, row[0]),
                mentioned_in=_mentioned_in(connection, row[0]),
            )

        return await self._database.read(query)

    async def visualization(self, *, limit: int = 200) -> Visualization:
        """Give the `limit` most mentioned entities and the strongest relationships among them.

        Of more than LARGEST_PICTURE it gives so many.
        """
        limit = max(0, min(limit, LARGEST_PICTURE))

        def query(connection: sqlite3.Connection) -> Visualization:
            rows = connection.execute(_NODES, (limit,)).fetchall()
            shown = msgspec.json.encode([row[0] for row in rows]).decode()
            edges = connection.execute(_EDGES, (shown, EDGES_PER_NODE * limit)).fetchall()
            entities, relationships = connection.execute(_SIZES).fetchone()
            return Visualization(
                nodes=[_node(row) for row in rows],
                edges=[edge_of(row) for row in edges],
                stats=VisualizationStats(
                    node_count=len(rows),
                    edge_count=len(edges),
                    total_entities=entities,
                    total_relationships=relationships,
                ),
            )

        return await self._database.read(query)

    async def status(self) -> GraphStatus:
        """Tell what the graph holds and when it was last worked on."""

        def query(connection: sqlite3.Connection) -> GraphStatus:
            entities, relationships = connection.execute(_SIZES).fetchone()
            communities, summarized = connection.execute(
                "SELECT count(*), count(*) FILTER (WHERE summary <> '') FROM communities"
            ).fetchone()
            return GraphStatus(
                entity_count=entities,
                relationship_count=relationships,
                community_count=communities,
                summarized_community_count=summarized,
                entity_relationship_ratio=ratio(relationships, entities),
                last_relationship_analysis_at=last_finished(connection, "relationship_analysis"),
                last_community_detection_at=last_finished(connection, "community_detection"),
            )

        return await self._database.read(query)


_SIZES = "SELECT (SELECT count(*) FROM entities), (SELECT count(*) FROM relationships)"

# An entity may be in a community of the whole library and in one of a collection; the first counts.
_NODES = """
SELECT id, name, type, description, mention_count,
    (SELECT community FROM community_members JOIN communities ON communities.id = community
        WHERE entity = entities.id ORDER BY collection_id IS NOT NULL, community LIMIT 1)
FROM entities ORDER BY mention_count DESC, name LIMIT ?
"""

# Both methods may have found the same relationship: it is drawn once, as the stronger one says.
_EDGES = """
WITH shown AS MATERIALIZED (SELECT value AS id FROM json_each(?1)),
strongest AS (
    SELECT source, target, found.type, found.description, max(weight) AS weight
    FROM shown CROSS JOIN relationships AS found ON source = shown.id
    WHERE +target IN (SELECT id FROM shown)  -- looked up: not each shown one sought of each source
    GROUP BY source, target, found.type
    ORDER BY weight DESC, source, target, found.type LIMIT ?2
)
SELECT source.name, target.name, strongest.type, strongest.description, weight FROM strongest
JOIN entities AS source ON source.id = source
JOIN entities AS target ON target.id = target
ORDER BY weight DESC, source.name, target.name, strongest.type
"""


def entity_of(row: tuple[Any, ...]) -> Entity:
    """Make an Entity of (name, type, description, mention_count)."""
    return Entity(name=row[0], type=row[1], description=row[2], mention_count=row[3])


def edge_of(row: tuple[Any, ...]) -> Edge:
    """Make an Edge of (source, target, type, description, weight)."""
    return Edge(source=row[0], target=row[1], type=row[2], description=row[3], weight=row[4])


def _node(row: tuple[Any, ...]) -> Node:
    return Node(
        id=row[1],
        label=row[1],
        type=row[2],
        description=row[3],
        mention_count=row[4],
        community_id=row[5],
    )


# Each end along its own index; a relationship has two different ends, so none comes twice.
_RELATIONSHIPS = """
WITH strongest AS (
    SELECT target AS other, 'outgoing' AS direction, * FROM relationships WHERE source = ?1
    UNION ALL
    SELECT source AS other, 'incoming' AS direction, * FROM relationships WHERE target = ?1
    ORDER BY weight DESC, confidence DESC, other, type, direction DESC LIMIT ?2
)
SELECT name, found.type, found.description, weight, confidence, method, direction
FROM strongest AS found JOIN entities ON entities.id = other
ORDER BY weight DESC, confidence DESC, name, found.type, direction DESC
"""


def _relationships(connection: sqlite3.Connection, entity: int) -> list[EntityRelationship]:
    rows = connection.execute(_RELATIONSHIPS, (entity, MOST_RELATIONSHIPS))
    return [
        EntityRelationship(
            target=row[0],
            type=row[1],
            description=row[2],
            weight=row[3],
            confidence=row[4],
            extraction_method=row[5],
            direction=row[6],
        )
        for row in rows
    ]


def _mentioned_in(connection: sqlite3.Connection, entity: int) -> list[str]:
    rows = connection.execute(
        "SELECT documents.id FROM document_entities JOIN documents ON seq = document"
        " WHERE entity = ? ORDER BY mentions DESC, document LIMIT ?",
        (entity, MOST_DOCUMENTS),
    )
    return [document_id for (document_id,) in rows]


def ratio(relationships: int, entities: int) -> float:
    """Relationships per entity, to two decimals; 0.0 without entities."""
    return round(relationships / entities, 2) if entities else 0.0
