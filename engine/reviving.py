"""Whether a person may have a task tried again that is over."""

from __future__ import annotations

from .errors import QueueFull, TaskNotRevivable, UnknownTaskType
from .lifecycle import TaskStatus
from .live_tasks import LiveTasks
from .records import TaskRecord
from .registry import Registry


def no_revival(record: TaskRecord, tasks: LiveTasks, registry: Registry) -> Exception | None:
    """Give the error that says why not, or None; `record` is what is kept of the task.

    That counts, and not what has been decided since: who asks can know of no end that is not kept.
    Until it is, the task is as it was.
    """
    live = tasks.by_id.get(record.id)
    if live is not None or record.status is TaskStatus.COMPLETED:
        status = record.status if live is None or live.record.final else live.record.status
        return TaskNotRevivable(record.id, f"it is {status}, neither failed nor cancelled")
    if record.type not in registry:
        return UnknownTaskType(record.type, [declared.name for declared in registry])
    holder = tasks.holder(record.type, record.dedupe_key)
    if holder is not None:
        return TaskNotRevivable(
            record.id,
            f"{holder.record.id!r}, which is {holder.record.status}, has the same dedupe_key "
            f"{record.dedupe_key!r}: let that one end, or cancel it",
        )
    queue = tasks.queues.of(record.type)
    return None if queue.has_room_for(1, 0) else QueueFull(record.type, queue.max_pending)
