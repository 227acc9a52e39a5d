"""A page costs what it shows: counted in looks at what is kept, not in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from cortex_tasks.engine.catalogue import Catalogue
from cortex_tasks.engine.cursors import Cursor
from cortex_tasks.engine.finding import Finding
from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.engine.search import Search
from cortex_tasks.testing.injected import START

from .engine_setting import a_record

FEW, MANY, SHOWN = 1_000, 20_000, 50
STATUSES = (TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED)


class Looks:
    """How often something kept was looked at."""

    def __init__(self) -> None:
        self.count = 0


class CountedDict(dict[Any, Any]):
    """Counts what is taken out of it."""

    looks: Looks

    def __getitem__(self, key: Any) -> Any:
        self.looks.count += 1
        return super().__getitem__(key)

    def get(self, key: Any, default: Any = None) -> Any:
        self.looks.count += 1
        return super().get(key, default)

    def __iter__(self) -> Iterator[Any]:
        for key in super().__iter__():
            self.looks.count += 1
            yield key

    def values(self) -> Any:
        return [self[key] for key in self]

    def items(self) -> Any:
        return [(key, self[key]) for key in self]


class CountedList(list[Any]):
    """Counts what is taken out of it."""

    looks: Looks

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        self.looks.count += len(found) if isinstance(at, slice) else 1
        return found

    def __iter__(self) -> Iterator[Any]:
        for item in super().__iter__():
            self.looks.count += 1
            yield item


def counted(records: int) -> tuple[Catalogue, Looks]:
    """A catalogue of so many records of each type and status, and how often it is looked into."""
    catalogue, looks = Catalogue(), Looks()
    catalogue.load(
        a_record(
            number,
            STATUSES[number % len(STATUSES)],
            type="work" if number % 2 else "other",
            completed_at=START + timedelta(seconds=number),
        )
        for number in range(records)
    )
    for name in ("_records", "_at", "_number"):
        kept = CountedDict(getattr(catalogue, name))
        kept.looks = looks
        setattr(catalogue, name, kept)
    for listed in catalogue._lists.values():
        items = CountedList(listed._items)
        items.looks = looks
        listed._items = items
    return catalogue, looks


def looks_for(records: int, show: Callable[[Catalogue], int]) -> int:
    """How much is looked at for a page of `SHOWN` records."""
    catalogue, looks = counted(records)
    assert show(catalogue) == SHOWN
    return looks.count


@pytest.mark.parametrize("status", [None, TaskStatus.FAILED])
@pytest.mark.parametrize("task_type", [None, "work"])
@pytest.mark.parametrize("offset", [0, 100])
def test_a_page_looks_at_what_it_shows_however_many_records_there_are(
    status: TaskStatus | None, task_type: str | None, offset: int
) -> None:
    def show(catalogue: Catalogue) -> int:
        page = catalogue.page(status=status, task_type=task_type, limit=SHOWN, offset=offset)
        assert page.total == catalogue.count(status=status, task_type=task_type)
        return len(page.records)

    # Each place once, its record once.
    assert looks_for(FEW, show) == looks_for(MANY, show) == 2 * SHOWN


def test_a_page_from_the_middle_costs_no_more_than_the_first() -> None:
    def show(catalogue: Catalogue) -> int:
        return len(catalogue.page(limit=SHOWN, offset=len(catalogue.records) // 2).records)

    assert looks_for(FEW, show) == looks_for(MANY, show) == 2 * SHOWN


@pytest.mark.parametrize("gone", [True, False])
def test_a_page_by_cursor_costs_little_more_wherever_it_begins(gone: bool) -> None:
    def show(catalogue: Catalogue) -> int:
        number = len(catalogue.records) // 2
        cursor = Cursor(number, START, "gone" if gone else f"old_{number}")
        return len(catalogue.page(limit=SHOWN, cursor=cursor).records)

    # Some 20 looks for each time that a place is looked for in a list.
    assert looks_for(MANY, show) <= looks_for(FEW, show) + 100 <= 300


def test_a_search_without_free_text_looks_at_little_more_with_more_records() -> None:
    search = Search(types=("work", "other"), statuses=(TaskStatus.FAILED, TaskStatus.CANCELLED))

    def show(catalogue: Catalogue) -> int:
        finding = Finding(catalogue, search, limit=SHOWN, offset=0)
        assert list(finding.steps()) == []
        return len(finding.page.records)

    assert looks_for(MANY, show) <= looks_for(FEW, show) + SHOWN <= 6 * SHOWN


def test_leaving_from_the_beginning_moves_little_of_what_stays() -> None:
    catalogue, looks = counted(MANY)
    for number in range(100):
        catalogue.drop(f"old_{number}")
    # Each of its lists is searched for the place (in some 15 looks); no list is gone through.
    assert looks.count < 100 * 4 * 40
