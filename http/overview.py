"""The calls about the engine as a whole: its task types, and what a first look should show."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from ..engine.lifecycle import TaskStatus
from ..engine.overview import TypeState
from ..engine.recent import BUCKET, Bucket, Percentiles
from .calls import Answer, Call, encode
from .health import health_of
from .wire import TaskView, view

SHOWN_RUNNING = 50  # running tasks that the overview shows, at most


class TaskTypeView(msgspec.Struct, frozen=True):
    """How it stands with a task type; what has ended is counted while its record is kept."""

    name: str
    concurrency: int
    paused: bool  # nothing more is started
    running: int
    pending: int  # delayed ones among them
    delayed: int  # that wait for their time
    oldest_pending_at: datetime | None  # since when the one waits that has waited longest
    completed: int
    failed: int
    cancelled: int
    run_seconds: Percentiles  # of the newest 1,000 that completed or failed
    wait_seconds: Percentiles  # for a place; of the newest 1,000 since the server started


class TaskTypeList(msgspec.Struct, frozen=True):
    """Every registered task type, in the order in which they were given."""

    task_types: list[TaskTypeView]
    total: int


class Series(msgspec.Struct, frozen=True):
    """What ended in each of the last 60 buckets, the present one last."""

    bucket_seconds: int
    points: list[Bucket]


class HealthShown(msgspec.Struct, frozen=True):
    """As `/health` says it."""

    status: str
    reason: str | None


class OverviewView(msgspec.Struct, frozen=True):
    """All that a first look should show."""

    version: str
    now: datetime
    counts: dict[TaskStatus, int]
    by_type: Mapping[str, Mapping[TaskStatus, int]]
    running: list[TaskView]  # the 50 that were submitted last
    oldest_pending: TaskView | None  # of those that wait for nothing but a place
    health: HealthShown
    loop_lag_seconds: float  # when it was last looked at, as is done four times a second
    uptime_seconds: float
    series: Series


async def list_task_types(call: Call[None]) -> Answer:
    """Show every task type."""
    states = [show_type(state) for state in call.services.engine.overview.types()]
    return Answer(encode(TaskTypeList(states, len(states))))


async def show_overview(call: Call[None]) -> Answer:
    """Show what a first look should show."""
    services = call.services
    health = await health_of(services)
    running = await services.engine.list(status=TaskStatus.RUNNING, limit=SHOWN_RUNNING)
    overview = services.engine.overview
    oldest = overview.oldest_pending()
    reason = None if isinstance(health.reason, msgspec.UnsetType) else health.reason
    shown = OverviewView(
        version=services.version,
        now=overview.now,
        counts={status: services.engine.count(status=status) for status in TaskStatus},
        by_type=overview.counts(),
        running=[view(record) for record in running.records],
        oldest_pending=None if oldest is None else view(oldest),
        health=HealthShown(health.status, reason),
        loop_lag_seconds=overview.loop_lag,
        uptime_seconds=overview.uptime,
        series=Series(round(BUCKET.total_seconds()), overview.last_hour()),
    )
    return Answer(encode(shown))


def show_type(state: TypeState) -> TaskTypeView:
    """Show a task type."""
    fields: dict[str, Any] = {name: getattr(state, name) for name in TaskTypeView.__struct_fields__}
    return TaskTypeView(**fields)
