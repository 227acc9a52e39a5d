"""What community_summarization reads and stores: one community's texts, its name and summary."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable

import msgspec

from .communities import STALE_DRIFT, storable_id
from .database import Database
from .errors import CommunityNotFound
from .matching import storable

# A community's strongest members and the chunks that mention most of them say enough of it.
MOST_MEMBERS = 200
MOST_CHUNKS = 400


class CommunityState(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a community has a summary, and whether it still fits."""

    id: int
    name: str
    summary: str
    stale: bool  # it has a summary, but its members have changed much since


class SummaryMaterial(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to summarise; `drift` is to be handed back with the summary."""

    members: list[str]  # strongest first
    chunks: list[str]  # in reading order
    mentions: dict[str, list[int]]  # member -> positions in `chunks`, ascending
    chunk_count: int  # of the whole library
    drift: float


class Summaries:
    """The communities of a library as community_summarization sees them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def states(self, community_ids: list[int] | None = None) -> list[CommunityState]:
        """Give the state of every community, or of those of these that exist, by id."""
        wanted = (
            None if community_ids is None else _json([storable_id(each) for each in community_ids])
        )

        def query(connection: sqlite3.Connection) -> list[CommunityState]:
            rows = connection.execute(
                "SELECT id, name, summary, drift FROM communities WHERE ?1 IS NULL"
                " OR id IN (SELECT value FROM json_each(?1)) ORDER BY id",
                (wanted,),
            )
            return [
                CommunityState(
                    id=id_, name=name, summary=summary, stale=bool(summary) and drift > STALE_DRIFT
                )
                for id_, name, summary, drift in rows
            ]

        return await self._database.read(query)

    async def material(self, community_id: int) -> SummaryMaterial:
        """Give what the texts say of a community. Raises CommunityNotFound."""

        def query(connection: sqlite3.Connection) -> SummaryMaterial:
            row = connection.execute(
                "SELECT drift, (SELECT count(*) FROM chunks) FROM communities WHERE id = ?",
                (storable_id(community_id),),
            ).fetchone()
            if row is None:
                raise CommunityNotFound(community_id)
            members = connection.execute(_MEMBERS, (community_id, MOST_MEMBERS)).fetchall()
            chunks = connection.execute(
                _CHUNKS, (_json(entity for entity, _ in members), MOST_CHUNKS)
            ).fetchall()
            return SummaryMaterial(
                members=[name for _, name in members],
                chunks=[text for _, text in chunks],
                mentions=_mentions(connection, dict(members), [chunk for chunk, _ in chunks]),
                chunk_count=row[1],
                drift=row[0],
            )

        return await self._database.read(query)

    async def store_summary(
        self, community_id: int, name: str, summary: str, *, drift: float
    ) -> bool:
        """Keep a name and a summary; False, and nothing changed, when either of them is empty.

        `drift` is that of the material which was summarised: what came and went after it still
        counts. Raises CommunityNotFound when the community was replaced meanwhile.
        """
        name, summary = storable(name.strip()), storable(summary.strip())
        if not name or not summary:
            return False

        def change(connection: sqlite3.Connection) -> bool:
            written = connection.execute(
                "UPDATE communities SET name = ?, summary = ?, drift = max(0.0, drift - ?)"
                " WHERE id = ?",
                (name, summary, drift, storable_id(community_id)),
            )
            if written.rowcount == 0:
                raise CommunityNotFound(community_id)
            return True

        return await self._database.write(change)


_MEMBERS = """
SELECT entities.id, name FROM community_members JOIN entities ON entities.id = entity
WHERE community = ? ORDER BY rank LIMIT ?
"""

# Of the chunks that mention most members, in reading order. Their ids decide nothing: these tell
# in which order documents were processed, and two libraries of the same documents are the same.
_CHUNKS = """
SELECT id, text FROM chunks WHERE id IN (
    SELECT chunks.id FROM json_each(?) JOIN mentions ON entity = value
    JOIN chunks ON chunks.id = chunk
    GROUP BY chunks.id ORDER BY count(*) DESC, document, position LIMIT ?)
ORDER BY document, position
"""


def _mentions(
    connection: sqlite3.Connection, names: dict[int, str], chunks: list[int]
) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for position, chunk in enumerate(chunks):
        for (entity,) in connection.execute(
            "SELECT entity FROM mentions WHERE chunk = ?", (chunk,)
        ):
            if entity in names:
                found[names[entity]].append(position)
    return {name: found[name] for name in names.values() if name in found}


def _json(numbers: Iterable[int]) -> str:
    return msgspec.json.encode(list(numbers)).decode()
