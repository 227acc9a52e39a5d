"""A line that is gone without a trace may have been of any task: the numbers of the others tell."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from cortex_tasks.backends.doctor import accept_loss
from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.engine.records import TaskRecord
from cortex_tasks.engine.storage import Change, Pause, Put

from .damage_setting import line_files
from .journal_setting import UnsyncedFiles, commit, complete, kept_by, open_at, pending, submit

RUNNING = msgspec.structs.replace(pending("a", 2), status=TaskStatus.RUNNING, attempt=1)
STORY: list[list[Change]] = [
    [submit("a", 1)],
    [Put(RUNNING)],
    [Pause("one", paused=True)],
    [Pause("other", paused=True)],
    [Pause("one", paused=False)],
]
FINISH: list[Change] = [complete("a", 3)]
BEFORE_THE_PAUSES, LAST = 2, 5  # numbers of lines


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "tasks"


def tell(folder: Path, *commits: list[Change]) -> Path:
    """Commit it; give the newest file, which now has these lines at its end."""
    journal = open_at(folder)
    for changes in commits:
        commit(journal, changes)
    journal.close()
    return line_files(folder)[-1]


def compact(folder: Path) -> None:
    """Leave a snapshot, and an empty journal file after it."""
    journal = open_at(folder)
    journal.compact()
    compaction = journal._compaction
    while compaction is not None and not compaction.ended:
        compaction.step()
    journal.close()
    open_at(folder).close()  # removes what was superseded


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def without(path: Path, row: int) -> None:
    """Take a line away, the header being row 0."""
    lines = lines_of(path)
    del lines[row]
    path.write_bytes(b"".join(lines))


def repaired(folder: Path) -> TaskRecord:
    """Accept the loss; give what has become of the task."""
    _, rescued = accept_loss(folder, UnsyncedFiles())
    assert rescued is not None
    journal = open_at(folder)
    try:
        return kept_by(journal)[0]["a"][0]
    finally:
        journal.close()


def fails(record: TaskRecord) -> bool:
    return (record.error or "").startswith("its newest state was damaged on disk")


@pytest.mark.parametrize("pauses", [1, 2, 3])
def test_a_task_whose_end_vanished_before_nothing_but_pauses_does_not_run_again(
    folder: Path, pauses: int
) -> None:
    before, after = STORY[:BEFORE_THE_PAUSES], STORY[BEFORE_THE_PAUSES:][:pauses]
    path = tell(folder, *before, FINISH, *after)
    without(path, 1 + len(before))
    assert fails(repaired(folder))


def test_nor_does_one_whose_end_vanished_between_the_pauses(folder: Path) -> None:
    path = tell(folder, *STORY[:3], FINISH, *STORY[3:])
    without(path, 4)
    assert fails(repaired(folder))


@pytest.mark.parametrize("snapshot_begins", [True, False])
def test_nor_does_one_whose_end_vanished_at_the_beginning_of_the_file_after_a_snapshot(
    folder: Path, snapshot_begins: bool
) -> None:
    tell(folder, *STORY[:BEFORE_THE_PAUSES])
    compact(folder)
    path = tell(folder, FINISH, *STORY[BEFORE_THE_PAUSES:])
    without(path, 1)
    if not snapshot_begins:  # then nobody knows with which line the journal goes on
        without(line_files(folder)[0], 1)
    assert fails(repaired(folder))


def test_pauses_after_a_whole_snapshot_cost_no_task(folder: Path) -> None:
    tell(folder, *STORY[:BEFORE_THE_PAUSES])
    compact(folder)
    path = tell(folder, *STORY[BEFORE_THE_PAUSES:])
    lines = lines_of(path)
    path.write_bytes(b"".join([*lines[1:], lines[1]]))  # no header, and a line twice
    assert repaired(folder) == RUNNING


@pytest.mark.parametrize("row", range(1, LAST))
@pytest.mark.parametrize("digit", [b"0", b"7"])
def test_a_number_that_is_damaged_costs_no_task(folder: Path, row: int, digit: bytes) -> None:
    path = tell(folder, *STORY)
    lines = lines_of(path)
    lines[row] = lines[row].replace(b'{"n":%d,' % row, b'{"n":%b,' % digit)
    path.write_bytes(b"".join(lines))
    assert repaired(folder) == RUNNING


@pytest.mark.parametrize("row", range(1, 1 + LAST))
def test_a_line_that_is_there_twice_costs_no_task(folder: Path, row: int) -> None:
    path = tell(folder, *STORY)
    lines = lines_of(path)
    path.write_bytes(b"".join([*lines[: row + 1], *lines[row:]]))
    assert repaired(folder) == RUNNING
