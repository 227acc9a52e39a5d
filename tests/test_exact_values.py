"""What a body returns, and what a caller submits, comes back whole or is refused by its path."""

from __future__ import annotations

import dataclasses
import enum
import math
import sys
import uuid
from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any, NamedTuple, TypeVar

import anyio
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_tasks import InvalidParameters, TaskContext, TaskStatus, TaskType, task_type
from cortex_tasks.engine import exact_json
from cortex_tasks.engine.errors import NotJson, TaskFailed
from cortex_tasks.engine.exact_json import ExactJson, Unwanted, is_large
from cortex_tasks.engine.json_faults import Fault
from cortex_tasks.engine.surroundings import Surroundings

from .engine_process_bodies import process_odd
from .engine_setting import running, virtual_time
from .inline_children import InlineChildren

T = TypeVar("T")


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual_time(request.param)


class Colour(enum.Enum):
    RED = 1


class Mixed(enum.Enum):
    ONE = 1
    TWO = "two"


class Word(enum.StrEnum):
    YES = "yes"


class Pair(NamedTuple):
    left: int
    right: int


class Unequal(msgspec.Struct, eq=False):
    number: int
    more: Any = None


class Renamed(msgspec.Struct, rename="camel", omit_defaults=True):
    long_name: int
    more: list[int] = []


class Report(msgspec.Struct):
    digest: bytes
    seen: set[int]
    taken_at: datetime
    price: Decimal
    pair: tuple[int, str]
    by_number: dict[int, date]


class Defaults(msgspec.Struct):
    number: int = 0


@dataclasses.dataclass
class Plain:
    number: int


REPORT = Report(
    b"\x00\xff",
    {1, 2},
    datetime(2026, 3, 15, 10, 30, 0, 7, UTC),
    Decimal("1.10"),
    (1, "a"),
    {3: date.min},
)


class Texts(str):
    pass


def endless() -> list[Any]:
    inner: dict[str, Any] = {}
    inner["self"] = [inner]
    return [1, inner]


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def as_type(returns: Any) -> TaskType[Any, Any]:
    async def body(ctx: TaskContext) -> Any:
        return None

    body.__annotations__["return"] = returns
    return task_type("x")(body)


REFUSED: list[tuple[Any, str, str]] = [
    ({"scores": [1, 2, 3, math.nan]}, "$.scores[3]", "NaN is not JSON"),
    ({"a": {"b c": -math.inf}}, "$.a['b c']", "infinity is not JSON"),
    (float("1e400"), "$", "infinity is not JSON"),
    ({"a": b"x"}, "$.a", "bytes would come back as str"),
    ({"a": [{1}]}, "$.a[0]", "set would come back as list"),
    ([datetime.now(UTC)], "$[0]", "datetime would come back as str"),
    ([timedelta(1)], "$[0]", "timedelta would come back as str"),
    ([Decimal("1.10")], "$[0]", "Decimal would come back as str"),
    ([uuid.UUID(int=7)], "$[0]", "UUID would come back as str"),
    ({"a": Colour.RED}, "$.a", "Colour would come back as int (1)"),
    ({"a": {1: "b"}}, "$.a[1]", "the key 1 would come back as text"),
    ({1: "a", "1": "b"}, "$[1]", "the key 1 would come back as text"),
    ({(1, 2): "b"}, "$[(1, 2)]", "the key (1, 2) is no text"),
    ({None: "b"}, "$[None]", "the key None is no text"),
    ({"a": "ok \ud800"}, "$.a", "lone surrogate at position 3"),
    ({"a": {"\udfff": 1}}, r"$.a['\udfff']", "lone surrogate"),
    ({"a": np.float64(1.5)}, "$.a", "numpy.float64 is no JSON: make it plain with .item()"),
    ({"a": np.zeros(2)}, "$.a", "numpy.ndarray is no JSON"),
    ({"a": (x for x in "ab")}, "$.a", "generator is no JSON: make it a list"),
    ({"a": deque([1])}, "$.a", "collections.deque is no JSON: make it a list"),
    ({"a": [Texts("b")]}, "$.a[0]", "make it plain text"),
    ({"a": [1, object()]}, "$.a[1]", "object is no JSON"),
    ({"a": 1j}, "$.a", "complex is no JSON"),
    ([10**5000], "$[0]", "too many digits"),
    (endless(), "$[1].self[0]", "it is inside itself"),
    (nested(900), "$", "nested too deeply"),
    ([{"a": nested(100_000)}], "$[0].a[0][0]", "nested too deeply"),
    (Unequal(1, more=[b"x"]), "$.more[0]", "bytes would come back as str"),
    ({"a": msgspec.Raw(b'1,"b":2')}, "$.a", "not JSON"),
    (msgspec.Raw(b"{bro"), "$", "not JSON"),
    (msgspec.Raw(b"[1e400]"), "$", "not JSON"),
]


