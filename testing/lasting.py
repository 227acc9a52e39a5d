"""Calls and handles that outlive an engine: what fails with it is asked of the next one."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import anyio.lowlevel
import msgspec

from ..engine.errors import EngineNotRunning, StorageError
from ..engine.handles import TaskHandle
from ..engine.records import TaskRecord
from ..engine.task_log import TaskLog

if TYPE_CHECKING:
    from ..engine.engine import TaskEngine
    from ..engine.registry import TaskType
    from .lives import Lives

R = TypeVar("R")
T = TypeVar("T")


class LastingEngine:
    """The calls that a handle makes, answered by whichever engine lives."""

    def __init__(self, lives: Lives) -> None:
        self._lives = lives

    async def get(self, task_id: str) -> TaskRecord:
        """See TaskEngine.get."""
        return await self._ask(lambda engine: engine.get(task_id))

    async def wait(self, task_id: str) -> TaskRecord:
        """See TaskEngine.wait."""
        return await self._ask(lambda engine: engine.wait(task_id))

    async def cancel(self, task_id: str) -> TaskRecord:
        """See TaskEngine.cancel."""
        return await self._ask(lambda engine: engine.cancel(task_id))

    async def result(self, task_id: str) -> Any:
        """See TaskEngine.result."""
        return await self._ask(lambda engine: engine.result(task_id))

    async def retry(self, task_id: str) -> TaskRecord:
        """See TaskEngine.retry. Asked again, it may find the task revived already."""
        return await self._ask(lambda engine: engine.retry(task_id))

    async def pause(self, task: TaskType[Any, Any] | str) -> None:
        """See TaskEngine.pause."""
        await self._ask(lambda engine: engine.pause(task))

    async def resume(self, task: TaskType[Any, Any] | str) -> None:
        """See TaskEngine.resume."""
        await self._ask(lambda engine: engine.resume(task))

    async def log_lines(self, task_id: str) -> TaskLog:
        """See TaskEngine.log_lines."""
        return await self._ask(lambda engine: engine.log_lines(task_id))

    async def result_of(self, record: TaskRecord) -> msgspec.Raw:
        """See TaskEngine.result_of."""
        return await self._ask(lambda engine: engine.result_of(record))

    async def result_json(self, task_id: str) -> msgspec.Raw:
        """See TaskEngine.result_json."""
        return await self._ask(lambda engine: engine.result_json(task_id))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lives.present.engine, name)

    async def _ask(self, ask: Callable[[TaskEngine], Awaitable[T]]) -> T:
        while True:
            await self._lives.wait_up()
            life = self._lives.present
            try:
                return await ask(life.engine)
            except (EngineNotRunning, StorageError):
                await anyio.lowlevel.checkpoint()
                if not self._lives.coming_back(life):
                    raise
                await self._lives.wait_next(life)


def lasting_handle(handle: TaskHandle[R], engine: LastingEngine) -> TaskHandle[R]:
    """Give the same handle, bound to whichever engine lives."""
    lasting = copy.copy(handle)
    lasting._engine = cast("TaskEngine", engine)  # noqa: SLF001  the handle's one way out
    return lasting
