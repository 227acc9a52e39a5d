"""What an engine says about itself as a whole: its types, its last hour, how promptly it reacts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from operator import attrgetter

import anyio
import msgspec

from .actors import Actors
from .lifecycle import TaskStatus
from .recent import Bucket, Percentiles
from .records import TaskRecord
from .registry import Registry
from .surroundings import Clock

_ready_since = attrgetter("ready_since")


class TypeState(msgspec.Struct, frozen=True, kw_only=True):
    """How it stands with a task type; what has ended is counted while its record is kept."""

    name: str
    concurrency: int
    paused: bool  # nothing more is started
    running: int
    pending: int  # delayed ones among them
    delayed: int  # that wait for their time
    oldest_pending_at: datetime | None  # since when the one waits that has waited longest
    completed: int
    failed: int
    cancelled: int
    run_seconds: Percentiles  # of the newest that completed or failed
    wait_seconds: Percentiles  # for a place, of the newest that started since the engine did


class Overview:
    """Reads what is kept, and asks no actor: every answer is there at once."""

    def __init__(self, actors: Actors, registry: Registry, clock: Clock) -> None:
        self._actors = actors
        self._registry = registry
        self._clock = clock

    @property
    def now(self) -> datetime:
        """The engine's time of day."""
        return self._clock.now()

    @property
    def uptime(self) -> float:
        """For how many seconds the engine has been entered."""
        return anyio.current_time() - self._actors.entered_at

    @property
    def loop_lag(self) -> float:
        """By how many seconds the event loop was late when that was last looked at.

        The watchdog looks; an engine without one says 0.
        """
        return self._actors.statistics.newest_lag

    def types(self) -> list[TypeState]:
        """How it stands with each type, in the order in which they were given."""
        return [self._state(declared.name) for declared in self._registry]

    def of_type(self, name: str) -> TypeState:
        """How it stands with this type. Raises UnknownTaskType."""
        return self._state(self._registry.find(name).name)

    def last_hour(self) -> list[Bucket]:
        """What ended in each of the last 60 minutes, the present one last."""
        return self._actors.recent.last_hour(self.now)

    def counts(self) -> Mapping[str, Mapping[TaskStatus, int]]:
        """How many tasks are kept of each type in each status; of every registered type."""
        found = {declared.name: dict.fromkeys(TaskStatus, 0) for declared in self._registry}
        counted = self._actors.ledger.catalogue.count_by_type_and_status()
        for (task_type, status), count in counted.items():
            if count or task_type in found:
                found.setdefault(task_type, dict.fromkeys(TaskStatus, 0))[status] = count
        return found

    def oldest_pending(self) -> TaskRecord | None:
        """The task, of all types, that has waited for a place for longest."""
        waiting = [self._oldest(declared.name) for declared in self._registry]
        return min(filter(None, waiting), key=_ready_since, default=None)

    def _state(self, name: str) -> TypeState:
        catalogue, recent = self._actors.ledger.catalogue, self._actors.recent
        counts = {status: catalogue.count(status=status, task_type=name) for status in TaskStatus}
        oldest = self._oldest(name)
        pending = counts[TaskStatus.PENDING]
        return TypeState(
            name=name,
            concurrency=self._registry.find(name).concurrency,
            paused=name in self._actors.ledger.paused,
            running=counts[TaskStatus.RUNNING],
            pending=pending,
            delayed=min(pending, self._actors.queues.of(name).early),
            oldest_pending_at=None if oldest is None else oldest.ready_since,
            completed=counts[TaskStatus.COMPLETED],
            failed=counts[TaskStatus.FAILED],
            cancelled=counts[TaskStatus.CANCELLED],
            run_seconds=recent.run_seconds(name),
            wait_seconds=recent.wait_seconds(name),
        )

    def _oldest(self, name: str) -> TaskRecord | None:
        kept = self._actors.ledger.catalogue.records
        first = (kept.get(task_id) for task_id in self._actors.queues.of(name).firsts())
        waiting = (one for one in first if one is not None and one.status is TaskStatus.PENDING)
        return min(waiting, key=_ready_since, default=None)
