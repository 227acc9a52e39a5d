"""When each kind of analysis last finished, over which scope, and what it had seen."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Literal

Kind = Literal["relationship_analysis", "community_detection"]


def note_finished(
    connection: sqlite3.Connection,
    kind: Kind,
    scope: str | None,
    revision: int,
    finished_at: datetime,
) -> None:
    """Note the end of an analysis, in the transaction that stores what it found."""
    connection.execute(
        "INSERT INTO analyses VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
        " revision = excluded.revision, finished_at = excluded.finished_at",
        (kind, scope or "", revision, finished_at.isoformat()),
    )


def last_finished(connection: sqlite3.Connection, kind: Kind) -> datetime | None:
    """When an analysis of this kind last finished, over any scope."""
    row = connection.execute(
        "SELECT max(finished_at) FROM analyses WHERE kind = ?", (kind,)
    ).fetchone()
    return datetime.fromisoformat(row[0]) if row[0] else None
