"""The storage under test: what was committed outlives each engine, and nothing else does.

One `Storage` lasts as long as its harness. Each life of the engine gets a `Disk` on it, which works
until the power goes. The storage keeps a copy of all that a commit has kept, to which every
promise about durability is held.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, Protocol

import anyio
import anyio.lowlevel
import msgspec

from ..backends.memory import MemoryBackend
from ..engine.errors import StorageError, StorageFull
from ..engine.records import TaskRecord
from ..engine.storage import Backend, Change, Drop, Pause, Recovered, ValueName
from .files import SimulatedFiles

INJECTED = "a fault of the harness"  # in the text of every error that comes from one

CommitFate = Literal["kept", "refused", "lost", "unsaid", "cut"]


@dataclass(frozen=True)
class Full:
    """How full a disk is: for how many seconds, and for how many commits its reserve has room."""

    seconds: float
    reserve: int


class CommitFaults(Protocol):
    """Decides what becomes of each commit."""

    off: bool  # from then on nothing goes wrong

    def delay(self) -> float:
        """Seconds that the commit takes."""
        ...

    def fate(self) -> CommitFate:
        """kept; refused: StorageFull, nothing kept; lost or unsaid: StorageError, and nothing or
        all of it was kept, and the disk takes no more until it is opened anew; cut: the power
        fails amid the commit.
        """
        ...

    def full(self) -> Full | None:
        """Whether the disk is full from this commit on, and how full."""
        ...

    def happened(self, name: str) -> None:
        """Count a fault that was planned and has come."""
        ...


class Storage:
    """What outlives a crash, and an account of it.

    `medium`: what the backends keep things on, if its power can fail too; None: they are told of
    nothing.
    """

    def __init__(
        self,
        make_backend: Callable[[], Backend] | None = None,
        medium: SimulatedFiles | None = None,
    ) -> None:
        memory = MemoryBackend()
        if medium is not None:
            self._make_backend: Callable[[], Backend] = medium.make_backend
        else:
            self._make_backend = make_backend or (lambda: memory)
        self._medium = medium
        self._under_way: Sequence[Change] = ()  # in a commit that has not come to its end
        self.kept: dict[str, TaskRecord] = {}
        self.results: dict[str, bytes] = {}
        self.dropped: set[str] = set()
        self.paused: set[str] = set()  # task types
        self.last_seq = 0
        self.on_opened: Callable[[Recovered], None] = _nothing
        self.on_commit: Callable[[Sequence[Change]], None] = _nothing
        self._backend: Backend | None = None
        self._next_commit = anyio.Event()

    def next_commit(self) -> anyio.Event:
        """Set at the next commit or the next start, whichever comes first."""
        return self._next_commit

    async def open(self) -> tuple[Backend, Recovered]:
        """Open the storage for another life of the engine."""
        await self.close()  # after a loss of power, nobody else did
        backend = self._backend = self._make_backend()
        recovered = await backend.open()
        if self._under_way and _is_in(recovered, self._under_way):
            self.note(self._under_way)  # all of it, or `on_opened` will find a part missing
        self._under_way = ()
        self.on_opened(recovered)
        self._wake()
        return backend, recovered

    async def close(self) -> None:
        """Let go, as at the end of a process; a loss of power may come in between."""
        if self._backend is not None:
            await self._backend.close()
            self._backend = None

    def lose_power(self) -> None:
        """What was not synced is gone, or not, when the storage is opened next."""
        if self._medium is not None:
            self._medium.lose_power()

    async def commit(self, backend: Backend, changes: Sequence[Change]) -> None:
        """Keep these, unless the process dies meanwhile: then all or nothing is kept."""
        self._under_way = changes
        try:
            await backend.commit(changes)
        except StorageFull:
            self._under_way = ()
            raise
        self._under_way = ()
        self.note(changes)

    async def commit_amid_power_cut(
        self, backend: Backend, changes: Sequence[Change], die: Callable[[], None]
    ) -> None:
        """Begin to keep these, and call `die` when the power fails, before or after it is done."""
        self._under_way = changes
        if self._medium is not None:
            self._medium.fail_power_amid(die)
            with suppress(StorageError):
                await backend.commit(changes)
        elif self.last_seq % 2:
            await backend.commit(changes)
        die()

    def note(self, changes: Sequence[Change]) -> None:
        """These are kept now."""
        self.on_commit(changes)
        for change in changes:
            if isinstance(change, Pause):
                (self.paused.add if change.paused else self.paused.discard)(change.task_type)
                continue
            self.last_seq = max(self.last_seq, change.seq)
            if isinstance(change, Drop):
                self.dropped.add(change.task_id)
                self.kept.pop(change.task_id, None)
                self.results.pop(change.task_id, None)
                continue
            self.kept[change.record.id] = change.record
            self.dropped.discard(change.record.id)
            if change.result is not None:
                self.results[change.record.id] = bytes(change.result)
        self._wake()

    def _wake(self) -> None:
        woken, self._next_commit = self._next_commit, anyio.Event()
        woken.set()


def _is_in(recovered: Recovered, changes: Sequence[Change]) -> bool:
    """Whether this commit, which was under way at the end, was kept after all."""
    numbers = [change.seq for change in changes if not isinstance(change, Pause)]
    if numbers:
        return recovered.last_seq >= numbers[0]
    return all(
        change.paused == (change.task_type in recovered.paused)
        for change in changes
        if isinstance(change, Pause)
    )


class Disk:
    """The backend of one life: works until the power goes, and fails as it is told to."""

    def __init__(
        self,
        storage: Storage,
        faults: CommitFaults,
        *,
        on_commit: Callable[[], None],
        on_fault: Callable[[], None],
        on_cut: Callable[[], None],
    ) -> None:
        self._storage = storage
        self._faults = faults
        self._on_commit = on_commit
        self._on_fault = on_fault
        self._on_cut = on_cut
        self._backend: Backend | None = None
        self._broken: str | None = None
        self._full_until = -math.inf
        self._reserve = 0  # the commits for which a full disk has room in it
        self._given_up = False
        self._powered = True

    def lose_power(self) -> None:
        """From now on it answers nobody. Again is fine."""
        if self._powered:
            self._powered = False
            self._storage.lose_power()

    async def open(self) -> Recovered:
        """See `Backend.open`."""
        self._backend, recovered = await self._storage.open()
        return recovered

    async def commit(self, changes: Sequence[Change]) -> None:
        """See `Backend.commit`. There is a checkpoint before anything is kept, and one after."""
        backend = self._working()
        self._on_commit()
        delay = self._faults.delay()
        await (anyio.sleep(delay) if delay else anyio.lowlevel.checkpoint())
        fate = self._faults.fate()
        if (full := self._faults.full()) is not None:
            self._full_until = anyio.current_time() + full.seconds
            self._reserve = full.reserve
        if fate == "kept" and not self._take_room():
            fate = "refused"
        if fate == "cut":
            await self._storage.commit_amid_power_cut(backend, changes, self._on_cut)
            await anyio.sleep_forever()  # this step is its last
        if fate != "kept":
            self._on_fault()
        if fate == "refused":
            raise StorageFull(f"the disk is full ({INJECTED})")
        if fate in ("lost", "unsaid"):
            self._broken = f"the disk failed in a commit: {fate} ({INJECTED})"
        if fate in ("kept", "unsaid"):
            await self._storage.commit(backend, changes)
        self._working()
        await anyio.lowlevel.checkpoint()

    async def give_up_reserve(self) -> None:
        """See `Backend.give_up_reserve`."""
        await self._working().give_up_reserve()
        self._given_up = True

    async def restore_reserve(self) -> None:
        """See `Backend.restore_reserve`."""
        backend = self._working()
        if self._is_full():
            raise StorageFull(f"the disk is still full ({INJECTED})")
        await backend.restore_reserve()
        self._given_up = False

    async def read(self, task_id: str, value: ValueName) -> msgspec.Raw:
        """See `Backend.read`."""
        return await self._working().read(task_id, value)

    async def close(self) -> None:
        """See `Backend.close`."""
        if self._powered and self._backend is not None:
            await self._storage.close()
        self._backend = None

    def _is_full(self) -> bool:
        return anyio.current_time() < self._full_until and not self._faults.off

    def _take_room(self) -> bool:
        """Take room for a commit; gives whether there was some."""
        if not self._is_full():
            return True
        if not (self._given_up and self._reserve):
            return False
        self._reserve -= 1
        return True

    def _working(self) -> Backend:
        if not self._powered or self._backend is None:
            raise StorageError("the disk has no power")
        if self._broken is not None:
            raise StorageError(self._broken)
        return self._backend


def _nothing(*ignored: object) -> None:
    del ignored
