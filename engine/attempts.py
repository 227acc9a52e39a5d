"""One attempt of one task, as its worker knows it."""

from __future__ import annotations

from types import CoroutineType
from typing import Any

import anyio

from .context import TaskContext
from .messages import Run, StopReason


class Attempt:
    """A body that runs, is about to run, or has run."""

    __slots__ = (
        "body",
        "ctx",
        "handed_over_at",
        "over",
        "params",
        "record",
        "scope",
        "told",
        "watched",
    )

    ctx: TaskContext

    def __init__(self, run: Run) -> None:
        self.record = run.record
        self.params = run.params
        self.scope = anyio.CancelScope()
        self.body: CoroutineType[Any, Any, Any] | None = None  # once it runs in this process
        self.handed_over_at = anyio.current_time()
        self.told: StopReason | None = None  # why it was told to stop, if it was
        self.over = False
        self.watched = False

    def stop(self, why: StopReason) -> None:
        """Cancel the body; one that has not begun never will."""
        self.told = why
        self.scope.cancel()

    @property
    def executing(self) -> bool:
        """Whether the body is what the event loop executes at this moment."""
        return self.body is not None and self.body.cr_running
