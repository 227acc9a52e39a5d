"""The journal writer: keeps decisions in their order, then carries them out.

It hears Decisions from the supervisor and says `carry_out` for each, once its changes are kept.
Whatever piles up while one commit is under way goes into the next: group commit without a timer.
"""

from __future__ import annotations

from collections.abc import Callable

import anyio

from .errors import StorageError
from .ledger import Ledger
from .live_tasks import Decision
from .storage import Backend, Change, Drop, Put


class JournalWriter:
    """The only caller of `Backend.commit`."""

    def __init__(
        self,
        backend: Backend,
        ledger: Ledger,
        *,
        carry_out: Callable[[Decision], None],
        give_up: Callable[[StorageError, list[Decision]], None],
        committed: Callable[[float, int], None],
    ) -> None:
        self._backend = backend
        self._ledger = ledger
        self._carry_out = carry_out
        self._give_up = give_up
        self._committed = committed  # told of each commit: its seconds, its changes
        # Not bounded here: every entry is owed to a submitter or a worker who waits for it, and
        # their number is bounded by the mailbox, the queues and the places.
        self._waiting: list[Decision] = []
        self._more = anyio.Event()
        self._closing = False

    def enqueue(self, decision: Decision) -> None:
        """Take the next decision to keep and carry out."""
        self._waiting.append(decision)
        self._more.set()

    def close(self) -> None:
        """Let `run` return once everything waiting is done."""
        self._closing = True
        self._more.set()

    async def run(self) -> None:
        """Keep and carry out, until closed; once a commit has failed, give all up that comes."""
        failed: StorageError | None = None
        while True:
            if not self._waiting:
                if self._closing:
                    return
                self._more = anyio.Event()
                await self._more.wait()
                continue
            batch, self._waiting = self._waiting, []
            if failed is not None:
                # Decided before it was known, and so it rests on what was not kept: a backend
                # that has room again must not have it.
                self._give_up(failed, batch)
                continue
            changes = [change for decision in batch for change in decision.changes]
            try:
                await self.keep(changes)
            except StorageError as error:
                failed = error
                self._give_up(error, batch)
                continue
            for decision in batch:
                self._carry_out(decision)

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
    """What the changes come to: the last one of each task, with all that its puts brought."""
    latest: dict[str, Change] = {}
    for change in changes:
        if isinstance(change, Drop):
            latest[change.task_id] = change
            continue
        earlier = latest.get(change.record.id)
        latest[change.record.id] = change
        if isinstance(earlier, Put) and (earlier.params or earlier.checkpoint) is not None:
            latest[change.record.id] = _joined(earlier, change)
    return list(latest.values())


def _joined(earlier: Put, later: Put) -> Put:
    """The later put with what the earlier one brought: the parameters, the checkpoint."""
    checkpoint = later.checkpoint or earlier.checkpoint
    return Put(
        later.record,
        later.params or earlier.params,
        later.result,
        None if later.record.final else checkpoint,
    )
