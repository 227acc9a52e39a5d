"""A damaged folder is made to open again: what can be read stays, nothing is invented or rerun."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import msgspec
import pytest

from cortex_tasks.backends.doctor import accept_loss, examine
from cortex_tasks.backends.loss import Loss, TaskLoss
from cortex_tasks.backends.recovery import recover
from cortex_tasks.backends.rescue import Rescue
from cortex_tasks.engine.errors import StorageCorrupt, StorageError
from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.engine.records import TaskRecord
from cortex_tasks.engine.storage import Change, Put
from cortex_tasks.testing.simulated_disk import folder_in_memory

from .damage_setting import (
    damage,
    files_of,
    holds_newer,
    newest_records,
    paused_types,
    readable,
    records_ever,
    surely_newest,
    write_story,
)
from .journal_setting import (
    Kept,
    UnsyncedFiles,
    Values,
    kept_after,
    kept_by,
    open_at,
)
from .torture import FACTOR, FULL, count

SEEDS = 20_000 if FULL else round(120 * FACTOR)
SET_AS_FAILED = ("its newest state", "its parameters", "its newest checkpoint", "its result")
VALUES = ("params", "result", "checkpoint", "log")
OF_A_FAILURE = (
    "status",
    "seq",
    "updated_at",
    "completed_at",
    "progress_percent",
    "message",
    "error",
    "traceback",
    "run_at",
    "ready_at",
    "found_over",
    "result_size",
)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    with folder_in_memory(otherwise=tmp_path) as folder:
        yield Path(folder)


@pytest.fixture(autouse=True)
def _silence(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "cortex_tasks")


def holds(folder: Path) -> Kept:
    """All that the folder holds, once opened."""
    journal = open_at(folder)
    try:
        return kept_by(journal)
    finally:
        journal.close()


def is_set_as_failed(record: TaskRecord) -> bool:
    return record.status is TaskStatus.FAILED and (record.error or "").startswith(SET_AS_FAILED)


def same_but_for_the_failure(record: TaskRecord, old: TaskRecord) -> bool:
    fields = {name: getattr(old, name) for name in OF_A_FAILURE}
    return msgspec.structs.replace(record, **fields) == old


def check(found: Kept, commits: Sequence[Sequence[Change]], newest: dict[str, TaskRecord]) -> None:
    """Hold what a repair has made of a folder that did not open against its whole story."""
    truth, _ = kept_after(commits)
    ever = records_ever(commits)
    tasks, last_seq = found
    assert tasks.keys() == newest.keys()
    for task_id, values in tasks.items():
        record, old = values[0], newest[task_id]
        assert record.seq <= last_seq
        if is_set_as_failed(record):
            assert same_but_for_the_failure(record, old)
            assert not old.final or old.status is TaskStatus.COMPLETED
            assert record.found_over != old.final  # the time until the repair is no run time
        else:
            assert record == old
            assert record in ever[task_id]
        if not record.final:
            # It goes on, so it must be what it was in every way (its log may lack lines).
            assert values[:4] == truth[task_id][:4]
        check_values(values, commits)


def check_values(values: Values, commits: Sequence[Sequence[Change]]) -> None:
    """Each value is one that the task was given."""
    record = values[0]
    given: dict[str, set[bytes | None]] = {name: {None} for name in VALUES}
    for change in (change for changes in commits for change in changes):
        if isinstance(change, Put) and change.record.id == record.id:
            for name, known in given.items():
                value = getattr(change, name)
                known.add(None if value is None else bytes(value))
    for name, value in zip(given, values[1:], strict=True):
        assert value in given[name]
    assert (values[2] is not None) == (record.status is TaskStatus.COMPLETED)


def check_named(found: Kept, commits: Sequence[Sequence[Change]], loss: Loss) -> None:
    """Hold what is said to be lost of each task that is left against what is lost."""
    truth, _ = kept_after(commits)
    for task_id, values in found[0].items():
        named = loss.tasks.get(task_id, TaskLoss())
        said = {*named.lost, *named.perhaps}
        if task_id not in truth or "state" in named.lost:
            continue  # removed in a lost line; nobody knows how far it went
        if values[0].final and values[0] != truth[task_id][0] and not named.fails:
            continue  # tried again in a lost line
        pairs = dict(zip(VALUES, zip(values[1:], truth[task_id][1:], strict=True), strict=True))
        if named.fails:
            del pairs["checkpoint"]  # it goes with the task's end
        for name, (kept, true) in pairs.items():
            assert kept == true or name in said, (task_id, name)
            assert name not in named.lost or kept is None, (task_id, name)


def check_copy(rescued: Rescue, damaged: dict[str, bytes], left: dict[str, bytes]) -> None:
    """Hold what is set aside against what was found."""
    for name, data in damaged.items():
        kept = rescued.copy / name
        assert not kept.exists() or kept.read_bytes() == data
        assert kept.exists() or left[name] == data
    for piece in rescued.loss.damaged:
        aside = rescued.copy / f"{piece.path.name}.damaged"
        assert aside in rescued.set_aside
        assert piece.data in aside.read_bytes()
        assert piece.data in damaged[piece.path.name]


def trial(place: Path, seed: int) -> str:
    """Tell a story, damage it, repair it; say what came of it."""
    chance = Random(seed)
    folder = place / "data" / "tasks"
    commits = write_story(folder, chance)
    before = files_of(folder)
    for _ in range(chance.randint(1, 3)):
        damage(folder, chance)
    damaged = files_of(folder)
    left, newest = readable(before, folder), surely_newest(before, folder)
    if holds_newer(folder):  # whatever else is wrong
        with pytest.raises(StorageError, match="newer"):
            accept_loss(folder, UnsyncedFiles())
        assert files_of(folder) == damaged
        return "newer"
    try:
        refused = recover(folder) is None
    except StorageCorrupt:
        refused = True
    mended, rescued = accept_loss(folder, UnsyncedFiles())
    assert examine(folder).sound, examine(folder)
    found = holds(folder)
    loss = Loss() if rescued is None else rescued.loss
    check_named(found, [] if mended else commits, loss)  # of a torn line nothing need be said
    if refused:
        assert rescued is not None
        check(found, commits, newest_records(left))
        assert recover(folder).index.paused == paused_types(left)
        assert not newest & {one for one, named in loss.tasks.items() if "state" in named.lost}
        check_copy(rescued, damaged, files_of(folder))
    else:
        for values in found[0].values():
            if not values[0].final and mended is None:
                assert values[:4] == kept_after(commits)[0][values[0].id][:4]
            check_values(values, commits)
    assert accept_loss(folder, UnsyncedFiles()) == (None, None)
    assert holds(folder) == found
    if rescued is None:
        return "whole"
    return "refused" if refused else "values"


def test_whatever_is_damaged_the_rest_is_kept_and_nothing_is_invented(memory: Path) -> None:
    outcomes: dict[str, int] = {}
    for seed in range(SEEDS):
        place = memory / str(seed)
        try:
            outcome = trial(place, seed)
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    count("damaged folders repaired", SEEDS)
    assert outcomes["refused"] > SEEDS / 3
    assert outcomes["values"] > 0
