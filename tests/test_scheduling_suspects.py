"""Of tasks that the next crash makes poisonous one runs at a time: so it tells which it was."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cortex_tasks.engine.context import TaskContext
from cortex_tasks.engine.errors import QueueFull
from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.engine.messages import Failed
from cortex_tasks.engine.records import TaskRecord
from cortex_tasks.engine.registry import task_type

from .engine_setting import Desk, a_record

PENDING, RUNNING = TaskStatus.PENDING, TaskStatus.RUNNING


@task_type("long", concurrency=4, max_pending=4, on_restart="resume", max_interruptions=3)
async def long(ctx: TaskContext) -> None:
    return None


@task_type("other", concurrency=4, on_restart="resume", max_interruptions=3)
async def other(ctx: TaskContext) -> None:
    return None


@task_type("once", concurrency=4, on_restart="resume", max_interruptions=1)
async def once(ctx: TaskContext) -> None:
    return None


@pytest.fixture
def desk() -> Desk:
    return Desk(long, other, once)


def suspect(number: int, *, type: str = "long", interruptions: int = 1) -> TaskRecord:
    """One that ran when the process ended, and will have seen one interruption more."""
    return a_record(number, RUNNING, type=type, interruptions=interruptions)


def crashed(desk: Desk) -> Desk:
    """What comes after a crash, from what was kept."""
    after = Desk(long, other, once)
    after.recover(desk.kept.values())
    return after


def test_of_tasks_on_their_last_chance_one_runs_at_a_time_whatever_their_type(desk: Desk) -> None:
    desk.recover([suspect(1), suspect(2, type="other"), suspect(3)])
    started = []
    while desk.running():
        [running] = desk.running()
        started.append(running)
        desk.succeed(running)
    assert sorted(started) == ["old_1", "old_2", "old_3"]


def test_all_others_run_beside_it(desk: Desk) -> None:
    desk.recover([suspect(1), suspect(2), suspect(3, interruptions=0)])
    new = desk.submit_one("long")
    never_interrupted = [desk.submit_one("once").id for _ in range(2)]
    assert desk.running() == ["old_1", "old_3", new.id, *never_interrupted]


def test_the_one_that_waits_says_why_and_takes_no_place(desk: Desk) -> None:
    desk.recover([suspect(1), suspect(2)])
    assert desk.kept["old_2"].message == (
        "Pending: interrupted by server restart, for the last time that it may be: it starts when "
        "no other such task runs"
    )
    new = [desk.submit_one("long").id for _ in range(3)]
    assert desk.running() == ["old_1", *new]


def test_a_crash_fails_the_one_that_ran_alone_and_no_other(desk: Desk) -> None:
    desk.recover([suspect(1), suspect(2), suspect(3)])
    [alone] = desk.running()
    after = crashed(desk)
    assert after.status(alone) is TaskStatus.FAILED
    assert "poisonous" in str(after.kept[alone].error)
    others = {"old_1", "old_2", "old_3"} - {alone}
    assert {after.kept[each].interruptions for each in others} == {2}
    assert len(after.running()) == 1


def test_one_that_waits_can_be_cancelled(desk: Desk) -> None:
    desk.recover([suspect(1), suspect(2), suspect(3)])
    desk.cancel("old_2")
    assert desk.status("old_2") is TaskStatus.CANCELLED
    desk.succeed("old_1")
    assert desk.running() == ["old_3"]
    assert desk.scheduler.queues.of("long").early == 0


def test_when_it_fails_and_is_to_be_retried_it_waits_like_the_others() -> None:
    @task_type("long", concurrency=4, on_restart="resume", max_interruptions=3, retries=1)
    async def retried(ctx: TaskContext) -> None:
        return None

    desk = Desk(retried)
    desk.recover([suspect(1), suspect(2)])
    desk.hear(Failed("old_1", desk.kept["old_1"].attempt, "OSError: no", None, None, True, None))
    assert desk.running() == ["old_2"]
    desk.wait(3600)
    assert desk.running() == ["old_2"]
    desk.succeed("old_2")
    assert desk.running() == ["old_1"]


@pytest.mark.parametrize("first_ends", [True, False])
def test_what_is_undone_for_lack_of_room_leaves_one_of_them_at_most(
    desk: Desk, first_ends: bool
) -> None:
    desk.recover([suspect(1), suspect(2)])
    seq = desk.scheduler._tasks.seq
    message = Failed("old_1", desk.kept["old_1"].attempt, "OSError: no", None, None, False, None)
    if first_ends:
        refused = desk.decide(message)
        desk.scheduler.roll_back([refused], seq)
    desk.hear(message)
    assert desk.running() == ["old_2"]
    desk.succeed("old_2")
    assert not desk.running()


def test_those_that_wait_count_as_pending_when_the_queue_is_full(desk: Desk) -> None:
    desk.recover([suspect(number) for number in range(1, 6)])
    assert desk.running() == ["old_1"]
    queue = desk.scheduler.queues.of("long")
    assert (queue.running, queue.early, queue.ready) == (1, 4, 0)
    assert isinstance(desk.submit("long", run_at=timedelta(hours=1)), QueueFull)
