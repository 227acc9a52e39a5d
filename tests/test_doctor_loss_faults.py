"""A repair that a failing disk or a power cut ends leaves the folder as it was, or whole."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from pathlib import Path
from random import Random

import msgspec
import pytest

from cortex_tasks.backends.disk import DiskFiles
from cortex_tasks.backends.doctor import accept_loss, examine, repair
from cortex_tasks.engine.errors import StorageError, StorageFull
from cortex_tasks.testing.power_cuts import State, Thoroughness, write_state
from cortex_tasks.testing.simulated_disk import FAILURES, Fault, SimulatedDisk, folder_in_memory

from .damage_setting import files_of
from .journal_setting import (
    BEGIN,
    Kept,
    UnsyncedFiles,
    commit,
    complete,
    kept_by,
    open_at,
    submit,
)
from .torture import every

LARGE = b'"' + b"x" * 300 + b'"'
HOW = Thoroughness(subsets=1, chosen=1, prefixes=1)
JOURNAL = "journal-00000001.jsonl"


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    with folder_in_memory(otherwise=tmp_path) as folder:
        yield Path(folder)


@pytest.fixture(autouse=True)
def _silence(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "cortex_tasks")


def tell(folder: Path) -> None:
    journal = open_at(folder)
    commit(journal, [submit("task_a", 1, LARGE), submit("task_b", 2)])
    commit(journal, [complete("task_a", 3, LARGE)])
    commit(journal, [submit("task_c", 4), submit("task_d", 5)])
    commit(journal, [complete("task_c", 6, b"[1]"), submit("task_e", 7, LARGE)])
    journal.close()
    (folder / "reserve").write_bytes(bytes(5000))


def damaged_line(folder: Path) -> None:
    path = folder / JOURNAL
    path.write_bytes(path.read_bytes().replace(b"task_d", b"task_x"))


def damaged_values(folder: Path) -> None:
    (folder / "results" / "task_a.3.json").write_bytes(b"1")
    (folder / "params" / "task_e.7.json").unlink()
    with (folder / JOURNAL).open("ab") as file:
        file.write(b'{"n":5,"cr')  # torn by a crash: that is mended first


DAMAGES = {"a line": damaged_line, "values": damaged_values}


@pytest.fixture(params=DAMAGES)
def state(request: pytest.FixtureRequest, memory: Path) -> State:
    """A disk with a damaged folder in data/tasks."""
    folder = memory / "first" / "tasks"
    tell(folder)
    DAMAGES[request.param](folder)
    names = ("data", "data/tasks", *(f"data/tasks/{name}" for name in folders_of(folder)))
    state: State = dict.fromkeys(names)
    return state | {f"data/tasks/{name}": data for name, data in files_of(folder).items()}


def folders_of(folder: Path) -> list[str]:
    return [path.name for path in sorted(folder.iterdir()) if path.is_dir()]


def holds(folder: Path) -> Kept:
    """What the folder holds, whenever it was repaired."""
    journal = open_at(folder)
    try:
        tasks, seq = kept_by(journal)
    finally:
        journal.close()
    untimed = {
        task_id: (
            msgspec.structs.replace(values[0], updated_at=BEGIN, completed_at=None),
            *values[1:],
        )
        for task_id, values in tasks.items()
    }
    return untimed, seq


def repaired(place: Path, state: State) -> Kept:
    """What an undisturbed repair of the folder comes to."""
    write_state(place, state)
    _, rescued = accept_loss(place / "data" / "tasks", UnsyncedFiles())
    assert rescued is not None
    return holds(place / "data" / "tasks")


def check_left(folder: Path, state: State, expected: Kept) -> None:
    """The folder is whole, or it is as it was; repaired again it is what it was to become."""
    left = files_of(folder)
    if not examine(folder).problems:
        copies = [files_of(copy) for copy in folder.parent.glob("tasks.before-repair-*")]
        for path, was in state.items():
            name = path.removeprefix("data/tasks/")
            assert was is None or any(copy.get(name) == was for copy in [left, *copies])
    else:
        for path, was in state.items():
            name = path.removeprefix("data/tasks/")
            if was is not None and name != JOURNAL:
                assert left[name] == was
            elif was is not None:  # a torn end may be gone
                assert left[name] in (was, was[: was.rindex(b"\n") + 1])
    accept_loss(folder, UnsyncedFiles())
    assert examine(folder).sound
    assert holds(folder) == expected


def outcome_of(folder: Path, files: DiskFiles) -> str:
    try:
        accept_loss(folder, files)
    except StorageFull as error:
        said = str(error)
        return "full" if "Free about" in said and str(folder / "reserve") in said else said
    except (OSError, StorageError):
        return "refused"
    return "went on"


def test_after_any_failure_the_folder_is_as_it_was_or_whole(memory: Path, state: State) -> None:
    expected = repaired(memory / "clean", state)
    disk = SimulatedDisk.holding(memory / "count", state)
    accept_loss(disk.root / "data" / "tasks", disk)
    outcomes = set()
    for at, (kind, _) in enumerate(disk.operations, 1):
        for error in FAILURES[kind]:
            one = SimulatedDisk.holding(memory / f"{at} {error}", state)
            one.faults = [Fault(at, error)]
            folder = one.root / "data" / "tasks"
            outcomes.add(outcome_of(folder, one))
            assert one.struck
            check_left(folder, state, expected)
    assert outcomes == {"full", "refused", "went on"}


def test_after_a_power_cut_at_any_moment_the_folder_is_as_it_was_or_whole(
    memory: Path, state: State
) -> None:
    expected = repaired(memory / "clean", state)
    chance = Random(7)
    disk = SimulatedDisk.holding(memory / "disk", state)
    states: dict[tuple[object, ...], State] = {}

    def note() -> None:
        for left in disk.states(HOW, chance):
            states[tuple(sorted(left.items()))] = left

    disk.after = note
    accept_loss(disk.root / "data" / "tasks", disk)
    for number, left in enumerate(list(states.values())[:: every(2)]):
        write_state(memory / str(number), left)
        check_left(memory / str(number) / "data" / "tasks", state, expected)


@pytest.mark.parametrize("mend", [repair, accept_loss])
def test_on_a_full_disk_a_repair_changes_nothing_and_says_what_to_free(
    tmp_path: Path, mend: object
) -> None:
    folder = tmp_path / "tasks"
    tell(folder)
    if mend is accept_loss:
        damaged_line(folder)
    else:
        (folder / JOURNAL).write_bytes((folder / JOURNAL).read_bytes() + b"torn")
    before = files_of(folder)

    class FullDisk(DiskFiles):
        def write(self, descriptor: int, data: memoryview) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageFull, match=r"Free about .* bytes, then repair it again") as refused:
        (repair if mend is repair else accept_loss)(folder, FullDisk())
    assert f"{folder / 'reserve'} (5,000 bytes)" in str(refused.value)
    assert files_of(folder) == before
    assert not list(tmp_path.glob("*.before-repair-*"))
