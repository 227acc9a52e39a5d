"""Communities as people see them: listed, searched, read, deleted."""

from __future__ import annotations

import re
import sqlite3
from collections import defaultdict
from datetime import datetime

import msgspec

from ..model import Document, Entity
from .database import Database
from .documents import COLUMNS as DOCUMENT_COLUMNS
from .documents import document_of
from .errors import CommunityNotFound
from .graph import edge_of, entity_of
from .matching import equal_to, storable
from .paging import bounded
from .views import (
    CommunityDetail,
    CommunityHit,
    CommunityOverview,
    CommunityPage,
    CommunitySearch,
    DocumentPage,
    EntityPage,
)

STALE_DRIFT = 0.3  # beyond it a summary speaks of a community that is no longer there
TOP_ENTITIES = 5
SAMPLE_ENTITIES = 10
MOST_MEMBERS = 200  # of one community, strongest first; `members` gives the rest
MOST_RELATIONSHIPS = 20
MOST_DOCUMENTS = 50  # `documents` gives the rest
MOST_TERMS = 8  # of a search; the rest is not looked at

# What finding a search term there is worth.
IN_NAME, IN_SUMMARY, IN_MEMBERS = 1.0, 0.6, 0.5


class Communities:
    """The communities of a library."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, *, limit: int = 100, offset: int = 0, collection_id: str | None = None
    ) -> CommunityPage:
        """List communities, largest first: those of all scopes, or those of one collection."""
        limit, offset = bounded(limit, offset)
        where, values = equal_to(collection_id=collection_id)

        def query(connection: sqlite3.Connection) -> CommunityPage:
            rows = connection.execute(
                f"SELECT id FROM communities{where} ORDER BY"
                " (SELECT count(*) FROM community_members WHERE community = id) DESC, id"
                " LIMIT ? OFFSET ?",
                (*values, limit, offset),
            )
            communities = [_overview(connection, community) for (community,) in rows.fetchall()]
            total = connection.execute(f"SELECT count(*) FROM communities{where}", values)
            return CommunityPage(communities=communities, total=total.fetchone()[0])

        return await self._database.read(query)

    async def search(self, text: str, *, limit: int = 20) -> CommunitySearch:
        """Find communities whose name, summary or members contain words of the text, best first."""
        limit, _ = bounded(limit)
        terms = list(dict.fromkeys(text.casefold().split()))[:MOST_TERMS]

        def query(connection: sqlite3.Connection) -> CommunitySearch:
            scores = _scores(connection, terms)
            best = sorted(scores, key=lambda community: (-scores[community], community))[:limit]
            return CommunitySearch(
                query=text,
                results=[_hit(connection, found, scores[found]) for found in best],
                total=len(scores),
            )

        return await self._database.read(query)

    async def get(self, community_id: int) -> CommunityDetail:
        """Give a community with its strongest members. Raises CommunityNotFound."""
        return await self._database.read(lambda connection: _detail(connection, community_id))

    async def members(
        self, community_id: int, *, limit: int = MOST_MEMBERS, offset: int = 0
    ) -> EntityPage:
        """List a community's members, strongest first. Raises CommunityNotFound."""
        limit, offset = bounded(limit, offset)

        def query(connection: sqlite3.Connection) -> EntityPage:
            overview = _overview(connection, community_id)
            members = _members(connection, community_id, limit, offset)
            return EntityPage(entities=members, total=overview.entity_count)

        return await self._database.read(query)

    async def documents(
        self, community_id: int, *, limit: int = MOST_DOCUMENTS, offset: int = 0
    ) -> DocumentPage:
        """List the documents that speak of its members, most first. Raises CommunityNotFound."""
        limit, offset = bounded(limit, offset)

        def query(connection: sqlite3.Connection) -> DocumentPage:
            total = _overview(connection, community_id).document_count
            documents = _documents(connection, community_id, limit, offset)
            return DocumentPage(documents=documents, total=total, limit=limit, offset=offset)

        return await self._database.read(query)

    async def delete(self, community_id: int) -> None:
        """Delete one community; its members stay in the graph. Raises CommunityNotFound."""

        def change(connection: sqlite3.Connection) -> None:
            deleted = connection.execute(
                "DELETE FROM communities WHERE id = ?", (storable_id(community_id),)
            )
            if deleted.rowcount == 0:
                raise CommunityNotFound(community_id)

        await self._database.write(change)

    async def delete_all(self, *, collection_id: str | None = None) -> int:
        """Delete the communities of all scopes, or of one collection; gives how many."""
        where, values = equal_to(collection_id=collection_id)

        def change(connection: sqlite3.Connection) -> int:
            return connection.execute(f"DELETE FROM communities{where}", values).rowcount

        return await self._database.write(change)


_OVERVIEW = """
SELECT id, name, summary, drift, created_at, collection_id,
    (SELECT count(*) FROM community_members WHERE community = communities.id),
    (SELECT count(DISTINCT said.document) FROM community_members AS member
        JOIN document_entities AS said ON said.entity = member.entity
        WHERE member.community = communities.id)
FROM communities WHERE id = ?
"""

