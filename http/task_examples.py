"""The examples of what is asked and answered about tasks."""

from __future__ import annotations

import msgspec

from ..engine.lifecycle import TaskStatus
from ..engine.recent import Bucket, Percentiles
from ..engine.records import AttemptRecord
from ..engine.task_log import LogLine, TaskLog
from . import bulk, following, overview, sessions, submitting, tasks, wire
from .examples import SHOWN, TASK, TASK_ID, at, by_type
from .keys import Permission

_EARLIER = AttemptRecord(1, at(-60), at(-2), "interrupted by server restart")

_TASKS = by_type(
    TASK,
    wire.TaskDetail(
        **SHOWN,
        params=msgspec.Raw(b'{"min_size":3}'),
        result=msgspec.Raw(b"null"),
        attempts=(_EARLIER,),
    ),
    wire.TaskList(tasks=[TASK], total=1, seq=1044),
    wire.TaskProgress(TASK_ID, TaskStatus.RUNNING, 40, "Detecting communities"),
    wire.TaskStopped(TASK_ID, TaskStatus.CANCELLED, "Task cancelled"),
    TaskLog([LogLine(at(3), "warning", "no date found", {"page": 7}, 1)], 0),
    wire.CleanedUp(12, 34, "Cleaned up 12 old tasks"),
    wire.Health("healthy", True, True, "0.1.0"),
    tasks.TaskFilter(q="newer:2d", status="running", task_type="community_detection", limit=20),
    submitting.NewTask(task_type="thumbnails", params={"width": 320}, then=["publish"], priority=5),
    submitting.TaskSubmitted(**SHOWN, deduplicated=False),
    tasks.TaskWait(wait=30.0),
    tasks.ResultWait(wait=30.0),
    following.TaskFeed(last_event_id=1041),
    following.TasksFeed(last_event_id=1041, status="running", task_type="community_detection"),
    tasks.CleanupAge(max_age_hours=48.0),
)

_TYPE = overview.TaskTypeView(
    name="community_detection",
    concurrency=1,
    paused=False,
    running=1,
    pending=2,
    delayed=0,
    oldest_pending_at=at(1),
    completed=40,
    failed=2,
    cancelled=1,
    run_seconds=Percentiles(42, 3.1, 9.8, 12.5),
    wait_seconds=Percentiles(43, 0.01, 4.2, 7.7),
)
_STEERING = by_type(
    bulk.BulkFilter(q="type:community_detection older:1h", dry_run=False),
    bulk.BulkDone(
        matched=2,
        affected=1,
        dry_run=False,
        task_ids=[TASK_ID],
        refused=[bulk.Refusal("task_7f3a9c21", "Told to stop, but still running after 5 s")],
    ),
    _TYPE,
    overview.TaskTypeList([_TYPE], 1),
    overview.OverviewView(
        version="0.1.0",
        now=at(5),
        counts=dict.fromkeys(TaskStatus, 0) | {TaskStatus.RUNNING: 1, TaskStatus.COMPLETED: 40},
        by_type={"community_detection": {TaskStatus.RUNNING: 1, TaskStatus.COMPLETED: 40}},
        running=[TASK],
        oldest_pending=None,
        health=overview.HealthShown("healthy", None),
        loop_lag_seconds=0.001,
        uptime_seconds=3600.0,
        series=overview.Series(60, [Bucket(at(-60), completed=2, mean_run_seconds=3.2)]),
    ),
)

_SESSIONS = by_type(
    sessions.SignIn(key="cortex_rw_…"),
    sessions.Session("me", (Permission.READ, Permission.MANAGE)),
    sessions.SignedOut("Signed out"),
)

TASK_EXAMPLES = _TASKS | _STEERING | _SESSIONS
