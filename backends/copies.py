"""Copies of files that are about to be changed, beside the folder that they are in."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ..engine.errors import StorageFull
from .disk import NO_ROOM, DiskFiles, write_all
from .reserve import RESERVE_FILE
from .unreadable import naming

_PIECE: Final = 1 << 20


def copy_files(
    folder: Path,
    paths: Iterable[Path],
    files: DiskFiles,
    extra: Mapping[str, bytes] | None = None,
) -> Path:
    """Copy these files of the folder, as far as they are there, into a new one, and put `extra`
    beside them; give the place of it. The copy is on disk before this returns.

    Raises StorageFull, with advice, where there is no room for it; then nothing of it stays.
    """
    paths = [path for path in paths if path.exists()]
    now = datetime.now(UTC)
    copy = folder.with_name(f"{folder.name}.before-repair-{now:%Y%m%dT%H%M%S%f}")
    made = [copy]
    try:
        files.make_folder(copy)
        for path in paths:
            place = copy / path.relative_to(folder)
            if place.parent not in made:
                files.make_folder(place.parent)
                made.append(place.parent)
            _write(files, place, _read(path))
        for name, data in (extra or {}).items():
            _write(files, copy / name, [data])
        for inner in reversed(made):
            files.sync_folder(inner)
        files.sync_folder(copy.parent)
    except OSError as error:
        shutil.rmtree(copy, ignore_errors=True)
        if error.errno in NO_ROOM:
            raise no_room(folder, paths) from error
        raise
    return copy


def no_room(folder: Path, paths: Iterable[Path]) -> StorageFull:
    """Say what to do where a repair finds no room for the copy, or for what it writes."""
    needed = 2 * sum(path.stat().st_size for path in paths if path.exists())
    reserve = folder / RESERVE_FILE
    advice = ""
    if reserve.exists():
        advice = (
            f" You may remove {reserve} ({reserve.stat().st_size:,} bytes): it says nothing, and "
            "a server makes it again once there is room."
        )
    return StorageFull(
        f"There is no room left at {folder}, so nothing was mended and nothing was lost. Free "
        f"about {max(needed, _PIECE):,} bytes, then repair it again.{advice}"
    )


def _read(path: Path) -> Iterable[bytes]:
    with naming(path), path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def _write(files: DiskFiles, path: Path, pieces: Iterable[bytes]) -> None:
    descriptor = files.create(path)
    try:
        for piece in pieces:
            write_all(files, descriptor, piece)
        files.sync(descriptor)
    finally:
        files.close(descriptor)
