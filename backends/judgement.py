"""Decides what becomes of each task of a damaged folder. Invents nothing: what is not known to be
the newest state of a task does not run again, and what cannot be read is not said to be there.
"""

from __future__ import annotations

from datetime import datetime
from math import isinf

import msgspec

from ..engine.errors import StorageCorrupt
from ..engine.lifecycle import TaskStatus
from ..engine.records import TaskRecord
from .index import Held
from .loss import Loss, Part, TaskLoss
from .salvage import Salvage
from .values import OwnFileValue, Value


def judge(found: Salvage, now: datetime) -> tuple[list[Held], int, Loss]:
    """Give the tasks as they are to be from now on, the number of the newest change then, and
    what is lost. Reads every value; raises OSError for one that cannot be read.
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
        new, damaged = _without_damaged(held, loss)
        one = _loss_of(new, damaged, found)
        if one.fails:
            seq += 1
            error = f"{one.damaged} on disk; set aside by doctor on {now:%Y-%m-%d}"
            new.record, new.checkpoint = _failed(held.record, error, seq, now), None
        if one.lost or one.perhaps:
            loss.tasks[task_id] = one
        tasks.append(new)
    return tasks, seq, loss


def _without_damaged(held: Held, loss: Loss) -> tuple[Held, set[Part]]:
    """Give it without the values that are not what was written, and say which these were."""
    damaged: set[Part] = set()

    def whole(part: Part, value: Value | None) -> Value | None:
        if isinstance(value, OwnFileValue):
            try:
                value.read()
            except StorageCorrupt:
                damaged.add(part)
                loss.bad_values.append(value.folder / value.file.file)
                return None
        return value

    new = Held(
        held.record,
        whole("params", held.params),
        whole("result", held.result),
        whole("checkpoint", held.checkpoint),
        whole("log", held.log),
        held.size,
    )
    return new, damaged


def _loss_of(held: Held, damaged: set[Part], found: Salvage) -> TaskLoss:
    record = held.record
    known = record.final or found.is_known(record.id)
    loss = TaskLoss()
    if not known:
        loss.lost.append("state")
    if held.params is None:  # every task has some
        loss.lost.append("params")
    completed = record.status is TaskStatus.COMPLETED
    had_one = record.result_size is not None or "result" in damaged
    if completed and held.result is None and had_one:
        loss.lost.append("result")
    loss.lost += [part for part in ("checkpoint", "log") if part in damaged]
    if not known and "checkpoint" not in damaged:
        loss.perhaps.append("checkpoint")
    if "log" not in damaged and (not known or found.may_lack_log(record)):
        loss.perhaps.append("log")
    ends = {"result"} if record.final else {"state", "params", "checkpoint"}
    loss.fails = not ends.isdisjoint(loss.lost)
    return loss


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
        ready_at=record.run_at or record.ready_at,
        found_over=record.found_over or not record.final,
        result_size=None,
    )
