"""What the commands read out of the server's answers; they ignore the rest."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec


class AttemptView(msgspec.Struct, frozen=True):
    """An attempt that ended, of a task that went on."""

    number: int
    ended_at: datetime
    error: str


class TaskView(msgspec.Struct, frozen=True, kw_only=True):
    """A task as the server shows it."""

    task_id: str
    task_type: str = ""
    status: str
    progress_percent: float = 0
    progress_current: float | None = None
    progress_total: float | None = None
    message: str = ""
    error: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    next_task_id: str | None = None  # the task of its chain that follows, once it is there
    run_at: datetime | None = None
    priority: int = 0
    attempt: int = 0
    attempts: tuple[AttemptView, ...] = ()

    @property
    def final(self) -> bool:
        """Whether nothing about it will change again."""
        return self.status in ("completed", "failed", "cancelled")


class TaskList(msgspec.Struct, frozen=True):
    """A page of tasks."""

    tasks: list[TaskView]
    total: int


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a task's log."""

    at: datetime
    level: str = "info"
    message: str = ""
    fields: dict[str, Any] = {}
    attempt: int = 1


class TaskLog(msgspec.Struct, frozen=True):
    """The newest lines of a task's log."""

    lines: list[LogLine]
    dropped: int = 0


class Started(msgspec.Struct, frozen=True):
    """The answer of an operation; no task if there was nothing to do."""

    message: str = ""
    task_id: str | None = None
    deduplicated: bool = False


class CommunityView(msgspec.Struct, frozen=True, kw_only=True):
    """A community as the list shows it."""

    id: int
    name: str | None = None
    summary: str | None = None
    entity_count: int = 0
    top_entities: list[str] = []


class CommunityList(msgspec.Struct, frozen=True):
    """The communities."""

    communities: list[CommunityView]
    total: int
