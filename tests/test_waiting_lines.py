"""Who starts next: by priority, then by who has been ready for longest. Decided without a loop."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from cortex_tasks.engine.context import TaskContext
from cortex_tasks.engine.errors import QueueFull
from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.engine.messages import Drain, Stopped
from cortex_tasks.engine.records import ChainStep
from cortex_tasks.engine.registry import task_type
from cortex_tasks.engine.timetable import Timetable
from cortex_tasks.testing.injected import START

from .engine_setting import Desk, ListedReply, a_record

PENDING, RUNNING = TaskStatus.PENDING, TaskStatus.RUNNING
CANCELLED, FAILED = TaskStatus.CANCELLED, TaskStatus.FAILED
HOUR = timedelta(hours=1)


@task_type("work", max_pending=3)
async def work(ctx: TaskContext) -> None:
    return None


@task_type("wide", concurrency=2, max_pending=9)
async def wide(ctx: TaskContext) -> None:
    return None


@task_type("long", on_restart="resume", max_pending=9)
async def long(ctx: TaskContext) -> None:
    return None


@pytest.fixture
def desk() -> Desk:
    return Desk(work, wide, long)


def started(desk: Desk) -> list[str]:
    return [run.record.id for run in desk.runs]


def run_them_all(desk: Desk) -> list[str]:
    """End whatever runs until nothing does; gives all that ran, in the order of their starts."""
    while running := desk.running():
        desk.succeed(running[0])
    return started(desk)


# -- priority ------------------------------------------------------------------------------------


def test_of_those_that_wait_for_a_place_the_highest_priority_starts_first(desk: Desk) -> None:
    at_work = desk.submit_one("long").id
    given = {desk.submit_one("long", priority=p).id: p for p in (0, -5, 7, 0, 1000, -5, 7)}
    expected = sorted(given, key=lambda task_id: -given[task_id])  # stable: first come within each
    assert run_them_all(desk) == [at_work, *expected]


def test_a_high_priority_takes_no_place_from_one_that_runs(desk: Desk) -> None:
    first = desk.submit_one("work").id
    desk.submit_one("work", priority=1000)
    assert desk.running() == [first]


def test_only_lower_priorities_may_be_left(desk: Desk) -> None:
    desk.submit_one("work")
    low, lower = (desk.submit_one("work", priority=p).id for p in (-1, -2))
    desk.cancel(low)
    assert run_them_all(desk)[1:] == [lower]


def test_a_priority_counts_within_its_type_alone(desk: Desk) -> None:
    desk.submit_one("work")
    desk.submit_one("work", priority=9)
    assert desk.submit_one("wide", priority=-9).id in desk.running()


def test_a_chain_keeps_the_priority_of_its_first_task(desk: Desk) -> None:
    first = desk.submit_one("work", priority=4, then=(ChainStep("wide"),))
    desk.succeed(first.id)
    next_id = desk.kept[first.id].next_id
    assert next_id is not None
    assert desk.kept[next_id].priority == 4


# -- delay ---------------------------------------------------------------------------------------


def test_a_delayed_task_is_pending_until_its_moment_and_then_starts(desk: Desk) -> None:
    record = desk.submit_one("work", run_at=HOUR)
    assert record.run_at == record.created_at + HOUR
    assert desk.scheduler.next_due == record.run_at
    desk.wait(3599)
    assert desk.status(record.id) is PENDING
    desk.wait(1)
    assert desk.status(record.id) is RUNNING
    assert desk.kept[record.id].run_at is None
    assert desk.scheduler.next_due is None


def test_a_moment_that_is_past_means_now(desk: Desk) -> None:
    for run_at in (START - HOUR, START, timedelta(0)):
        record = desk.submit_one("wide", run_at=run_at)
        assert record.run_at is None
        assert desk.status(record.id) is RUNNING
        desk.succeed(record.id)


def test_a_delayed_task_holds_up_nobody_behind_it(desk: Desk) -> None:
    delayed = desk.submit_one("work", run_at=HOUR, priority=9).id
    behind = desk.submit_one("work").id
    assert desk.running() == [behind]
    desk.succeed(behind)
    assert desk.status(delayed) is PENDING


def test_the_moments_decide_who_comes_first_not_the_submissions(desk: Desk) -> None:
    later = desk.submit_one("wide", run_at=2 * HOUR).id
    sooner = desk.submit_one("wide", run_at=HOUR).id
    same = [desk.submit_one("wide", run_at=START + 3 * HOUR).id for _ in range(3)]
    assert desk.scheduler.next_due == desk.kept[sooner].run_at
    desk.wait(4 * 3600)
    assert run_them_all(desk) == [sooner, later, *same]


def test_whose_moment_came_stands_behind_those_that_were_ready_before(desk: Desk) -> None:
    at_work = desk.submit_one("long").id
    delayed = desk.submit_one("long", run_at=timedelta(seconds=10)).id
    before = desk.submit_one("long").id
    desk.wait(10)
    after = desk.submit_one("long").id
    assert run_them_all(desk) == [at_work, before, delayed, after]


def test_any_message_lets_those_start_whose_moment_has_come(desk: Desk) -> None:
    delayed = desk.submit_one("work", run_at=HOUR).id
    desk.clock.time += HOUR
    newcomer = desk.submit_one("work").id  # the alarm has not rung yet
    assert desk.running() == [delayed]
    assert desk.status(newcomer) is PENDING


def test_a_delayed_task_is_cancelled_at_once_and_never_starts(desk: Desk) -> None:
    delayed = desk.submit_one("work", run_at=HOUR).id
    assert desk.cancel(delayed).answer.status is CANCELLED
    assert desk.scheduler.next_due is None
    desk.wait(3601)
    assert desk.runs == []


def test_delayed_tasks_count_against_the_limit_whatever_places_are_free(desk: Desk) -> None:
    for _ in range(3):
        desk.submit_one("work", run_at=HOUR)
    refused = desk.submit("work", run_at=HOUR)
    assert isinstance(refused, QueueFull)
    assert desk.status(desk.submit_one("work").id) is RUNNING  # it waits for nothing
    assert isinstance(desk.submit("work"), QueueFull)


def test_what_was_delayed_needs_no_more_room_once_it_is_ready(desk: Desk) -> None:
    for _ in range(3):
        desk.submit_one("work", run_at=HOUR)
    desk.wait(3600)
    assert len(desk.running()) == 1
    desk.submit_one("work")
    assert isinstance(desk.submit("work"), QueueFull)


def test_a_step_of_a_chain_waits_for_its_delay_after_the_one_before(desk: Desk) -> None:
    first = desk.submit_one("work", then=(ChainStep("work", delay=HOUR), ChainStep("gone")))
    desk.wait(100)
    desk.succeed(first.id)
    next_id = desk.kept[first.id].next_id
    assert next_id is not None
    ended = desk.kept[first.id].completed_at
    assert ended is not None
    assert desk.kept[next_id].run_at == ended + HOUR
    desk.wait(3600)
    assert desk.status(next_id) is RUNNING


def test_a_delayed_step_whose_type_is_gone_fails_at_once(desk: Desk) -> None:
    desk.recover([a_record(1, PENDING, then=(ChainStep("gone", delay=HOUR),))])
    desk.succeed("old_1")
    next_id = desk.kept["old_1"].next_id
    assert next_id is not None
    assert desk.status(next_id) is FAILED
    assert desk.scheduler.next_due is None


# -- leaving and coming back ---------------------------------------------------------------------


def test_a_drain_leaves_delayed_tasks_pending_and_does_not_wait_for_them(desk: Desk) -> None:
    delayed = desk.submit_one("work", run_at=HOUR).id
    reply = ListedReply()
    desk.hear(Drain(reply))
    assert reply.answer is None
    desk.wait(3601)
    assert desk.status(delayed) is PENDING
    assert desk.scheduler.next_due is None  # it would ring for nothing


def test_after_a_restart_delays_go_on_and_those_due_start_in_the_order_of_their_moments(
    desk: Desk,
) -> None:
    def at(hours: float) -> datetime:
        return START + hours * HOUR

    desk.recover(
        [
            a_record(1, PENDING, run_at=at(2)),
            a_record(2, PENDING, run_at=at(-0.5)),
            a_record(3, PENDING, run_at=at(-1), priority=-1),
            a_record(4, PENDING, run_at=at(-1)),
            a_record(5, PENDING, run_at=at(-2), type="wide"),
            a_record(6, PENDING, run_at=at(1), priority=9),
            a_record(7, PENDING, run_at=at(-0.25), priority=1),
        ]
    )
    assert desk.scheduler.next_due == at(1)
    order = [task_id for task_id in run_them_all(desk) if desk.kept[task_id].type == "work"]
    assert order == ["old_7", "old_4", "old_2", "old_3"]
    assert (desk.status("old_1"), desk.status("old_6")) == (PENDING, PENDING)
    desk.wait(7200)
    assert run_them_all(desk)[-2:] == ["old_6", "old_1"]


def test_after_a_restart_a_delayed_task_stands_where_its_moment_had_put_it(desk: Desk) -> None:
    for number, run_at, created_at in [
        (1, START - timedelta(minutes=5), START - HOUR),
        (2, None, START - timedelta(minutes=10)),
        (3, None, START - timedelta(minutes=1)),
        (4, None, START - HOUR),  # the clock was set back before this submission
    ]:
        record = a_record(number, PENDING, type="long", run_at=run_at)
        desk.kept[record.id] = msgspec.structs.replace(record, created_at=created_at)
    desk.recover(list(desk.kept.values()))
    assert run_them_all(desk) == ["old_2", "old_1", "old_3", "old_4"]


def test_an_interrupted_task_keeps_its_priority_and_waits_for_no_moment(desk: Desk) -> None:
    task_id = desk.submit_one("long", priority=3, run_at=HOUR).id
    desk.wait(3600)
    running = desk.kept[task_id]
    again = Desk(work, wide, long)
    again.recover([running])
    assert again.running() == [task_id]
    assert again.kept[task_id].priority == 3
    again.hear(Stopped(task_id, 1, None, None))  # of the attempt before: nothing happens
    assert again.running() == [task_id]


# -- the timetable -------------------------------------------------------------------------------


def test_a_timetable_forgets_whoever_left_it() -> None:
    table = Timetable()
    moment = datetime(2026, 3, 15, tzinfo=UTC)
    for number in (4, 3, 2, 1, 0):  # who comes first stands first, whatever it is called
        table.add(f"task_{number}", "work", 0, moment)
    table.remove("task_1")
    table.remove("task_3")
    assert "task_1" not in table
    assert list(table.take_due(moment - HOUR)) == []
    assert [entry.task_id for entry in table.take_due(moment)] == ["task_4", "task_2", "task_0"]
    assert table.next_due is None
    assert table.__dict__["_entries"] == []
    assert table.__dict__["_by_id"] == {}
