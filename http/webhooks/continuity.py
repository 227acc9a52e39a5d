"""Notices that the master secret is another one than that with which the webhooks were added.

Then each of them has another secret, and its receiver takes all that it is told for forged. A file
that was overwritten is refused; one that was removed, or a secret that is given, is meant so.
"""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

from ...engine.errors import StorageError
from .outbox import Outbox, read_mark
from .signing import MASTER_FILE, VARIABLE, Secrets, problem_of_master

log = logging.getLogger("cortex_tasks.webhooks")

_ANOTHER = "is not the secret that the webhooks were added with. Restore that one from a copy"
_OR_ELSE = "the next start makes another, and with it other secrets for all of them"


async def keep_on(outbox: Outbox, secrets: Secrets) -> None:
    """Have the outbox remember this master secret, by a mark that does not tell it.

    Raises StorageError where there are webhooks of another one, and nobody meant to change it.
    """
    before = await outbox.mark()
    if before == secrets.mark:
        return
    hooks = len(await outbox.hooks())
    if hooks and before is not None and not secrets.is_mark_of_same(before):
        if secrets.path is not None and not secrets.made:
            raise StorageError(
                f"{secrets.path} {_ANOTHER} (or give it in {VARIABLE}, if it was there), or remove "
                f"the file: {_OR_ELSE}."
            )
        log.warning(
            "the master secret of the webhooks is another one: all %d of them have other secrets "
            "from now on. Who is to be told by them again adds them anew.",
            hooks,
        )
    await outbox.put_mark(secrets.mark)


def problems_of_continuity(connection: sqlite3.Connection, data: Path) -> list[str]:
    """Say whether the file of the master secret is another one, or missing. What is wrong with the
    file itself is said elsewhere, and a secret that is given is not looked at: who looks need not
    have it.
    """
    [hooks] = connection.execute("SELECT count(*) FROM hooks").fetchone()
    before = read_mark(connection)
    path = data / MASTER_FILE
    if not hooks or before is None or Secrets.is_mark_of_given(before):
        return []
    try:
        master = path.read_bytes()
    except FileNotFoundError:
        return [f"{path} is missing. Restore it from a copy; else {_OR_ELSE}."]
    except OSError:
        return []
    same = Secrets(master, path=path).is_mark_of_same(before)
    if same or problem_of_master(path, master) is not None:
        return []
    return [f"{path} {_ANOTHER}, or remove the file: {_OR_ELSE}."]
