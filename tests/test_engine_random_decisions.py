"""Any messages in any order, kept early or late: the laws of scheduling hold all the same."""

from __future__ import annotations

from collections import deque
from datetime import timedelta
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cortex_tasks.engine.context import TaskContext
from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.engine.live_tasks import Decision
from cortex_tasks.engine.messages import (
    Cancel,
    CleanUp,
    Drain,
    Due,
    Failed,
    Halt,
    Heard,
    Overdue,
    Progressed,
    ProgressReport,
    Revive,
    SetPaused,
    Stopped,
    Submission,
    Submit,
    Succeeded,
)
from cortex_tasks.engine.records import MAX_ATTEMPTS_KEPT, ChainStep, TaskRecord
from cortex_tasks.engine.registry import task_type
from cortex_tasks.engine.retrying import Backoff
from cortex_tasks.engine.storage import Drop, Pause
from cortex_tasks.testing.promises import is_legal

from .engine_setting import EMPTY, Desk, ListedReply

TYPES = ("one", "two", "long")


@task_type("one", max_pending=3)
async def one(ctx: TaskContext) -> None:
    return None


@task_type("two", concurrency=2, max_pending=5, retries=2, backoff=Backoff(first=4))
async def two(ctx: TaskContext) -> None:
    return None


@task_type("long", concurrency=2, on_restart="resume", retries=1, backoff=Backoff(first=0))
async def long(ctx: TaskContext) -> None:
    return None


DELAYS = st.sampled_from([None, None, timedelta(0), timedelta(seconds=5), timedelta(hours=1)])
STEPS = st.lists(
    st.builds(ChainStep, st.sampled_from([*TYPES, "gone"]), delay=DELAYS), max_size=2
).map(tuple)
KEYS = st.none() | st.sampled_from(["a", "b"])


