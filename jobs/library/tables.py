"""Whether an SQLite file has the tables that it was made with. One may have been lost since."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from ...engine.errors import StorageCorrupt

Make = Callable[[sqlite3.Connection], None]

_COLUMNS = (
    "SELECT t.name, c.name FROM sqlite_schema AS t JOIN pragma_table_info(t.name) AS c"
    " WHERE t.type = 'table'"
)


def lacking(connection: sqlite3.Connection, make: Make) -> list[str]:
    """Say which of the tables and columns that `make` makes are missing; reads no row."""
    with closing(sqlite3.connect(":memory:")) as model:
        make(model)
        wanted = dict.fromkeys(model.execute(_COLUMNS))
    found = set(connection.execute(_COLUMNS))
    tables = {table for table, _ in found}
    absent = dict.fromkeys(table for table, _ in wanted if table not in tables)
    return [
        *(f"the table {table} is missing" for table in absent),
        *(
            f"the column {column} of the table {table} is missing"
            for table, column in wanted
            if table in tables and (table, column) not in found
        ),
    ]


def refuse_lacking(connection: sqlite3.Connection, make: Make, name: Path | str) -> None:
    """Raise StorageCorrupt, which calls the file so, if any is missing."""
    missing = lacking(connection, make)
    if missing:
        raise StorageCorrupt(
            f"{name} is damaged: {'; '.join(missing)}. Nothing was "
            "changed. Restore it from a copy, or move it away to begin a new one."
        )
