"""The simulated disk forgets what a real one may forget, and no more."""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path

import pytest

from cortex_tasks.backends.disk import write_all
from cortex_tasks.testing.power_cuts import State, Thoroughness
from cortex_tasks.testing.simulated_disk import FAILURES, Fault, SimulatedDisk

ALL = Thoroughness(subsets=20, prefixes=100)


@pytest.fixture
def disk(tmp_path: Path) -> SimulatedDisk:
    return SimulatedDisk(tmp_path / "disk")


def make(disk: SimulatedDisk, name: str, *parts: bytes, sync: bool = False) -> Path:
    """Make a file by so many writes."""
    path = disk.root / name
    descriptor = disk.create(path)
    for part in parts:
        write_all(disk, descriptor, part)
    if sync:
        disk.sync(descriptor)
    disk.close(descriptor)
    return path


def states(disk: SimulatedDisk) -> list[State]:
    return disk.states(ALL, random.Random(7))


def test_what_was_synced_with_its_name_stays(disk: SimulatedDisk) -> None:
    make(disk, "a", b"one", sync=True)
    disk.sync_folder(disk.root)
    assert states(disk) == [{"a": b"one"}]


def test_a_name_is_lost_without_a_sync_of_its_folder(disk: SimulatedDisk) -> None:
    make(disk, "a", b"one", sync=True)
    assert sorted(map(len, states(disk))) == [0, 1]


def test_a_write_that_is_not_synced_may_be_there_torn_a_hole_or_missing(
    disk: SimulatedDisk,
) -> None:
    make(disk, "a", b"one")
    disk.sync_folder(disk.root)
    contents = {state["a"] for state in states(disk)}
    assert contents == {b"", b"o", b"on", b"one", bytes(3)}


def test_of_two_writes_the_first_may_be_lost_alone(disk: SimulatedDisk) -> None:
    make(disk, "a", b"one", b"two")
    disk.sync_folder(disk.root)
    contents = {state["a"] for state in states(disk)}
    assert {b"", b"one", b"onetwo", bytes(3) + b"two"} <= contents


def test_a_rename_replaces_a_file_whole_or_not_at_all(disk: SimulatedDisk) -> None:
    make(disk, "a", b"old", sync=True)
    disk.sync_folder(disk.root)
    new = make(disk, "b", b"new", sync=True)
    disk.rename(new, disk.root / "a")
    assert sorted(map(dict.items, states(disk)), key=str) == sorted(
        map(dict.items, [{"a": b"old"}, {"a": b"new"}, {"a": b"old", "b": b"new"}]), key=str
    )
    disk.sync_folder(disk.root)
    assert states(disk) == [{"a": b"new"}]


def test_a_removal_may_be_undone_until_the_folder_is_synced(disk: SimulatedDisk) -> None:
    path = make(disk, "a", b"one", sync=True)
    disk.sync_folder(disk.root)
    disk.remove(path)
    assert not path.exists()
    assert sorted(map(len, states(disk))) == [0, 1]
    disk.sync_folder(disk.root)
    assert states(disk) == [{}]


def test_all_in_a_folder_is_lost_with_its_name(disk: SimulatedDisk) -> None:
    inner = disk.root / "inner"
    disk.make_folder(inner)
    make(disk, "inner/a", b"one", sync=True)
    disk.sync_folder(inner)
    assert sorted(map(len, states(disk))) == [0, 2]
    disk.sync_names_above(inner)
    assert states(disk) == [{"inner": None, "inner/a": b"one"}]


def test_what_a_failed_sync_lost_no_later_sync_brings_back(tmp_path: Path) -> None:
    disk = SimulatedDisk(tmp_path / "disk", faults=[Fault(4, errno.EIO)])
    descriptor = disk.create(disk.root / "a")
    disk.sync_folder(disk.root)
    write_all(disk, descriptor, b"one")
    with pytest.raises(OSError, match="Input/output"):
        disk.sync(descriptor)
    disk.sync(descriptor)  # the system says that all is well
    write_all(disk, descriptor, b"two")
    disk.sync(descriptor)
    assert (disk.root / "a").read_bytes() == b"onetwo"
    assert {b"onetwo", bytes(3) + b"two"} <= {state["a"] for state in states(disk)}
    assert all((state["a"] or b"").endswith(b"two") for state in states(disk))
    disk.write_again(disk.root / "a", 0, b"one")
    disk.sync(descriptor)
    disk.close(descriptor)
    assert states(disk) == [{"a": b"onetwo"}]


def test_the_next_process_sees_all_and_what_was_not_synced_is_still_not(
    disk: SimulatedDisk, tmp_path: Path
) -> None:
    make(disk, "a", b"one")
    again = disk.healthy(tmp_path / "again")
    assert (again.root / "a").read_bytes() == b"one"
    assert states(again) == states(disk)
    assert (disk.halfway().state(), len(disk.operations)) == ({"a": b"o"}, 3)


def test_a_disk_made_of_a_state_holds_it_for_good(tmp_path: Path) -> None:
    state: State = {"a": b"one", "inner": None, "inner/b": b"two"}
    disk = SimulatedDisk.holding(tmp_path / "disk", state)
    assert states(disk) == [state]
    assert (disk.root / "inner" / "b").read_bytes() == b"two"


def test_the_operation_that_was_chosen_fails_as_was_chosen_and_the_next_does_not(
    tmp_path: Path,
) -> None:
    for error in FAILURES["create"]:
        disk = SimulatedDisk(tmp_path / str(error), faults=[Fault(1, error)])
        with pytest.raises(OSError, match=os.strerror(error)):
            disk.create(disk.root / "a")
        assert not (disk.root / "a").exists()
        make(disk, "a", b"one")
        assert disk.struck == 1


def test_a_short_write_takes_half_and_then_all_or_nothing_more(tmp_path: Path) -> None:
    disk = SimulatedDisk(tmp_path / "goes on", faults=[Fault(2, short=True)])
    assert make(disk, "a", b"four").read_bytes() == b"four"
    assert [kind for kind, _ in disk.operations] == ["create", "write", "write", "close"]
    disk = SimulatedDisk(tmp_path / "fails", faults=[Fault(2, errno.ENOSPC, short=True)])
    with pytest.raises(OSError, match="No space"):
        make(disk, "a", b"four")
    assert (disk.root / "a").read_bytes() == b"fo"


def test_a_disk_stays_full_for_what_needs_room_until_it_is_healed(tmp_path: Path) -> None:
    disk = SimulatedDisk(tmp_path / "disk", faults=[Fault(2, errno.ENOSPC, lasts=True)])
    descriptor = disk.create(disk.root / "a")
    for _ in range(3):
        with pytest.raises(OSError, match="No space"):
            disk.write(descriptor, memoryview(b"one"))
    disk.sync(descriptor)
    disk.heal()
    disk.write(descriptor, memoryview(b"one"))
    disk.close(descriptor)
