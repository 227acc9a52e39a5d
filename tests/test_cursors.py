"""Pages that are turned by a cursor: each task once, in its order, whatever happens meanwhile."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_tasks.backends.memory import MemoryBackend
from cortex_tasks.engine.catalogue import Catalogue
from cortex_tasks.engine.context import TaskContext
from cortex_tasks.engine.cursors import LONGEST_CURSOR, START, read_cursor, write_cursor
from cortex_tasks.engine.errors import InvalidParameters
from cortex_tasks.engine.finding import Finding
from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.engine.records import TaskPage, TaskRecord
from cortex_tasks.engine.registry import task_type
from cortex_tasks.engine.search import Search, parse_search
from cortex_tasks.testing.injected import START as BEGINNING

from .engine_setting import a_record, running

SECOND = timedelta(seconds=1)


class Store:
    """A catalogue, and a plain dict of what is in it in the order of submission."""

    def __init__(self, *, ticks: int, restarts: bool = True) -> None:
        self.catalogue = Catalogue()
        self.plain: dict[str, TaskRecord] = {}
        self._ticks = ticks  # seconds between two tasks
        self._restarts = restarts
        self._made = 0

    def submit(self, tasks: int) -> None:
        for _ in range(tasks):
            self._made += 1
            name = "work" if self._made % 3 else "other"
            record = a_record(self._made, TaskStatus.COMPLETED, type=name, message="disk full")
            made_at = BEGINNING + self._made * self._ticks * SECOND
            self._put(msgspec.structs.replace(record, created_at=made_at))

    def fail(self, at: int) -> None:
        if self.plain:
            record = list(self.plain.values())[at % len(self.plain)]
            self._put(msgspec.structs.replace(record, status=TaskStatus.FAILED))

    def drop(self, at: int) -> None:
        if self.plain:
            task_id = list(self.plain)[at % len(self.plain)]
            del self.plain[task_id]
            self.catalogue.drop(task_id)

    def restart(self, _: int) -> None:
        if self._restarts:
            self.catalogue = Catalogue()
            self.catalogue.load(self.plain.values())

    def _put(self, record: TaskRecord) -> None:
        self.plain[record.id] = record
        self.catalogue.put(record)


CHANGES = st.lists(
    st.tuples(st.sampled_from(["submit", "drop", "fail", "restart"]), st.integers(0, 9)), max_size=6
)
# By list, and by a search: in kept lists alone, in several of them, by words, by id.
WANTED = st.none() | st.sampled_from(
    [
        Search(),
        Search(types=("work", "other"), statuses=(TaskStatus.COMPLETED, TaskStatus.FAILED)),
        Search(words=("disk",)),
        Search(created_from=BEGINNING + 3 * SECOND),
        Search(ids=tuple(f"old_{number}" for number in range(1, 40, 2))),
    ]
)


def page(
    catalogue: Catalogue, wanted: Search | None, limit: int | None, cursor: str = START
) -> TaskPage:
    read = read_cursor(cursor)
    if wanted is None:
        return catalogue.page(limit=limit, cursor=read)
    finding = Finding(catalogue, wanted, limit=limit, offset=0, cursor=read)
    for _ in finding.steps():
        pass
    return finding.page


def turned(
    store: Store, wanted: Search | None, limit: int, between: list[list[tuple[str, int]]]
) -> list[str]:
    """Turn all pages, with these changes after each; gives the ids as they came."""
    seen: list[str] = []
    cursor: str | None = START
    while cursor is not None:
        found = page(store.catalogue, wanted, limit, cursor)
        seen += [record.id for record in found.records]
        assert len(seen) <= 200, "the pages go round in a circle"
        cursor = found.next
        for what, number in between.pop(0) if between else ():
            getattr(store, what)(number)
    return seen


@given(
    st.integers(0, 20), WANTED, st.integers(1, 4), st.lists(CHANGES, max_size=5), st.integers(-1, 1)
)
def test_each_task_comes_once_and_in_its_order_whatever_happens_between_two_pages(
    tasks: int,
    wanted: Search | None,
    limit: int,
    between: list[list[tuple[str, int]]],
    ticks: int,
) -> None:
    # Of clocks that stand still or run backwards, no restart must be made up for; see below.
    store = Store(ticks=ticks, restarts=ticks > 0)
    store.submit(tasks)
    before = list(store.plain.values())
    seen = turned(store, wanted, limit, between)
    numbers = [int(task_id.removeprefix("old_")) for task_id in seen]
    assert numbers == sorted(set(numbers), reverse=True)
    stayed = {one.id for one in before if wanted is None or wanted.matches(one)} & set(store.plain)
    assert stayed <= set(seen) <= {one.id for one in before}


@given(st.integers(0, 20), WANTED, st.integers(1, 4), st.lists(CHANGES, max_size=5))
def test_of_tasks_of_one_instant_none_is_left_out_over_a_restart(
    tasks: int, wanted: Search | None, limit: int, between: list[list[tuple[str, int]]]
) -> None:
    store = Store(ticks=0)
    store.submit(tasks)
    before = list(store.plain.values())
    seen = set(turned(store, wanted, limit, between))
    stayed = {one.id for one in before if wanted is None or wanted.matches(one)} & set(store.plain)
    assert stayed <= seen


@given(st.integers(0, 12), WANTED, st.integers(1, 5))
def test_pages_say_how_many_there_are_in_all_and_whether_there_is_another(
    tasks: int, wanted: Search | None, limit: int
) -> None:
    store = Store(ticks=1)
    store.submit(tasks)
    whole = page(store.catalogue, wanted, None)
    assert whole.next is None
    cursor: str | None = START
    rest = whole.records
    while cursor is not None:
        found = page(store.catalogue, wanted, limit, cursor)
        assert found.total == whole.total
        assert found.newer == whole.total - len(rest)
        assert found.records == rest[:limit]
        assert page(store.catalogue, wanted, None, cursor).records == rest
        cursor, rest = found.next, rest[limit:]
        assert (cursor is None) == (rest == [])


def test_a_clock_that_was_set_back_moves_no_page_when_the_task_of_the_cursor_has_gone() -> None:
    store = Store(ticks=-1)
    store.submit(9)
    for wanted in (None, Search(), Search(words=("disk",))):
        seen = turned(store, wanted, 2, [[("drop", -2)], [("drop", -3)]])
        assert len(seen) == len(set(seen)) == len(store.plain) + 2


@pytest.mark.parametrize("gone", [True, False])
def test_a_page_looks_at_few_of_many_records_wherever_it_begins(gone: bool) -> None:
    looks = 0

    class Counting(Catalogue):
        def at(self, place: int) -> TaskRecord | None:
            nonlocal looks
            looks += 1
            return super().at(place)

        def _created_at(self, place: int) -> object:  # type: ignore[override]
            nonlocal looks
            looks += 1
            return super()._created_at(place)

    store = Store(ticks=1)
    store.catalogue = Counting()
    store.submit(20_000)
    left_at = store.plain["old_9001"]
    cursor = write_cursor(9_000, left_at)
    if gone:
        store.catalogue.drop(left_at.id)
    for wanted in (None, Search(), parse_search("type:work,other status:completed", BEGINNING)):
        looks = 0
        found = page(store.catalogue, wanted, 20, cursor)
        assert [record.id for record in found.records] == [f"old_{9_000 - n}" for n in range(20)]
        assert looks < 100


@given(st.text(max_size=60) | st.from_regex(r"[\w-]{0,80}", fullmatch=True))
def test_what_is_no_cursor_is_refused(text: str) -> None:
    try:
        read_cursor(text)
    except InvalidParameters as error:
        assert error.path == "$.cursor"  # noqa: PT017  it may be one after all


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Start",
        "task_1",
        "WzEsIjIwMjYtMDMtMTVUMTA6MzA6MDAiLCJ0YXNrXzEiXQ",  # a time of no zone
        "Wy0xLCIyMDI2LTAzLTE1VDEwOjMwOjAwWiIsInRhc2tfMSJd",  # a place before the first
        "x" * (LONGEST_CURSOR + 1),
        "é",
        "\udcff",
    ],
)
def test_nonsense_is_refused_with_advice(text: str) -> None:
    with pytest.raises(InvalidParameters, match="`next` of an earlier page"):
        read_cursor(text)


@task_type("quick")
async def quick(ctx: TaskContext) -> None:
    return None


@pytest.mark.anyio
async def test_a_cursor_outlives_the_engine_and_the_task_that_it_names() -> None:
    backend = MemoryBackend()
    async with running(quick, backend=backend) as engine:
        for _ in range(6):
            await (await engine.submit(quick)).wait()
        first = await engine.list(limit=2)
        assert [record.id for record in first.records] == ["task_6", "task_5"]
        await engine.cleanup(timedelta(0))  # all are gone, but for those that come now
        await (await engine.submit(quick)).wait()
        assert first.next is not None
        assert (await engine.list(limit=2, cursor=first.next)).records == []
    async with running(quick, backend=backend) as engine:
        assert (await engine.list(limit=2, cursor=first.next)).records == []
        assert (await engine.find(Search(), limit=2, cursor=first.next)).records == []
        assert len((await engine.list(limit=2, cursor=START)).records) == 1


SOME = write_cursor(1, a_record(1, TaskStatus.COMPLETED))


@pytest.mark.anyio
async def test_a_cursor_goes_with_no_offset_and_no_page_of_nothing() -> None:
    async with running(quick) as engine:
        with pytest.raises(ValueError, match="no offset"):
            await engine.list(limit=2, offset=1, cursor=SOME)
        with pytest.raises(ValueError, match="1 or more"):
            await engine.find(Search(), limit=0, cursor=START)
        with pytest.raises(InvalidParameters):
            await engine.list(status="unknown", cursor="?")
