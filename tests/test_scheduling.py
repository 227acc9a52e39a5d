"""Every decision about tasks, tested without a loop: messages in, decisions out."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from cortex_tasks.engine.context import TaskContext
from cortex_tasks.engine.errors import (
    EngineNotRunning,
    QueueFull,
    TaskAlreadyFinal,
    TaskNotFound,
)
from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.engine.messages import (
    Accepted,
    Cancel,
    CleanUp,
    Drain,
    Failed,
    Halt,
    Heard,
    Overdue,
    Progressed,
    ProgressReport,
    Stop,
    Stopped,
    Submission,
    Submit,
    Succeeded,
)
from cortex_tasks.engine.records import ChainStep, TaskRecord
from cortex_tasks.engine.registry import task_type
from cortex_tasks.engine.storage import Drop, Pause, Put
from cortex_tasks.testing.promises import is_legal

from .engine_setting import EMPTY, Desk, ListedReply, a_record

PENDING, RUNNING = TaskStatus.PENDING, TaskStatus.RUNNING
COMPLETED, FAILED, CANCELLED = TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED


@task_type("work", concurrency=2, max_pending=3)
async def work(ctx: TaskContext) -> None:
    return None


@task_type("other")
async def other(ctx: TaskContext) -> None:
    return None


@task_type("long", on_restart="resume")
async def long(ctx: TaskContext) -> None:
    return None


@pytest.fixture
def desk() -> Desk:
    return Desk(work, other, long)


def failed(task_id: str, attempt: int = 1, progress: ProgressReport | None = None) -> Failed:
    return Failed(task_id, attempt, "ValueError: no", "Traceback …", progress)


def stopped(task_id: str, attempt: int = 1, trouble: str | None = None) -> Stopped:
    return Stopped(task_id, attempt, trouble, None)


def cancel_of(task_id: str, reply: ListedReply | None = None) -> Cancel:
    return Cancel(task_id, reply or ListedReply())


def said(task_id: str, percent: float | None = None, attempt: int = 1, **more: Any) -> Progressed:
    return Progressed((ProgressReport(task_id, attempt, percent, **more),))


# -- queues --------------------------------------------------------------------------------------


def test_tasks_of_a_type_start_in_the_order_of_their_submission(desk: Desk) -> None:
    ids = [desk.submit_one().id for _ in range(5)]
    started = [run.record.id for run in desk.runs]
    assert started == ids[:2]  # never more than the type's concurrency
    desk.succeed(ids[1])
    desk.hear(failed(ids[0]))
    desk.cancel(ids[2])
    desk.hear(stopped(ids[2]))
    assert [run.record.id for run in desk.runs] == ids


def test_a_type_that_is_busy_holds_up_no_other(desk: Desk) -> None:
    for _ in range(3):
        desk.submit_one("work")
    assert desk.status(desk.submit_one("other").id) is RUNNING


def test_a_task_for_which_there_is_a_place_starts_in_the_decision_that_takes_it(desk: Desk) -> None:
    submission = Submission("task_a", "work", msgspec.Raw(b'{"a": 1}'))
    decision = desk.decide(Submit((submission,), ListedReply()))
    records = [change.record for change in decision.changes if isinstance(change, Put)]
    assert [record.status for record in records] == [PENDING, RUNNING]
    desk.keep(decision)
    assert desk.runs[0].params == msgspec.Raw(b'{"a": 1}')


def test_the_place_that_an_end_frees_is_taken_in_the_same_decision(desk: Desk) -> None:
    first, second = desk.submit_one("other"), desk.submit_one("other")
    decision = desk.decide(Succeeded(first.id, 1, EMPTY, None))
    statuses = [(c.record.id, c.record.status) for c in decision.changes if isinstance(c, Put)]
    assert statuses == [(first.id, COMPLETED), (second.id, RUNNING)]


def test_nothing_runs_before_its_start_is_kept(desk: Desk) -> None:
    decision = desk.decide(Submit((Submission("task_a", "work", EMPTY),), ListedReply()))
    assert desk.runs == []
    desk.keep(decision)
    assert [run.record.id for run in desk.runs] == ["task_a"]


def test_a_full_queue_takes_all_of_a_submission_or_none(desk: Desk) -> None:
    # Two start at once, three may wait.
    refused = desk.submit(*["work"] * 6)
    assert isinstance(refused, QueueFull)
    assert "The queue of 'work' is full: 3 tasks are pending" in str(refused)
    assert desk.kept == {}
    assert len(desk.submit(*["work"] * 5)) == 5
    assert isinstance(desk.submit("other", "work"), QueueFull)
    assert len(desk.kept) == 5
    assert desk.submit_one("other").type == "other"
    desk.succeed("task_7")
    assert desk.submit_one("work").status is PENDING


def test_a_full_queue_has_room_again_once_a_pending_task_is_cancelled(desk: Desk) -> None:
    ids = [accepted.record.id for accepted in desk.submit(*["work"] * 5)]
    assert isinstance(desk.submit("work"), QueueFull)
    desk.cancel(ids[3])
    assert desk.submit_one().status is PENDING


# -- single flight -------------------------------------------------------------------------------


def test_a_key_that_is_pending_or_running_gives_the_task_that_has_it(desk: Desk) -> None:
    first = desk.submit_one("other", dedupe_key="all")
    (second,) = desk.submit("other", dedupe_key="all")
    assert second == Accepted(desk.kept[first.id], deduplicated=True)
    assert len(desk.kept) == 1
    assert desk.submit_one("work", dedupe_key="all").id != first.id  # keys are of a type
    assert desk.submit_one("other", dedupe_key="some").id != first.id


def test_a_key_is_single_within_one_submission_too(desk: Desk) -> None:
    answers = desk.submit(*["work"] * 5, dedupe_key="all")
    assert len({answer.record.id for answer in answers}) == 1
    assert [answer.deduplicated for answer in answers] == [False] + [True] * 4


@pytest.mark.parametrize("end", ["succeed", "fail", "cancel running", "cancel pending"])
def test_a_key_is_free_again_at_the_end(desk: Desk, end: str) -> None:
    if end == "cancel pending":
        desk.submit_one("other")
    first = desk.submit_one("other", dedupe_key="all")
    match end:
        case "succeed":
            desk.succeed(first.id)
        case "fail":
            desk.hear(failed(first.id))
        case "cancel pending":
            desk.cancel(first.id)
        case _:
            desk.cancel(first.id)
            # It still runs, but what is asked for from now on is not done by it.
            follow_up = desk.submit_one("other", dedupe_key="all")
            assert follow_up.id != first.id
            desk.hear(stopped(first.id))
            assert desk.submit_one("other", dedupe_key="all").id == follow_up.id
    assert desk.kept[first.id].final
    again = desk.submit_one("other", dedupe_key="all")
    assert again.id != first.id


def test_a_key_survives_a_restart(desk: Desk) -> None:
    desk.recover([a_record(1, PENDING, dedupe_key="all")])
    assert desk.submit_one("work", dedupe_key="all").id == "old_1"


def test_a_key_that_a_resumed_task_has_is_not_free_while_it_waits(desk: Desk) -> None:
    task = desk.submit_one("long", dedupe_key="all")
    desk.hear(Drain(ListedReply()))
    desk.hear(Halt())
    desk.hear(stopped(task.id))
    assert desk.status(task.id) is PENDING
    again = Desk(work, other, long)
    again.recover(desk.kept.values())
    assert again.submit_one("long", dedupe_key="all").id == task.id


# -- chains --------------------------------------------------------------------------------------

THREE = (
    ChainStep("other", msgspec.Raw(b'{"step": 2}')),
    ChainStep("long", msgspec.Raw(b'{"step": 3}')),
)


def test_a_step_of_a_chain_is_submitted_in_the_decision_that_completes_the_one_before(
    desk: Desk,
) -> None:
    first = desk.submit_one("work", then=THREE)
    desk.succeed(first.id)
    second_id = desk.kept[first.id].next_id
    assert second_id is not None
    second = desk.kept[second_id]
    assert (second.status, second.type, second.previous_id) == (RUNNING, "other", first.id)
    assert desk.runs[-1].params == msgspec.Raw(b'{"step": 2}')
    assert second.then == THREE[1:]
    desk.succeed(second.id)
    third_id = desk.kept[second.id].next_id
    assert third_id is not None
    assert desk.runs[-1].params == msgspec.Raw(b'{"step": 3}')
    desk.succeed(third_id)
    assert desk.kept[third_id].next_id is None
    assert len(desk.kept) == 3


def test_what_did_not_complete_starts_nothing(desk: Desk) -> None:
    broken, stopping = desk.submit_one(then=THREE), desk.submit_one(then=THREE)
    waiting = desk.submit_one(then=THREE)
    desk.cancel(waiting.id)
    desk.hear(failed(broken.id))
    desk.cancel(stopping.id)
    desk.hear(stopped(stopping.id))
    assert set(desk.kept) == {broken.id, stopping.id, waiting.id}
    assert all(record.final and record.next_id is None for record in desk.kept.values())


def test_a_step_is_not_lost_to_a_full_queue(desk: Desk) -> None:
    first = desk.submit_one("other", then=(ChainStep("work"),))
    desk.submit(*["work"] * 5)
    desk.succeed(first.id)
    next_id = desk.kept[first.id].next_id
    assert next_id is not None
    assert desk.status(next_id) is PENDING


def test_a_step_whose_type_is_gone_after_a_restart_fails_where_one_can_see_it(desk: Desk) -> None:
    desk.recover([a_record(1, PENDING, then=(ChainStep("gone"), ChainStep("other")))])
    desk.succeed("old_1")
    next_id = desk.kept["old_1"].next_id
    assert desk.status("old_1") is COMPLETED
    assert next_id is not None
    assert desk.status(next_id) is FAILED
    assert desk.kept[next_id].error == "no task type 'gone' is registered in this process"
    assert len(desk.kept) == 2


def test_a_step_holds_its_key_and_one_that_finds_it_taken_runs_without(desk: Desk) -> None:
    chain = (ChainStep("long", dedupe_key="all"),)
    first = desk.submit_one("work", then=chain)
    desk.succeed(first.id)
    holder = desk.kept[first.id].next_id
    assert desk.submit_one("long", dedupe_key="all").id == holder
    second = desk.submit_one("work", then=chain)
    desk.succeed(second.id)
    without = desk.kept[second.id].next_id
    assert without not in (None, holder)
    desk.succeed(str(holder))
    desk.succeed(str(without))
    assert desk.submit_one("long", dedupe_key="all").id not in (holder, without)


# -- progress ------------------------------------------------------------------------------------


def test_progress_never_falls_and_is_100_only_when_completed(desk: Desk) -> None:
    task = desk.submit_one()
    seen = []
    for percent in (10, 40.9, 20, 99.9, 100, 1000, -5):
        desk.hear(said(task.id, percent))
        seen.append(desk.kept[task.id].progress_percent)
    assert seen == [10, 40, 40, 99, 99, 99, 99]
    desk.succeed(task.id)
    assert desk.kept[task.id].progress_percent == 100


def test_progress_below_nothing_is_nothing(desk: Desk) -> None:
    task = desk.submit_one()
    desk.hear(said(task.id, -5))
    desk.hear(said(task.id, current=-3, total=10))
    assert desk.kept[task.id].progress_percent == 0


@pytest.mark.parametrize("current", [2**53, -(2**53)])
def test_progress_towards_a_tiny_total_stays_a_percentage(desk: Desk, current: int) -> None:
    task = desk.submit_one()
    desk.hear(said(task.id, current=current, total=1e-300))
    assert desk.kept[task.id].progress_percent == (99 if current > 0 else 0)


def test_progress_is_worked_out_from_current_and_total(desk: Desk) -> None:
    task = desk.submit_one()
    desk.hear(said(task.id, current=1, total=4, message="One"))
    record = desk.kept[task.id]
    assert (record.progress_percent, record.message) == (25, "One")
    desk.hear(said(task.id, current=2))  # the total is remembered
    assert desk.kept[task.id].progress_percent == 50
    desk.hear(said(task.id, total=0, current=3))
    record = desk.kept[task.id]
    assert (record.progress_current, record.progress_total) == (3, 0)
    assert record.message == "One"


def test_each_change_moves_the_time_of_change(desk: Desk) -> None:
    task = desk.submit_one()
    before = desk.kept[task.id].updated_at
    desk.hear(said(task.id, 10))
    assert desk.kept[task.id].updated_at > before


def test_the_report_that_comes_with_the_end_is_not_lost(desk: Desk) -> None:
    done, broken = desk.submit_one(), desk.submit_one()
    desk.succeed(done.id, ProgressReport(done.id, 1, None, 7, 9, "Nearly"))
    desk.hear(failed(broken.id, progress=ProgressReport(broken.id, 1, 70)))
    assert desk.kept[done.id].progress_current == 7
    assert desk.kept[done.id].message == "Nearly"
    assert desk.kept[broken.id].progress_percent == 70
    assert desk.kept[broken.id].message == "Failed: ValueError: no"


def test_an_attempt_begins_at_nothing(desk: Desk) -> None:
    desk.recover([a_record(1, RUNNING, type="long", progress_percent=80, progress_current=8)])
    record = desk.kept["old_1"]
    assert (record.status, record.attempt) == (RUNNING, 2)
    assert (record.progress_percent, record.progress_current) == (0, None)
    desk.hear(said("old_1", 5, attempt=2))
    assert desk.kept["old_1"].progress_percent == 5


def test_what_an_earlier_attempt_says_changes_nothing(desk: Desk) -> None:
    desk.recover([a_record(1, RUNNING, type="long")])
    before = desk.kept["old_1"]
    late: list[Heard] = [
        said("old_1", 50, attempt=1),
        Succeeded("old_1", 1, EMPTY, None),
        failed("old_1", 1),
        stopped("old_1", 1),
        Overdue("old_1", 1, 5.0),
    ]
    for message in late:
        assert desk.hear(message).empty
    assert desk.kept["old_1"] == before


def test_what_is_said_after_the_end_or_of_an_unknown_task_changes_nothing(desk: Desk) -> None:
    task = desk.submit_one()
    desk.succeed(task.id)
    before = dict(desk.kept)
    for task_id in (task.id, "task_unknown"):
        for message in (
            said(task_id, 50),
            Succeeded(task_id, 1, EMPTY, None),
            failed(task_id),
            stopped(task_id),
            Overdue(task_id, 1, 5.0),
        ):
            assert desk.hear(message).empty
    assert desk.kept == before


# -- the ends of a body --------------------------------------------------------------------------


def test_a_completed_task_is_kept_with_its_result_in_one_change(desk: Desk) -> None:
    task = desk.submit_one()
    decision = desk.hear(Succeeded(task.id, 1, msgspec.Raw(b'{"a": 1}'), None))
    (change,) = decision.changes
    assert isinstance(change, Put)
    assert change.record.status is COMPLETED
    assert change.result == msgspec.Raw(b'{"a": 1}')
    assert change.record.result_size == 8
    assert change.record.message == "Completed"


def test_a_failed_task_keeps_error_and_traceback(desk: Desk) -> None:
    task = desk.submit_one()
    desk.hear(failed(task.id))
    record = desk.kept[task.id]
    assert (record.status, record.error) == (FAILED, "ValueError: no")
    assert record.traceback == "Traceback …"
    assert record.message == "Failed: ValueError: no"
    assert record.result_size is None


# -- cancelling ----------------------------------------------------------------------------------


def test_a_pending_task_is_cancelled_at_once_and_never_runs(desk: Desk) -> None:
    desk.submit_one("other")
    task = desk.submit_one("other")
    assert desk.cancel(task.id).answer == desk.kept[task.id]
    assert desk.status(task.id) is CANCELLED
    assert desk.stops == []
    desk.succeed("task_1")
    assert [run.record.id for run in desk.runs] == ["task_1"]


def test_the_cancel_of_a_running_task_is_answered_once_it_has_stopped(desk: Desk) -> None:
    task = desk.submit_one()
    first, second = desk.cancel(task.id), desk.cancel(task.id)
    assert desk.stops == [Stop("work", task.id, "cancel")]  # told once
    assert first.answers == second.answers == []
    assert desk.status(task.id) is RUNNING
    assert desk.kept[task.id].cancel_requested_at is not None
    desk.hear(stopped(task.id))
    assert first.answer == second.answer == desk.kept[task.id]
    assert desk.status(task.id) is CANCELLED
    assert desk.kept[task.id].message == "Task cancelled"
    assert desk.cancel(task.id).answer == desk.kept[task.id]


def test_a_stop_does_not_wait_until_the_cancel_is_kept(desk: Desk) -> None:
    task = desk.submit_one()
    decision = desk.decide(cancel_of(task.id))
    assert decision.at_once == [Stop("work", task.id, "cancel")]
    assert not any(isinstance(effect, Stop) for effect in decision.once_kept)


def test_a_stop_that_is_decided_before_the_run_is_kept_is_not_forgotten(desk: Desk) -> None:
    submitted = desk.decide(Submit((Submission("task_a", "work", EMPTY),), ListedReply()))
    cancelled = desk.decide(cancel_of("task_a"))
    assert desk.scheduler.told_to_stop("task_a") == "cancel"
    desk.keep(submitted)
    desk.keep(cancelled)
    assert desk.runs[0].record.id == "task_a"
    assert desk.scheduler.told_to_stop("task_a") == "cancel"


def test_a_task_that_finished_before_it_heard_has_completed(desk: Desk) -> None:
    task = desk.submit_one()
    reply = desk.cancel(task.id)
    desk.succeed(task.id)
    assert desk.status(task.id) is COMPLETED
    assert isinstance(reply.answer, TaskAlreadyFinal)
    assert desk.kept[task.id].message == "Completed"


def test_what_a_body_raises_while_it_stops_is_in_the_message(desk: Desk) -> None:
    task = desk.submit_one()
    desk.cancel(task.id)
    desk.hear(stopped(task.id, trouble="KeyError: 'x'"))
    assert desk.kept[task.id].message == "Task cancelled (while stopping: KeyError: 'x')"
    assert desk.status(task.id) is CANCELLED


def test_a_cancel_of_what_is_over_or_unknown_is_refused(desk: Desk) -> None:
    done, broken = desk.submit_one(), desk.submit_one()
    desk.succeed(done.id)
    desk.hear(failed(broken.id))
    assert "is already completed" in str(desk.cancel(done.id).answer)
    assert "is already failed" in str(desk.cancel(broken.id).answer)
    unknown = desk.cancel("task_unknown").answer
    assert isinstance(unknown, TaskNotFound)
    assert "'task_unknown' not found" in str(unknown)


def test_a_cancel_that_comes_between_the_end_and_its_commit_is_answered_by_the_end(
    desk: Desk,
) -> None:
    task = desk.submit_one()
    ended = desk.decide(Succeeded(task.id, 1, EMPTY, None))
    reply = ListedReply()
    cancelled = desk.decide(cancel_of(task.id, reply))
    assert cancelled.changes == []
    desk.keep(ended)
    desk.keep(cancelled)
    assert isinstance(reply.answer, TaskAlreadyFinal)


def test_a_task_that_ignores_its_cancel_is_answered_as_it_is_then_cancelled(desk: Desk) -> None:
    task = desk.submit_one()
    first = desk.cancel(task.id)
    desk.hear(Overdue(task.id, 1, 5.0))
    assert first.answer.status is RUNNING
    assert first.answer.message == "Told to stop, but still running after 5 s"
    assert desk.cancel(task.id).answer.status is RUNNING  # at once, the second time
    # It had been answered that it becomes cancelled, so a late result does not count.
    desk.succeed(task.id)
    assert desk.status(task.id) is CANCELLED
    assert len(first.answers) == 1
    assert desk.results == {}


def test_an_overdue_task_keeps_its_place_until_it_has_stopped(desk: Desk) -> None:
    task, waiting = desk.submit_one("other"), desk.submit_one("other")
    desk.cancel(task.id)
    desk.hear(Overdue(task.id, 1, 5.0))
    assert desk.status(waiting.id) is PENDING
    desk.hear(stopped(task.id))
    assert desk.status(waiting.id) is RUNNING


# -- cleaning up ---------------------------------------------------------------------------------


def test_only_final_tasks_that_are_kept_are_dropped(desk: Desk) -> None:
    done, run, waiting = (desk.submit_one("other").id for _ in range(3))
    desk.succeed(done)
    reply = ListedReply()
    desk.hear(CleanUp((done, run, waiting, "task_unknown"), reply))
    assert reply.answer == 1
    assert set(desk.kept) == {run, waiting}
    assert isinstance(desk.cancel(done).answer, TaskNotFound)


def test_a_task_whose_end_is_not_kept_yet_is_not_dropped(desk: Desk) -> None:
    task = desk.submit_one()
    ended = desk.decide(Succeeded(task.id, 1, EMPTY, None))
    reply = ListedReply()
    dropping = desk.decide(CleanUp((task.id,), reply))
    desk.keep(ended)
    desk.keep(dropping)
    assert reply.answer == 0
    assert task.id in desk.kept


def test_what_two_cleanups_want_gone_is_dropped_once(desk: Desk) -> None:
    task = desk.submit_one()
    desk.succeed(task.id)
    replies = ListedReply(), ListedReply()
    first = desk.decide(CleanUp((task.id, task.id), replies[0]))
    second = desk.decide(CleanUp((task.id,), replies[1]))
    desk.keep(first)
    desk.keep(second)
    assert [reply.answer for reply in replies] == [1, 0]
    assert sum(isinstance(change, Drop) for change in desk.history) == 1
    assert desk.kept == {}


def test_of_a_task_that_was_dropped_nothing_is_left(desk: Desk) -> None:
    task = desk.submit_one("work", dedupe_key="all")
    desk.succeed(task.id)
    desk.hear(CleanUp((task.id,), ListedReply()))
    scheduler = desk.scheduler
    for left in (scheduler._tasks.by_id, scheduler._tasks.key_holders, scheduler._dropping):
        assert not left
    assert not list(scheduler._tasks.queues.of("work"))


# -- draining ------------------------------------------------------------------------------------


def test_a_drain_takes_nothing_more_starts_nothing_more_and_is_answered_once_nothing_runs(
    desk: Desk,
) -> None:
    run, waiting = desk.submit_one("other"), desk.submit_one("other")
    drained = ListedReply()
    desk.hear(Drain(drained))
    assert isinstance(desk.submit("work"), EngineNotRunning)
    assert drained.answers == []
    desk.succeed(run.id)
    assert drained.answer is None
    assert desk.status(run.id) is COMPLETED
    assert desk.status(waiting.id) is PENDING


def test_a_drain_with_nothing_running_is_answered_at_once(desk: Desk) -> None:
    drained = ListedReply()
    desk.hear(Drain(drained))
    assert drained.answer is None


def test_a_halt_stops_what_runs_and_requeues_what_resumes(desk: Desk) -> None:
    lost, kept, asked = desk.submit_one("other"), desk.submit_one("long"), desk.submit_one("work")
    desk.cancel(asked.id)
    drained = ListedReply()
    desk.hear(Drain(drained))
    desk.hear(Halt())
    assert desk.stops[1:] == [
        Stop("other", lost.id, "shutdown"),
        Stop("long", kept.id, "shutdown"),
    ]
    desk.hear(stopped(lost.id))
    desk.hear(stopped(kept.id))
    assert drained.answers == []
    desk.hear(stopped(asked.id))
    assert drained.answer is None
    assert desk.kept[lost.id].message == "Task cancelled by shutdown"
    assert desk.status(lost.id) is CANCELLED
    assert desk.status(kept.id) is PENDING
    assert desk.kept[kept.id].interruptions == 0  # a drain is no crash
    assert desk.kept[asked.id].message == "Task cancelled"
    assert len(desk.runs) == 3


def test_a_task_that_resumes_but_was_cancelled_does_not_come_back(desk: Desk) -> None:
    task = desk.submit_one("long")
    desk.hear(Drain(ListedReply()))
    desk.hear(Halt())
    desk.cancel(task.id)
    desk.hear(stopped(task.id))
    assert desk.status(task.id) is CANCELLED


def test_what_was_requeued_by_a_drain_can_be_cancelled(desk: Desk) -> None:
    task = desk.submit_one("long")
    desk.hear(Drain(ListedReply()))
    desk.hear(Halt())
    desk.hear(stopped(task.id))
    assert desk.cancel(task.id).answer.status is CANCELLED


# -- recovery ------------------------------------------------------------------------------------

EVERY_CASE = list(itertools.product(TaskStatus, ["other", "long", "gone"], [False, True]))


def expected_after_restart(status: TaskStatus, type_name: str, asked: bool) -> TaskStatus:
    if status.final:
        return status
    if status is PENDING:
        return FAILED if type_name == "gone" else RUNNING  # it starts in the same decision
    if asked:
        return CANCELLED
    return RUNNING if type_name == "long" else FAILED


@pytest.mark.parametrize(("status", "type_name", "asked"), EVERY_CASE)
def test_after_a_restart_every_task_has_an_owner(
    desk: Desk, status: TaskStatus, type_name: str, asked: bool
) -> None:
    fields: dict[str, Any] = {"error": "no"} if status is FAILED else {}
    if asked:
        fields["cancel_requested_at"] = desk.clock.now()
    found = a_record(7, status, type=type_name, **fields)
    decision = desk.recover([found])
    record = desk.kept["old_7"]
    assert record.status is expected_after_restart(status, type_name, asked)
    assert record.final or [run.record for run in desk.runs] == [record]
    if status.final:
        assert record == found
        assert decision.empty
    if status is RUNNING and record.status is FAILED:
        assert record.error == "interrupted by server restart"
    assert set(desk.kept) == {"old_7"}  # never a second id


def test_numbers_go_on_after_a_restart_without_a_gap(desk: Desk) -> None:
    desk.recover([a_record(1, COMPLETED), a_record(2, RUNNING), a_record(3, PENDING, type="long")])
    desk.submit_one()
    seqs = [change.seq for change in desk.history if not isinstance(change, Pause)]
    assert seqs == list(range(4, 4 + len(seqs)))


def test_pending_tasks_keep_their_order_over_a_restart(desk: Desk) -> None:
    desk.recover([a_record(number, PENDING, type="other") for number in (1, 2, 3)])
    for task_id in ("old_1", "old_2", "old_3"):
        assert desk.runs[-1].record.id == task_id
        desk.succeed(task_id)


@pytest.mark.parametrize(("limit", "times"), [(5, "5 times"), (2, "2 times"), (1, "once")])
def test_what_crashes_the_process_again_and_again_is_given_up(limit: int, times: str) -> None:
    @task_type("long", on_restart="resume", max_interruptions=limit)
    async def long(ctx: TaskContext) -> None:
        return None

    desk = Desk(work, other, long)
    record = desk.submit_one("long")
    for crash in range(1, limit + 1):
        found = list(desk.kept.values())
        desk = Desk(work, other, long)
        desk.recover(found)
        record = desk.kept[record.id]
        assert record.interruptions == crash
        assert record.status is (FAILED if crash == limit else RUNNING)
    assert record.error is not None
    assert record.error.startswith(f"interrupted by server restart {times}: poisonous")
    assert record.error.endswith(f"(max_interruptions={limit})")
    assert desk.runs == []


def test_params_are_handed_over_again_after_a_restart(desk: Desk) -> None:
    desk.recover([a_record(1, RUNNING, type="long")])
    assert desk.runs[0].params == EMPTY


# -- giving up -----------------------------------------------------------------------------------


def test_an_abandoned_scheduler_names_everyone_who_still_waits(desk: Desk) -> None:
    task = desk.submit_one()
    cancelling, drained = desk.cancel(task.id), ListedReply()
    desk.hear(Drain(drained))
    assert desk.scheduler.abandon() == [drained, cancelling]
    assert desk.scheduler.abandon() == []


# -- all of it -----------------------------------------------------------------------------------


def test_what_was_handed_out_is_not_changed_by_what_follows(desk: Desk) -> None:
    task = desk.submit_one()
    desk.hear(said(task.id, 50))
    assert task.progress_percent == 0
    assert task.status is PENDING  # as it was when the submit was decided


def test_every_record_begins_pending_and_moves_along_the_table(desk: Desk) -> None:
    first = desk.submit_one(then=THREE)
    desk.cancel(desk.submit_one().id)
    desk.succeed(first.id)
    before: dict[str, TaskStatus] = {}
    for record in desk.puts():
        assert is_legal(before.get(record.id), record.status)
        before[record.id] = record.status


def test_time_of_creation_start_and_end_are_in_order(desk: Desk) -> None:
    task = desk.submit_one()
    desk.clock.time += timedelta(seconds=5)
    desk.succeed(task.id)
    record: TaskRecord = desk.kept[task.id]
    assert record.started_at is not None
    assert record.completed_at is not None
    assert record.created_at <= record.started_at < record.completed_at == record.updated_at
