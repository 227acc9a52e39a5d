"""What was decided while a commit was being refused rests on it, and is never kept."""

from __future__ import annotations

from collections.abc import Sequence

from cortex_tasks.backends.memory import MemoryBackend
from cortex_tasks.engine.errors import StorageError, StorageFull
from cortex_tasks.engine.journal import JournalWriter
from cortex_tasks.engine.ledger import Ledger
from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.engine.live_tasks import Decision
from cortex_tasks.engine.statistics import Statistics
from cortex_tasks.engine.storage import Change, Put

from .engine_setting import EMPTY, a_record


class FullForAMoment(MemoryBackend):
    """Refuses the first commit; while it does so, the next decision is made."""

    writer: JournalWriter
    following: Decision
    refused = False

    async def commit(self, changes: Sequence[Change]) -> None:
        if not self.refused:
            self.refused = True
            self.writer.enqueue(self.following)
            self.writer.close()
            raise StorageFull("no room, for a moment")
        await super().commit(changes)


def a_decision(number: int) -> Decision:
    decision = Decision()
    decision.changes.append(Put(a_record(number, TaskStatus.PENDING), params=EMPTY))
    return decision


async def test_nothing_is_kept_that_rests_on_a_commit_that_was_refused() -> None:
    backend, ledger = FullForAMoment(), Ledger(history=10)
    carried_out: list[Decision] = []
    given_up: list[Decision] = []

    def give_up(error: StorageError, batch: list[Decision]) -> None:
        given_up.extend(batch)

    backend.writer = JournalWriter(
        backend,
        ledger,
        carry_out=carried_out.append,
        give_up=give_up,
        committed=Statistics().committed,
    )
    first, backend.following = a_decision(1), a_decision(2)
    await backend.open()
    backend.writer.enqueue(first)
    await backend.writer.run()
    await backend.close()
    assert (await backend.open()).records == []
    assert (given_up, carried_out, ledger.seq) == ([first, backend.following], [], 0)
