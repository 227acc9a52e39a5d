"""One attempt of one task, as its worker knows it."""

from __future__ import annotations

from types import CoroutineType
from typing import Any

import anyio

from .context import TaskContext
from .leftovers import Leftovers
from .messages import Outcome, Run, StopReason


class Attempt:
    """A body that runs, is about to run, or has run."""

    __slots__ = (
        "body",
        "ctx",
        "leftovers",
        "outcome",
        "over",
        "overdue",
        "params",
        "record",
        "resumed",
        "scope",
        "started_at",
        "told",
        "watched",
    )

    ctx: TaskContext

    def __init__(self, run: Run) -> None:
        self.record = run.record
        self.params = run.params
        self.resumed = run.checkpoint
        self.scope = anyio.CancelScope()
        self.body: CoroutineType[Any, Any, Any] | None = None  # once it runs in this process
        self.started_at: float | None = None  # by the loop's clock, where there is a timeout
        self.told: StopReason | None = None  # why it was told to stop, if it was
        self.outcome: Outcome | None = None  # once the body has ended
        self.leftovers: Leftovers | None = None  # of a body that left a scope or a group open
        self.over = False  # nothing of it runs any more
        self.overdue = False  # it was reported that it does not stop
        self.watched = False

    def stop(self, why: StopReason) -> None:
        """Cancel the body; one that has not begun never will."""
        self.told = why
        self.scope.cancel()

    @property
    def timed_out(self) -> bool:
        """Whether its time was over before it ended, and nobody had told it to stop."""
        if self.told is not None:
            return False
        # A body that held up the loop may be over its time before anybody could tell it so.
        return self.scope.cancel_called or anyio.current_time() >= self.scope.deadline

    @property
    def executing(self) -> bool:
        """Whether the body is what the event loop executes at this moment."""
        return self.body is not None and self.body.cr_running

    def coroutines(self) -> list[Any]:
        """What of it is under way: its body, or what its body left running."""
        return [self.body] if self.leftovers is None else self.leftovers.running()
