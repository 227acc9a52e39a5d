"""An example of each struct that is asked with or answered, for the description of the API.

They are the structs themselves, so none can have a field too many or too few.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from ..engine.lifecycle import TaskStatus
from .wire import TaskView

TASK_ID = "task_01k5s3c7v9m2x4n8"
CREATED = datetime(2026, 3, 15, 10, 30, tzinfo=UTC)


class Examples:
    """Gives the example of a type as JSON would have it."""

    def __init__(self, by_type: Mapping[type, msgspec.Struct]) -> None:
        self._by_type = by_type

    def shown(self, shape: Any) -> Any:
        """Give the example; raises LookupError for a type that has none."""
        if typing.get_origin(shape) is typing.Annotated:
            for note in typing.get_args(shape)[1:]:
                if isinstance(note, msgspec.Meta) and note.examples:
                    return note.examples[0]
        return msgspec.json.decode(msgspec.json.encode(self._by_type[shape]))


def by_type(*examples: msgspec.Struct) -> dict[type, msgspec.Struct]:
    """Give each example under its type."""
    return {type(example): example for example in examples}


def at(seconds: float) -> datetime:
    """Give a moment of the day on which the examples play."""
    return CREATED + timedelta(seconds=seconds)


SHOWN: dict[str, Any] = {
    "task_id": TASK_ID,
    "id": TASK_ID,
    "task_type": "community_detection",
    "type": "community_detection",
    "kind": "community_detection",
    "status": TaskStatus.RUNNING,
    "progress_percent": 40,
    "progress": 40,
    "progress_current": 2,
    "progress_total": 5,
    "message": "Detecting communities",
    "error": None,
    "created_at": at(0),
    "updated_at": at(4.5),
    "started_at": at(0.2),
    "completed_at": None,
    "previous_task_id": None,
    "next_task_id": None,
    "run_seconds": None,
    "run_at": None,
    "ready_at": None,
    "revived": False,
    "priority": 0,
    "attempt": 2,
    "seq": 1042,
    "cancel_requested_at": None,
    "chain": ("community_summarization",),
}
TASK = TaskView(**SHOWN)
