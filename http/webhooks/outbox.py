"""What is to be told, in one SQLite file: hooks, deliveries, and up to which change they stand.

`position` is the number of a change: of every task that ended up to there, what the hooks are to
be told is in here. It moves in the transaction that puts the deliveries in; what was kept after it
is found in the task records at the next start. So every end of a task that is kept is told, as
surely as if it stood in the same commit, and the engine's commits know nothing of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from ...engine.surroundings import Offload
from ...jobs.library.database import Database
from ...jobs.library.tables import refuse_lacking
from .model import Backlog, Delivery, DeliveryState, Hook, HookEvent, Standing

OUTBOX_FILE = "webhooks.db"
OUTBOX = "an outbox of webhooks"  # what errors call it
DELIVERED_KEPT = 1_000  # of each hook, to look back at
DEAD_KEPT = 10_000  # of each hook

_SCHEMA = """
CREATE TABLE IF NOT EXISTS hooks (
    id TEXT PRIMARY KEY, url TEXT NOT NULL, events TEXT NOT NULL, created_at TEXT NOT NULL,
    since_seq INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS deliveries (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL, hook_id TEXT NOT NULL REFERENCES hooks ON DELETE CASCADE,
    event TEXT NOT NULL, task_id TEXT NOT NULL, created_at TEXT NOT NULL, body BLOB NOT NULL,
    state TEXT NOT NULL, attempts INTEGER NOT NULL, due_at TEXT, last_attempt_at TEXT,
    last_status INTEGER, last_error TEXT,
    UNIQUE (hook_id, id)
) STRICT;
CREATE INDEX IF NOT EXISTS deliveries_by_state ON deliveries (hook_id, state, due_at);
CREATE TABLE IF NOT EXISTS position (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1), seq INTEGER NOT NULL
) STRICT;
INSERT OR IGNORE INTO position VALUES (1, 0);
"""
# Of which master secret the hooks are; see continuity.py. Not among the tables that must be there:
# older outboxes have none.
_MARK_SCHEMA = """
CREATE TABLE IF NOT EXISTS master (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1), mark TEXT NOT NULL
) STRICT
"""
_COLUMNS = ", ".join(Delivery.__struct_fields__)
_MARKS = ", ".join(f":{name}" for name in Delivery.__struct_fields__)


class Outbox:
    """The file; `path` None keeps it all in memory, for a server whose tasks are there too.

    Every method is one transaction: done when it returns, undone if it raises or is cancelled.
    Raises StorageError.
    """

    def __init__(self, path: Path | None, *, offload: Offload | None = None) -> None:
        self._path = path
        self._database = Database(path, offload, kind=OUTBOX)

    async def open(self) -> None:
        """Open the file, or make it. Raises StorageCorrupt where a table of it is missing."""

        def prepare(db: sqlite3.Connection) -> None:
            [tables] = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            if tables:
                refuse_lacking(db, make, self._path or f"{OUTBOX} in memory")
            make(db)
            db.execute(_MARK_SCHEMA)

        await self._database.open(prepare)

    async def aclose(self) -> None:
        """Close it; closing twice is fine."""
        await self._database.aclose()

    # -- hooks -----------------------------------------------------------------------------------

    async def add_hook(self, hook: Hook) -> None:
        """Keep a hook."""
        row = (hook.id, hook.url, ",".join(hook.events), _text(hook.created_at), hook.since_seq)
        await self._database.write(
            lambda db: db.execute("INSERT INTO hooks VALUES (?, ?, ?, ?, ?)", row).rowcount
        )

    async def remove_hook(self, hook_id: str) -> bool:
        """Forget a hook with all that it was to be told; gives whether it was there."""
        return await self._database.write(
            lambda db: db.execute("DELETE FROM hooks WHERE id = ?", (hook_id,)).rowcount > 0
        )

    async def hooks(self) -> list[Hook]:
        """Give all hooks, the oldest first."""
        rows = await self._database.read(
            lambda db: db.execute(
                "SELECT id, url, events, created_at, since_seq FROM hooks ORDER BY rowid"
            ).fetchall()
        )
        return [
            Hook(
                id=row[0],
                url=row[1],
                events=tuple(HookEvent(each) for each in row[2].split(",")),
                created_at=datetime.fromisoformat(row[3]),
                since_seq=row[4],
            )
            for row in rows
        ]

    async def mark(self) -> str | None:
        """Give the mark of the master secret that the hooks are of, if it is known."""
        return await self._database.read(read_mark)

    async def put_mark(self, mark: str) -> None:
        """Keep it."""
        await self._database.write(
            lambda db: db.execute("INSERT OR REPLACE INTO master VALUES (1, ?)", (mark,)).rowcount
        )

    # -- deliveries ------------------------------------------------------------------------------

    async def position(self) -> int:
        """Give the number of the change up to which all is in here."""

        def read(db: sqlite3.Connection) -> int:
            seq: int = db.execute("SELECT seq FROM position").fetchone()[0]
            return seq

        return await self._database.read(read)

    async def begin_anew_after(self, seq: int) -> bool:
        """Where the outbox is ahead of this change, the newest of all tasks, let no hook be, and
        have all ends looked for again; gives whether that was so.
        """

        def write(db: sqlite3.Connection) -> bool:
            hooks = db.execute(
                "UPDATE hooks SET since_seq = ? WHERE since_seq > ?", (seq, seq)
            ).rowcount
            ahead = db.execute("UPDATE position SET seq = 0 WHERE seq > ?", (seq,)).rowcount
            return hooks + ahead > 0

        return await self._database.write(write)

    async def put(self, deliveries: Iterable[Delivery], *, position: int) -> None:
        """Put these in, unless they are or their hook is gone, and move the position there."""
        rows = [_row(each) for each in deliveries]

        def write(db: sqlite3.Connection) -> None:
            db.executemany(
                f"INSERT OR IGNORE INTO deliveries ({_COLUMNS}) SELECT {_MARKS} "  # noqa: S608  our own names of columns
                "WHERE EXISTS (SELECT 1 FROM hooks WHERE id = :hook_id)",
                rows,
            )
            db.execute("UPDATE position SET seq = ?", (position,))

        await self._database.write(write)

    async def update(self, delivery: Delivery) -> None:
        """Keep how the delivery stands now, and no more of the old ones than are kept."""
        row = _row(delivery)
        kept = {DeliveryState.DELIVERED: DELIVERED_KEPT, DeliveryState.DEAD: DEAD_KEPT}

        def write(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE deliveries SET state = :state, attempts = :attempts, due_at = :due_at, "
                "last_attempt_at = :last_attempt_at, last_status = :last_status, "
                "last_error = :last_error WHERE hook_id = :hook_id AND id = :id",
                row,
            )
            if delivery.state in kept:
                db.execute(
                    "DELETE FROM deliveries WHERE number IN (SELECT number FROM deliveries WHERE "
                    "hook_id = ? AND state = ? ORDER BY number DESC LIMIT -1 OFFSET ?)",
                    (delivery.hook_id, delivery.state, kept[delivery.state]),
                )

        await self._database.write(write)

    async def find(self, hook_id: str, delivery_id: str) -> Delivery | None:
        """Give one delivery."""
        found = await self._select("hook_id = ? AND id = ?", (hook_id, delivery_id), "number", 1)
        return found[0] if found else None

    async def next_due(self, hook_id: str, limit: int) -> list[Delivery]:
        """Give those of a hook that wait, the first due first."""
        waiting = (hook_id, DeliveryState.WAITING)
        return await self._select("hook_id = ? AND state = ?", waiting, "due_at, number", limit)

    async def newest(
        self, hook_id: str, *, state: DeliveryState | None, limit: int
    ) -> list[Delivery]:
        """Give those of a hook, the newest first."""
        if state is None:
            return await self._select("hook_id = ?", (hook_id,), "number DESC", limit)
        return await self._select(
            "hook_id = ? AND state = ?", (hook_id, state), "number DESC", limit
        )

    async def standings(self) -> dict[str, Standing]:
        """Give how each hook stands that has deliveries."""
        rows = await self._database.read(
            lambda db: db.execute(
                # Columns beside max() are those of the row that has it: SQLite says so.
                "SELECT hook_id, sum(state = 'waiting'), sum(state = 'delivered'), "
                "sum(state = 'dead'), max(last_attempt_at), last_status, last_error "
                "FROM deliveries GROUP BY hook_id"
            ).fetchall()
        )
        fields = Standing.__struct_fields__
        return {
            hook_id: msgspec.convert(dict(zip(fields, row, strict=True)), Standing)
            for hook_id, *row in rows
        }

    async def backlogs(self) -> dict[str, Backlog]:
        """Give what is owed to each hook that has deliveries; counted in an index."""
        rows = await self._database.read(
            lambda db: db.execute(
                "SELECT hook.hook_id, hook.waiting, hook.dead, oldest.created_at FROM ("
                "SELECT hook_id, sum(state = 'waiting') AS waiting, sum(state = 'dead') AS dead, "
                "min(CASE state WHEN 'waiting' THEN number END) AS number "
                "FROM deliveries GROUP BY hook_id"
                ") AS hook LEFT JOIN deliveries AS oldest ON oldest.number = hook.number"
            ).fetchall()
        )
        return {
            hook_id: Backlog(waiting, dead, since and datetime.fromisoformat(since))
            for hook_id, waiting, dead, since in rows
        }

    async def _select(
        self, where: str, values: Sequence[str], order: str, limit: int
    ) -> list[Delivery]:
        query = f"SELECT {_COLUMNS} FROM deliveries WHERE {where} ORDER BY {order} LIMIT ?"  # noqa: S608  our own words
        rows = await self._database.read(lambda db: db.execute(query, (*values, limit)).fetchall())
        names = Delivery.__struct_fields__
        return [msgspec.convert(dict(zip(names, row, strict=True)), Delivery) for row in rows]


def make(db: sqlite3.Connection) -> None:
    """Make what is not there of the tables."""
    for statement in filter(str.strip, _SCHEMA.split(";\n")):
        db.execute(statement)


def read_mark(db: sqlite3.Connection) -> str | None:
    """Give the mark that is kept, if any; for an outbox of before there were marks, too."""
    if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'master'").fetchone():
        return None
    row = db.execute("SELECT mark FROM master").fetchone()
    return None if row is None else str(row[0])


def _row(delivery: Delivery) -> dict[str, Any]:
    row = msgspec.structs.asdict(delivery)
    return {
        name: _text(value) if isinstance(value, datetime) else value for name, value in row.items()
    }


def _text(moment: datetime) -> str:
    """As text that sorts by time."""
    return moment.isoformat(timespec="microseconds")
