"""What a declaration may say, and how parameters and results keep their types."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from cortex_tasks.engine.context import TaskContext
from cortex_tasks.engine.errors import InvalidParameters, TaskTypeError, UnknownTaskType
from cortex_tasks.engine.registry import Registry, TaskType, task_type


class Line(msgspec.Struct):
    text: str
    width: int = 80


class Page(msgspec.Struct):
    lines: list[Line]


@task_type("line")
async def line(ctx: TaskContext, params: Line) -> Line:
    return params


@task_type("page")
async def page(ctx: TaskContext, params: Page) -> int:
    return len(params.lines)


@task_type("words")
async def words(ctx: TaskContext, params: dict[str, int]) -> dict[str, int]:
    return params


@task_type("anything")
async def anything(ctx: TaskContext, params: Any) -> Any:
    return params


@task_type("alone")
async def alone(ctx: TaskContext) -> None:
    return None


async def a_body(ctx: TaskContext, params: Line) -> None:
    return None


def a_plain_body(ctx: TaskContext, params: Line) -> None:
    return None


@pytest.mark.parametrize("name", ["", "1st", "two words", "_hidden", "a/b", "x" * 101, "é"])
def test_a_name_that_cannot_stand_in_a_url_is_refused(name: str) -> None:
    with pytest.raises(TaskTypeError, match="is no name for a task type"):
        task_type(name)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"concurrency": 0}, "concurrency of 'x' must be a whole number of 1 or more"),
        ({"concurrency": 1.5}, "concurrency of 'x' must be a whole number"),
        ({"concurrency": True}, "concurrency of 'x' must be a whole number"),
        ({"max_pending": 0}, "max_pending of 'x' must be a whole number of 1 or more"),
        ({"max_interruptions": 0}, "max_interruptions of 'x' must be a whole number of 1 or more"),
        ({"timeout": 0}, "timeout of 'x' must be more than 0 seconds"),
        ({"timeout": -1.0}, "timeout of 'x' must be more than 0 seconds"),
        ({"timeout": float("nan")}, "timeout of 'x' must be more than 0 seconds"),
        ({"cancel_grace": -1.0}, "cancel_grace of 'x' must be 0 seconds or more"),
        ({"on_restart": "retry"}, 'on_restart of \'x\' must be "fail" or "resume"'),
        ({"runs": "thread"}, 'runs of \'x\' must be "loop" or "process"'),
    ],
)
def test_an_option_that_cannot_work_is_refused_by_name(options: Any, text: str) -> None:
    with pytest.raises(TaskTypeError) as refused:
        task_type("x", **options)
    assert text in str(refused.value)


def test_a_body_of_the_wrong_kind_is_refused() -> None:
    with pytest.raises(TaskTypeError, match="must be an async def"):
        task_type("x")(a_plain_body)
    with pytest.raises(TaskTypeError, match="must be a plain def, as it runs in a process"):
        task_type("x", runs="process")(a_body)


def test_a_body_with_too_few_or_too_many_arguments_is_refused() -> None:
    async def none() -> None:
        return None

    async def three(ctx: TaskContext, params: Line, more: int) -> None:
        return None

    for body in (none, three):
        declare: Any = task_type("x")
        with pytest.raises(TaskTypeError, match=r"must take \(ctx, params\) or \(ctx\)"):
            declare(body)


def test_parameters_that_msgspec_cannot_decode_are_refused() -> None:
    async def body(ctx: TaskContext, params: dict[int | float, complex | Line]) -> None:
        return None

    with pytest.raises(TaskTypeError, match="cannot decode the parameters of 'x'"):
        task_type("x")(body)


def test_an_annotation_that_cannot_be_found_names_the_way_out() -> None:
    class Hidden(msgspec.Struct):
        number: int

    async def body(ctx: TaskContext, params: Hidden) -> int:
        return params.number

    with pytest.raises(TaskTypeError, match=r"task_type\(params=…\)"):
        task_type("x")(body)
    declared = task_type("x", params=Hidden)(body)
    assert declared.decode_params(msgspec.Raw(b'{"number": 3}')).number == 3
    with pytest.raises(InvalidParameters):
        declared.encode_params({"number": "three"})


def test_two_types_of_one_name_and_what_is_no_type_are_refused() -> None:
    twin = task_type("line")(a_body)
    with pytest.raises(TaskTypeError, match="two task types are called 'line'"):
        Registry([line, twin])
    with pytest.raises(TaskTypeError, match="decorate it with @task_type"):
        Registry([a_body])


def test_an_unknown_type_is_answered_with_those_that_are_known() -> None:
    registry = Registry([words, line])
    with pytest.raises(UnknownTaskType, match="'lien'; registered types: line, words"):
        registry.find("lien")
    with pytest.raises(UnknownTaskType, match="registered types: none"):
        Registry([]).find("line")
    assert registry.find("line") is line
    assert registry.find(words) is words
    assert "line" in registry
    assert list(registry) == [words, line]


def test_a_type_of_the_same_name_that_was_not_registered_is_unknown() -> None:
    twin = task_type("line")(a_body)
    with pytest.raises(UnknownTaskType):
        Registry([line]).find(twin)


@pytest.mark.parametrize(
    ("declared", "params", "path"),
    [
        (line, {"text": 3}, "$.text"),
        (line, {}, "$"),
        (line, None, "$"),
        (page, {"lines": [{"text": "a"}, {"text": "b", "width": "wide"}]}, "$.lines[1].width"),
        (words, {"a": 1, "b": "two"}, "$[...]"),
        (line, Line(text=3), "$.text"),  # type: ignore[arg-type]
    ],
)
def test_a_parameter_that_does_not_fit_is_refused_with_its_path(
    declared: TaskType[Any, Any], params: Any, path: str
) -> None:
    with pytest.raises(InvalidParameters, match="bad parameters for") as refused:
        declared.encode_params(params)
    assert refused.value.path == path


def test_parameters_that_cannot_be_written_as_json_are_refused() -> None:
    endless: dict[str, Any] = {}
    endless["self"] = endless
    for params in ({"a": object()}, {"a": 1 + 2j}, endless, {("a", "b"): 1}, {"a": "\ud800"}):
        with pytest.raises(InvalidParameters, match="cannot be written as JSON"):
            anything.encode_params(params)


def test_a_struct_a_dict_and_any_reach_the_body_as_what_was_declared() -> None:
    assert line.decode_params(line.encode_params({"text": "a"})) == Line("a", 80)
    assert line.decode_params(line.encode_params(Line("a", 3))) == Line("a", 3)
    assert words.decode_params(words.encode_params({"a": 1})) == {"a": 1}
    assert anything.decode_params(anything.encode_params([1, {"a": None}])) == [1, {"a": None}]
    assert bytes(alone.encode_params(None)) == b"{}"


def test_each_decoding_gives_a_fresh_object() -> None:
    encoded = words.encode_params({"a": 1})
    words.decode_params(encoded)["a"] = 2
    assert words.decode_params(encoded) == {"a": 1}


def test_kept_parameters_that_fit_no_longer_are_refused_when_read() -> None:
    with pytest.raises(InvalidParameters, match="bad parameters for 'line'"):
        line.decode_params(msgspec.Raw(b'{"txt": "a"}'))


def test_a_result_comes_back_as_the_type_that_the_body_returns() -> None:
    assert line.decode_result(msgspec.Raw(b'{"text": "a"}')) == Line("a")
    assert page.decode_result(msgspec.Raw(b"3")) == 3
    assert anything.decode_result(msgspec.Raw(b"[1]")) == [1]
    plain: Any = alone  # a body that returns nothing has the result {}
    assert plain.decode_result(msgspec.Raw(b"{}")) == {}


def test_a_return_annotation_that_msgspec_cannot_decode_gives_plain_values() -> None:
    async def body(ctx: TaskContext) -> Line | Page:  # untagged: nothing tells one from the other
        return Line("a")

    declared: Any = task_type("x")(body)
    assert declared.decode_result(msgspec.Raw(b'{"text": "a"}')) == {"text": "a"}


def test_a_task_type_keeps_the_name_and_the_words_of_its_body() -> None:
    @task_type("x")
    async def documented(ctx: TaskContext) -> None:
        """What it does."""

    assert documented.__doc__ == "What it does."
    assert repr(documented) == "<TaskType 'x'>"
