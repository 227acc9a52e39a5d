"""Every power cut that the model in `power_cuts` knows of, after every operation on the disk."""

from __future__ import annotations

import copy
import logging
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cortex_tasks.engine.errors import StorageFull
from cortex_tasks.testing.power_cuts import Folder, State, Thoroughness
from cortex_tasks.testing.simulated_disk import SimulatedDisk, folder_in_memory
from tests.journal_setting import commit, kept_by, open_at, submit
from tests.journal_story import STORY, Teller, check
from tests.torture import FULL, THOROUGHNESS, every

FEW = THOROUGHNESS if FULL else Thoroughness(subsets=2, chosen=0, prefixes=1)
PARTS = 8 if FULL else 1  # of a law that would take too long for one


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One is enough: with a backend that works inline, no event loop has a part in this."""
    return "asyncio"


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    with folder_in_memory(otherwise=tmp_path) as folder:
        yield Path(folder)


@pytest.fixture(autouse=True)
def _silence(caplog: pytest.LogCaptureFixture) -> None:
    """Log nothing: of so many warnings nobody reads one."""
    caplog.set_level(logging.CRITICAL, "cortex_tasks")


class PowerCuts:
    """Notes after operations what a power cut would leave, with what had been promised."""

    def __init__(self, how: Thoroughness) -> None:
        self.possible: dict[object, tuple[State, int, int]] = {}
        self._how = how
        self._chance = random.Random(7)

    def note(self, disk: SimulatedDisk, teller: Teller) -> None:
        kept, begun = teller.kept, teller.begun
        for state in disk.states(self._how, self._chance):
            self.possible.setdefault((*state.items(), kept, begun), (state, kept, begun))

    def watch(self, disk: SimulatedDisk, teller: Teller) -> None:
        disk.after = lambda: self.note(disk, teller)

    async def check(self, place: Path, *, go_on: bool = FULL) -> None:
        for number, (state, kept, begun) in enumerate(self.possible.values()):
            await check(place / str(number), state, kept, begun, go_on=go_on)


def teller_on(disk: SimulatedDisk, kept: int = 0, begun: int = 0) -> Teller:
    return Teller(disk.root / "data" / "tasks", disk, kept, begun)


async def test_whatever_a_power_cut_leaves_holds_what_was_acknowledged(memory: Path) -> None:
    disk = SimulatedDisk(memory / "disk")
    teller = teller_on(disk)
    cuts = PowerCuts(THOROUGHNESS)
    cuts.watch(disk, teller)
    await teller.tell()
    assert teller.kept == len(STORY)
    assert len(list(disk.root.glob("data/tasks/snapshot-*"))) > 0
    assert len(cuts.possible) > 4 * len(disk.operations), "there must be much to lose"
    await cuts.check(memory, go_on=True)


async def test_what_the_next_process_finds_is_promised_whatever_power_cut_follows(
    memory: Path,
) -> None:
    """The first is killed after any operation, or amid a write. Nothing of it is lost by that, but
    what it did not sync the next one finds, and acts upon, and it is still not synced.
    """
    disk = SimulatedDisk(memory / "disk")
    teller = teller_on(disk)
    killed: list[tuple[Folder, int, int]] = []

    def note() -> None:
        kind, _ = disk.operations[-1]
        tops = [] if kind in {"reopen", "close"} else [copy.deepcopy(disk.top)]
        tops += [disk.halfway()] if kind == "write" else []
        killed.extend((top, teller.kept, teller.begun) for top in tops)

    disk.after = note
    await teller.tell()
    cuts = PowerCuts(FEW)
    for number, (top, kept, begun) in enumerate(killed[:: every(2)]):
        again = SimulatedDisk(memory / f"killed {number}", top)
        teller = teller_on(again, kept, begun)
        cuts.watch(again, teller)
        await teller.tell(kept + 1)
        shutil.rmtree(again.root)
    await cuts.check(memory)


@pytest.mark.parametrize("part", range(PARTS))
async def test_a_power_cut_while_the_harm_of_another_is_mended_does_none(
    memory: Path, part: int
) -> None:
    disk = SimulatedDisk(memory / "disk")
    teller = teller_on(disk)
    first = PowerCuts(THOROUGHNESS)
    first.watch(disk, teller)
    await teller.tell()
    second = PowerCuts(FEW)
    cases = list(first.possible.values())[part :: max(PARTS, every(16))]
    for number, (state, kept, begun) in enumerate(cases):
        again = SimulatedDisk.holding(memory / f"cut {number}", state)
        teller = teller_on(again, kept, begun)
        second.watch(again, teller)
        await teller.tell(kept + 1)
        shutil.rmtree(again.root)
    await second.check(memory)


@pytest.mark.parametrize("anyio_backend", ["trio", "asyncio"])
async def test_the_same_holds_for_a_backend_with_threads(memory: Path) -> None:
    disk = SimulatedDisk(memory / "disk")
    teller = teller_on(disk)
    teller.threads = True
    cuts = PowerCuts(FEW)
    cuts.watch(disk, teller)
    await teller.tell()
    assert teller.kept == len(STORY)
    disk.after = lambda: None
    await cuts.check(memory)


def test_half_a_line_that_found_no_room_does_not_come_back_in_a_file_that_is_closed(
    memory: Path,
) -> None:
    """Cut off, it is at the end of its file for the time being; then others follow that file."""
    disk = SimulatedDisk(memory / "disk")
    journal = open_at(disk.root / "data", disk)
    commit(journal, [submit("a", 1)])
    disk.capacity = disk.used + 50
    with pytest.raises(StorageFull):
        commit(journal, [submit("b", 2)])
    disk.capacity = None
    journal.compact()
    commit(journal, [submit("c", 2)])
    for number, state in enumerate(disk.states(THOROUGHNESS, random.Random(7))):
        after = SimulatedDisk.holding(memory / str(number), state)
        found = open_at(after.root / "data", after)
        assert list(kept_by(found)[0]) == ["a", "c"]
        found.close()
    journal.close()
