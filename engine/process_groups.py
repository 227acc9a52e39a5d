"""Whether anything of a process group still runs, on systems that have /proc."""

from __future__ import annotations

import os
from pathlib import Path

import anyio

_LOOK_AGAIN = 0.001  # seconds: a killed process is gone at once, unless the machine is busy


async def wait_group_ended(group: int) -> None:
    """Wait until no process of the group runs; the signal that kills it has been sent already.

    SIGKILL is delivered when the kernel gets to it: the processes of a group die one by one.
    Zombies count as ended. Where there is no /proc it only waits for the group's last number.
    """
    while _runs(group):  # noqa: ASYNC110  nobody tells of the end of a grandchild
        await anyio.sleep(_LOOK_AGAIN)


def _runs(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS, for a group of zombies
        return False
    processes = Path("/proc")
    if not (processes / "self" / "stat").exists():
        return True
    return any(
        _runs_in(group, entry / "stat") for entry in processes.iterdir() if entry.name.isdigit()
    )


def _runs_in(group: int, stat: Path) -> bool:
    try:
        text = stat.read_text(encoding="ascii", errors="replace")
    except OSError:  # it has ended meanwhile
        return False
    state, _parent, its_group = text.rpartition(")")[2].split()[:3]  # its name may hold anything
    return int(its_group) == group and state not in "ZX"
