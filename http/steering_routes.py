"""The route table, the part about the engine as a whole, and about many tasks at once."""

from __future__ import annotations

from . import bulk, overview, steering, wire
from .calls import Endpoint
from .keys import Permission

READ, MANAGE = Permission.READ, Permission.MANAGE

STEERING_ENDPOINTS: tuple[Endpoint, ...] = (
    # Before those of one task, as `bulk` would be the id of one.
    Endpoint(
        method="POST",
        path="/api/tasks/bulk/cancel",
        handler=bulk.cancel_many,
        permission=MANAGE,
        summary="Cancel all pending and running tasks that fit a filter, or count them",
        params=bulk.BulkFilter,
        body="json",
        answers=((200, bulk.BulkDone),),
    ),
    Endpoint(
        method="POST",
        path="/api/tasks/bulk/retry",
        handler=bulk.retry_many,
        permission=MANAGE,
        summary="Have all failed and cancelled tasks tried again that fit a filter, or count them",
        params=bulk.BulkFilter,
        body="json",
        answers=((200, bulk.BulkDone),),
    ),
    Endpoint(
        method="POST",
        path="/api/tasks/{task_id}/retry",
        handler=steering.retry_task,
        permission=MANAGE,
        summary="Have a failed or cancelled task tried again, under its id",
        answers=((200, wire.TaskView),),
        problems=(404, 422),
    ),
    Endpoint(
        method="GET",
        path="/api/overview",
        handler=overview.show_overview,
        permission=READ,
        summary="Show what a first look should show: counts, what runs, the last hour, health",
        tag="Server",
        answers=((200, overview.OverviewView),),
    ),
    Endpoint(
        method="GET",
        path="/api/task-types",
        handler=overview.list_task_types,
        permission=READ,
        summary="List the task types: places, what runs and waits, and for how long",
        answers=((200, overview.TaskTypeList),),
    ),
    Endpoint(
        method="POST",
        path="/api/task-types/{task_type}/pause",
        handler=steering.pause_type,
        permission=MANAGE,
        summary="Start no more tasks of a type; what runs goes on, and what is submitted waits",
        answers=((200, overview.TaskTypeView),),
        problems=(404,),
    ),
    Endpoint(
        method="POST",
        path="/api/task-types/{task_type}/resume",
        handler=steering.resume_type,
        permission=MANAGE,
        summary="Start tasks of a type again",
        answers=((200, overview.TaskTypeView),),
        problems=(404,),
    ),
)
