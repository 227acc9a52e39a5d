"""What a task's body is given: who it is, and its ways to the world."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Any, Protocol, TypeVar

import anyio.lowlevel
import msgspec

from .checkpoints import decode_checkpoint, encode_checkpoint
from .errors import EngineNotRunning, TooLarge
from .exact_json import is_large
from .failures import plain_text
from .loop_entry import LoopEntry
from .messages import ProgressReport
from .settings import Limits
from .surroundings import Clock, Offload, Surroundings
from .task_log import LEVELS, LogLine, LogLines, TaskLogger, encode_fields, encode_line

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
        on_save: Callable[[Any], Awaitable[None]] | None = None,
        **kwargs: Any,
    ) -> T:
        """Give what `function(*args, **kwargs)` gives in a child process.

        With `on_progress` the function is given `report` too, and with `on_save` a `save`, whose
        one argument is awaited with here before it returns.
        """
        ...

    async def aclose(self) -> None:
        """Kill all children."""
        ...


async def _save_nowhere(_task_id: str, _attempt: int, _checkpoint: msgspec.Raw) -> None:
    raise EngineNotRunning("this context belongs to no engine that could keep a checkpoint")


class TaskContext:
    """One attempt of one task, as its body sees it. Not to be used after the body has ended."""

    __slots__ = (
        "_children",
        "_limits",
        "_lines",
        "_log",
        "_loop",
        "_note_progress",
        "_over",
        "_random",
        "_report",
        "_reports",
        "_resumed",
        "_save",
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
        loop: LoopEntry,
        limits: Limits = _DEFAULT_LIMITS,
        last_attempt: bool = True,
        resumed: msgspec.Raw | None = None,
        save: Callable[[str, int, msgspec.Raw], Awaitable[None]] = _save_nowhere,
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
        self._over = False
        self._loop = loop
        self._report: ProgressReport | None = None  # said since the supervisor last heard
        self._lines: LogLines | None = None  # written since then
        self._log: TaskLogger | None = None
        self._reports = 0
        self._resumed = resumed  # the newest checkpoint of an earlier attempt
        self._save = save

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
    def log(self) -> TaskLogger:
        """The log of the task: `ctx.log("read it", rows=3)`, `ctx.log("no", level="warning")`, and
        all that a logger has (`ctx.log.exception(…)`).

        A line is kept with the task, bounded by Limits.max_log_lines and max_log_bytes, and goes
        to the program's log too, as one of `cortex_tasks.task.<type>`.
        """
        if self._log is None:
            logger = logging.getLogger(f"cortex_tasks.task.{self.task_type}")
            extra = {
                "task_id": self.task_id,
                "task_type": self.task_type,
                "attempt": self.attempt,
            }
            self._log = TaskLogger(logger, extra, self._keep_line)
        return self._log

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

    async def checkpoint(self, value: Any) -> None:
        """Save how far the body is, so that a later attempt can go on from there.

        Returns once it is kept as surely as a submit is; it takes the place of the one before, and
        goes when the task is final. `value` is anything that JSON keeps whole; of an object with
        fields (a Struct, a dataclass) what its own type brings back. Cancelled while it waits, it
        may be kept or not.

        Raises NotJson, TooLarge (Limits.max_checkpoint_bytes), StorageFull while there is no room,
        another StorageError, and AttemptOver if the attempt has ended: then nothing has changed.
        """
        await anyio.lowlevel.checkpoint_if_cancelled()
        if is_large(value):
            encode = self._surroundings.encode
            encoded = await encode(lambda: encode_checkpoint(value, in_pieces=True))
        else:
            encoded = encode_checkpoint(value)
        if len(encoded) > self._limits.max_checkpoint_bytes:
            raise TooLarge(
                f"the checkpoint is {len(encoded):,} bytes of JSON, over the limit of "
                f"{self._limits.max_checkpoint_bytes:,} (Limits.max_checkpoint_bytes)"
            )
        await self._save(self.task_id, self.attempt, msgspec.Raw(encoded))

    @property
    def resumed_from(self) -> Any:
        """The newest checkpoint of an earlier attempt, as plain JSON values; a fresh copy each
        time. None: there is none, begin at the beginning.
        """
        return decode_checkpoint(self._resumed)

    def resumed_as(self, wanted: type[T]) -> T | None:
        """Give it as this type. Raises msgspec.ValidationError if it was saved as another."""
        found: T | None = decode_checkpoint(self._resumed, wanted)
        return found

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
        on_progress = self.tell_from_child if reports and "report" not in kwargs else None
        return await self._children.run(function, *args, on_progress=on_progress, **kwargs)

    def tell_from_child(self, fields: dict[str, Any]) -> None:
        """Take what a child process has reported."""
        said = {"current": None, "total": None, "percent": None, "message": None, **fields}
        for level, message, encoded in said.pop("log", ()):
            found = msgspec.json.decode(encoded)
            self._keep_line(level, message, found)
            self.log.emit(level, message, found)
        if any(value is not None for value in said.values()):
            self._tell(**said)

    def _keep_line(self, level: str, message: str, fields: Mapping[str, Any]) -> None:
        text = plain_text(message, self._limits.max_message_chars)
        line = LogLine(self.clock.now(), level, text, encode_fields(fields), self.attempt)
        encoded = encode_line(line)
        with self._loop.lock:  # in the thread that writes: whoever waits for it has its lines
            if self._over:
                return
            unsaid = self._lines is None
            if self._lines is None:
                self._lines = LogLines(self._limits.max_log_lines, self._limits.max_log_bytes)
            self._lines.add(encoded)
        if unsaid:
            self._loop.call(self._note)

    def _note(self) -> None:
        if not self._over:
            self._note_progress(self)

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
        if earlier is None and self._lines is None:
            self._note()

    def take_report(self) -> ProgressReport | None:
        """Give what was said since the last take, once. For the worker."""
        report, self._report = self._report, None
        with self._loop.lock:
            lines, self._lines = self._lines, None
        if lines is None:
            return report
        report = report or ProgressReport(self.task_id, self.attempt)
        return msgspec.structs.replace(report, lines=lines)

    def take_last_report(self) -> ProgressReport | None:
        """The same, as the attempt ends: what is said from then on is nobody's.

        It would be told of the attempt after it, say, by a thread that the body has left behind.
        """
        with self._loop.lock:
            self._over = True
        return self.take_report()


class ChildContext(msgspec.Struct, frozen=True):
    """What the body of a `runs="process"` type is given, in its child process."""

    task_id: str
    task_type: str
    attempt: int
    report: Callable[..., None]
    save: Callable[[Any], None]
    resumed: bytes | None = None
    last_attempt: bool = True

    def checkpoint(self, value: Any) -> None:
        """Save how far the body is; blocks until it is kept. See TaskContext.checkpoint."""
        self.save(value)

    @property
    def resumed_from(self) -> Any:
        """The newest checkpoint of an earlier attempt, as plain JSON values, or None."""
        return decode_checkpoint(self.resumed)

    def resumed_as(self, wanted: type[T]) -> T | None:
        """Give it as this type. Raises msgspec.ValidationError if it was saved as another."""
        found: T | None = decode_checkpoint(self.resumed, wanted)
        return found

    def log(self, message: object, /, *, level: str = "info", **fields: Any) -> None:
        """Write a line to the log of the task; see TaskContext.log. It has the time at which it
        reached the engine's process.
        """
        if level not in LEVELS:
            raise ValueError(f"level must be one of {', '.join(LEVELS)}, not {level!r}")
        self.report(log=[(level, str(message), bytes(encode_fields(fields)))])

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
