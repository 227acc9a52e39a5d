"""Makes a damaged folder one that opens again, with all that can be read; the rest is set aside.

    all copied ► next journal file, empty ► snapshot written, synced, named ► the old files removed

Up to the instant that the snapshot has its name the folder is what it was, and from then on it is
whole: a crash in between does no harm.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ..engine.errors import StorageCorrupt
from .copies import copy_files, no_room
from .disk import NO_ROOM, DiskFiles, NewFile
from .index import Held
from .journal import mend
from .journal_format import SNAPSHOT, Start, file_name, parse_name
from .judgement import judge
from .loss import Loss
from .recovery import recover
from .salvage import Salvage, salvage, salvage_of
from .segment import start_segment
from .snapshot import SnapshotWriter, groups
from .values import FOLDERS


class Rescue(msgspec.Struct):
    """What was lost, and where all of it is as it was found."""

    loss: Loss
    copy: Path
    set_aside: list[Path]  # in the copy: the damaged bytes of each file, verbatim


def estimate(folder: Path) -> Loss:
    """Say what would be lost. Changes nothing."""
    return judge(_salvage(folder), datetime.now(UTC))[2]


def rescue(folder: Path, files: DiskFiles) -> Rescue | None:
    """Do it, under the lock of the caller; None if nothing is lost. Doing it twice is fine."""
    now = datetime.now(UTC)
    found = _salvage(folder)
    tasks, seq, loss = judge(found, now)
    if not loss.any:
        return None
    changed = _changed(folder, tasks)
    pieces: dict[str, bytes] = {}
    for piece in loss.damaged:
        name = f"{piece.path.name}.damaged"
        pieces[name] = pieces.get(name, b"") + piece.data
    copy = copy_files(folder, changed, files, pieces)
    try:
        _write(folder, files, found, tasks, seq)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise no_room(folder, changed) from error
        raise
    mend(folder, files, recover(folder)).close()
    return Rescue(loss, copy, [copy / name for name in pieces])


def _salvage(folder: Path) -> Salvage:
    try:
        return salvage_of(recover(folder))
    except StorageCorrupt:
        return salvage(folder)


def _changed(folder: Path, tasks: list[Held]) -> list[Path]:
    """The files that go, or may."""
    lines = [path for path in folder.iterdir() if parse_name(path.name) or parse_name(path.stem)]
    referred = {folder / name for held in tasks for name in held.value_files()}
    values = [
        path
        for name in FOLDERS
        if (folder / name).is_dir()
        for path in (folder / name).iterdir()
        if path not in referred
    ]
    return sorted([*lines, *values])


def _write(folder: Path, files: DiskFiles, found: Salvage, tasks: list[Held], seq: int) -> None:
    number = max(found.number, 1)
    if (folder / file_name(SNAPSHOT, number)).exists():  # the journal file after it is missing
        number += 1
    start_segment(files, folder, number + 1).close()
    with NewFile(files, folder / file_name(SNAPSHOT, number)) as new:
        paused = tuple(sorted(found.index.paused))
        snapshot = SnapshotWriter(new, number, Start(found.line, seq, len(tasks), paused))
        for group in groups(tasks):
            snapshot.append(group)
        new.keep()
    files.sync_folder(folder)
