"""The route table, first part: what is served with or without a library.

Whatever there is to know about a call is in its row: nothing about the API is decided elsewhere.
Of paths that could both match, the first in the table is taken.
"""

from __future__ import annotations

from ..engine.task_log import TaskLog
from . import documentation, health, metrics, submitting, tasks, wire
from .calls import Endpoint
from .following_routes import FOLLOWING_ENDPOINTS
from .headers import ETAG, IF_NONE_MATCH, PREFER, PREFERENCE_APPLIED, RETRY_AFTER
from .keys import Permission
from .steering_routes import STEERING_ENDPOINTS

READ, MANAGE = Permission.READ, Permission.MANAGE
METRICS_PATH = "/metrics"

TASK_ENDPOINTS: tuple[Endpoint, ...] = (
    *FOLLOWING_ENDPOINTS,
    Endpoint(
        method="POST",
        path="/api/tasks/cleanup",
        handler=tasks.clean_up,
        permission=MANAGE,
        summary="Forget tasks that ended long ago",
        params=tasks.CleanupAge,
        body="json",
        answers=((200, wire.CleanedUp),),
    ),
    Endpoint(
        method="GET",
        path="/api/tasks/{task_id}",
        handler=tasks.show_task,
        permission=READ,
        summary="Show a task; with `wait`, once it has changed",
        params=tasks.TaskWait,
        takes=(PREFER, IF_NONE_MATCH),
        answers=((200, wire.TaskDetail), (304, None)),
        gives=(
            (200, ETAG),
            (200, PREFERENCE_APPLIED),
            (304, ETAG),
            (304, PREFERENCE_APPLIED),
        ),
        problems=(404,),
    ),
    Endpoint(
        method="DELETE",
        path="/api/tasks/{task_id}",
        handler=tasks.cancel_task,
        permission=MANAGE,
        summary="Cancel a task; 202 if its body ignores that",
        answers=((200, wire.TaskStopped), (202, wire.TaskStopped)),
        gives=((202, RETRY_AFTER),),
        problems=(400, 404),
    ),
    Endpoint(
        method="GET",
        path="/api/tasks/{task_id}/result",
        handler=tasks.show_result,
        permission=READ,
        summary="Give the result of a completed task; 202 while there is none yet",
        params=tasks.ResultWait,
        takes=(PREFER, IF_NONE_MATCH),
        answers=((200, wire.Result), (202, wire.TaskProgress), (304, None)),
        gives=(
            (200, ETAG),
            (200, PREFERENCE_APPLIED),
            (202, RETRY_AFTER),
            (202, PREFERENCE_APPLIED),
            (304, ETAG),
            (304, PREFERENCE_APPLIED),
        ),
        problems=(400, 404),
    ),
    Endpoint(
        method="GET",
        path="/api/tasks/{task_id}/log",
        handler=tasks.show_log,
        permission=READ,
        summary="Give the newest lines of a task's log",
        answers=((200, TaskLog),),
        problems=(404,),
    ),
    Endpoint(
        method="GET",
        path="/api/tasks",
        handler=tasks.list_tasks,
        permission=READ,
        summary="List tasks, newest first",
        params=tasks.TaskFilter,
        takes=(IF_NONE_MATCH,),
        answers=((200, wire.TaskList), (304, None)),
        gives=((200, ETAG), (304, ETAG)),
    ),
    Endpoint(
        method="POST",
        path="/api/tasks",
        handler=submitting.submit_task,
        permission=MANAGE,
        summary="Submit a task of a type that no operation starts",
        params=submitting.NewTask,
        body="task",
        idempotent=True,
        answers=((200, submitting.TaskSubmitted),),
    ),
    Endpoint(
        method="GET",
        path="/health",
        handler=health.show_health,
        permission=None,
        summary="Tell whether the server can do its work; 503 if not",
        tag="Server",
        answers=((200, wire.Health), (503, wire.Health)),
        gives=((503, RETRY_AFTER),),
    ),
    Endpoint(
        method="GET",
        path=METRICS_PATH,
        handler=metrics.show_metrics,
        permission=READ,  # unless the application is made with `open_metrics`
        summary="Give what is counted, as Prometheus reads it",
        tag="Server",
        answers=((200, metrics.TEXT_BODY), (200, metrics.OPENMETRICS_BODY)),
    ),
    *STEERING_ENDPOINTS,
    Endpoint(
        method="GET",
        path="/openapi.json",
        handler=documentation.show_description,
        permission=None,
        summary="Describe this API (OpenAPI 3.1)",
        tag="Server",
        answers=((200, documentation.Document),),
    ),
)
