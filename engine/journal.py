"""The journal writer: keeps decisions in their order, then carries them out.

It hears Decisions from the supervisor and says `carry_out` for each, once its changes are kept.
Whatever piles up while one commit is under way goes into the next: group commit without a timer.

A commit that finds no room is no disaster. The backend gives up its reserve, and the supervisor
decides anew on all that it heard since the newest commit: then nothing rests on what was not kept,
and only what must be written down is left. From then on each decision is a commit of its own, so
that one that is too large holds up no other, until the reserve can be restored.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import anyio

from .errors import StorageError, StorageFull
from .ledger import Ledger
from .live_tasks import Decision
from .storage import Backend, Change, Drop, Pause, Put

log = logging.getLogger("cortex_tasks.engine")

LOOK_FOR_ROOM = 5.0  # seconds from one look to the next; a refused client is told to wait so long


@dataclass(frozen=True)
class Ears:
    """Whom the journal writer tells what has become of decisions: the supervisor."""

    carry_out: Callable[[Decision], None]  # it is kept
    give_up: Callable[[StorageError, list[Decision]], None]  # nothing is kept any more
    no_room: Callable[[StorageFull, list[Decision]], bool]  # decide anew; False: only room helps
    room: Callable[[], None]  # there is room again


class JournalWriter:
    """The only caller of `Backend.commit`."""

    def __init__(
        self,
        backend: Backend,
        ledger: Ledger,
        ears: Ears,
        *,
        committed: Callable[[float, int], None],
    ) -> None:
        self._backend = backend
        self._ledger = ledger
        self._ears = ears
        self._committed = committed  # told of each commit: its seconds, its changes
        # Not bounded here: every entry is owed to a submitter or a worker who waits for it, and
        # their number is bounded by the mailbox, the queues and the places.
        self._waiting: list[Decision] = []
        self._committing = False
        self._more = anyio.Event()
        self._closing = False
        self._hurry = anyio.Event()  # nobody waits for room any more
        self._full = False  # since a commit found no room
        self._next_look = 0.0  # for room, by the loop's clock

    @property
    def busy(self) -> bool:
        """Whether there are decisions that are not kept yet: the next rests on them."""
        return self._committing or bool(self._waiting)

    def enqueue(self, decision: Decision) -> None:
        """Take the next decision to keep and carry out."""
        self._waiting.append(decision)
        self._more.set()

    def close(self) -> None:
        """Let `run` return once everything waiting is done."""
        self._closing = True
        self._more.set()

    def hurry(self) -> None:
        """Wait for room no more: what finds none even in the reserve is given up."""
        self._hurry.set()

    async def look_for_room(self) -> StorageFull | None:
        """Restore the reserve, and take up work again that had to wait; else give the reason."""
        try:
            await self._backend.restore_reserve()
        except StorageFull as error:
            self._lack_room()
            return error
        if self._full:
            self._full = False
            self._ears.room()
        return None

    async def keep_with_reserve(self, changes: list[Change]) -> StorageFull | None:
        """Keep the changes; gives the reason if that took the reserve. Raises as `keep` does."""
        try:
            await self.keep(changes)
        except StorageFull as error:
            self._lack_room()
            await self._give_up_reserve()
            await self.keep(changes)
            return error
        return None

    async def run(self) -> None:
        """Keep and carry out, until closed; once a commit has failed, give all up that comes."""
        failed: StorageError | None = None
        while await self._some_wait():
            batch = self._take()
            if failed is not None:
                self._ears.give_up(failed, batch)
                continue
            try:
                await self.keep([change for decision in batch for change in decision.changes])
            except StorageFull as error:
                if not await self._find_no_room(error, batch):
                    failed = self._fail(error, batch)
            except StorageError as error:
                failed = self._fail(error, batch)
            else:
                for decision in batch:
                    self._ears.carry_out(decision)
            self._committing = False

    def _fail(self, error: StorageError, batch: list[Decision]) -> StorageError:
        self._full = False  # no room helps any more
        # What comes was decided before this was known, and so rests on what was not kept.
        self._ears.give_up(error, batch)
        return error

    async def _some_wait(self) -> bool:
        """Wait for decisions, and meanwhile for room; False: there will be no more."""
        while True:
            if self._full and anyio.current_time() >= self._next_look:
                await self.look_for_room()
            if self._waiting:
                return True
            if self._closing:
                return False
            self._more = anyio.Event()
            with anyio.CancelScope(deadline=self._next_look if self._full else float("inf")):
                await self._more.wait()

    def _take(self) -> list[Decision]:
        self._committing = True
        batch = self._waiting[:1] if self._full else self._waiting
        self._waiting = self._waiting[len(batch) :]
        return batch

    # -- no room ---------------------------------------------------------------------------------

    async def _find_no_room(self, error: StorageFull, batch: list[Decision]) -> bool:
        """Have all decided anew, or wait for room; False: nobody waits for it any more."""
        await self._give_up_reserve()
        refused = [*batch, *self._waiting]
        self._waiting = []
        if self._ears.no_room(error, refused):
            if not self._full:  # what is decided now is kept before anybody looks for room
                self._lack_room()
            return True
        self._waiting = refused + self._waiting
        if self._hurry.is_set():
            del self._waiting[: len(batch)]
            return False
        with anyio.move_on_after(LOOK_FOR_ROOM):
            await self._hurry.wait()
        return True

    async def _give_up_reserve(self) -> None:
        try:
            await self._backend.give_up_reserve()
        except StorageError as error:
            log.warning("the reserve could not be given up: %s", error)

    def _lack_room(self) -> None:
        self._full, self._next_look = True, anyio.current_time() + LOOK_FOR_ROOM

    # -- one commit ------------------------------------------------------------------------------

    async def keep(self, changes: list[Change]) -> None:
        """Commit the changes, then show them. Raises StorageError, and then shows nothing."""
        if not changes:
            return
        latest = _latest(changes)
        began = anyio.current_time()
        try:
            await self._backend.commit(latest)
        except StorageError:
            raise
        except Exception as error:  # a backend's bug is a storage failure, not a dead engine
            raise StorageError(f"the backend failed: {type(error).__name__}: {error}") from error
        self._committed(anyio.current_time() - began, len(changes))
        self._ledger.publish(changes, latest)


def _latest(changes: list[Change]) -> list[Change]:
    """What the changes come to: the last one of each task and type, with all that puts brought.

    So not every number of a change is kept, but always the highest of a commit: a repair of the
    JSON backend builds on that.
    """
    latest: dict[str | tuple[str, str], Change] = {}
    for change in changes:
        if isinstance(change, Pause):
            latest["paused", change.task_type] = change
            continue
        if isinstance(change, Drop):
            latest[change.task_id] = change
            continue
        earlier = latest.get(change.record.id)
        latest[change.record.id] = change
        if isinstance(earlier, Put) and _brings(earlier):
            latest[change.record.id] = _joined(earlier, change)
    return list(latest.values())


def _joined(earlier: Put, later: Put) -> Put:
    """The later put with what the earlier one brought: parameters, checkpoint, log."""
    checkpoint = later.checkpoint or earlier.checkpoint
    return Put(
        later.record,
        later.params or earlier.params,
        later.result,
        None if later.record.final else checkpoint,
        later.log or earlier.log,
    )


def _brings(put: Put) -> bool:
    return not (put.params is None and put.checkpoint is None and put.log is None)