class SchedulingMachine(RuleBasedStateMachine):
    """Callers, workers and crashes around one scheduler, with a journal that lags behind."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(one, two, long)
        self.replies: list[tuple[Heard, ListedReply]] = []
        self.unkept: deque[Decision] = deque()  # decided, in order, not yet kept
        self.seen: dict[str, TaskRecord] = {}  # the last state of each task, as decided
        self.ends: dict[tuple[str, int], TaskStatus] = {}  # by id and revivals
        self.percent: dict[tuple[str, int, int], int] = {}
        self.handed_over: set[tuple[str, int]] = set()
        self.ended_bodies: set[tuple[str, int]] = set()
        self.seq = 0
        self.draining = False
        self.paused: set[str] = set()  # task types, as decided

    # -- what may come in --

    @rule(
        names=st.lists(st.sampled_from(TYPES), min_size=1, max_size=4),
        key=KEYS,
        then=STEPS,
        delay=DELAYS,
        priority=st.sampled_from([0, 0, 0, -1, 1]),
        late=st.booleans(),
    )
    def submit(
        self,
        names: list[str],
        key: str | None,
        then: Any,
        delay: timedelta | None,
        priority: int,
        late: bool,
    ) -> None:
        new_id = self.desk.new_task_id
        submissions = [
            Submission(new_id(), name, EMPTY, key, then, delay, priority) for name in names
        ]
        self.ask(lambda reply: Submit(tuple(submissions), reply), late=late)

    @rule(seconds=st.sampled_from([1, 5, 3600]), late=st.booleans())
    def let_time_pass(self, seconds: int, late: bool) -> None:
        self.desk.clock.time += timedelta(seconds=seconds)
        self.hear(Due(), late=late)

    @precondition(lambda self: self.seen)
    @rule(data=st.data(), late=st.booleans())
    def cancel(self, data: st.DataObject, late: bool) -> None:
        task_id = data.draw(st.sampled_from([*self.seen, "task_unknown"]))
        self.ask(lambda reply: Cancel(task_id, reply), late=late)

    @rule(name=st.sampled_from(TYPES), paused=st.booleans(), late=st.booleans())
    def pause_or_resume(self, name: str, paused: bool, late: bool) -> None:
        self.ask(lambda reply: SetPaused(name, paused, reply), late=late)

    @precondition(lambda self: self.seen)
    @rule(data=st.data(), late=st.booleans())
    def revive(self, data: st.DataObject, late: bool) -> None:
        known = sorted({*self.seen, *self.desk.kept})
        task_id = data.draw(st.sampled_from([*known, "task_unknown"]))
        self.ask(lambda reply: Revive(task_id, EMPTY, reply), late=late)

    @precondition(lambda self: self.seen)
    @rule(data=st.data(), late=st.booleans())
    def clean_up(self, data: st.DataObject, late: bool) -> None:
        known = sorted({*self.seen, *self.desk.kept})  # also those whose drop is not yet kept
        ids = data.draw(st.lists(st.sampled_from(known), max_size=5))
        self.ask(lambda reply: CleanUp(tuple(ids), reply), late=late)

    @precondition(lambda self: self.at_work())
    @rule(
        data=st.data(),
        how=st.sampled_from(["succeed", "fail", "fail for now", "stop"]),
        after=DELAYS,
        late=st.booleans(),
    )
    def end_a_body(
        self, data: st.DataObject, how: str, after: timedelta | None, late: bool
    ) -> None:
        task_id, attempt = data.draw(st.sampled_from(self.at_work()))
        told = self.desk.scheduler.told_to_stop(task_id)
        outcome: Heard
        if how == "stop" and told is not None:
            outcome = Stopped(task_id, attempt, None, None)
        elif how == "fail":
            outcome = Failed(task_id, attempt, "no", None, None)
        elif how == "fail for now":
            outcome = Failed(task_id, attempt, "no", None, None, True, after)
        else:
            outcome = Succeeded(task_id, attempt, msgspec.Raw(b"1"), None)
        self.ended_bodies.add((task_id, attempt))
        self.hear(outcome, late=late)

    @precondition(lambda self: self.handed_over)
    @rule(data=st.data(), percent=st.floats(-10, 1000), late=st.booleans())
    def report(self, data: st.DataObject, percent: float, late: bool) -> None:
        # Of any attempt there ever was: late ones change nothing.
        task_id, attempt = data.draw(st.sampled_from(sorted(self.handed_over)))
        self.hear(Progressed((ProgressReport(task_id, attempt, percent),)), late=late)

    @precondition(lambda self: self.at_work())
    @rule(data=st.data(), late=st.booleans())
    def be_overdue(self, data: st.DataObject, late: bool) -> None:
        task_id, attempt = data.draw(st.sampled_from(self.at_work()))
        if self.desk.scheduler.told_to_stop(task_id) is not None:
            self.hear(Overdue(task_id, attempt, 5.0), late=late)

    @precondition(lambda self: self.ended_bodies)
    @rule(data=st.data())
    def repeat_an_outcome(self, data: st.DataObject) -> None:
        task_id, attempt = data.draw(st.sampled_from(sorted(self.ended_bodies)))
        before = self.seq
        self.hear(Failed(task_id, attempt, "late", None, None), late=False)
        assert self.seq == before

    @rule()
    def keep_what_was_decided(self) -> None:
        while self.unkept:
            self.keep(self.unkept.popleft())

    @precondition(lambda self: len(self.seen) > 4 and not self.draining)
    @rule()
    def drain(self) -> None:
        self.draining = True
        self.ask(Drain, late=False)

    @precondition(lambda self: self.draining)
    @rule()
    def halt(self) -> None:
        self.hear(Halt(), late=False)

    @precondition(lambda self: len(self.seen) > 2)
    @rule()
    def crash_and_restart(self) -> None:
        kept = list(self.desk.kept.values())
        ids, clock, paused = self.desk.new_task_id, self.desk.clock, self.desk.paused
        self.desk, self.draining = Desk(one, two, long), False
        self.desk.new_task_id, self.desk.clock = ids, clock
        self.desk.scheduler._outcomes._new_task_id = ids
        self.replies, self.unkept = [], deque()
        self.seen = {record.id: record for record in kept}
        self.ends = {(one.id, one.revivals): one.status for one in kept if one.final}
        self.handed_over = {pair for pair in self.handed_over if pair[0] in self.seen}
        self.ended_bodies = set(self.handed_over)
        live = [record for record in kept if not record.final]
        self.percent = {(one.id, one.attempt, one.revivals): one.progress_percent for one in live}
        self.seq = max((record.seq for record in kept), default=0)
        self.paused = set(paused)
        decision = self.desk.recover(kept, paused)
        self.look_at(decision)
        self.note_runs()
        assert not any(
            record.status is TaskStatus.RUNNING and (record.id, record.attempt) in self.ended_bodies
            for record in self.desk.kept.values()
        )

    # -- what must hold --

    @invariant()
    def no_type_runs_more_than_it_may(self) -> None:
        queues = self.desk.scheduler._tasks.queues
        for declared in self.desk.registry:
            queue = queues.of(declared.name)
            of_type = [record for record in self.seen.values() if record.type == declared.name]
            running = [r for r in of_type if r.status is TaskStatus.RUNNING]
            waiting = [r for r in of_type if r.status is TaskStatus.PENDING]
            ready = [r.id for r in waiting if self.is_ready(r)]
            assert queue.running == len(running) <= declared.concurrency
            assert sorted(queue) == sorted(ready)  # each once, and none forgotten
            assert (queue.ready, queue.early) == (len(ready), len(waiting) - len(ready))
            assert queue.paused is (declared.name in self.paused)
            if not self.draining and not queue.paused:
                assert not ready or queue.running == declared.concurrency

    @invariant()
    def the_next_moment_is_that_of_the_first_who_waits_for_one(self) -> None:
        moments = [
            record.run_at
            for record in self.seen.values()
            if record.status is TaskStatus.PENDING and not self.is_ready(record)
        ]
        assert self.desk.scheduler.next_due == min(filter(None, moments), default=None)

    @invariant()
    def every_attempt_before_the_newest_is_accounted_for(self) -> None:
        for record in self.seen.values():
            numbers = [one.number for one in record.attempts]
            ended = {
                TaskStatus.PENDING: record.attempt,
                TaskStatus.RUNNING: record.attempt - 1,
            }.get(record.status, len(numbers))
            assert numbers == list(range(1, ended + 1))[-MAX_ATTEMPTS_KEPT:]
            if record.type in self.desk.registry:
                allowed = self.desk.registry.find(record.type).retry_policy.retries
                assert record.retries <= min(allowed, len(record.attempts))

    @invariant()
    def no_key_is_held_by_two(self) -> None:
        holders = self.desk.scheduler._tasks.key_holders
        for (type_name, key), task_id in holders.items():
            record = self.seen[task_id]
            assert (record.type, record.dedupe_key, record.final) == (type_name, key, False)

    def teardown(self) -> None:
        """When all is over, everyone has been answered exactly once."""
        self.keep_what_was_decided()
        if not self.draining:
            self.draining = True
            self.ask(Drain, late=False)
        self.hear(Halt(), late=False)
        while pairs := self.at_work():
            for task_id, attempt in pairs:
                self.ended_bodies.add((task_id, attempt))
                self.hear(Stopped(task_id, attempt, None, None), late=False)
        for asked, reply in self.replies:
            assert len(reply.answers) == 1, (asked, reply.answers)
        assert not any(record.status is TaskStatus.RUNNING for record in self.desk.kept.values())
        assert not any(record.final for record in self.live_records())

    # -- how it is done --

    def is_ready(self, record: TaskRecord) -> bool:
        return record.run_at is None or record.run_at <= self.desk.clock.time

    def live_records(self) -> list[TaskRecord]:
        return [live.record for live in self.desk.scheduler._tasks.by_id.values()]

    def at_work(self) -> list[tuple[str, int]]:
        return sorted(self.handed_over - self.ended_bodies)

    def ask(self, question: Any, *, late: bool) -> None:
        reply = ListedReply()
        message = question(reply)
        self.replies.append((message, reply))
        self.hear(message, late=late)

    def hear(self, message: Heard, *, late: bool) -> None:
        decision = self.desk.decide(message)
        self.look_at(decision)
        self.unkept.append(decision)
        if not late:
            self.keep_what_was_decided()

    def keep(self, decision: Decision) -> None:
        self.desk.keep(decision)
        self.note_runs()

    def note_runs(self) -> None:
        for run in self.desk.runs:
            pair = run.record.id, run.record.attempt
            assert pair not in self.handed_over  # no attempt runs twice
            assert self.desk.kept[run.record.id].attempt == run.record.attempt
            self.handed_over.add(pair)
        self.desk.runs.clear()

    def look_at(self, decision: Decision) -> None:
        for change in decision.changes:
            if isinstance(change, Pause):
                assert (change.task_type in self.paused) is not change.paused
                (self.paused.add if change.paused else self.paused.discard)(change.task_type)
                continue
            self.seq += 1
            assert change.seq == self.seq
            if isinstance(change, Drop):
                assert self.seen.pop(change.task_id).final
                continue
            record, before = change.record, self.seen.get(change.record.id)
            assert is_legal(None if before is None else before.status, record.status)
            assert (change.params is not None) == (before is None)
            assert (change.result is not None) == (record.status is TaskStatus.COMPLETED)
            if before is not None:
                revived = before.final and not record.final
                assert record.revivals == before.revivals + revived
            assert record.final == record.status.final
            assert (record.error is not None) == (record.status is TaskStatus.FAILED)
            self.look_at_progress(record)
            if before is not None and before.status is TaskStatus.PENDING:
                self.look_at_start(before, record)
            if record.final:
                assert (record.id, record.revivals) not in self.ends
                self.ends[record.id, record.revivals] = record.status
            self.seen[record.id] = record

    def look_at_start(self, before: TaskRecord, record: TaskRecord) -> None:
        if record.status is TaskStatus.RUNNING:
            assert record.type not in self.paused
            assert self.is_ready(before)
            assert record.run_at is None
            assert not any(
                other.priority > record.priority
                for other in self.seen.values()
                if (other.type, other.status) == (record.type, TaskStatus.PENDING)
                and self.is_ready(other)
            )

    def look_at_progress(self, record: TaskRecord) -> None:
        attempt = record.id, record.attempt, record.revivals
        assert record.progress_percent >= self.percent.get(attempt, 0)
        assert (record.progress_percent == 100) == (record.status is TaskStatus.COMPLETED)
        if not record.final:
            self.percent[attempt] = record.progress_percent


TestAnyMessagesInAnyOrder = SchedulingMachine.TestCase
TestAnyMessagesInAnyOrder.settings = settings(max_examples=100, stateful_step_count=60)
