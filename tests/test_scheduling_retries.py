"""What becomes of an attempt that failed, decided without a loop."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cortex_tasks.engine.context import TaskContext
from cortex_tasks.engine.errors import QueueFull, TaskAlreadyFinal
from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.engine.messages import (
    Accepted,
    Cancel,
    Drain,
    Failed,
    Halt,
    Overdue,
    ProgressReport,
    Stopped,
    Succeeded,
)
from cortex_tasks.engine.records import MAX_ATTEMPTS_KEPT, AttemptRecord, TaskRecord
from cortex_tasks.engine.registry import task_type
from cortex_tasks.engine.retrying import Backoff
from cortex_tasks.testing.injected import START

from .engine_setting import EMPTY, Desk, ListedReply, a_record

PENDING, RUNNING = TaskStatus.PENDING, TaskStatus.RUNNING
COMPLETED, FAILED, CANCELLED = TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED
HOUR = timedelta(hours=1)


@task_type("work", retries=2, backoff=Backoff(first=10, jitter=0.5), max_pending=1)
async def work(ctx: TaskContext) -> None:
    return None


@task_type("long", retries=100, on_restart="resume", backoff=Backoff(first=0, longest=0))
async def long(ctx: TaskContext) -> None:
    return None


@task_type("plain")
async def plain(ctx: TaskContext) -> None:
    return None


@pytest.fixture
def desk() -> Desk:
    return Desk(work, long, plain)


def fail(
    desk: Desk,
    task_id: str,
    *,
    error: str = "OSError: no",
    retriable: bool = True,
    after: timedelta | None = None,
    progress: ProgressReport | None = None,
) -> TaskRecord:
    """End the attempt by a failure; gives the record."""
    attempt = desk.kept[task_id].attempt
    desk.hear(Failed(task_id, attempt, error, "Traceback …", progress, retriable, after))
    return desk.kept[task_id]


def test_a_failure_is_followed_by_a_wait_and_another_attempt(desk: Desk) -> None:
    task_id = desk.submit_one("work").id
    record = fail(desk, task_id)
    assert (record.status, record.attempt, record.retries) == (PENDING, 1, 1)
    assert record.run_at == record.updated_at + timedelta(seconds=10)
    assert record.message == f"Retry 1 of 2 at {record.run_at:%H:%M:%S} UTC: OSError: no"
    assert (record.error, record.traceback, record.completed_at) == (None, None, None)
    desk.wait(9)
    assert desk.status(task_id) is PENDING
    desk.wait(1)
    again = desk.kept[task_id]
    assert (again.status, again.attempt, again.run_at) == (RUNNING, 2, None)
    assert desk.runs[-1].params == EMPTY
    desk.succeed(task_id)
    ended = desk.kept[task_id]
    assert (ended.status, ended.error, ended.message) == (COMPLETED, None, "Completed")


def test_the_wait_doubles_and_chance_shortens_it(desk: Desk) -> None:
    task_id = desk.submit_one("work").id
    desk.chance = 0.5
    for seconds in (7.5, 15):
        record = fail(desk, task_id)
        assert record.run_at == record.updated_at + timedelta(seconds=seconds)
        desk.wait(seconds)


def test_after_the_last_retry_the_task_fails_and_says_how_many_attempts_there_were(
    desk: Desk,
) -> None:
    task_id = desk.submit_one("work").id
    for error in ("OSError: a", "OSError: b"):
        fail(desk, task_id, error=error)
        desk.wait(60)
    record = fail(desk, task_id, error="OSError: c")
    assert record.status is FAILED
    assert record.error == "OSError: c (after 3 attempts)"
    assert record.message == f"Failed: {record.error}"
    assert record.traceback == "Traceback …"
    assert [(one.number, one.error) for one in record.attempts] == [
        (1, "OSError: a"),
        (2, "OSError: b"),
    ]
    first = desk.runs[0].record
    assert first.started_at == record.attempts[0].started_at < record.attempts[0].ended_at


def test_a_failure_of_another_kind_is_the_end_whatever_is_left(desk: Desk) -> None:
    task_id = desk.submit_one("work").id
    fail(desk, task_id)
    desk.wait(60)
    record = fail(desk, task_id, error="ValueError: no", retriable=False)
    assert (record.status, record.error) == (FAILED, "ValueError: no (after 2 attempts)")
    first = fail(desk, desk.submit_one("work").id, error="ValueError: no", retriable=False)
    assert (first.status, first.error, first.attempts) == (FAILED, "ValueError: no", ())


def test_a_type_without_retries_fails_at_once(desk: Desk) -> None:
    record = fail(desk, desk.submit_one("plain").id, after=HOUR)
    assert (record.status, record.error) == (FAILED, "OSError: no")


def test_a_body_may_say_when_and_chance_has_no_part_in_it(desk: Desk) -> None:
    desk.chance = 0.9
    record = fail(desk, desk.submit_one("work").id, after=30 * HOUR)
    assert record.run_at == record.updated_at + 30 * HOUR
    assert f"at {record.run_at:%Y-%m-%d %H:%M:%S} UTC" in record.message  # another day: it says so


def test_a_wait_of_nothing_is_the_next_attempt_in_the_same_decision(desk: Desk) -> None:
    record = fail(desk, desk.submit_one("long").id)
    assert (record.status, record.attempt, record.run_at) == (RUNNING, 2, None)


def test_whoever_waits_for_a_retry_gives_its_place_to_others(desk: Desk) -> None:
    first, second = desk.submit_one("work").id, desk.submit_one("work").id
    fail(desk, first)
    assert desk.running() == [second]
    desk.wait(10)
    assert desk.status(first) is PENDING  # its time has come, but no place is free
    desk.succeed(second)
    assert desk.running() == [first]


def test_no_limit_refuses_a_retry_but_newcomers_find_it_there(desk: Desk) -> None:
    first = desk.submit_one("work").id
    desk.submit_one("work")
    assert isinstance(desk.submit("work"), QueueFull)
    assert fail(desk, first).status is PENDING  # and the second runs
    assert isinstance(desk.submit("work"), QueueFull)
    desk.cancel(first)
    assert desk.submit_one("work").status is PENDING


def test_a_retry_keeps_key_priority_and_chain(desk: Desk) -> None:
    task_id = desk.submit_one("work", dedupe_key="k", priority=3).id
    assert fail(desk, task_id).priority == 3
    (accepted,) = desk.submit("work", dedupe_key="k")
    assert isinstance(accepted, Accepted)
    assert (accepted.record.id, accepted.deduplicated) == (task_id, True)


def test_progress_begins_anew_with_the_next_attempt(desk: Desk) -> None:
    task_id = desk.submit_one("work").id
    report = ProgressReport(task_id, 1, percent=60, current=3, total=5, message="reading")
    assert fail(desk, task_id, progress=report).progress_percent == 60
    desk.wait(10)
    again = desk.kept[task_id]
    assert (again.progress_percent, again.progress_current) == (0, None)


def test_the_outcome_of_an_earlier_attempt_changes_nothing(desk: Desk) -> None:
    task_id = desk.submit_one("work").id
    fail(desk, task_id)
    before = desk.kept[task_id]
    late = Failed(task_id, 1, "late", None, None, retriable=True)
    desk.hear(Succeeded(task_id, 1, EMPTY, None), late)
    assert desk.kept[task_id] == before
    desk.wait(10)
    desk.hear(late)
    assert desk.status(task_id) is RUNNING


def test_a_task_that_waits_for_its_retry_is_cancelled_at_once(desk: Desk) -> None:
    task_id = desk.submit_one("work").id
    fail(desk, task_id)
    answer = desk.cancel(task_id).answer
    assert (answer.status, answer.error) == (CANCELLED, None)
    desk.wait(3600)
    assert len(desk.runs) == 1


def test_a_failure_that_crosses_a_cancel_is_not_tried_again(desk: Desk) -> None:
    task_id, reply = desk.submit_one("work").id, ListedReply()
    desk.hear(Cancel(task_id, reply), Failed(task_id, 1, "OSError: no", None, None, True))
    assert (reply.answer.status, reply.answer.error) == (CANCELLED, None)
    assert reply.answer.message == "Task cancelled (while stopping: OSError: no)"
    # Where it was the end anyway, it ended before it heard.
    task_id, reply = desk.submit_one("work").id, ListedReply()
    desk.hear(Cancel(task_id, reply), Failed(task_id, 1, "ValueError: no", None, None, False))
    assert isinstance(reply.answer, TaskAlreadyFinal)
    assert desk.status(task_id) is FAILED


def test_a_body_that_ran_out_of_time_and_then_ended_is_tried_again_like_any(desk: Desk) -> None:
    task_id = desk.submit_one("work").id
    desk.hear(Overdue(task_id, 1, 5))
    fail(desk, task_id, error="timed out after 5 s")
    desk.wait(10)
    reply = desk.cancel(task_id)
    assert reply.answers == []  # the next attempt has ignored nothing yet
    desk.hear(Stopped(task_id, 2, None, None))
    assert reply.answer.status is CANCELLED


def test_a_drain_leaves_a_retry_pending_and_the_next_start_goes_on_with_it(desk: Desk) -> None:
    task_id, reply = desk.submit_one("work").id, ListedReply()
    desk.hear(Drain(reply), Halt())
    waiting = fail(desk, task_id)
    assert (waiting.status, reply.answer) == (PENDING, None)
    again = Desk(work, long, plain)
    again.recover([waiting])
    assert again.status(task_id) is PENDING
    assert again.scheduler.next_due == waiting.run_at
    again.wait(11)
    assert (again.status(task_id), again.kept[task_id].attempt) == (RUNNING, 2)
    again.wait(60)
    fail(again, task_id)
    again.wait(60)
    assert fail(again, task_id).error == "OSError: no (after 3 attempts)"


def test_interruptions_use_up_no_retry_and_are_told_among_the_attempts(desk: Desk) -> None:
    old = a_record(1, RUNNING, type="long")
    desk.recover([old])
    record = fail(desk, "old_1")
    assert (record.interruptions, record.retries, record.attempt) == (1, 1, 3)
    assert record.attempts[0] == AttemptRecord(
        1, START, record.attempts[0].ended_at, "interrupted by server restart", found_over=True
    )
    desk.hear(Halt(), Stopped("old_1", 3, None, None))
    assert [one.error for one in desk.kept["old_1"].attempts] == [
        "interrupted by server restart",
        "OSError: no",
        "interrupted by shutdown",
    ]


def test_only_the_newest_attempts_are_kept_and_long_errors_are_cut(desk: Desk) -> None:
    task_id = desk.submit_one("long").id
    for _ in range(30):
        fail(desk, task_id, error="x" * 100_000)
    record = desk.kept[task_id]
    assert [one.number for one in record.attempts] == list(range(31 - MAX_ATTEMPTS_KEPT, 31))
    assert max(len(one.error) for one in record.attempts) <= 500
    assert all(len(put.message) <= 1_000 for put in desk.puts())
