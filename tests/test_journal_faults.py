"""Every operation on the disk fails once, in every way in which a system may let it fail."""

from __future__ import annotations

import contextlib
import errno
import gc
import logging
import os
import random
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from cortex_tasks.backends.json_backend import JsonBackend
from cortex_tasks.backends.reserve import RESERVE_FILE
from cortex_tasks.engine.errors import StorageError, StorageFull
from cortex_tasks.testing.power_cuts import Thoroughness
from cortex_tasks.testing.simulated_disk import FAILURES, Fault, SimulatedDisk, folder_in_memory
from tests.journal_story import KEPT, REOPENED, STORY, Teller, check
from tests.torture import FULL, THOROUGHNESS, every

HOW = THOROUGHNESS if FULL else Thoroughness(subsets=1, chosen=1, prefixes=1)
ADVICE = ("free some", "then it goes on", "ook after the disk", "choose another", "Restore")


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
    """Log nothing: of so many warnings nobody reads one, and their errors hold on to files."""
    caplog.set_level(logging.CRITICAL, "cortex_tasks")


class Trial:
    """The story, told while the disk fails. A backend may do one of three things about a failure:
    work all the same; say StorageFull, and go on without that commit; or say another StorageError
    to this commit and all that follow. Whichever it is, it must be true after a power cut.
    """

    def __init__(
        self,
        place: Path,
        faults: Sequence[Fault],
        known: set[object],
        teller: type[Teller] = Teller,
    ) -> None:
        self.first = self.disk = SimulatedDisk(place / "disk", faults=faults)
        self.teller = teller(self.disk.root / "data" / "tasks", self.disk)
        self.outcome = "went on"
        self._until = len(STORY)
        self._place = place
        self._faults = faults
        self._chance = random.Random(7)
        self._known = known  # what has been checked after power cuts, in any trial

    async def run(self) -> None:
        """Tell the story to its end, with a new backend on a healthy disk where one is needed."""
        try:
            backend = await self._open()
            while self.teller.kept < self._until:
                if self.teller.kept in REOPENED:
                    await backend.close()
                    backend = await self._open()
                backend = await self._commit(backend)
            await backend.close()
            await self._cut_power()
            shutil.rmtree(self._place)
        except BaseException as error:
            where = self.first.operations[self._faults[0].at - 1]
            error.add_note(f"{', '.join(map(str, self._faults))}: {where}; it {self.outcome}")
            raise

    async def _open(self) -> JsonBackend:
        while True:
            try:
                return await self.teller.open()
            except StorageError as error:
                self._refused("did not open", error)
                await self._cut_power()
                self._start_again()

    async def _commit(self, backend: JsonBackend) -> JsonBackend:
        struck = self.disk.struck
        try:
            await self.teller.commit(backend)
        except StorageFull as error:
            self._refused("found no room", error)
            self.teller.begun = self.teller.kept  # it says that nothing has changed
            await self._read_all(backend)
            if struck:
                self.disk.heal()  # somebody has freed some room
        except StorageError as error:
            self._refused("broke", error)
            self.disk.heal()  # whatever the disk says from now on, data may be gone
            for _ in range(2):
                with pytest.raises(StorageError, match="takes no more commits") as refused:
                    await backend.commit(STORY[self.teller.kept])
                assert not isinstance(refused.value, StorageFull)
            await self._read_all(backend)
            await backend.close()
            await self._cut_power()
            self._start_again()
            return await self._open()
        if self.disk.struck > struck:
            await self._cut_power()
        return backend

    async def _read_all(self, backend: JsonBackend) -> None:
        """What was acknowledged can still be read, whatever the backend does not take."""
        for task_id, (_, params, result, _, log) in KEPT[self.teller.kept][0].items():
            if params is not None:
                assert bytes(await backend.read(task_id, "params")) == params
            if result is not None:
                assert bytes(await backend.read(task_id, "result")) == result
            if log is not None:
                assert bytes(await backend.read(task_id, "log")) == log

    def _refused(self, outcome: str, error: StorageError) -> None:
        """The words must say where, what happened, and what to do."""
        self.outcome = outcome
        words = str(error)
        assert str(self.disk.root) in words
        assert any(advice in words for advice in ADVICE), words
        reasons = [os.strerror(fault.error) for fault in self._faults]
        assert any(reason in words for reason in [*reasons, "no room"]), words

    async def _cut_power(self) -> None:
        """Check what would be left; then some more commits are enough, to see that it goes on."""
        kept, begun = self.teller.kept, self.teller.begun
        self._until = len(STORY) if FULL else min(len(STORY), kept + 4)
        for state in self.disk.states(HOW, self._chance):
            case = (*state.items(), kept, begun)
            if case not in self._known:
                self._known.add(case)
                await check(self._place / "cut", state, kept, begun)

    def _start_again(self) -> None:
        """Let a new process find the disk well again: what was written is still seen, synced or
        not, unless the disk had to be mounted anew.
        """
        place = self._place / f"after {len(self.disk.operations)}"
        if self.disk.has_lost_names():
            state = self._chance.choice(self.disk.states(HOW, self._chance))
            self.disk = SimulatedDisk.holding(place, state)
        else:
            self.disk = self.disk.healthy(place)
        self.teller.folder, self.teller.files = place / "data" / "tasks", self.disk


