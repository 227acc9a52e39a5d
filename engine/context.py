"""What a task's body is given: who it is, and its ways to the world."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from random import Random
from typing import Any, Protocol, TypeVar

import anyio.lowlevel
import msgspec

from .failures import plain_text
from .messages import ProgressReport
from .settings import Limits
from .surroundings import Clock, Offload, Surroundings

T = TypeVar("T")

_DEFAULT_LIMITS = Limits()
_YIELD_EVERY = 64  # reports; in between a report only looks whether it is cancelled


class Children(Protocol):
    """Runs functions in child processes that a cancellation kills."""

    async def run(
        self,
        function: Callable[..., T],
        *args: Any,
        on_progress: Callable[[dict[str, Any]], None] | None = None,
        **kwargs: Any,
    ) -> T:
        """Give what `function(*args, **kwargs)` gives in a child process."""
        ...

    async def aclose(self) -> None:
        """Kill all children."""
        ...


class TaskContext:
    """One attempt of one task, as its body sees it. Not to be used after the body has ended."""

    __slots__ = (
        "_children",
        "_limits",
        "_note_progress",
        "_random",
        "_report",
        "_reports",
        "_surroundings",
        "attempt",
        "clock",
        "last_attempt",
        "offload",
        "task_id",
        "task_type",
    )

    def __init__(
        self,
        *,
        task_id: str,
        task_type: str,
        attempt: int,
        surroundings: Surroundings,
        children: Children,
        note_progress: Callable[[TaskContext], None],
        limits: Limits = _DEFAULT_LIMITS,
        last_attempt: bool = True,
    ) -> None:
        self.task_id = task_id
        self.task_type = task_type
        self.attempt = attempt  # 1 for the first
        self.last_attempt = last_attempt  # whether a failure of this one is the task's
        self._limits = limits
        self.clock: Clock = surroundings.clock
        self.offload: Offload = surroundings.offload  # runs a blocking call in a thread
        self._surroundings = surroundings
        self._random: Random | None = None
        self._children = children
        self._note_progress = note_progress
        self._report: ProgressReport | None = None  # said since the supervisor last heard
        self._reports = 0

    @property
    def random(self) -> Random:
        """Chance of this attempt's own, to be used instead of the `random` module.

        In a test it is drawn from the seed and the task's id, so that what other tasks draw
        meanwhile changes nothing.
        """
        if self._random is None:
            self._random = self._surroundings.random_for(self.task_id, self.attempt)
        return self._random

    @property
    def log(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger of the task's type, with `task_id` as an extra."""
        logger = logging.getLogger(f"cortex_tasks.task.{self.task_type}")
        return logging.LoggerAdapter(logger, {"task_id": self.task_id})

    async def progress(
        self,
        *,
        current: float | None = None,
        total: float | None = None,
        percent: float | None = None,
        message: str | None = None,
    ) -> None:
        """Say how far the body is. Cheap enough for an inner loop, and a point of cancellation.

        `percent` (0-100) is worked out from `current` and `total` where it is not given; it never
        falls within an attempt and stays below 100 until the task has completed. Reports are
        coalesced (a few reach the record each second); the last one is never lost.

        Raises ValueError or TypeError for what is not a finite number or not text.
        """
        self._tell(current, total, percent, message)
        self._reports += 1
        if self._reports % _YIELD_EVERY == 0:
            await anyio.lowlevel.checkpoint()
        else:
            await anyio.lowlevel.checkpoint_if_cancelled()

    async def run_in_child(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Run `function(*args, **kwargs)` in a child process and give what it returns.

        For CPU-bound work: a cancel or a timeout kills the child, whatever it is doing. The
        function must be importable by name. One that has a parameter `report` is given a function
        of the keywords `current`, `total` and `message` that reports this task's progress.
        """
        try:
            reports = "report" in inspect.signature(function).parameters
        except (TypeError, ValueError):
            reports = False
        on_progress = self._tell_from_child if reports and "report" not in kwargs else None
        return await self._children.run(function, *args, on_progress=on_progress, **kwargs)

    def _tell_from_child(self, fields: dict[str, Any]) -> None:
        self._tell(**{"current": None, "total": None, "percent": None, "message": None, **fields})

    def _tell(
        self,
        current: float | None,
        total: float | None,
        percent: float | None,
        message: str | None,
    ) -> None:
        for name, number in (("current", current), ("total", total), ("percent", percent)):
            if number is not None:
                _check_finite(name, number)
        if message is not None:
            if not isinstance(message, str):
                raise TypeError(f"message must be text, not {type(message).__name__}")
            message = plain_text(message, self._limits.max_message_chars)
        earlier = self._report
        if earlier is not None:
            current = earlier.current if current is None else current
            total = earlier.total if total is None else total
            percent = earlier.percent if percent is None else percent
            message = earlier.message if message is None else message
        self._report = ProgressReport(self.task_id, self.attempt, percent, current, total, message)
        if earlier is None:
            self._note_progress(self)

    def take_report(self) -> ProgressReport | None:
        """Give what was said since the last take, once. For the worker."""
        report, self._report = self._report, None
        return report


class ChildContext(msgspec.Struct, frozen=True):
    """What the body of a `runs="process"` type is given, in its child process."""

    task_id: str
    task_type: str
    attempt: int
    report: Callable[..., None]
    last_attempt: bool = True

    def progress(
        self,
        *,
        current: float | None = None,
        total: float | None = None,
        message: str | None = None,
    ) -> None:
        """Say how far the body is; coalesced, so cheap enough for an inner loop."""
        said = {"current": current, "total": total, "message": message}
        self.report(**{name: value for name, value in said.items() if value is not None})


def _check_finite(name: str, number: float) -> None:
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise TypeError(f"{name} must be a number, not {type(number).__name__}")
    if not abs(number) <= 2**53:  # NaN is not either
        raise ValueError(f"{name} must be a finite number of at most 2**53, not {number!r}")
