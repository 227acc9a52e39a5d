"""From the names that an analysis speaks of to the rows of the entities."""

from __future__ import annotations

import sqlite3

from ..methods.entities import entity_key


class EntityIds:
    """The numbers of entities by name, each looked up once, within one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._known: dict[str, int | None] = {}

    def of(self, name: str) -> int | None:
        """Give the number; None for an entity that is not there (any more)."""
        if name not in self._known:
            row = self._connection.execute(
                "SELECT id FROM entities WHERE key = ?", (entity_key(name),)
            ).fetchone()
            self._known[name] = row[0] if row else None
        return self._known[name]
