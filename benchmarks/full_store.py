"""A store that has been full for long: any number of final records, there in a moment."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from cortex_tasks import MemoryBackend, Retention, TaskRecord
from cortex_tasks.engine.storage import Recovered

FOR_EVER = Retention(max_age=None, max_count=None)  # by default a store is not as full as that
_TYPES = ("word_count", "sleeper")
_decode = msgspec.json.Decoder(TaskRecord).decode


def make_records(count: int) -> list[TaskRecord]:
    """Make final records as a backend reads them, so that they share no more than those do."""
    now = datetime.now(UTC).isoformat()
    return [_decode(_encoded(number, now)) for number in range(1, count + 1)]


def _encoded(number: int, now: str) -> str:
    status = "completed" if number % 5 else "cancelled"
    return (
        f'{{"id":"task_{number:024x}","type":"{_TYPES[number % 2]}","status":"{status}",'
        f'"seq":{number},"created_at":"{now}","updated_at":"{now}","started_at":"{now}",'
        f'"completed_at":"{now}","progress_percent":100,"message":"Completed","attempt":1,'
        '"result_size":11}'
    )


class FullBackend(MemoryBackend):
    """A memory backend that finds these records at its opening, and has no results of theirs."""

    def __init__(self, records: list[TaskRecord]) -> None:
        super().__init__()
        self._found = records

    async def open(self) -> Recovered:
        """Give back the records."""
        await super().open()
        found, self._found = self._found, []
        return Recovered(found, {}, len(found))
