"""What community_detection stores: the communities of a scope, replaced all at once."""

from __future__ import annotations

import sqlite3
from datetime import datetime

import msgspec

from ...engine.surroundings import Clock
from ..model import Community, CommunityDraft, Entity
from .analyses import note_finished
from .database import Database
from .entity_ids import EntityIds
from .graph import entity_of
from .matching import storable


class StoredCommunity(msgspec.Struct, frozen=True, kw_only=True):
    """A community right after it was stored, with all its members, strongest first."""

    id: int
    name: str
    summary: str
    entities: list[Entity]


class Detection:
    """The communities of a library as community_detection sees them."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def earlier(self, collection_id: str | None) -> list[Community]:
        """Give the communities of this very scope with all their members, by id."""
        return await self._database.read(
            lambda connection: list(_earlier(connection, _stored(collection_id)).values())
        )

    async def replace_communities(
        self, drafts: list[CommunityDraft], collection_id: str | None, *, revision: int
    ) -> list[StoredCommunity]:
        """Put these in place of the communities of this scope, in one transaction.

        A draft whose id is that of one of them keeps it, with its name and summary; its drift
        grows by the share of members that came or went (see CommunityOverview.stale). Any other
        gets an id that was never used. Members that are gone by now are left out, and communities
        without any. Gives what is stored, in the order of the drafts, and notes the end of the
        analysis, which has seen `revision`.
        """
        scope, now = _stored(collection_id), self._clock.now()

        def change(connection: sqlite3.Connection) -> list[StoredCommunity]:
            earlier = _earlier(connection, scope)
            drifts: dict[int, float] = dict(connection.execute("SELECT id, drift FROM communities"))
            connection.execute("DELETE FROM communities WHERE collection_id IS ?", (scope,))
            ids = EntityIds(connection)
            stored: list[int] = []
            for draft in drafts:
                found = [ids.of(name) for name in draft.members]
                members = list(dict.fromkeys(entity for entity in found if entity is not None))
                if not members:
                    continue
                kept = earlier.pop(draft.id, None)  # popped: an id goes to one draft only
                if kept is None:
                    community = _insert_new(connection, scope, now)
                else:
                    drift = drifts[kept.id] + _moved(kept.members, draft.members)
                    community = _insert_kept(connection, scope, kept, drift)
                _insert_members(connection, community, members)
                stored.append(community)
            note_finished(connection, "community_detection", scope, revision, now)
            return [_read(connection, community) for community in stored]

        return await self._database.write(change)


def _stored(collection_id: str | None) -> str | None:
    return None if collection_id is None else storable(collection_id)


def _earlier(connection: sqlite3.Connection, scope: str | None) -> dict[int, Community]:
    rows = connection.execute(
        "SELECT id, name, summary, created_at FROM communities WHERE collection_id IS ?"
        " ORDER BY id",
        (scope,),
    ).fetchall()
    return {
        row[0]: Community(
            id=row[0],
            name=row[1],
            summary=row[2],
            members=[entity.name for entity in members_of(connection, row[0])],
            created_at=datetime.fromisoformat(row[3]),
        )
        for row in rows
    }


def members_of(connection: sqlite3.Connection, community: int) -> list[Entity]:
    """Give all members, strongest first."""
    rows = connection.execute(
        "SELECT name, type, description, mention_count FROM community_members"
        " JOIN entities ON entities.id = entity WHERE community = ? ORDER BY rank",
        (community,),
    )
    return [entity_of(row) for row in rows]


def _moved(before: list[str], after: list[str]) -> float:
    """The share of all members, of then and of now, that are not in both: 0-1."""
    return 1.0 - len(set(before) & set(after)) / len(set(before) | set(after))


def _insert_new(connection: sqlite3.Connection, scope: str | None, now: datetime) -> int:
    row = connection.execute(
        "INSERT INTO communities (collection_id, created_at) VALUES (?, ?) RETURNING id",
        (scope, now.isoformat()),
    ).fetchone()
    community: int = row[0]
    return community


def _insert_kept(
    connection: sqlite3.Connection, scope: str | None, kept: Community, drift: float
) -> int:
    connection.execute(
        "INSERT INTO communities (id, collection_id, name, summary, drift, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (kept.id, scope, kept.name, kept.summary, drift, kept.created_at.isoformat()),
    )
    return kept.id


def _insert_members(connection: sqlite3.Connection, community: int, members: list[int]) -> None:
    connection.executemany(
        "INSERT INTO community_members (community, rank, entity) VALUES (?, ?, ?)",
        ((community, rank, entity) for rank, entity in enumerate(members)),
    )


def _read(connection: sqlite3.Connection, community: int) -> StoredCommunity:
    name, summary = connection.execute(
        "SELECT name, summary FROM communities WHERE id = ?", (community,)
    ).fetchone()
    return StoredCommunity(
        id=community, name=name, summary=summary, entities=members_of(connection, community)
    )
