"""The route table, the part about the engine as a whole, and about many tasks at once."""

from __future__ import annotations

from . import overview, steering, wire
from .calls import Endpoint
from .keys import Permission

READ, MANAGE = Permission.READ, Permission.MANAGE

STEERING_ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        method="POST",
        path="/api/tasks/{task_id}/retry",
        handler=steering.retry_task,
        permission=MANAGE,
        summary="Have a failed or cancelled task tried again, under its id",
        answers=((200, wire.TaskView),),
        problems=(400, 404),
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
)
