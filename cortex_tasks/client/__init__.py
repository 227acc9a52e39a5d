"""The client: a Cortex task server from Python, for programs that await and for those that block.

`Client` blocks, `AsyncClient` awaits (on trio and on asyncio); they do the same. What they give are
structs (`models`, `library_models`), what they raise are ClientErrors (`errors`), what following
tells are `events`.
"""

from __future__ import annotations

try:
    import httpx2 as _httpx2  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"The client needs {error.name}, which is not installed: "
        "pip install 'cortex-tasks[client]'",
        name=error.name,
    ) from None

from .async_client import AsyncClient
from .async_follower import AsyncFollower
from .client import Client
from .errors import (
    CannotConnect,
    ClientError,
    Conflict,
    InvalidRequest,
    NoAnswerInTime,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    NotReady,
    NotUnderstood,
    Refused,
    ServerTrouble,
    TaskHasNoResult,
    Unreachable,
    UnusableSetting,
    WaitTimedOut,
)
from .events import Changed, Ended, Event, Removed, Reset
from .follower import Follower
from .models import Status, Task, TaskDetail

__all__ = [
    "AsyncClient",
    "AsyncFollower",
    "CannotConnect",
    "Changed",
    "Client",
    "ClientError",
    "Conflict",
    "Ended",
    "Event",
    "Follower",
    "InvalidRequest",
    "NoAnswerInTime",
    "NotAuthenticated",
    "NotFound",
    "NotPermitted",
    "NotReady",
    "NotUnderstood",
    "Refused",
    "Removed",
    "Reset",
    "ServerTrouble",
    "Status",
    "Task",
    "TaskDetail",
    "TaskHasNoResult",
    "Unreachable",
    "UnusableSetting",
    "WaitTimedOut",
]