@pytest.mark.parametrize(("value", "path", "reason"), REFUSED)
def test_what_json_would_change_is_refused_with_its_path_and_the_reason(
    value: Any, path: str, reason: str
) -> None:
    with pytest.raises(NotJson) as refused:
        as_type(Any).encode_result(value)
    assert refused.value.path.startswith(path)
    assert f" cannot be written as JSON: {refused.value.path}: " in str(refused.value)
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    ("value", "back"),
    [
        (-0.0, -0.0),
        (5e-324, 5e-324),
        (2**64, 2**64),
        (10**4000, 10**4000),
        ("\x00\u2028 \U0001f9e0", "\x00\u2028 \U0001f9e0"),
        (Word.YES, "yes"),
        ((1, (2, [3])), [1, [2, [3]]]),
        ([Pair(1, 2)], [[1, 2]]),
        (OrderedDict(a=1), {"a": 1}),
        (nested(300), nested(300)),
        ({"raw": msgspec.Raw(b"[ 1 ]")}, {"raw": [1]}),
        (Unequal(1, (2,)), {"number": 1, "more": [2]}),
        ([Renamed(1)], [{"longName": 1}]),
        (Plain(3), {"number": 3}),
    ],
)
def test_what_json_keeps_comes_back_as_it_was(value: Any, back: Any) -> None:
    anything = as_type(Any)
    found = anything.decode_result(msgspec.Raw(anything.encode_result(value)))
    assert found == back
    assert str(found) == str(back)  # -0.0 too


@pytest.mark.parametrize(
    ("value", "returns"),
    [
        (REPORT, Report),
        ([REPORT], list[Report]),
        ({1, 2}, frozenset[int]),
        (b"\xff", bytes),
        ({1: "a"}, dict[int, str]),
        (Colour.RED, Colour),
        ((1, "a"), tuple[int, str]),
        (Plain(3), Plain),
        (Renamed(1, [2]), Renamed),
        (None, int | None),
        (timedelta(1, 2, 3), timedelta),
    ],
)
def test_a_declared_type_brings_back_what_plain_json_would_change(value: Any, returns: Any) -> None:
    declared = as_type(returns)
    assert declared.decode_result(msgspec.Raw(declared.encode_result(value))) == value


@pytest.mark.parametrize(
    ("value", "returns", "path", "reason"),
    [
        ({"a": "x"}, dict[str, int], "$[...]", "does not fit the declared type: Expected `int`"),
        ([1.0, math.nan], list[float], "$[1]", "NaN is not JSON"),
        ([{"number": 1}, {"number": 1, "odd": 2}], list[Plain], "$[1].odd", "no such field"),
        (["2026-03-15"], list[date], "$[0]", "str would come back as date"),
        ([1, 1], set[int], "$", "list would come back as set"),
        (2**53 + 1, float, "$", "int would come back as float"),
        (None, int, "$", "None"),
        (None, Defaults | None, "$", "would come back as Defaults"),
    ],
)  # fmt: skip
def test_a_result_that_is_not_what_its_body_declares_is_refused(
    value: Any, returns: Any, path: str, reason: str
) -> None:
    with pytest.raises(NotJson) as refused:
        as_type(returns).encode_result(value)
    assert refused.value.path == path
    assert reason in str(refused.value)


def test_an_enum_that_cannot_be_declared_is_refused_with_what_can_be_done() -> None:
    for returns in (Any, Mixed):
        with pytest.raises(NotJson, match=r"neither all texts nor all whole numbers: give \.name"):
            as_type(returns).encode_result(Mixed.ONE)


class SummerTime(tzinfo):
    """A zone as a ZoneInfo is, which the system need not know; from 2 to 3 comes twice."""

    def utcoffset(self, moment: datetime | None) -> timedelta:
        assert moment is not None
        over = (moment.month, moment.day, moment.hour) >= (10, 25, 3 - moment.fold)
        return timedelta(hours=1 if over else 2)

    dst = utcoffset

    def tzname(self, moment: datetime | None) -> str:
        return "summer"


def test_a_time_comes_back_as_the_same_moment_with_an_offset_or_is_refused() -> None:
    declared, zone = as_type(datetime), SummerTime()
    summer = datetime(2026, 7, 1, 12, tzinfo=zone)
    back = declared.decode_result(msgspec.Raw(declared.encode_result(summer)))
    assert back == summer
    assert back.tzinfo == timezone(timedelta(hours=2))
    with pytest.raises(NotJson, match="turn it into UTC first"):  # that hour comes twice
        declared.encode_result(datetime(2026, 10, 25, 2, 30, tzinfo=zone, fold=1))


