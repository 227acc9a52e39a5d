"""What becomes, after a restart, of each task that was not over: none is left without an owner."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from operator import itemgetter

import msgspec

from .lifecycle import LifeEvent, TaskStatus
from .live_tasks import Fields, LiveTask, LiveTasks
from .records import TaskRecord
from .registry import Registry
from .storage import Recovered

PARAMS_LOST = "its parameters are lost: the storage was damaged"

_NOTHING = msgspec.Raw(b"{}")
_INTERRUPTED = "interrupted by server restart"


def recover(tasks: LiveTasks, recovered: Recovered, registry: Registry) -> None:
    """Take up what a backend holds: each task is then final, or pending in this process."""
    tasks.seq = recovered.last_seq
    for record in _as_they_stood_in_line(recovered.records):
        params = recovered.params.get(record.id, _NOTHING)
        checkpoint, log = recovered.checkpoints.get(record.id), recovered.logs.get(record.id)
        live = LiveTask(record, params, checkpoint, log)
        tasks.by_id[record.id] = live
        _recover_one(tasks, live, registry, can_run=record.id in recovered.params)


def _as_they_stood_in_line(records: Iterable[TaskRecord]) -> list[TaskRecord]:
    """Those that are not final, from the order of submission brought into that of readiness.

    One that waits or waited for its time stands between those that were submitted before and
    after that time, and so does one that was revived.
    """
    line: list[tuple[datetime, TaskRecord]] = []
    submitted = datetime.min.replace(tzinfo=UTC)
    for record in records:
        submitted = max(submitted, record.created_at)  # the clock may have been set back meanwhile
        if not record.final:
            ready = max(submitted, record.ready_at) if record.ready_at else submitted
            line.append((record.run_at or ready, record))
    return [record for _, record in sorted(line, key=itemgetter(0))]


def _recover_one(tasks: LiveTasks, live: LiveTask, registry: Registry, *, can_run: bool) -> None:
    record = live.record
    if record.status is TaskStatus.RUNNING:
        tasks.queues.occupy(record.type)
    if record.status is TaskStatus.PENDING and record.type in registry and can_run:
        tasks.enqueue(record)
    elif record.status is TaskStatus.PENDING and record.type in registry:
        _fail_without_params(tasks, live)
    elif record.status is TaskStatus.PENDING:
        tasks.fail_unrunnable(live)
    elif record.cancel_requested_at is not None:
        # The process is gone, and the body with it: what was asked for has happened.
        tasks.finish(live, LifeEvent.STOP, {"message": "Task cancelled", "found_over": True})
    elif record.type in registry and registry.find(record.type).on_restart == "resume":
        if can_run:
            _resume(tasks, live, registry.find(record.type).max_interruptions)
        else:
            _fail_without_params(tasks, live)
    else:
        _interrupt(tasks, live, _INTERRUPTED)


def _resume(tasks: LiveTasks, live: LiveTask, max_interruptions: int) -> None:
    count = live.record.interruptions + 1
    if count < max_interruptions:
        fields: Fields = {"message": f"Pending: {_INTERRUPTED}", "interruptions": count}
        tasks.requeue(live, LifeEvent.REQUEUE, _INTERRUPTED, fields, found_over=True)
    else:
        times = "once" if count == 1 else f"{count} times"
        error = (
            f"{_INTERRUPTED} {times}: poisonous, as it may be what brings the "
            f"server down, so it is not run again (max_interruptions={max_interruptions})"
        )
        _interrupt(tasks, live, error)


def _fail_without_params(tasks: LiveTasks, live: LiveTask) -> None:
    """It must not run with others than it was given."""
    fields: Fields = {"error": PARAMS_LOST, "message": f"Failed: {PARAMS_LOST}"}
    if live.record.status is TaskStatus.RUNNING:
        fields["found_over"] = True
    tasks.finish(live, LifeEvent.FAIL, fields)


def _interrupt(tasks: LiveTasks, live: LiveTask, error: str) -> None:
    fields = {
        "error": error,
        "message": f"Failed: {error}",
        "interruptions": live.record.interruptions + 1,
        "found_over": True,
    }
    tasks.finish(live, LifeEvent.INTERRUPT, fields)
