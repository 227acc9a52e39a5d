"""The client: a Cortex task server from Python, for programs that await and for those that block.

`Client` blocks, `AsyncClient` awaits (on trio and on asyncio); they do the same. What they give are
structs (`models`, `library_models`, `webhook_models`), what they raise are ClientErrors (`errors`),
what following tells are `events`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import calls
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
    TlsFailed,
    Unreachable,
    UnusableSetting,
    WaitTimedOut,
)
from .events import Changed, Ended, Event, Removed, Reset
from .models import Status, Task, TaskDetail

if TYPE_CHECKING:
    from .async_client import AsyncClient
    from .async_follower import AsyncFollower
    from .client import Client
    from .follower import Follower

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
    "TlsFailed",
    "Unreachable",
    "UnusableSetting",
    "WaitTimedOut",
    "calls",
]

# Not before they are asked for: they need httpx2; the structs and the errors do not.
_HOMES = {
    "AsyncClient": "async_client",
    "AsyncFollower": "async_follower",
    "Client": "client",
    "Follower": "follower",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"The client needs {error.name}, which is not installed: "
            "pip install 'cortex-tasks[client]'",
            name=error.name,
        ) from None
