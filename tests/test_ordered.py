"""The ascending list under the catalogue says what a plain sorted list says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_tasks.engine.ordered import Ordered

SOME = st.integers(0, 60)


@given(st.sets(SOME), st.lists(st.tuples(st.booleans(), SOME), max_size=100))
def test_what_was_added_and_not_removed_is_there_in_order(
    first: set[int], steps: list[tuple[bool, int]]
) -> None:
    ordered, plain = Ordered(first), set(first)
    for adding, item in steps:
        if adding and item not in plain:
            ordered.add(item)
            plain.add(item)
        elif not adding and item in plain:
            ordered.remove(item)
            plain.remove(item)
        assert list(ordered) == sorted(plain)
        assert len(ordered) == len(plain)


ENDS = st.none() | st.integers(-70, 70)


@given(st.sets(SOME), st.integers(0, 60), ENDS, ENDS, st.sampled_from([None, 1, 2, -1]))
def test_its_parts_are_those_of_a_list(
    items: set[int], left: int, start: int | None, stop: int | None, step: int | None
) -> None:
    ordered, plain = Ordered(items), sorted(items)
    for item in plain[:left]:
        ordered.remove(item)
    plain = plain[left:]
    assert ordered[start:stop:step] == plain[start:stop:step]
    assert list(reversed(ordered)) == plain[::-1]
    for at in range(-len(plain), len(plain)):
        assert ordered[at] == plain[at]
    for at in (len(plain), -len(plain) - 1):
        with pytest.raises(IndexError):
            ordered[at]


@given(st.sets(SOME), st.integers(0, 60), SOME, st.none() | SOME)
def test_the_newest_are_the_highest(
    items: set[int], left: int, offset: int, limit: int | None
) -> None:
    ordered = Ordered(items)
    for item in sorted(items)[:left]:
        ordered.remove(item)
    expected = sorted(items)[left:][::-1][offset:]
    assert ordered.newest(offset, limit) == expected[:limit]


def test_what_goes_from_the_beginning_does_not_stay_in_memory() -> None:
    ordered = Ordered(range(10_000))
    for item in range(9_990):
        ordered.remove(item)
    assert list(ordered) == list(range(9_990, 10_000))
    assert len(ordered._items) <= 2 * len(ordered) + 1