_DOCUMENTS = f"""
SELECT {DOCUMENT_COLUMNS} FROM documents JOIN (
    SELECT said.document, sum(said.mentions) AS mentions FROM community_members AS member
    JOIN document_entities AS said ON said.entity = member.entity
    WHERE member.community = ? GROUP BY said.document
) AS spoken ON spoken.document = seq
ORDER BY mentions DESC, seq LIMIT ? OFFSET ?
"""

_KEY_RELATIONSHIPS = """
SELECT source.name, target.name, found.type, found.description, max(found.weight) AS weight
FROM community_members AS member
JOIN relationships AS found ON found.source = member.entity
JOIN entities AS source ON source.id = found.source
JOIN entities AS target ON target.id = found.target
WHERE member.community = ?1
    AND found.target IN (SELECT entity FROM community_members WHERE community = ?1)
GROUP BY found.source, found.target, found.type
ORDER BY weight DESC, source.name, target.name, found.type LIMIT ?2
"""


def _overview(connection: sqlite3.Connection, community_id: int) -> CommunityOverview:
    row = connection.execute(_OVERVIEW, (storable_id(community_id),)).fetchone()
    if row is None:
        raise CommunityNotFound(community_id)
    names = connection.execute(
        "SELECT name FROM community_members JOIN entities ON entities.id = entity"
        " WHERE community = ? ORDER BY rank LIMIT ?",
        (community_id, SAMPLE_ENTITIES),
    )
    strongest = [name for (name,) in names]
    return CommunityOverview(
        id=row[0],
        name=row[1],
        description=_first_sentence(row[2]),
        summary=row[2],
        has_summary=bool(row[2]),
        stale=bool(row[2]) and row[3] > STALE_DRIFT,
        created_at=datetime.fromisoformat(row[4]),
        collection_id=row[5],
        entity_count=row[6],
        document_count=row[7],
        top_entities=strongest[:TOP_ENTITIES],
        sample_entities=strongest,
    )


def _detail(connection: sqlite3.Connection, community_id: int) -> CommunityDetail:
    overview = _overview(connection, community_id)
    relationships = connection.execute(_KEY_RELATIONSHIPS, (community_id, MOST_RELATIONSHIPS))
    return CommunityDetail(
        **msgspec.structs.asdict(overview),
        entities=_members(connection, community_id, MOST_MEMBERS),
        key_relationships=[edge_of(row) for row in relationships],
        documents=_documents(connection, community_id, MOST_DOCUMENTS),
    )


def _members(
    connection: sqlite3.Connection, community_id: int, limit: int, offset: int = 0
) -> list[Entity]:
    rows = connection.execute(
        "SELECT name, type, description, mention_count FROM community_members"
        " JOIN entities ON entities.id = entity WHERE community = ? ORDER BY rank LIMIT ? OFFSET ?",
        (community_id, limit, offset),
    )
    return [entity_of(row) for row in rows]


def _documents(
    connection: sqlite3.Connection, community_id: int, limit: int, offset: int = 0
) -> list[Document]:
    rows = connection.execute(_DOCUMENTS, (community_id, limit, offset))
    return [document_of(row) for row in rows]


def _scores(connection: sqlite3.Connection, terms: list[str]) -> dict[int, float]:
    """Give 0-1 for each community that any term is found in: the mean over the terms."""
    scores: dict[int, float] = defaultdict(float)
    for term in terms:
        best: dict[int, float] = {}
        for worth, query in _PLACES:  # in falling order, so the first find is the best
            for (community,) in connection.execute(query, (storable(term),)):
                best.setdefault(community, worth)
        for community, worth in best.items():
            scores[community] += worth / len(terms)
    return scores


_PLACES = (
    (IN_NAME, "SELECT id FROM communities WHERE instr(fold(name), ?)"),
    (IN_SUMMARY, "SELECT id FROM communities WHERE instr(fold(summary), ?)"),
    (
        IN_MEMBERS,
        "SELECT DISTINCT community FROM entities"
        " JOIN community_members ON entity = entities.id WHERE instr(folded, ?)",
    ),
)


def _hit(connection: sqlite3.Connection, community_id: int, score: float) -> CommunityHit:
    name, summary, size = connection.execute(
        "SELECT name, summary, (SELECT count(*) FROM community_members WHERE community = id)"
        " FROM communities WHERE id = ?",
        (community_id,),
    ).fetchone()
    return CommunityHit(
        id=community_id, name=name, summary=summary, entity_count=size, score=round(score, 3)
    )


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=[.!?])\s", text, maxsplit=1)[0]


def storable_id(community_id: int) -> int:
    """Give the number, or 0, which is no community's, for one that SQLite cannot hold."""
    return community_id if 0 < community_id < 2**63 else 0
