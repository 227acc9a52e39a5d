"""The route table, the part about following tasks."""

from __future__ import annotations

from . import following
from .calls import Endpoint, Media
from .examples import TASK
from .frames import ready, told
from .headers import LAST_EVENT_ID
from .keys import Permission
from .streams import EVENT_STREAM

READ = Permission.READ
_EVENTS = Media(
    EVENT_STREAM,
    "Server-sent events. `ready` comes first; its id is the number after which the stream goes on. "
    "`task`: a task has changed; data is the task as in lists, id is the number of the change. "
    "`removed`: its record is gone; data has `task_id` and `seq`. `reset`: what came before `seq` "
    "is not known any more, `detail` says so; load anew. `end`: the one task that is followed has "
    "ended, and the stream with it. `ping`, with neither id nor anything in its data, comes after "
    "15 seconds without an event, and says that the stream lives.",
    (ready(1041) + told(TASK, 1042)).decode(),
)

FOLLOWING_ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        method="GET",
        path="/api/tasks/events",  # before /api/tasks/{task_id}
        handler=following.follow_tasks,
        permission=READ,
        summary="Follow tasks: an event for each change",
        params=following.TasksFeed,
        takes=(LAST_EVENT_ID,),
        answers=((200, _EVENTS),),
        problems=(406,),
    ),
    Endpoint(
        method="GET",
        path="/api/tasks/{task_id}/events",
        handler=following.follow_task,
        permission=READ,
        summary="Follow a task to its end: an event for each change",
        params=following.TaskFeed,
        takes=(LAST_EVENT_ID,),
        answers=((200, _EVENTS),),
        problems=(404, 406),
    ),
)
