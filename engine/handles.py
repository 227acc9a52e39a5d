"""What a submitter holds of its task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from .records import TaskRecord

if TYPE_CHECKING:
    from .engine import TaskEngine
    from .registry import TaskType

R = TypeVar("R")


class TaskHandle(Generic[R]):
    """One submitted task. A handle that is dropped, or a wait that is cancelled, stops nothing."""

    def __init__(
        self,
        engine: TaskEngine,
        declared: TaskType[object, R],
        record: TaskRecord,
        *,
        deduplicated: bool,
    ) -> None:
        self._engine = engine
        self._declared = declared
        self.record = record  # as it was when the submit was answered
        self.deduplicated = deduplicated  # whether the task had been submitted before, by its key

    def __repr__(self) -> str:
        return f"<TaskHandle {self.id} of {self.record.type!r}>"

    @property
    def id(self) -> str:
        """The task's id."""
        return self.record.id

    async def wait(self) -> TaskRecord:
        """Wait until the task is final, and give its record. Never raises for how it ended.

        Raises EngineNotRunning if the engine is left before: the task is then still pending.
        """
        return await self._engine.wait(self.id)

    async def result(self) -> R:
        """Wait for the end, and give the result as the type that the body declares to return.

        Raises TaskFailed or TaskCancelled, with the record's error as text, if there is none.
        """
        record = await self._engine.wait(self.id)
        return self._declared.decode_result(await self._engine.result_of(record))

    async def cancel(self) -> TaskRecord:
        """Stop the task; see TaskEngine.cancel."""
        return await self._engine.cancel(self.id)

    async def retry(self) -> TaskRecord:
        """Have the task tried again, if it has failed or was cancelled; see TaskEngine.retry."""
        return await self._engine.retry(self.id)
