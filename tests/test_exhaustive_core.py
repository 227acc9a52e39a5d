"""Every order of events of two tasks, six events deep: the laws of scheduling hold after each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.engine.messages import (
    Cancel,
    CleanUp,
    Due,
    Failed,
    Overdue,
    Progressed,
    ProgressReport,
    Revive,
    Save,
    SetPaused,
    Stopped,
    Submission,
    Submit,
    Succeeded,
)

from .engine_setting import EMPTY
from .test_engine_random_decisions import SchedulingMachine
from .torture import FULL, count

DEPTH = 7 if FULL else 6
FEWEST = {"one": 300, "two": 1_000, "long": 1_000}  # different states

Event = Callable[["World"], None]
Name = tuple[str, ...]


class World(SchedulingMachine):
    """Two tasks of one type at most, and all that can happen to them next."""

    def __init__(self, type_name: str, *, late: bool) -> None:
        super().__init__()
        self.type_name = type_name
        self.late = late  # what is decided is kept only when that event comes

    def possible(self) -> Iterator[Name]:
        """Every event that may come now."""
        if self.desk.new_task_id.given < 2:
            yield ("submit",)
        yield ("time passes",)
        yield ("crash",)
        if self.type_name == "one":
            yield ("resume",) if self.paused else ("pause",)
        if self.late and self.unkept:
            yield ("kept",)
        yield from self._possible_with_tasks()
        for task_id, attempt in self.at_work():
            for what in ("progress", "save", "succeed", "fail", "fail for now"):
                yield what, task_id, str(attempt)
            if self.desk.scheduler.told_to_stop(task_id) is not None:
                yield "stopped", task_id, str(attempt)
                yield "overdue", task_id, str(attempt)
        for task_id, attempt in sorted(self.ended_bodies):
            yield "late", task_id, str(attempt)

    def _possible_with_tasks(self) -> Iterator[Name]:
        for task_id in sorted(self.seen):
            yield "cancel", task_id
            if self.seen[task_id].final:
                yield "remove", task_id
                yield "revive", task_id
        for task_id in sorted(self.desk.kept.keys() - self.seen.keys()):
            yield "revive", task_id  # its drop is decided, and not yet kept

    def happen(self, name: Name) -> None:
        """Let it happen."""
        what, *rest = name
        if what == "submit":
            one = Submission(self.desk.new_task_id(), self.type_name, EMPTY)
            self.ask(lambda reply: Submit((one,), reply), late=self.late)
        elif what == "time passes":
            self.desk.clock.time = self.desk.clock.time.replace(microsecond=0) + _A_WHILE
            self.hear(Due(), late=self.late)
        elif what == "crash":
            self.crash_and_restart()
        elif what in ("pause", "resume"):
            paused = what == "pause"
            self.ask(lambda reply: SetPaused(self.type_name, paused, reply), late=self.late)
        elif what == "kept":
            self.keep(self.unkept.popleft())
        elif what == "cancel":
            self.ask(lambda reply: Cancel(rest[0], reply), late=self.late)
        elif what == "revive":
            self.ask(lambda reply: Revive(rest[0], EMPTY, reply), late=self.late)
        elif what == "remove":
            self.ask(lambda reply: CleanUp((rest[0],), reply), late=self.late)
        else:
            self._of_a_body(what, rest[0], int(rest[1]))

    def _of_a_body(self, what: str, task_id: str, attempt: int) -> None:
        if what == "late":
            before = self.seq
            late = ProgressReport(task_id, attempt, 70)
            self.hear(Progressed((late,)), late=False)
            self.hear(Succeeded(task_id, attempt, msgspec.Raw(b"1"), late), late=False)
            assert self.seq == before, "what is over was changed"
            return
        if what == "progress":
            told = ProgressReport(task_id, attempt, 50)
            self.hear(Progressed((told,)), late=self.late)
            return
        if what == "save":
            checkpoint = msgspec.Raw(b"1")
            self.ask(lambda reply: Save(task_id, attempt, checkpoint, reply), late=self.late)
            return
        if what == "overdue":
            self.hear(Overdue(task_id, attempt, 5.0), late=self.late)
            return
        self.ended_bodies.add((task_id, attempt))
        self.hear(_OUTCOMES[what](task_id, attempt), late=self.late)

    def check(self) -> None:
        """All that must hold between two events."""
        self.no_type_runs_more_than_it_may()
        self.the_next_moment_is_that_of_the_first_who_waits_for_one()
        self.every_attempt_before_the_newest_is_accounted_for()
        self.no_key_is_held_by_two()
        for _, reply in self.replies:
            assert len(reply.answers) <= 1
        if not self.unkept:
            assert self.seen == self.desk.kept
            running = {r.id for r in self.seen.values() if r.status is TaskStatus.RUNNING}
            assert running == {task_id for task_id, _ in self.at_work()}

    def fingerprint(self) -> object:
        """The same for two worlds to which the same can happen, with the same outcome."""
        scheduler = self.desk.scheduler
        records = [self._of_record(self.seen[task_id]) for task_id in sorted(self.seen)]
        kept = [self._of_record(self.desk.kept[task_id]) for task_id in sorted(self.desk.kept)]
        live = [
            (task_id, one.told, one.overdue, len(one.cancel_replies), bytes(one.checkpoint or b""))
            for task_id, one in sorted(scheduler._tasks.by_id.items())
        ]
        line = tuple(scheduler._tasks.queues.of(self.type_name))
        waiting = [len(decision.changes) for decision in self.unkept]
        return repr(
            (records, kept, live, line, waiting, sorted(self.ended_bodies), self.at_work())
        ) + str(
            (
                sorted(self.paused),
                sorted(self.desk.paused),
                self.desk.new_task_id.given,
                sorted(scheduler._dropping),
            )
        )

    def _of_record(self, record: Any) -> object:
        return (
            record.id,
            record.status,
            record.attempt,
            record.retries,
            record.interruptions,
            record.revivals,
            record.progress_percent,
            record.cancel_requested_at is not None,
            record.run_at is not None and record.run_at > self.desk.clock.time,
            record.message,
        )


_A_WHILE = timedelta(seconds=30)
_OUTCOMES: dict[str, Callable[[str, int], Any]] = {
    "succeed": lambda task_id, attempt: Succeeded(task_id, attempt, msgspec.Raw(b"1"), None),
    "fail": lambda task_id, attempt: Failed(task_id, attempt, "no", None, None),
    "fail for now": lambda task_id, attempt: Failed(task_id, attempt, "no", None, None, True),
    "stopped": lambda task_id, attempt: Stopped(task_id, attempt, None, None),
}


def lived_through(path: tuple[Name, ...], type_name: str, *, late: bool) -> World:
    world = World(type_name, late=late)
    for name in path:
        world.happen(name)
    return world


@pytest.mark.parametrize("late", [False, True], ids=["kept at once", "kept late"])
@pytest.mark.parametrize("type_name", ["one", "two", "long"])
def test_no_order_of_events_breaks_a_law(type_name: str, late: bool) -> None:
    seen: set[object] = set()
    frontier: list[tuple[Name, ...]] = [()]
    steps = 0
    for _ in range(DEPTH):
        following: list[tuple[Name, ...]] = []
        for path in frontier:
            for name in list(lived_through(path, type_name, late=late).possible()):
                world = lived_through(path, type_name, late=late)
                steps += 1
                try:
                    world.happen(name)
                    world.check()
                except Exception as error:
                    raise AssertionError(f"after {[*path, name]}: {error!r}") from error
                print_of_it = world.fingerprint()
                if print_of_it not in seen:
                    seen.add(print_of_it)
                    following.append((*path, name))
        frontier = following
    count("states of the pure core, all of them different", len(seen))
    count("steps of the pure core", steps)
    assert len(seen) > FEWEST[type_name]