class Contrary:
    """Is equal to nothing, loudly."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    __hash__ = None  # type: ignore[assignment]


atoms = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.text(st.characters(categories=["Cs", "L"]), max_size=3)
    | st.binary(max_size=3)
    | st.dates()
    | st.decimals()
    | st.sampled_from([Colour.RED, Word.YES, Pair(1, 2), Contrary(), msgspec.Raw(b"[1]")])
)
keys = st.text(max_size=2) | st.integers(0, 3) | st.sampled_from(["0", "1"])
anything_at_all = st.recursive(
    atoms,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(keys, inner, max_size=4)
        | st.builds(Unequal, st.integers(), inner)
        | st.sets(st.integers(), max_size=2)
    ),
    max_leaves=12,
)


def plainly(value: Any) -> Any:
    """The value with lists for tuples and dicts for objects, which plain JSON may make of them."""
    if isinstance(value, list | tuple):
        return [plainly(part) for part in value]
    if isinstance(value, dict):
        return {key: plainly(part) for key, part in value.items()}
    if isinstance(value, Unequal):
        return {"number": value.number, "more": plainly(value.more)}
    return [1] if isinstance(value, msgspec.Raw) else value


@given(anything_at_all)
def test_any_value_comes_back_whole_or_is_refused(value: Any) -> None:
    exact = ExactJson(Any)
    try:
        encoded = exact.encode(value)
    except Fault as fault:
        fault.place().encode()  # it can be kept
    else:
        assert msgspec.json.decode(encoded) == plainly(value)


@given(anything_at_all)
def test_encoded_in_pieces_a_value_is_the_same_and_so_is_its_refusal(value: Any) -> None:
    exact = ExactJson(Any)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact_json, "_PIECE", 3)
        patch.setattr(exact_json, "_SLICE", 2)
        try:
            encoded = exact.encode(value)
        except Fault:  # of several faults it may name another
            with pytest.raises(Fault):
                exact.encode_in_pieces(value, lambda: True)
        else:
            assert exact.encode_in_pieces(value, lambda: True) == encoded


@pytest.mark.parametrize(
    "value",
    [
        [*range(7_000), math.nan],
        {"a": [*range(30_000), {"b": b"x"}]},
        {**{str(number): number for number in range(30_000)}, "z": [{1}]},
        {"big": {**{str(number): [number] * 100 for number in range(2_000)}, "z": {"q": [{1}]}}},
        [Unequal(1, more=[*range(30_000), Decimal(1)])],
        [{1: "a", "b": list(range(30_000))}],
        [list(range(30_000)), endless()],
    ],
)
def test_a_fault_in_a_piece_has_its_place_in_the_whole(value: Any) -> None:
    with pytest.raises(Fault) as whole:
        ExactJson(Any).encode(value)
    with pytest.raises(Fault) as in_pieces:
        ExactJson(Any).encode_in_pieces(value, lambda: True)
    assert in_pieces.value.place() == whole.value.place()
    assert in_pieces.value.reason == whole.value.reason


def test_no_piece_of_a_large_value_takes_long() -> None:
    asked = 0

    def go_on() -> bool:
        nonlocal asked
        asked += 1
        return asked < 900

    value = {"rows": [{"numbers": list(range(1_000))} for _ in range(1_000)]}
    with pytest.raises(Unwanted):
        ExactJson(Any).encode_in_pieces(value, go_on)
    asked = -10_000
    encoded = ExactJson(dict[str, list[dict[str, list[int]]]]).encode_in_pieces(value, go_on)
    assert encoded == msgspec.json.encode(value)
    assert asked > -9_100, "each row is a piece of its own"


def test_what_does_not_fit_is_found_without_a_look_at_the_place_of_each_part() -> None:
    class Row(msgspec.Struct):
        number: int

    exact, calls = ExactJson(list[Row]), 0

    def count(frame: object, event: str, called: object) -> None:
        nonlocal calls
        calls += 1

    value = [{"number": 1} for _ in range(10_000)] + [{"number": "x"}]
    sys.setprofile(count)
    try:
        with pytest.raises(Fault) as refused:
            exact.encode(value)
    finally:
        sys.setprofile(None)
    assert refused.value.place() == "$[10000].number"
    assert calls < 100_000, "each part is looked at once, and no place is made up for it"


# -- in an engine --------------------------------------------------------------------------------


@task_type("give", concurrency=2)
async def give(ctx: TaskContext, params: str) -> Any:
    return GIVEN[params]


GIVEN: dict[str, Any] = {
    "nan": {"scores": [1.0, math.nan]},
    "surrogate": {"text": "\ud800"},
    "large": {"rows": [[number, str(number)] for number in range(50_000)]},
    "large and odd": {"rows": [*range(50_000), b"x"]},
    "long": "x" * 50_000_000,
}


async def test_a_result_that_json_would_change_fails_its_task_alone() -> None:
    async with running(give) as engine:
        for what, path in {
            "nan": "$.scores[1]: NaN is not JSON",
            "surrogate": "$.text: the text has a lone surrogate",
            "large and odd": "$.rows[50000]: bytes would come back as str",
        }.items():
            handle = await engine.submit(give, what)
            with pytest.raises(TaskFailed) as failed:
                await handle.result()
            assert path in str(failed.value)
            assert str(failed.value).startswith("NotJson: the result of 'give' cannot be written")
        assert await (await engine.submit(give, "large")).result() == GIVEN["large"]
        assert await (await engine.submit(give, "long")).result() == GIVEN["long"]


async def test_a_result_in_a_process_is_held_to_the_same() -> None:
    async with running(process_odd, children=InlineChildren()) as engine:
        record = await (await engine.submit(process_odd)).wait()
        assert "$.seen: set would come back as list" in str(record.error)


@pytest.mark.parametrize(
    ("params", "path"),
    [({"a": math.nan}, "$.a"), ({"a": {1: 2}}, "$.a[1]"), ({"a": [b"x"]}, "$.a[0]")],
)
async def test_parameters_that_json_would_change_are_refused(params: Any, path: str) -> None:
    @task_type("take")
    async def take(ctx: TaskContext, params: Any) -> None:
        return None

    async with running(take) as engine:
        with pytest.raises(InvalidParameters, match="cannot be written as JSON") as refused:
            await engine.submit(take, params)
        assert refused.value.path == path
        assert engine.seq == 0


def test_parameters_may_stand_as_json_for_what_their_type_makes_of_them() -> None:
    class Wanted(msgspec.Struct):
        when: datetime
        tags: set[str] = set()

    @task_type("take", params=Wanted)
    async def take(ctx: TaskContext, params: Any) -> None:
        return None

    written = {"when": "2026-03-15T10:30:00Z", "tags": ["a"], "note": "not read"}
    assert take.decode_params(take.encode_params(written)).tags == {"a"}
    mixed = {"when": datetime(2026, 3, 15, tzinfo=UTC), "tags": ["a"]}
    assert take.decode_params(take.encode_params(mixed)).when == mixed["when"]
    with pytest.raises(InvalidParameters, match=r"\$\.note: bytes would come back"):
        take.encode_params({**mixed, "note": b"x"})


# -- off the event loop --------------------------------------------------------------------------


class HeldOffload:
    """Says what it was given, and runs it only when it may."""

    def __init__(self) -> None:
        self.calls = 0
        self.begun = anyio.Event()
        self.go = anyio.Event()

    async def __call__(self, function: Callable[[], T], /) -> T:
        self.calls += 1
        self.begun.set()
        with anyio.CancelScope(shield=True):  # as a thread is waited for
            await self.go.wait()
        return function()


def test_what_is_small_is_encoded_at_once_and_what_is_large_is_not() -> None:
    small: list[Any] = [
        None,
        3,
        {"words": 3},
        "x" * 60_000,
        REPORT,
        Plain(3),
        list(range(900)),
        endless(),
    ]
    large: list[Any] = [
        list(range(1_100)),
        "x" * 70_000,
        {"a": [list(range(300)) for _ in range(4)]},
        [Plain(3)] * 1_100,
        Unequal(1, more={"a": "x" * 70_000}),
        OrderedDict((str(number), number) for number in range(1_100)),
        msgspec.Raw(b"1" * 70_000),
    ]  # fmt: skip
    assert [value for value in small if value is not small[-1] and is_large(value)] == []
    assert [value for value in large if not is_large(value)] == []
    assert is_large(endless())  # it has no end


async def test_a_large_result_is_encoded_off_the_event_loop_and_a_small_one_is_not() -> None:
    offload = HeldOffload()
    offload.go.set()
    async with running(give, surroundings=Surroundings(offload=offload)) as engine:
        await (await engine.submit(give, "nan")).wait()
        assert offload.calls == 0
        assert await (await engine.submit(give, "large")).result() == GIVEN["large"]
        assert offload.calls == 1


async def test_a_task_can_be_cancelled_while_its_large_result_is_encoded() -> None:
    offload = HeldOffload()
    async with running(give, surroundings=Surroundings(offload=offload)) as engine:
        handle = await engine.submit(give, "large")
        await offload.begun.wait()
        async with anyio.create_task_group() as group:
            group.start_soon(handle.cancel)
            await anyio.wait_all_tasks_blocked()
            offload.go.set()
        assert (await handle.wait()).status is TaskStatus.CANCELLED
