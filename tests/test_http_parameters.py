"""Parameters: read from query and body into one struct, each wrong one told with its place."""

from __future__ import annotations

import contextlib
import json
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from cortex_tasks.http.calls import Media
from cortex_tasks.http.library_routes import LIBRARY_ENDPOINTS
from cortex_tasks.http.parameters import Parameters, alias
from cortex_tasks.http.problems import Problem
from cortex_tasks.http.routes import TASK_ENDPOINTS


class Wanted(msgspec.Struct, frozen=True):
    count: Annotated[int, Meta(ge=1, le=50, extra=alias("n", "number"))] = 2
    share: Annotated[float, Meta(ge=0)] = 0.5
    sure: bool = False
    kind: Literal["a", "b"] | None = None
    ids: int | str | list[int | str] | None = None
    name: str | None = None


WANTED = Parameters(Wanted)


def refusal(query: bytes = b"", body: bytes = b"") -> Problem:
    with pytest.raises(Problem) as caught:
        WANTED.read(query, body)
    return caught.value


@pytest.mark.parametrize(
    ("query", "body", "expected"),
    [
        (b"", b"", Wanted()),
        (b"count=5", b"", Wanted(count=5)),
        (b"n=5", b"", Wanted(count=5)),
        (b"", b'{"number": 5}', Wanted(count=5)),
        (b"count=5&n=6", b"", Wanted(count=5)),
        (b"n=5", b'{"count": 6}', Wanted(count=5)),
        (b"count=5&count=6", b"", Wanted(count=6)),
        (b"count=", b'{"count": 7}', Wanted(count=7)),
        (b"name=", b"", Wanted()),
        (b"name=a%20b%2Bc+d%C3%A9", b"", Wanted(name="a b+c d\u00e9")),
        (b"name=5", b"", Wanted(name="5")),
        (b"ids=5", b"", Wanted(ids="5")),
        (b"ids=5&ids=6", b"", Wanted(ids=["5", "6"])),
        (b"", b'{"ids": [5, "comm_6"]}', Wanted(ids=[5, "comm_6"])),
        (b"", b'{"ids": null, "unknown": {"x": [1]}}', Wanted()),
        (b"unknown=1&COUNT=9", b"", Wanted()),
        (b"kind=b&share=1e-3", b"", Wanted(kind="b", share=0.001)),
        (b"share=3", b'{"share": 4}', Wanted(share=3.0)),
    ],
)
def test_what_is_given_is_taken(query: bytes, body: bytes, expected: Wanted) -> None:
    assert WANTED.read(query, body) == expected


@pytest.mark.parametrize("word", ["true", "True", "TRUE", "1", "yes", "Yes", "on", "t", "y"])
def test_yes_is_said_in_many_ways(word: str) -> None:
    assert WANTED.read(f"sure={word}".encode()).sure is True
    assert WANTED.read(b"", msgspec.json.encode({"sure": word})).sure is True


@pytest.mark.parametrize("word", ["false", "False", "0", "no", "off", "f", "n"])
def test_and_so_is_no(word: str) -> None:
    assert WANTED.read(f"sure={word}".encode(), b'{"sure": true}').sure is False


@pytest.mark.parametrize(
    ("query", "body", "loc"),
    [
        (b"count=0", b"", ("query", "count")),
        (b"n=51", b"", ("query", "n")),
        (b"count=x", b'{"count": 5}', ("query", "count")),
        (b"", b'{"number": "x"}', ("body", "number")),
        (b"", b'{"count": true}', ("body", "count")),
        (b"", b'{"count": [1]}', ("body", "count")),
        (b"count=" + b"9" * 5000, b"", ("query", "count")),
        (b"share=nan", b"", ("query", "share")),
        (b"sure=2", b"", ("query", "sure")),
        (b"kind=c", b"", ("query", "kind")),
        (b"", b'{"ids": [5, {"a": 1}]}', ("body", "ids", 1)),
        (b"", b'{"name": 5}', ("body", "name")),
        (b"&".join(b"a%d=1" % n for n in range(200)), b"", ("query",)),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(
    query: bytes, body: bytes, loc: tuple[str | int, ...]
) -> None:
    problem = refusal(query, body)
    assert problem.status == 422
    (error,) = problem.extra["errors"]
    assert error.loc == loc
    assert error.msg
    assert problem.detail


def test_all_that_does_not_fit_is_told_at_once() -> None:
    problem = refusal(b"count=0&sure=2", b'{"kind": "c", "share": "x"}')
    assert [error.loc for error in problem.extra["errors"]] == [
        ("query", "count"),
        ("body", "share"),
        ("query", "sure"),
        ("body", "kind"),
    ]


def test_what_is_required_is_missed() -> None:
    class Needing(msgspec.Struct):
        word: str

    with pytest.raises(Problem) as caught:
        Parameters(Needing).read(b"word=")
    assert caught.value.extra["errors"][0].loc == ("query", "word")


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_nothing_that_is_sent_is_more_than_refused(query: bytes, body: bytes) -> None:
    with contextlib.suppress(Problem):
        WANTED.read(query, body)


@given(
    st.dictionaries(
        st.sampled_from(["count", "share", "sure", "kind", "ids", "name", "n"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text(max_size=3), inner, max_size=3)
            ),
            max_leaves=5,
        ),
        max_size=4,
    )
)
def test_no_json_is_more_than_refused(body: dict[str, Any]) -> None:
    with contextlib.suppress(Problem):
        WANTED.read(b"", json.dumps(body).encode())


# -- the route table -----------------------------------------------------------------------------


def test_every_row_of_the_route_table_can_describe_itself() -> None:
    for row in (*TASK_ENDPOINTS, *LIBRARY_ENDPOINTS):
        assert row.summary
        assert row.answers
        for shape in (row.params, *(shape for _, shape in row.answers)):
            if shape is not None and not isinstance(shape, Media):  # which is no JSON
                msgspec.json.schema(shape, ref_template="#/components/schemas/{name}")


def test_no_call_is_in_the_route_table_twice() -> None:
    calls = [(row.method, row.path) for row in (*TASK_ENDPOINTS, *LIBRARY_ENDPOINTS)]
    assert len(calls) == len(set(calls))


class Several(msgspec.Struct, frozen=True):
    steps: list[str] | None = None
    more: tuple[int, ...] = ()
    params: dict[str, int] | None = None


def test_what_takes_nothing_but_a_list_takes_a_list_of_one_from_the_query() -> None:
    read = Parameters(Several).read
    assert read(b"steps=a&more=1") == Several(["a"], (1,))
    assert read(b"steps=a&steps=b&more=1&more=2") == Several(["a", "b"], (1, 2))
    assert read(b"", b'{"steps": ["a"], "params": {"x": 1}}') == Several(["a"], (), {"x": 1})
