"""The changes of a folder have numbers that no line brings, though nothing is lost: of several of a
task in one commit only the last is written. A repair tells these from numbers that are lost.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from cortex_tasks import TaskContext, TaskEngine, TaskStatus, task_type
from cortex_tasks.backends.doctor import accept_loss, estimate_loss
from cortex_tasks.backends.json_backend import JsonBackend
from cortex_tasks.engine.records import TaskRecord

from .damage_setting import line_files
from .journal_setting import UnsyncedFiles, kept_by, open_at

LATER = 100_000.0
WAITING = 4  # tasks that are there before anything runs


@task_type("echo")
async def echo(ctx: TaskContext, number: int) -> int:
    return number


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """Written by an engine: tasks that wait, five that have completed one after another, and one
    more that waits.
    """
    tasks = tmp_path / "tasks"
    async with TaskEngine([echo], backend=JsonBackend(tasks, reserve=0)) as engine:
        for number in range(WAITING):
            await engine.submit(echo, number, delay=LATER)
        for number in range(5):
            await (await engine.submit(echo, number)).wait()
        await engine.submit(echo, -1, delay=LATER)
    return tasks


def lines_of(folder: Path) -> list[bytes]:
    return line_files(folder)[-1].read_bytes().splitlines(keepends=True)


def put(folder: Path, lines: list[bytes]) -> None:
    line_files(folder)[-1].write_bytes(b"".join(lines))


def numbers_of(line: bytes) -> list[int]:
    return [change["record"]["seq"] for change in json.loads(line)["changes"]]


def rows_after_gaps(folder: Path) -> list[int]:
    """The lines that stand for a number which they do not bring, the header being row 0."""
    lines = lines_of(folder)
    highest = [0, *(max(numbers_of(line)) for line in lines[1:])]
    return [
        row
        for row, line in enumerate(lines[1:], 1)
        if highest[row] - highest[row - 1] > len(numbers_of(line))
    ]


def repaired(folder: Path) -> list[TaskRecord]:
    """Accept the loss; give what has become of the tasks, in the order of their submits."""
    assert accept_loss(folder, UnsyncedFiles())[1] is not None
    journal = open_at(folder)
    try:
        return [values[0] for values in kept_by(journal)[0].values()]
    finally:
        journal.close()


def lost(records: list[TaskRecord]) -> list[TaskRecord]:
    return [record for record in records if record.error is not None]


def without_header(lines: list[bytes]) -> list[bytes]:
    return [lines[0].replace(b'"version":1', b'"version":0'), *lines[1:]]


def all_twice(lines: list[bytes]) -> list[bytes]:
    return [lines[0], *(line for line in lines[1:] for _ in range(2))]


def with_foreign_lines(lines: list[bytes]) -> list[bytes]:
    return [part for line in lines for part in (b"of somebody\n", line)]


@pytest.mark.anyio
@pytest.mark.parametrize("harm", [without_header, all_twice, with_foreign_lines])
async def test_harm_that_takes_no_line_costs_no_task(
    folder: Path, harm: Callable[[list[bytes]], list[bytes]]
) -> None:
    assert len(rows_after_gaps(folder)) >= 5
    put(folder, harm(lines_of(folder)))
    assert estimate_loss(folder).changes == 0
    records = repaired(folder)
    assert lost(records) == []
    assert [one.status for one in records if not one.final] == [TaskStatus.PENDING] * (WAITING + 1)


@pytest.mark.anyio
@pytest.mark.parametrize("number", [b"0", b"77"])
async def test_a_number_of_a_line_that_is_damaged_costs_no_task(
    folder: Path, number: bytes
) -> None:
    lines = lines_of(folder)
    for row in rows_after_gaps(folder):
        if row + 1 < len(lines):  # the very last is not told from one after lines that vanished
            damaged = re.sub(rb"^\{\"n\":\d+", rb'{"n":' + number, lines[row])
            put(folder, [*lines[:row], damaged, *lines[row + 1 :]])
            assert estimate_loss(folder).changes == 0


@pytest.mark.anyio
@pytest.mark.parametrize("vanished", [True, False])
async def test_tasks_submitted_after_a_lost_line_stay_though_numbers_are_left_out_after_them(
    folder: Path, vanished: bool
) -> None:
    lines = lines_of(folder)
    lines[1:2] = [] if vanished else [lines[1].replace(b'"pending"', b'"pendinG"')]
    put(folder, lines)
    records = repaired(folder)
    assert lost(records) == []
    assert [one.status for one in records if not one.final] == [TaskStatus.PENDING] * WAITING


@pytest.mark.anyio
@pytest.mark.parametrize("vanished", [True, False])
async def test_tasks_submitted_before_a_lost_line_fail(folder: Path, vanished: bool) -> None:
    lines, row = lines_of(folder), rows_after_gaps(folder)[0]
    lines[row : row + 1] = [] if vanished else [lines[row].replace(b"}", b"]", 1)]
    put(folder, lines)
    assert estimate_loss(folder).failed == WAITING
    assert len(lost(repaired(folder))) == WAITING
