"""The engine under test: as it is, but its callers hear of a loss of power."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio

from ..engine.engine import TaskEngine
from ..engine.ledger import TaskEvents
from ..engine.records import TaskEvent
from ..engine.registry import TaskType
from .errors import PowerLost

_LOST = "the power failed before the engine answered: it may have been kept or not"


class EngineUnderTest(TaskEngine):
    """The engine as it is, but whoever waits for its answer hears of a loss of power.

    Each public coroutine method is guarded so, and what it answers is shown to `on_answer`.
    """

    def __init__(
        self,
        task_types: Iterable[TaskType[Any, Any]],
        *,
        on_answer: Callable[[object], None],
        **options: Any,
    ) -> None:
        super().__init__(task_types, **options)
        self._on_answer = on_answer
        self._waiting: set[anyio.CancelScope] = set()
        self._dead = False

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """A block that the loss of power ends with PowerLost."""
        if self._dead:
            raise PowerLost(_LOST)
        with anyio.CancelScope() as scope:
            self._waiting.add(scope)
            try:
                yield
                return
            finally:
                self._waiting.discard(scope)
        raise PowerLost(_LOST)

    def die(self) -> None:
        """The power is gone: end every wait for an answer."""
        self._dead = True
        for scope in list(self._waiting):
            scope.cancel()
        self.abandon()

    def events(self, *, after: int | None = None) -> TaskEvents:
        """See TaskEngine.events; the iterator raises PowerLost when the power fails."""
        within = super().events(after=after)
        return _GuardedEvents(self, within)


def _guard(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(method)
    async def guarded(self: EngineUnderTest, *args: Any, **kwargs: Any) -> Any:
        with self.guarded():
            answer = await method(self, *args, **kwargs)
            self._on_answer(answer)
            return answer

    return guarded


for _name, _method in vars(TaskEngine).items():
    if inspect.iscoroutinefunction(_method) and not _name.startswith("_"):
        setattr(EngineUnderTest, _name, _guard(_method))


class _GuardedEvents(TaskEvents):
    def __init__(self, engine: EngineUnderTest, within: TaskEvents) -> None:
        self._engine = engine
        self._within = within

    @property
    def seq(self) -> int:  # type: ignore[override]
        return self._within.seq

    async def __anext__(self) -> TaskEvent:
        with self._engine.guarded():
            return await self._within.__anext__()
