"""What a person types to find tasks, and that what is found is what a look at every task finds."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_tasks.engine.catalogue import Catalogue
from cortex_tasks.engine.errors import InvalidParameters
from cortex_tasks.engine.finding import Finding
from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.engine.records import TaskPage, TaskRecord
from cortex_tasks.engine.search import Search, parse_search
from cortex_tasks.testing.injected import START

from .engine_setting import a_record

HOUR = timedelta(hours=1)


def read(text: str) -> Search:
    return parse_search(text, START, type_aliases={"old name": "new_name"})


# -- what is typed -------------------------------------------------------------------------------


def test_qualifiers_and_free_text_stand_in_any_order() -> None:
    assert read("type:report  status:failed,cancelled Disk older:1h full newer:2d id:task_1") == (
        Search(
            ids=("task_1",),
            types=("report",),
            statuses=(TaskStatus.FAILED, TaskStatus.CANCELLED),
            created_until=START - HOUR,
            created_from=START - timedelta(days=2),
            words=("disk", "full"),
        )
    )
    assert read("") == read("  \t ") == read('""') == Search()


@pytest.mark.parametrize(
    ("age", "meant"),
    [
        ("30s", timedelta(seconds=30)),
        ("1.5h", timedelta(minutes=90)),
        ("15M", timedelta(minutes=15)),
        ("4w", timedelta(weeks=4)),
        ("0s", timedelta()),
    ],
)
def test_an_age_is_a_number_and_a_unit(age: str, meant: timedelta) -> None:
    assert read(f"older:{age}").created_until == START - meant


def test_what_has_spaces_commas_or_a_colon_stands_in_double_quotes() -> None:
    assert read('type:"a, b",c').types == ("a, b", "c")
    assert read('"no such host: example"').words == ("no such host: example",)
    assert read('5"3 12:30 a"b').words == ('5"3', "12:30", 'a"b')
    assert read('TYPE:"old name"').types == ("new_name",)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("colour:red", "type:, status:, older:, newer:, id:"),
        ("colour:", "type:, status:, older:, newer:, id:"),
        ("http://example.org", '"http:…"'),
        ("status:broken", "pending, running, completed, failed, cancelled"),
        ("older:soon", "30s, 15m, 1h, 2d or 4w"),
        ("older:-1h", "30s, 15m, 1h, 2d or 4w"),
        ("older:1h,2h", "30s, 15m, 1h, 2d or 4w"),
        ("older:999999999w", "30s, 15m, 1h, 2d or 4w"),
        ("type: report", "right after the colon"),
        ("type:", "right after the colon"),
        ("type:a,,b", "right after the colon"),
        ("type:a,", "right after the colon"),
        ('type:"a', "double quotes"),
        ('"a', "not closed"),
        ('"a"b', "without a space"),
        ("type:a type:b", "parted by commas"),
    ],
)
def test_what_cannot_be_read_is_refused_with_advice(text: str, advice: str) -> None:
    with pytest.raises(InvalidParameters) as refused:
        read(text)
    assert advice in str(refused.value)
    assert refused.value.path == "$.q"


@given(st.text(max_size=40))
def test_whatever_is_typed_is_read_or_refused(text: str) -> None:
    try:
        found = read(text)
    except InvalidParameters:
        return
    assert found.words == tuple(word.lower() for word in found.words)


WORDS = st.text(st.characters(exclude_characters='"', exclude_categories=["Cs"]), min_size=1)


@given(st.lists(WORDS, unique=True, min_size=1), st.lists(WORDS))
def test_in_quotes_every_value_and_every_text_can_be_written(
    values: list[str], words: list[str]
) -> None:
    typed = "id:" + ",".join(f'"{value}"' for value in values)
    typed += "".join(f' "{word}"' for word in words)
    assert read(typed) == Search(ids=tuple(values), words=tuple(word.lower() for word in words))


# -- what is found -------------------------------------------------------------------------------

SEARCHES = st.builds(
    Search,
    ids=st.none() | st.lists(st.sampled_from([f"old_{n}" for n in range(1, 25)])).map(tuple),
    types=st.none() | st.lists(st.sampled_from(["work", "other", "unknown"])).map(tuple),
    statuses=st.none() | st.lists(st.sampled_from(TaskStatus)).map(tuple),
    created_until=st.none() | st.integers(-1, 21).map(lambda n: START + n * HOUR),
    created_from=st.none() | st.integers(-1, 21).map(lambda n: START + n * HOUR),
    words=st.just(()) | st.lists(st.sampled_from(["disk", "full", "old_1"])).map(tuple),
)
RECORDS = st.lists(
    st.tuples(
        st.sampled_from(["work", "other"]),
        st.sampled_from(TaskStatus),
        st.sampled_from(["", "The DISK", "disk full"]),
        st.integers(0, 20),
        st.booleans(),
    ),
    max_size=24,
)


def found_by_looking(records: list[TaskRecord], search: Search) -> list[TaskRecord]:
    return [record for record in reversed(records) if search.matches(record)]


def find(
    catalogue: Catalogue, search: Search, limit: int | None = None, offset: int = 0
) -> TaskPage:
    finding = Finding(catalogue, search, limit=limit, offset=offset)
    for _ in finding.steps():
        pass
    return finding.page


def a_catalogue(
    made: list[tuple[str, TaskStatus, str, int, bool]], *, by_age: bool
) -> tuple[Catalogue, list[TaskRecord]]:
    ages = [age for *_, age, _ in made]
    catalogue, records = Catalogue(), list[TaskRecord]()
    for number, ((name, status, text, _, dropped), age) in enumerate(
        zip(made, sorted(ages) if by_age else ages, strict=True), 1
    ):
        record = a_record(number, status, type=name, message=text)
        record = msgspec.structs.replace(record, created_at=START + age * HOUR)
        catalogue.put(record)
        records.append(record)
        if dropped:
            catalogue.drop(records.pop().id)
    return catalogue, records


@given(RECORDS, SEARCHES, st.integers(0, 10), st.none() | st.integers(0, 10), st.booleans())
def test_a_search_finds_what_a_look_at_every_task_finds(
    made: list[tuple[str, TaskStatus, str, int, bool]],
    search: Search,
    offset: int,
    limit: int | None,
    by_age: bool,
) -> None:
    catalogue, records = a_catalogue(made, by_age=by_age)
    expected = found_by_looking(records, search)
    page = find(catalogue, search, limit, offset)
    assert page.total == len(expected)
    assert page.records == expected[offset : None if limit is None else offset + limit]


@given(SEARCHES, st.none() | st.sampled_from([*TaskStatus, "unknown"]), st.booleans())
def test_a_narrowed_search_finds_what_fits_both(
    search: Search, status: str | None, typed: bool
) -> None:
    records = [
        a_record(number, one, type=name)
        for number, (one, name) in enumerate(
            ((one, name) for one in TaskStatus for name in ("work", "other")), 1
        )
    ]
    task_type, ids = ("work", ["old_1", "old_4", "old_7"]) if typed else (None, None)
    narrowed = search.narrowed(status=status, task_type=task_type, ids=ids)
    assert found_by_looking(records, narrowed) == [
        record
        for record in found_by_looking(records, search)
        if status in (None, record.status)
        and (not typed or (record.type == task_type and record.id in ("old_1", "old_4", "old_7")))
    ]


class CountingCatalogue(Catalogue):
    """Counts how often a record is looked at."""

    looks = 0

    def at(self, place: int) -> TaskRecord | None:
        self.looks += 1
        return super().at(place)


def test_a_page_of_what_is_kept_in_lists_looks_at_few_of_many_records() -> None:
    catalogue = CountingCatalogue()
    for number in range(1, 20_001):
        status = list(TaskStatus)[number % 5]
        record = a_record(number, status, type="work" if number % 3 else "other")
        catalogue.put(msgspec.structs.replace(record, created_at=START + number * HOUR))
    search = read("type:work,other status:failed,completed").narrowed()
    search = msgspec.structs.replace(
        search, created_until=START + 18_000 * HOUR, created_from=START + 100 * HOUR
    )
    page = find(catalogue, search, limit=20, offset=5_000)
    assert page.total == 7_160
    assert len(page.records) == 20
    assert catalogue.looks < 100
