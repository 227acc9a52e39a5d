"""Looks at a folder of tasks and says what is in it, whatever is in it; mends what a crash left.

Looking changes nothing and takes no lock for longer than an instant, so that it may be done beside
a running server.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from ..engine.errors import StorageCorrupt, StorageError
from .copies import copy_files
from .disk import DiskFiles
from .journal import mend
from .journal_format import parse_name
from .lock import FolderLock
from .loss import Loss, TaskLoss
from .owner import files_of
from .recovery import recover
from .rescue import Rescue, estimate, rescue
from .reserve import RESERVE_FILE
from .unreadable import cannot_read
from .values import FOLDERS, OwnFileValue

_OTHERS = frozenset({"lock", RESERVE_FILE})
_TRIES = 3  # a compaction of the running server may remove files while they are read


class Findings(msgspec.Struct):
    """What was found. `problems` are damage, and need a person; `mendable` the next opening, or a
    repair, mends; of what is `unreadable` for this user, or on this disk, nothing is known.
    `tasks` and `commits` are counted only where nothing keeps the journal from being read.
    """

    folder: str
    in_use: bool = False
    tasks: int | None = None
    paused: list[str] = msgspec.field(default_factory=list)  # task types
    commits: int | None = None
    bytes: int = 0
    problems: list[str] = msgspec.field(default_factory=list)
    unreadable: list[str] = msgspec.field(default_factory=list)
    mendable: list[str] = msgspec.field(default_factory=list)
    unknown: list[str] = msgspec.field(default_factory=list)
    lost: dict[str, TaskLoss] = msgspec.field(default_factory=dict)  # by task; see loss.py

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong; unknown files are no harm."""
        return not (self.problems or self.unreadable or self.mendable)


def examine(folder: Path) -> Findings:
    """Read all that the folder holds, and check it. Never raises for what it finds there."""
    findings = _examine_once(folder)
    for _ in range(_TRIES - 1):
        if not (findings.in_use and (findings.problems or findings.unreadable)):
            break
        findings = _examine_once(folder)
    if findings.problems:
        with suppress(OSError, StorageError, ValueError, MemoryError, RecursionError):
            findings.lost = estimate_loss(folder).tasks
    return findings


def repair(folder: Path, files: DiskFiles | None = None) -> Path | None:
    """Mend what a crash left, under the lock; give the place of the copy of what was changed.

    Raises StorageInUse while a server runs, StorageFull where there is no room for the copy, and
    StorageError for what nobody can mend without a loss, OSError for what cannot be read; then
    nothing was changed. What root writes belongs to the owner of the folder.
    """
    with _locked(folder, files) as used:
        return _mend(folder, used)


def estimate_loss(folder: Path) -> Loss:
    """Say what `accept_loss` would come to. Changes nothing, takes no lock; raises as that does."""
    _refuse_odd_files(folder)
    return estimate(folder)


def accept_loss(folder: Path, files: DiskFiles | None = None) -> tuple[Path | None, Rescue | None]:
    """Mend as `repair` does; then set aside what is damaged, and keep all that can be read.

    Gives the copy that each of the two has made. Raises as `repair` does, StorageError for a file
    that a newer program wrote.
    """
    with _locked(folder, files) as used:
        try:
            mended = _mend(folder, used)
        except StorageCorrupt:
            mended = None
        return mended, rescue(folder, used)


@contextmanager
def _locked(folder: Path, files: DiskFiles | None) -> Iterator[DiskFiles]:
    """Hold the lock; gives what to repair the folder with."""
    _refuse_odd_files(folder)  # the lock too: a link in its place leads to a file of somebody
    files = files or files_of(folder)
    lock = FolderLock(folder)
    try:
        _refuse_odd_files(folder)
        yield files
    finally:
        lock.release()


def _mend(folder: Path, files: DiskFiles) -> Path | None:
    found = recover(folder)
    if not found.torn and not found.leftovers:
        return None
    changed = [*found.leftovers, *([found.active.path] if found.active is not None else [])]
    copy = copy_files(folder, changed, files)
    mend(folder, files, found).close()
    return copy


def _examine_once(folder: Path) -> Findings:
    findings = Findings(str(folder))
    try:
        findings.in_use = _is_locked(folder)
        _survey(folder, findings)
        if not findings.problems:
            _read(folder, findings)
    except OSError as error:
        findings.unreadable.append(cannot_read(error, folder))
    except (StorageError, ValueError) as error:
        findings.problems.append(str(error))
    except (MemoryError, RecursionError) as error:
        findings.problems.append(
            f"{folder} holds a line that is too large to be read ({type(error).__name__})."
        )
    return findings


def _is_locked(folder: Path) -> bool:
    try:
        descriptor = os.open(folder / "lock", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)  # which lets go of the lock too
    return False


def _refuse_odd_files(folder: Path) -> None:
    findings = Findings(str(folder))
    _survey(folder, findings)
    if findings.problems:
        raise StorageCorrupt("; ".join(findings.problems))


def _survey(folder: Path, findings: Findings) -> None:
    """Look at the names and kinds of files alone: opening a pipe would wait for ever."""
    for path in sorted(folder.iterdir()):
        if path.name in FOLDERS:
            if not stat.S_ISDIR(path.lstat().st_mode):
                findings.problems.append(f"{path} is not a folder.")
                continue
            for value in sorted(path.iterdir()):
                _look_at(value, findings)
        elif parse_name(path.name) or parse_name(path.stem) or path.name in _OTHERS:
            _look_at(path, findings)
        else:
            findings.unknown.append(str(path))


def _look_at(path: Path, findings: Findings) -> None:
    found = path.lstat()
    if stat.S_ISREG(found.st_mode):
        findings.bytes += found.st_size
    else:
        findings.problems.append(f"{path} is not a regular file: move it out of the folder.")


def _read(folder: Path, findings: Findings) -> None:
    found = recover(folder)
    findings.tasks, findings.commits = len(found.index.tasks), found.line
    findings.paused = sorted(found.index.paused)
    for task_id, held in found.index.tasks.items():
        if held.params is None:  # an earlier repair could not keep them: nobody can mend that
            findings.lost[task_id] = TaskLoss(["params"])
        for value in held.values():
            if isinstance(value, OwnFileValue):
                try:
                    value.read()
                except OSError as error:
                    findings.unreadable.append(cannot_read(error, folder))
                except StorageError as error:
                    findings.problems.append(str(error))
    if findings.in_use:  # what looks left over is what the server is just writing
        return
    if found.torn and found.active is not None:
        findings.mendable.append(
            f"{found.active.path}: a crash cut the last line short, {found.torn} bytes from byte "
            f"{found.length} on. They were never acknowledged."
        )
    findings.mendable += [f"{path} is left over: nothing refers to it." for path in found.leftovers]
