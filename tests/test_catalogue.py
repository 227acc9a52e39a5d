"""The lists that are kept over all records agree with a plain search through them."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from cortex_tasks.engine.catalogue import Catalogue
from cortex_tasks.engine.lifecycle import TRANSITIONS, TaskStatus
from cortex_tasks.engine.records import TaskRecord
from cortex_tasks.engine.retention import expired
from cortex_tasks.testing.injected import START

from .engine_setting import a_record

TYPES = st.sampled_from(["work", "other"])
NEW = st.tuples(st.just("new"), st.just(0), TYPES)
WAYS = st.sampled_from(["move", "move", "touch", "again", "drop", "restart"])
CHANGE = st.tuples(WAYS, st.integers(0, 30), TYPES)
STEPS = st.tuples(
    st.lists(NEW, min_size=5, max_size=20),
    st.lists(st.one_of(NEW, CHANGE, CHANGE, CHANGE), max_size=60),
).map(lambda parts: [*parts[0], *parts[1]])


def carried_out(steps: list[tuple[str, int, str]]) -> tuple[Catalogue, dict[str, TaskRecord]]:
    """A catalogue, and a plain dict of what is in it in the order of submission."""
    catalogue, plain = Catalogue(), dict[str, TaskRecord]()
    for number, (what, chosen, type_name) in enumerate(steps, 1):
        if what == "restart":
            catalogue = Catalogue()
            catalogue.load(plain.values())
            continue
        if what == "new":
            record = a_record(number, TaskStatus.PENDING, type=type_name)
        elif not plain:
            continue
        else:
            record = list(plain.values())[chosen % len(plain)]
            if what == "drop":
                catalogue.drop(record.id)
                del plain[record.id]
                continue
            ways = [end for (start, _), end in TRANSITIONS.items() if start is record.status]
            status = ways[chosen % len(ways)] if ways and what == "move" else record.status
            if status is not record.status:
                ended = START + timedelta(seconds=chosen) if status.final else None
                record = msgspec.structs.replace(record, completed_at=ended)
            elif what == "again" and status.final:  # revived and over again in one commit
                ended = START + timedelta(seconds=chosen)
                record = msgspec.structs.replace(record, completed_at=ended)
            record = msgspec.structs.replace(record, status=status, seq=number)
        catalogue.put(record)
        plain[record.id] = record
    return catalogue, plain


@given(STEPS, st.integers(0, 10), st.none() | st.integers(0, 10))
def test_a_page_is_what_a_search_through_all_records_finds(
    steps: list[tuple[str, int, str]], offset: int, limit: int | None
) -> None:
    catalogue, plain = carried_out(steps)
    assert dict(catalogue.records) == plain
    for task_type in (None, "work", "other", "unknown"):
        for status in (None, *TaskStatus):
            found = [
                record
                for record in reversed(plain.values())
                if task_type in (None, record.type) and status in (None, record.status)
            ]
            page = catalogue.page(status=status, task_type=task_type, limit=limit, offset=offset)
            assert catalogue.page(status=status, task_type=task_type).records == found
            end = None if limit is None else offset + limit
            assert page.records == found[offset:end]
            assert page.total == catalogue.count(status=status, task_type=task_type) == len(found)
    counts = catalogue.count_by_type_and_status()
    assert sum(counts.values()) == len(plain)


@given(STEPS)
def test_final_tasks_are_known_by_the_time_of_their_end(steps: list[tuple[str, int, str]]) -> None:
    catalogue, plain = carried_out(steps)
    ended = list(catalogue.ended())
    assert catalogue.ended_count == len(ended)
    assert {record.id for record in ended} == {one.id for one in plain.values() if one.final}
    times = [record.completed_at for record in ended]
    assert times == sorted(times, key=lambda time: time or START)


@given(STEPS, st.none() | st.integers(0, 30), st.none() | st.integers(0, 10), st.integers(1, 5))
def test_what_expires_is_final_old_or_too_many_and_the_longest_ended_first(
    steps: list[tuple[str, int, str]],
    age: int | None,
    max_count: int | None,
    at_most: int,
) -> None:
    catalogue, plain = carried_out(steps)
    now = START + timedelta(seconds=30)
    max_age = None if age is None else timedelta(seconds=age)
    gone = set[str]()
    while ids := expired(catalogue, now, max_age=max_age, max_count=max_count, at_most=at_most):
        assert len(ids) <= at_most
        for task_id in ids:
            assert plain[task_id].final
            catalogue.drop(task_id)
            gone.add(task_id)
    left = [one for task_id, one in plain.items() if task_id not in gone and one.final]
    if max_count is not None:
        assert len(left) <= max_count
    if max_age is not None:
        assert all(one.completed_at and now - one.completed_at <= max_age for one in left)
    if max_age is None and max_count is None:
        assert gone == set()
    # None goes while one that ended before it stays.
    newest_gone = max((plain[one].completed_at or START for one in gone), default=START)
    assert all(one.completed_at is not None and one.completed_at >= newest_gone for one in left)


def test_dropping_what_is_not_there_does_nothing() -> None:
    catalogue = Catalogue()
    catalogue.drop("task_unknown")
    catalogue.put(a_record(1, TaskStatus.PENDING))
    catalogue.drop("old_1")
    catalogue.drop("old_1")
    assert catalogue.page().total == 0


@given(st.lists(st.integers(0, 5), max_size=6))
def test_a_restart_finds_out_again_whether_a_clock_was_set_back(times: list[int]) -> None:
    records = [
        msgspec.structs.replace(
            a_record(number, TaskStatus.PENDING), created_at=START + timedelta(seconds=time)
        )
        for number, time in enumerate(times)
    ]
    lived, loaded = Catalogue(), Catalogue()
    for record in records:
        lived.put(record)
    loaded.load(records)
    assert lived.by_age == loaded.by_age == (times == sorted(times))
