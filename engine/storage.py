"""The contract between the engine and what keeps its records: six methods.

Who writes a backend reads this file, implements `Backend`, and runs `engine.conformance` on it.
The journal writer is the only caller of `commit` and of what concerns the reserve, and makes one of
these calls at a time; reads may overlap them. Storage that never runs out of room needs no reserve:
`give_up_reserve` and `restore_reserve` then do nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, runtime_checkable

import msgspec

from .records import TaskRecord


class Put(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="op", tag="put", gc=False):
    """Keep this record in place of any earlier one with its id.

    `params` comes with the first put of a task, `result` with the one that completes it; both are
    JSON, and stay readable until the task is dropped. `checkpoint` is JSON too, and comes whenever
    a body saves one: it takes the place of the one before, and goes with the put of a final record.
    `log` is the whole log of the task as JSON; it takes the place of the one before, and stays.
    """

    record: TaskRecord
    params: msgspec.Raw | None = None
    result: msgspec.Raw | None = None
    checkpoint: msgspec.Raw | None = None
    log: msgspec.Raw | None = None

    @property
    def seq(self) -> int:
        """The number of this change."""
        return self.record.seq


class Drop(msgspec.Struct, frozen=True, tag_field="op", tag="drop", gc=False):
    """Forget the task with all of its values. Dropping an unknown id does nothing."""

    task_id: str
    seq: int


class Pause(msgspec.Struct, frozen=True, tag_field="op", tag="pause", gc=False):
    """Keep whether a task type is paused. It is no change of a task, so it has no number."""

    task_type: str
    paused: bool


TaskChange = Put | Drop
Change = TaskChange | Pause


class Recovered(msgspec.Struct, frozen=True):
    """What a backend holds when it is opened."""

    records: list[TaskRecord]  # in the order in which the tasks were first put
    params: dict[str, msgspec.Raw]  # of every task that is not final
    last_seq: int  # the highest number ever committed, also if its task was dropped since
    # The newest of every task that has one and is not final.
    checkpoints: dict[str, msgspec.Raw] = msgspec.field(default_factory=dict)
    logs: dict[str, msgspec.Raw] = msgspec.field(default_factory=dict)  # likewise
    paused: set[str] = msgspec.field(default_factory=set)  # task types, also unknown ones


ValueName = Literal["params", "result", "log"]


class Backend(Protocol):
    """Keeps task records with their parameters, results, checkpoints and logs, and which task
    types are paused.
    """

    async def open(self) -> Recovered:
        """Take exclusive hold of the storage and give back all that was ever committed.

        Raises StorageInUse when another process holds it, StorageCorrupt when what is there is
        not what was written (nothing is changed then), StorageError when it cannot be used.
        """
        ...

    async def commit(self, changes: Sequence[Change]) -> None:
        """Keep all changes, in order, or none of them. No task or type occurs twice among them.

        After return they survive the loss of power (as far as this backend promises that at all);
        after StorageFull none is kept and the backend is as before; after any other StorageError
        it is unknown what is kept, and every further commit fails. Never "maybe" by
        cancellation: the caller shields it. A crash inside keeps all of them or none.
        """
        ...

    async def give_up_reserve(self) -> None:
        """Free the room that was kept back: what ends now must be written down.

        Called when a commit found no room. Doing it twice is fine.
        """
        ...

    async def restore_reserve(self) -> None:
        """Keep back room for the time when there is no more; doing it twice is fine.

        Raises StorageFull, and keeps nothing back, where there is not enough for that and for some
        commits beyond it. Called after `open`, and from time to time after a commit found no room.
        """
        ...

    async def read(self, task_id: str, value: ValueName) -> msgspec.Raw:
        """Give a value of the task as committed, whole. Raises TaskNotFound for an id that is not
        held, and for a value that it does not have.
        """
        ...

    async def close(self) -> None:
        """Let go of the storage. All that was committed stays; closing twice is fine."""
        ...


@runtime_checkable
class Measured(Protocol):
    """What a backend may have besides, for those who watch it: how much it takes."""

    def sizes(self) -> Mapping[str, int]:
        """Give bytes by part, in names of its own; nothing while it is not open.

        Called in the event loop at any time, also while a commit is under way: at once, and
        without a look at a disk.
        """
        ...
