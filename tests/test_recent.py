"""Rolling figures: what they say, how they begin, and that they stay small."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from cortex_tasks.engine.lifecycle import LifeEvent, TaskStatus
from cortex_tasks.engine.observing import Move
from cortex_tasks.engine.recent import BUCKETS, VALUES_KEPT, Percentiles, Recent
from cortex_tasks.engine.records import AttemptRecord, TaskRecord
from cortex_tasks.testing.injected import START

from .engine_setting import a_record


def seconds(count: float) -> datetime:
    return START + timedelta(seconds=count)


def moved(record: TaskRecord, status: TaskStatus, at: float, **fields: Any) -> TaskRecord:
    if status is TaskStatus.RUNNING:
        fields = {"started_at": seconds(at), "attempt": record.attempt + 1, "run_at": None}
    if status.final:
        fields["completed_at"] = seconds(at)
    return msgspec.structs.replace(record, status=status, updated_at=seconds(at), **fields)


def pending(number: int = 1, **fields: Any) -> TaskRecord:
    return a_record(number, TaskStatus.PENDING, **fields)


def note(recent: Recent, *history: TaskRecord) -> None:
    """Each record as it follows from the one before."""
    recent.moved(
        [
            Move(LifeEvent.START if after.status is TaskStatus.RUNNING else LifeEvent.FAIL, *pair)
            for pair in pairwise(history)
            for after in pair[1:]
        ]
    )


def ran_once(recent: Recent, *, start: float, end: float, status: TaskStatus) -> None:
    record = pending()
    running = moved(record, TaskStatus.RUNNING, start)
    note(recent, record, running, moved(running, status, end))


def test_a_task_counts_where_it_ended_and_for_how_long_it_ran_and_waited() -> None:
    recent = Recent()
    ran_once(recent, start=10, end=70, status=TaskStatus.COMPLETED)
    assert recent.wait_seconds("work") == Percentiles(1, 10, 10, 10)
    assert recent.run_seconds("work") == Percentiles(1, 60, 60, 60)
    buckets = recent.last_hour(seconds(70))
    assert len(buckets) == BUCKETS
    assert [bucket.at for bucket in buckets] == [
        START + timedelta(minutes=minute) for minute in range(2 - BUCKETS, 2)
    ]
    assert (buckets[-1].completed, buckets[-1].mean_run_seconds) == (1, 60)
    assert (buckets[-2].completed, buckets[-2].mean_run_seconds) == (0, None)
    assert recent.run_seconds("other") == Percentiles(0)


def test_each_minute_counts_its_own_from_its_first_moment_to_its_last() -> None:
    recent = Recent()
    ends = [0, 59.999999, 60, 119.999999, 120, 59]  # the last one as if the clock were set back
    for end in ends:
        ran_once(recent, start=0, end=end, status=TaskStatus.COMPLETED)
    assert [bucket.completed for bucket in recent.last_hour(seconds(120))[-4:]] == [0, 3, 2, 1]


def test_a_cancelled_task_counts_but_its_time_says_nothing_about_its_type() -> None:
    recent = Recent()
    ran_once(recent, start=10, end=20, status=TaskStatus.CANCELLED)
    note(recent, pending(), moved(pending(), TaskStatus.CANCELLED, 3))
    assert recent.last_hour(seconds(30))[-1].cancelled == 2
    assert recent.run_seconds("work").count == 0


def test_a_task_waits_only_once_its_time_has_come() -> None:
    recent = Recent()
    delayed = pending(run_at=seconds(100))
    note(recent, delayed, moved(delayed, TaskStatus.RUNNING, 103))
    failed = AttemptRecord(1, START, seconds(50), "OSError: no")
    tried = pending(2, attempt=1, retries=1, attempts=(failed,))
    note(recent, tried, moved(tried, TaskStatus.RUNNING, 57))
    assert recent.wait_seconds("work") == Percentiles(2, 3, 7, 7)


def test_what_a_start_makes_of_a_task_counts_but_not_how_long_it_ran() -> None:
    recent = Recent()
    running = a_record(1, TaskStatus.RUNNING)
    failed = moved(running, TaskStatus.FAILED, 5, found_over=True)
    recent.recovered([Move(LifeEvent.INTERRUPT, running, failed)])
    after_another = Recent()
    after_another.seed([failed])
    for each in (recent, after_another):
        assert each.last_hour(seconds(5))[-1].failed == 1
        assert each.run_seconds("work").count == 0


def test_a_task_that_fails_while_it_waits_for_another_attempt_did_not_run_until_then() -> None:
    over = AttemptRecord(1, START, seconds(1), "OSError: no")
    failed = a_record(1, TaskStatus.FAILED, completed_at=seconds(900), attempts=(over,))
    recent = Recent()
    recent.seed([failed])
    assert recent.last_hour(seconds(900))[-1].failed == 1
    assert recent.run_seconds("work").count == 0


def test_after_a_start_it_goes_on_from_what_is_kept() -> None:
    recent = Recent()
    ended = [
        a_record(number, TaskStatus.COMPLETED, completed_at=seconds(number))
        for number in range(1, 6)
    ]
    recent.seed(reversed(ended))
    assert recent.run_seconds("work") == Percentiles(5, 3, 5, 5)
    assert recent.last_hour(seconds(5))[-1].completed == 5
    assert recent.wait_seconds("work").count == 0


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50))
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(values: list[float]) -> None:
    recent = Recent()
    for one in values:
        ran_once(recent, start=0, end=one, status=TaskStatus.COMPLETED)
    found = recent.run_seconds("work")
    took = [(seconds(value) - START).total_seconds() for value in values]
    for percent, value in ((50, found.p50), (95, found.p95), (99, found.p99)):
        assert value is not None
        assert value in took
        assert sum(one <= value for one in took) >= len(took) * percent / 100
        assert sum(one < value for one in took) < len(took) * percent / 100


@given(st.lists(st.integers(-10_000, 10_000), max_size=150))
def test_it_stays_small_however_long_it_runs_and_wherever_the_clock_goes(
    minutes: list[int],
) -> None:
    recent = Recent()
    for minute in minutes:
        for _ in range(9):
            ran_once(recent, start=60 * minute, end=60 * minute + 1, status=TaskStatus.COMPLETED)
    assert recent.run_seconds("work").count == min(VALUES_KEPT, 9 * len(minutes))
    assert len(recent._minutes) <= BUCKETS
    if minutes:
        now = seconds(60 * minutes[-1])
        assert recent.last_hour(now)[-1].completed >= 9
