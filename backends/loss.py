"""Decides what becomes of each task of a damaged folder. Invents nothing: what is not known to be
the newest state of a task does not run again, and what cannot be read is not said to be there.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from math import isinf
from pathlib import Path
from typing import Final

import msgspec

from ..engine.errors import StorageError
from ..engine.lifecycle import TaskStatus
from ..engine.records import TaskRecord
from .index import Held
from .salvage import DamagedPiece, Salvage
from .values import OwnFileValue, Value

_SAID_AT_MOST: Final = 50

_CHECKPOINT = "its newest checkpoint"
_PARAMS = "its parameters"
_RESULT = "its result"
_STATE = "its newest state"


class Loss(msgspec.Struct):
    """What is lost: which bytes, which files, and which tasks end because of that."""

    opens: bool = False  # whether the folder opens as it is
    damaged: list[DamagedPiece] = msgspec.field(default_factory=list)
    missing_files: list[Path] = msgspec.field(default_factory=list)
    bad_values: list[Path] = msgspec.field(default_factory=list)  # damaged, or missing
    failed: dict[str, str] = msgspec.field(default_factory=dict)  # task: what of it is lost
    without: dict[str, list[str]] = msgspec.field(default_factory=dict)  # tasks that stay
    changes: int = 0  # that no line brings
    at_end: bool = False  # whether the newest changes are lost, nobody knows how many
    kept: int = 0  # tasks in all

    @property
    def any(self) -> bool:
        """Whether there is anything to set right: lines out of place lack nothing."""
        return not self.opens or bool(self.bad_values or self.failed or self.without)

    def words(self) -> list[str]:
        """Say it, a sentence or two a line."""
        damaged = (
            f"{piece.path}, line {piece.row}: {len(piece.data)} bytes cannot be read."
            for piece in self.damaged
        )
        lines = [*_some(damaged), *(f"{path} is missing." for path in self.missing_files)]
        if self.changes:
            lines.append(f"Of {self.changes} changes or fewer nobody can know what they said.")
        if self.at_end:
            lines.append("The newest changes are among what is lost; nobody can know how many.")
        if lines:
            lines.append(
                "A task that stood in the lost lines alone is gone. One that was removed in them "
                "is there again. One that was over, and was tried again in them, stays as it was. "
                "A task type that was paused in them is not paused."
            )
        values = (f"{path} is missing, or is not what was written." for path in self.bad_values)
        failed = (
            f"{task_id} becomes failed, for {what} was damaged."
            for task_id, what in self.failed.items()
        )
        without = (
            f"{task_id} stays as it is, but {' and '.join(names)} cannot be read."
            for task_id, names in self.without.items()
        )
        count = f"{self.kept} tasks can be read; of these {len(self.failed)} become failed."
        return [*lines, *_some(values), count, *_some(failed), *_some(without)]


def _some(words: Iterable[str]) -> list[str]:
    """Give as many as a person reads."""
    said = list(words)
    more = len(said) - _SAID_AT_MOST
    return said if more <= 0 else [*said[:_SAID_AT_MOST], f"… and {more} more like it."]


def judge(found: Salvage, now: datetime) -> tuple[list[Held], int, Loss]:
    """Give the tasks as they are to be from now on, the number of the newest change then, and
    what is lost. Reads every value.
    """
    loss = Loss(
        opens=found.opens,
        damaged=found.damaged,
        missing_files=found.missing_files,
        changes=found.lost,
        at_end=isinf(found.newest_lost),
        kept=len(found.index.tasks),
    )
    seq = found.index.last_seq
    tasks: list[Held] = []
    for task_id, held in found.index.tasks.items():
        new, missing = _without_unreadable(held, loss)
        lost = _lost(new, missing, known=found.is_known(task_id))
        if lost is not None:
            seq += 1
            error = f"{lost} was damaged on disk; set aside by doctor on {now:%Y-%m-%d}"
            new.record, new.checkpoint = _failed(held.record, error, seq, now), None
            loss.failed[task_id] = lost
        elif missing:
            loss.without[task_id] = [name for name in missing if name]
        tasks.append(new)
    return tasks, seq, loss


def _without_unreadable(held: Held, loss: Loss) -> tuple[Held, list[str]]:
    """Give it without the values that cannot be read, and say which these were."""
    missing: list[str] = []

    def whole(name: str, value: Value | None) -> Value | None:
        if isinstance(value, OwnFileValue):
            try:
                value.read()
            except (OSError, StorageError):
                missing.append(name)
                loss.bad_values.append(value.folder / value.file.file)
                return None
        return value

    new = Held(
        held.record,
        whole(_PARAMS, held.params),
        whole(_RESULT, held.result),
        whole(_CHECKPOINT, held.checkpoint),
        whole("its log", held.log),
        held.size,
    )
    return new, missing


def _lost(held: Held, missing: list[str], *, known: bool) -> str | None:
    """Say what of the task is lost such that it has failed."""
    record = held.record
    if record.status is TaskStatus.COMPLETED:
        absent = held.result is None and record.result_size is not None
        return _RESULT if absent or _RESULT in missing else None
    if record.final:
        return None
    if not known:
        return _STATE
    if held.params is None:
        return _PARAMS
    return _CHECKPOINT if _CHECKPOINT in missing else None


def _failed(record: TaskRecord, error: str, seq: int, now: datetime) -> TaskRecord:
    return msgspec.structs.replace(
        record,
        status=TaskStatus.FAILED,
        seq=seq,
        updated_at=now,
        completed_at=record.completed_at or now,
        progress_percent=min(record.progress_percent, 99),  # 100 is for the completed alone
        message=f"Failed: {error}",
        error=error,
        traceback=None,
        run_at=None,
        result_size=None,
    )
