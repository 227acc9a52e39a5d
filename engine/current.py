"""Whose code runs here, for whoever writes a log and was not told.

Each place in which bodies run is named in a context variable once, before any body; what runs there
is looked up in the place itself. So a body, what it starts and its threads are known without a
variable that would have to be set anew for each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Protocol

from .records import TaskRecord


class Seat(Protocol):
    """A place, as seen from within."""

    @property
    def occupant(self) -> TaskRecord | None:
        """The task whose body runs there now."""
        ...


SEAT: ContextVar[Seat | None] = ContextVar("cortex_tasks_seat", default=None)
# What else is to be said of the code that runs here: the id of the request that it answers.
SURROUNDING: ContextVar[Mapping[str, object] | None] = ContextVar(
    "cortex_tasks_surrounding", default=None
)
# What a child process is to enter around a function that is called from here; sent by pickle.
AROUND_IN_CHILD: ContextVar[Callable[[], AbstractContextManager[object]] | None] = ContextVar(
    "cortex_tasks_around_in_child", default=None
)


def log_context() -> dict[str, object]:
    """Give `task_id`, `task_type` and `attempt` where a body runs, in a request `request_id`."""
    found = dict(SURROUNDING.get() or {})
    seat = SEAT.get()
    record = None if seat is None else seat.occupant
    if record is not None:
        found.update(task_id=record.id, task_type=record.type, attempt=record.attempt)
    return found