def open_files() -> int:
    gc.collect()
    return sum(1 for _ in Path("/dev/fd").iterdir())


Operations = list[tuple[str, str]]


@pytest.fixture
async def operations(memory: Path) -> Operations:
    """What a disk is asked for that never fails."""
    trial = Trial(memory / "clean", [], set())
    await trial.run()
    assert trial.outcome == "went on"
    return trial.disk.operations


async def test_after_any_failure_a_backend_goes_on_rightly_or_takes_no_more(
    memory: Path, operations: Operations
) -> None:
    before = open_files()
    outcomes = dict.fromkeys(["went on", "found no room", "broke", "did not open"], 0)
    known: set[object] = set()
    for at, (kind, path) in enumerate(operations, 1):
        for number, fault in enumerate(failures(at, kind)):
            trial = Trial(memory / f"{at} {number}", [fault], known)
            await trial.run()
            assert trial.first.struck
            outcome = trial.outcome
            outcomes[outcome] += 1
            if kind in {"write", "sync"} and path.endswith(".jsonl") and fault.error:
                # A line that was not written, or not synced, was never acknowledged.
                # (Without room it is written again, if a compaction can give back some.)
                full = kind == "write" and fault.error == errno.ENOSPC
                room = {"found no room", "went on"}
                assert outcome in (room if full else {"broke", "did not open"})
    assert all(outcomes.values())
    assert open_files() == before


class Reserving(Teller):
    """Gives the reserve up and makes it again between commits, as an engine on a full disk does."""

    async def commit(self, backend: JsonBackend) -> None:
        if self.kept % 3 == 1:
            with contextlib.suppress(StorageError):  # commits go on without
                await backend.give_up_reserve()
        elif self.kept % 3 == 2:
            await backend.restore_reserve()
        await super().commit(backend)


async def test_after_any_failure_around_the_reserve_nothing_is_lost_either(memory: Path) -> None:
    clean = Trial(memory / "clean", [], set(), Reserving)
    await clean.run()
    known: set[object] = set()
    tried = {"went on": 0, "found no room": 0}
    for at, (kind, path) in enumerate(clean.disk.operations, 1):
        if path.endswith((RESERVE_FILE, "data/tasks")):
            for number, fault in enumerate(failures(at, kind)):
                trial = Trial(memory / f"{at} {number}", [fault], known, Reserving)
                await trial.run()
                tried[trial.outcome] = tried.get(trial.outcome, 0) + 1
    assert all(tried.values())


async def live_through(faults: Sequence[Fault], place: Path, known: set[object]) -> str:
    trial = Trial(place, faults, known)
    await trial.run()
    return trial.outcome


def failures(at: int, kind: str) -> Iterator[Fault]:
    for error in FAILURES[kind]:
        yield Fault(at, error)
        if kind == "write":
            yield Fault(at, error, short=True)
    if kind == "write":
        yield Fault(at, short=True)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
async def test_a_disk_that_stays_full_or_broken_costs_nothing_that_was_acknowledged(
    memory: Path, operations: Operations, error: int
) -> None:
    outcomes = set()
    known: set[object] = set()
    for at in range(2, len(operations) + 1, every(4)):
        fault = Fault(at, error, lasts=True)
        outcomes.add(await live_through([fault], memory / str(at), known))
    assert outcomes >= {"did not open", "found no room" if error == errno.ENOSPC else "broke"}


async def test_a_failure_while_another_is_dealt_with_costs_nothing_either(
    memory: Path, operations: Operations
) -> None:
    known: set[object] = set()
    for at, (kind, _) in enumerate(operations, 1):
        for number, fault in enumerate(failures(at, kind)):
            for later in range(1, 4):
                if (at + number + later) % every(20) == 0:
                    faults = [fault, Fault(at + later, errno.EIO)]
                    await live_through(faults, memory / f"{at} {number} {later}", known)
