"""What the server answers about tasks, as far as this version knows it; it passes over the rest.

Each has one name for what the server says under two, and defaults for what older servers leave out.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec

Status: TypeAlias = Literal["pending", "running", "completed", "failed", "cancelled"]
FINAL = ("completed", "failed", "cancelled")


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that ended, of a task that went on."""

    number: int
    started_at: datetime | None = None
    ended_at: datetime
    error: str
    ready_at: datetime | None = None  # as of the task, then
    revived: bool = False  # so, too
    found_over: bool = False  # a crash ended it: `ended_at` is when a start found that


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A task as lists and events show it."""

    task_id: str
    task_type: str = ""
    status: str  # a Status, unless the server is newer
    progress_percent: float = 0
    progress_current: float | None = None
    progress_total: float | None = None
    message: str = ""
    error: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    previous_task_id: str | None = None
    next_task_id: str | None = None  # the task of its chain that follows, once it is there
    run_seconds: float | None = None  # of the newest attempt, once over; None: none, or unknown
    run_at: datetime | None = None
    # From when the newest attempt waits or waited for a free place, where it was put off or asked
    # for by a person; None: from the end of the one before it, or from the submit.
    ready_at: datetime | None = None
    revived: bool = False  # the newest attempt, or the next, is one that a person asked for
    priority: int = 0
    attempt: int = 0
    seq: int = 0  # the number of its newest change, counted over all tasks
    cancel_requested_at: datetime | None = None
    chain: tuple[str, ...] = ()  # the types of the tasks that still follow

    @property
    def final(self) -> bool:
        """Whether it has ended: nothing about it will change again, unless it is tried again."""
        return self.status in FINAL


class TaskDetail(Task, frozen=True, kw_only=True):
    """A task on its own."""

    params: Any = None
    result: Any = None  # null until it has completed
    attempts: tuple[Attempt, ...] = ()  # that ended before the newest


class SubmittedTask(Task, frozen=True, kw_only=True):
    """A task that was just submitted; `deduplicated`, if it was there already."""

    deduplicated: bool = False


class TaskPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some tasks, newest first, and how many match in all."""

    tasks: list[Task]
    total: int
    seq: int = 0  # of the newest change of any task: `follow` goes on from here
    next: str | None = None  # asked for with a cursor: that of the page after this one
    newer: int = 0  # so, too: how many that match are on the pages before


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no result yet."""

    task_id: str
    status: str
    progress_percent: float = 0
    message: str = ""


class Stopped(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a cancel: it has stopped only if `status` is "cancelled"."""

    task_id: str
    status: str
    message: str = ""

    @property
    def stopped(self) -> bool:
        """Whether nothing of the task runs any more."""
        return self.status == "cancelled"


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line that a task's body has written."""

    at: datetime
    level: str = "info"
    message: str = ""
    fields: dict[str, Any] = {}
    attempt: int = 1


class TaskLog(msgspec.Struct, frozen=True, kw_only=True):
    """The newest lines of a task, and how many older ones are gone."""

    lines: list[LogLine]
    dropped: int = 0


class CleanedUp(msgspec.Struct, frozen=True, kw_only=True):
    """How many tasks were removed, and how many there are now."""

    removed: int
    remaining: int
    message: str = ""


class RefusedTask(msgspec.Struct, frozen=True, kw_only=True):
    """One of many tasks, with which nothing could be done."""

    task_id: str
    detail: str


class Bulk(msgspec.Struct, frozen=True, kw_only=True):
    """What became of many tasks at once; of a dry run, what would."""

    matched: int
    affected: int
    dry_run: bool
    task_ids: list[str]
    refused: list[RefusedTask] = []


class Percentiles(msgspec.Struct, frozen=True, kw_only=True):
    """Of the newest values, in seconds; None while there is no value."""

    count: int
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


class TaskTypeState(msgspec.Struct, frozen=True, kw_only=True):
    """How it stands with a task type."""

    name: str
    concurrency: int
    paused: bool = False
    running: int
    pending: int
    delayed: int = 0
    oldest_pending_at: datetime | None = None
    completed: int
    failed: int
    cancelled: int
    run_seconds: Percentiles
    wait_seconds: Percentiles


class TaskTypes(msgspec.Struct, frozen=True, kw_only=True):
    """Every task type of the server."""

    task_types: list[TaskTypeState]
    total: int


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """What ended in one bucket."""

    at: datetime
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    mean_run_seconds: float | None = None


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """What ended in each of the last buckets, the present one last."""

    bucket_seconds: int
    points: list[Point]


class HealthShown(msgspec.Struct, frozen=True, kw_only=True):
    """As `health` says it."""

    status: str
    reason: str | None = None


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """All that a first look should show."""

    version: str
    now: datetime
    counts: dict[str, int]
    by_type: dict[str, dict[str, int]]
    running: list[Task]
    oldest_pending: Task | None = None
    health: HealthShown
    loop_lag_seconds: float
    uptime_seconds: float
    series: Series


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the server can do its work; `reason`, if not."""

    status: str
    version: str = ""
    reason: str | None = None

    @property
    def healthy(self) -> bool:
        """Whether it can."""
        return self.status == "healthy"
