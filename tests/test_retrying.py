"""What a type declares about retries: after which failures, how long between, what is refused."""

from __future__ import annotations

import pickle
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_tasks.engine.context import TaskContext
from cortex_tasks.engine.errors import InvalidParameters, NotJson, TaskTypeError, TooLarge
from cortex_tasks.engine.registry import task_type
from cortex_tasks.engine.retrying import (
    Backoff,
    RetryLater,
    RetryOn,
    RetryPolicy,
    asked_wait,
)

CHANCE = st.floats(0, 1, exclude_max=True)


def covers(retry_on: RetryOn, error: BaseException) -> bool:
    return RetryPolicy(1, retry_on, Backoff()).covers(error)


# -- which failures ------------------------------------------------------------------------------


def test_by_default_every_exception_is_tried_again_but_no_end_of_the_program() -> None:
    assert covers(Exception, ValueError())
    for error in (SystemExit(), KeyboardInterrupt(), GeneratorExit()):
        assert not covers(Exception, error)
        assert not covers(lambda _: True, error)


def test_only_the_errors_that_were_named_are_tried_again_and_what_derives_from_them() -> None:
    names = (ConnectionError, TimeoutError)
    assert covers(names, ConnectionResetError())
    assert covers(names, TimeoutError())
    assert not covers(names, OSError())
    assert not covers(OSError, ValueError())
    assert covers(lambda error: "busy" in str(error), ValueError("busy"))
    assert not covers(lambda error: "busy" in str(error), ValueError("broken"))


def test_what_would_be_the_same_again_is_not_tried_again_unless_a_function_wants_it() -> None:
    for error in (InvalidParameters("no"), NotJson("no"), TooLarge("no")):
        assert not covers(Exception, error)
        assert covers(lambda _: True, error)


def test_of_a_group_every_error_has_to_be_one_to_try_again() -> None:
    both = ExceptionGroup("", [ConnectionError(), ExceptionGroup("", [TimeoutError()])])
    assert covers((ConnectionError, TimeoutError), both)
    assert not covers(ConnectionError, both)


def test_a_body_that_asks_for_another_attempt_is_asked_no_more() -> None:
    assert covers(ConnectionError, RetryLater(5))
    assert asked_wait(RetryLater(5)) == timedelta(seconds=5)
    inner = ExceptionGroup("", [RetryLater(timedelta(hours=1)), RetryLater(5), ValueError()])
    assert asked_wait(inner) == timedelta(hours=1)
    assert asked_wait(ValueError()) is None


def test_such_a_wish_comes_whole_out_of_a_child_process() -> None:
    found = pickle.loads(pickle.dumps(RetryLater(5, "the mirror is down")))
    assert (found.after, str(found)) == (timedelta(seconds=5), "the mirror is down")
    assert str(RetryLater(5)) == "again in 0:00:05"


@pytest.mark.parametrize("after", [-1, float("nan"), "5", None])
def test_a_wish_for_no_possible_time_is_an_error(after: Any) -> None:
    with pytest.raises(InvalidParameters, match="after must be"):
        RetryLater(after)


# -- how long between ----------------------------------------------------------------------------


def test_each_wait_is_longer_by_the_factor_up_to_the_longest() -> None:
    backoff = Backoff(first=1, factor=3, longest=50, jitter=0)
    waits = [backoff.wait_before(retry, 0.7).total_seconds() for retry in range(1, 7)]
    assert waits == [1, 3, 9, 27, 50, 50]


def test_chance_takes_away_up_to_its_share() -> None:
    backoff = Backoff(first=10, jitter=0.5)
    assert backoff.wait_before(1, 0) == timedelta(seconds=10)
    assert backoff.wait_before(1, 0.5) == timedelta(seconds=7.5)


@given(retry=st.integers(1, 10**9), chance=CHANCE, jitter=st.floats(0, 1))
def test_no_wait_is_below_its_share_or_over_the_longest_however_many_there_were(
    retry: int, chance: float, jitter: float
) -> None:
    wait = Backoff(factor=2, jitter=jitter).wait_before(retry, chance).total_seconds()
    whole = min(3600, 2 ** min(retry - 1, 12))
    assert whole * (1 - jitter) - 1e-6 <= wait <= whole


# -- what cannot be meant ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"retries": -1}, "retries of 'work' must be a whole number of 0 or more"),
        ({"retries": 1.5}, "whole number"),
        ({"retries": True}, "whole number"),
        ({"retry_on": ()}, "names no error"),
        ({"retry_on": "OSError"}, "error class, a tuple of them, or a plain function .*'OSError'"),
        ({"retry_on": int}, "must name classes of Exception, which <class 'int'> is not"),
        ({"retry_on": KeyboardInterrupt}, "must name classes of Exception"),
        ({"retry_on": (OSError, "x")}, "which 'x' is not"),
        ({"backoff": 5}, "backoff of 'work' must be a Backoff, not 5"),
    ],
)
def test_a_declaration_that_cannot_work_is_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(TaskTypeError, match=text):
        task_type("work", **options)


def test_a_function_that_would_have_to_be_awaited_is_refused() -> None:
    async def retry_on(error: Exception) -> bool:
        return True

    with pytest.raises(TaskTypeError, match="plain function"):
        task_type("work", retries=1, retry_on=retry_on)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"first": -1}, "first of a Backoff must be a number from 0 to"),
        ({"first": "1"}, "first"),
        ({"factor": 0.5}, "factor of a Backoff must be a number from 1 to 1000"),
        ({"factor": float("nan")}, "factor"),
        ({"longest": 0.5}, "longest of a Backoff must be a number from 1 to"),
        ({"longest": float("inf")}, "longest"),
        ({"jitter": 1.1}, "jitter of a Backoff must be a number from 0 to 1"),
        ({"jitter": True}, "jitter"),
    ],
)
def test_a_backoff_that_cannot_work_is_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(TaskTypeError, match=text):
        Backoff(**options)


def test_a_type_that_says_nothing_has_no_retries() -> None:
    @task_type("plain")
    async def plain(ctx: TaskContext) -> None:
        return None

    assert plain.retry_policy == RetryPolicy(0, Exception, Backoff())
