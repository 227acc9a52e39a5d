"""A line of the log says whose it is, for people and for programs."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import anyio
import anyio.to_thread
import pytest

from cortex_tasks.engine.context import TaskContext
from cortex_tasks.engine.current import log_context
from cortex_tasks.engine.logs import JsonLines, TextLines, word
from cortex_tasks.engine.registry import task_type

from .engine_setting import an_engine
from .http_setting import client_of, echo, serving

LIBRARY = logging.getLogger("some.library")  # knows nothing of tasks


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    """Every line of the log, as a program reads it."""
    stream = io.StringIO()
    found: list[dict[str, Any]] = []

    class Reading(logging.StreamHandler[io.StringIO]):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(json.loads(self.format(record)))

    handler = Reading(stream)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield found
    root.removeHandler(handler)
    root.setLevel(level)


def of_library(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if line["logger"] == LIBRARY.name]


async def test_what_a_library_writes_in_a_body_names_the_task(lines: list[dict[str, Any]]) -> None:
    @task_type("calling")
    async def calling(ctx: TaskContext) -> None:
        async def child() -> None:
            LIBRARY.info("in a child")

        LIBRARY.info("here")
        async with anyio.create_task_group() as group:
            group.start_soon(child)
        await anyio.to_thread.run_sync(LIBRARY.info, "in a thread")

    async with an_engine(calling) as engine:
        for _ in range(2):  # the place stands: what is said is of the one that runs there now
            await (await engine.submit(calling)).result()
    assert [(line["message"], line["task_id"]) for line in of_library(lines)] == [
        (message, task_id)
        for task_id in ("task_1", "task_2")
        for message in ("here", "in a child", "in a thread")
    ]
    for line in of_library(lines):
        assert (line["task_type"], line["attempt"], line["level"]) == ("calling", 1, "info")


async def test_what_the_engine_says_of_a_failure_names_the_task(
    lines: list[dict[str, Any]],
) -> None:
    @task_type("broken")
    async def broken(ctx: TaskContext) -> None:
        raise ValueError("no")

    async with an_engine(broken) as engine:
        await (await engine.submit(broken)).wait()
    failed = next(line for line in lines if "failed" in line["message"])
    assert (failed["task_id"], failed["task_type"]) == ("task_1", "broken")


async def test_naming_the_task_gives_up_no_place() -> None:
    seen: list[object] = []
    coroutines: set[int] = set()

    @task_type("looking", concurrency=1)
    async def looking(ctx: TaskContext) -> None:
        seen.append(log_context()["task_id"])
        coroutines.add(anyio.get_current_task().id)

    async with an_engine(looking) as engine:
        for _ in range(3):
            await (await engine.submit(looking)).wait()
    assert len(coroutines) == 1  # one stood for all of them
    assert seen == ["task_1", "task_2", "task_3"]
    assert log_context() == {}


async def test_what_is_written_in_a_request_names_it(lines: list[dict[str, Any]]) -> None:
    async with serving(echo) as api:

        class Broken:
            async def get(self, task_id: str) -> None:
                LIBRARY.warning("asked for it")
                raise RuntimeError("no")

        async with client_of(api.app) as client:
            services = next(
                route.app._services
                for route in api.app.routes  # type: ignore[attr-defined]
                if route.path == "/api/tasks/{task_id}/result"
            )
            engine, services.engine = services.engine, Broken()
            answer = await client.get("/api/tasks/x/result", headers={"X-Request-ID": "req_1"})
            services.engine = engine
    assert answer.status_code == 500
    assert [line["request_id"] for line in of_library(lines)] == ["req_1"]
    assert log_context() == {}


def _record(message: str, *arguments: Any, **more: Any) -> logging.LogRecord:
    record = logging.LogRecord("a.b", logging.WARNING, "x.py", 1, message, arguments, None)
    vars(record).update(more)
    return record


def test_a_line_for_people_has_its_names_after_the_message() -> None:
    record = _record(
        "read %d pages\nof many",
        3,
        task_id="task_1",
        task_type="read",
        attempt=2,
        fields={"title": "A B", "empty": "", "rows": [1, None], "who": "me", "quoted": 'a"b'},
    )
    line = TextLines().format(record)
    first, second = line.split("\n")
    assert first[20:] == (
        "WARNING a.b: read 3 pages task_id=task_1 task_type=read attempt=2 "
        r'title="A B" empty="" rows=[1,null] who=me quoted="a\"b"'
    )
    assert second == "    of many"


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\x0b", "\x85", "\u2028"])
def test_nothing_that_is_logged_looks_like_another_line_or_steers_a_terminal(end: str) -> None:
    forged = f"read{end}2026-03-15 10:30:00 ERROR root: all is lost\x1b[2J\x9b31m\u202e"
    record = _record("%s", forged, fields={"a b": forged, "c=d\n": 1})
    try:
        raise ValueError(forged)
    except ValueError:
        record.exc_info = sys.exc_info()
    first, *others = TextLines().format(record).split("\n")
    assert first[20:].startswith('WARNING a.b: read "a b"="read')
    assert first.endswith(r'"c=d\n"=1')
    assert others[0].startswith("    2026-03-15 10:30:00 ERROR root: all is lost\\u001b[2J")
    assert all(each.startswith("    ") for each in others)
    assert all(each.isprintable() for each in (first, *others))
    assert "    Traceback (most recent call last):" in others


def test_a_line_for_programs_is_one_line_whatever_is_in_it() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        record = _record("a\nb \udcff", fields={"thing": object, "lone": "\udcff"})
        record.exc_info = sys.exc_info()
    line = JsonLines().format(record)
    assert "\n" not in line
    read = json.loads(line)
    assert read["message"] == "a\nb \\udcff"
    assert read["fields"]["thing"] == "<class 'object'>"
    assert "two\nlines" in read["exception"]
    assert read["at"].endswith("Z")
    assert TextLines().format(record).count("Traceback") == 1


class Mute:
    def __repr__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("message", "arguments", "written"),
    [
        ("%d pages", ("many",), "'%d pages' % ('many',): cannot be written (TypeError)"),
        ("one", (1,), "'one' % (1,): cannot be written (TypeError)"),
        ("%s", (Mute(),), "'%s' % (tuple, whose repr raised RuntimeError): cannot be written"),
    ],
)
def test_a_line_whose_arguments_do_not_fit_is_written_and_no_traceback_in_its_place(
    message: str, arguments: tuple[object, ...], written: str
) -> None:
    record = _record(message, *arguments, task_id="task_1")
    read = json.loads(JsonLines().format(record))
    assert read["message"].startswith(written)
    assert read["task_id"] == "task_1"
    assert f"a.b: {written}" in TextLines().format(record)


def test_no_field_of_a_bodys_passes_for_the_task_that_wrote_the_line() -> None:
    record = _record("x", task_id="task_1", attempt=2, fields={"task_id": "other", "request_id": 3})
    first = TextLines().format(record)
    assert first.endswith("x task_id=task_1 attempt=2 fields.task_id=other fields.request_id=3")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain", "plain"),
        ("a=b", '"a=b"'),
        ("", '""'),
        (3, "3"),
        (None, "null"),
        ("a\n", r'"a\n"'),
        ("\x9b", r'"\u009b"'),
    ],
)
def test_a_value_is_one_word(value: object, written: str) -> None:
    assert word(value) == written
