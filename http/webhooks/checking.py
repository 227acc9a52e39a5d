"""Looks at the files of the webhooks and says what is wrong with them. Changes nothing."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

from ...jobs.library.checking import problems_in, problems_of_pages
from ...jobs.library.tables import lacking
from .continuity import problems_of_continuity
from .outbox import OUTBOX, OUTBOX_FILE, make
from .signing import MASTER_FILE, problem_of_master


def problems_of_outbox(data: Path) -> list[str]:
    """Give what is wrong with the outbox of a data folder, in words; none is there: nothing.

    May be called beside a server. Reads the whole file; raises OSError where it cannot.
    """

    def problems(connection: sqlite3.Connection) -> list[str]:
        damage = lacking(connection, make) or problems_of_pages(connection)
        return damage or problems_of_continuity(connection, data)

    return problems_in(data / OUTBOX_FILE, OUTBOX, problems)


def problems_of_secret(data: Path) -> list[str]:
    """Give what is wrong with the master secret of a data folder, likewise."""
    path = data / MASTER_FILE
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return [f"{path} is no ordinary file"]
        problem = problem_of_master(path, path.read_bytes())
    except FileNotFoundError:
        return []
    return [] if problem is None else [problem]
