"""What was decided while a commit was being refused rests on it, and is never kept."""

from __future__ import annotations

from collections.abc import Sequence

from cortex_tasks.backends.memory import MemoryBackend
from cortex_tasks.engine.errors import StorageFull
from cortex_tasks.engine.journal import Ears, JournalWriter
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


def never(*_: object) -> None:
    raise AssertionError("nothing is lost, and there was no room for long enough to look for it")


async def test_nothing_is_kept_that_rests_on_a_commit_that_was_refused() -> None:
    backend, ledger = FullForAMoment(), Ledger(history=10)
    carried_out: list[Decision] = []
    refused: list[Decision] = []

    def decide_anew(error: StorageFull, decisions: list[Decision]) -> bool:
        refused.extend(decisions)
        return True

    ears = Ears(carried_out.append, never, decide_anew, never)
    backend.writer = JournalWriter(backend, ledger, ears, committed=Statistics().committed)
    first, backend.following = a_decision(1), a_decision(2)
    await backend.open()
    backend.writer.enqueue(first)
    await backend.writer.run()
    await backend.close()
    assert (await backend.open()).records == []
    assert (refused, carried_out, ledger.seq) == ([first, backend.following], [], 0)
