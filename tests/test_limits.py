"""Every bound is checked when it is set, named when it is met, and stands on the page of limits."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cortex_tasks import Backoff, Limits, Retention, TaskContext, task_type
from cortex_tasks.engine.failures import describe, plain_text, traceback_of

from .engine_setting import running, virtual_time

PAGE = Path(__file__).parent.parent / "docs" / "limits.md"


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual_time(request.param)


@task_type("talk")
async def talk(ctx: TaskContext, params: int) -> None:
    await ctx.progress(message="é" * params)


@task_type("shout")
async def shout(ctx: TaskContext, params: int) -> None:
    raise ValueError("é" * params)


@pytest.mark.parametrize("name", Limits.__struct_fields__)
@pytest.mark.parametrize("value", [0, -1, 1.5, True, None, "10", float("nan")])
def test_a_limit_that_nothing_could_work_under_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"Limits\.{name} must be a whole number of \d+ or more"):
        Limits(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_age", timedelta(-1)),
        ("max_age", 3600),
        ("max_count", -1),
        ("max_count", 1.0),
        ("every", timedelta(0)),
        ("every", None),
    ],
)
def test_a_retention_that_cannot_be_meant_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"Retention\.{name} must be a"):
        Retention(**{name: value})
    assert Retention(max_age=None, max_count=0) == Retention(max_age=None, max_count=0)


def test_the_page_of_limits_names_each_with_its_default() -> None:
    rows = dict(
        re.findall(r"^\| `(\w+)` \| ([^|]+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    )
    limits = Limits()
    del rows["Limits"]  # the head of the table
    assert rows.keys() == set(Limits.__struct_fields__)
    for name, shown in rows.items():
        number, _, unit = shown.strip().partition(" ")
        size = int(number.replace(",", "")) * (2**20 if unit == "MiB" else 1)
        assert size == getattr(limits, name), name


async def test_a_message_that_is_too_long_is_cut_and_says_how_much_is_missing() -> None:
    async with running(talk, limits=Limits(max_message_chars=100)) as engine:
        for length, shown in ((100, "é" * 100), (101, "é" * 77 + "… (24 more characters)")):
            record = await (await engine.submit(talk, length)).wait()
            assert len(record.message) <= 100
            assert record.message == shown


async def test_an_error_and_its_traceback_are_cut_and_say_how_much_is_missing() -> None:
    limits = Limits(max_error_chars=200, max_traceback_chars=300)
    async with running(shout, limits=limits) as engine:
        record = await (await engine.submit(shout, 1_000_000)).wait()
        assert record.error is not None
        assert record.traceback is not None
        assert len(record.error) <= 200
        assert re.fullmatch(r"ValueError: é+… \(999,8\d\d more characters\)", record.error)
        assert len(record.traceback) <= 300
        missing, kept = record.traceback.split("\n", 1)
        counted = re.fullmatch(r"… \((\d[\d,]*) more characters\)", missing)
        assert counted
        whole = int(counted[1].replace(",", "")) + len(kept)
        assert 1_000_000 < whole < 1_002_000  # how many depends on where the code lies
        assert kept.endswith("é\n")


@task_type("shout_again", retries=2, backoff=Backoff(first=1.0))
async def shout_again(ctx: TaskContext, params: int) -> None:
    raise ValueError("é" * params)


@pytest.mark.parametrize("length", [60, 88, 100, 10_000])
async def test_an_error_is_within_its_limit_with_all_that_the_engine_says_besides(
    length: int,
) -> None:
    async with running(shout_again, limits=Limits(max_error_chars=100)) as engine:
        record = await (await engine.submit(shout_again, length)).wait()
        assert record.error is not None
        assert len(record.error) <= 100
        assert record.error.endswith(" (after 3 attempts)")
        missing = re.search(r"… \((\d[\d,]*) more characters\)", record.error)
        cut = int(missing[1].replace(",", "")) if missing else 0
        assert record.error.count("é") + cut == length
        assert record.error.count("…") == (cut > 0)


@pytest.mark.parametrize("length", [99, 100, 101, 125, 1_000, 10_000_000])
def test_no_text_is_longer_than_its_limit_and_what_is_missing_is_counted(length: int) -> None:
    text = plain_text("a" * length, 100)
    kept, _, cut = text.partition("…")
    assert len(text) <= 100
    missing = int(re.sub(r"\D", "", cut) or 0)
    assert len(kept) + missing == length
    error = ValueError("a" * length)
    assert len(describe(error, 100)) <= 100
    assert len(traceback_of(error, 100)) <= 100
