"""The garbage collector rests while an engine reads its tasks back, and no longer."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from cortex_tasks.backends.memory import MemoryBackend
from cortex_tasks.engine.context import TaskContext
from cortex_tasks.engine.engine import TaskEngine
from cortex_tasks.engine.errors import StorageError
from cortex_tasks.engine.registry import task_type
from cortex_tasks.engine.storage import Recovered


@task_type("nothing")
async def nothing(ctx: TaskContext) -> None:
    """Give nothing."""


class LookingBackend(MemoryBackend):
    """Sees whether the collector is on while it is opened; may fail then."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.error = error
        self.collecting: bool | None = None

    async def open(self) -> Recovered:
        self.collecting = gc.isenabled()
        if self.error is not None:
            raise self.error
        return await super().open()


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    yield
    gc.enable()


async def test_nothing_is_collected_while_a_backend_opens() -> None:
    backend = LookingBackend()
    async with TaskEngine([nothing], backend=backend):
        assert backend.collecting is False
        assert gc.isenabled()


async def test_a_backend_that_cannot_be_opened_leaves_the_collector_on() -> None:
    backend = LookingBackend(StorageError("no"))
    with pytest.raises(StorageError):
        async with TaskEngine([nothing], backend=backend):
            pass
    assert backend.collecting is False
    assert gc.isenabled()


async def test_a_collector_that_was_switched_off_stays_off() -> None:
    gc.disable()
    async with TaskEngine([nothing], backend=LookingBackend()):
        assert not gc.isenabled()
