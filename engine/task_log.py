"""What a body has written to the log of its task: its newest lines, kept with the task.

A line is JSON from the moment at which it is written, so that nothing is changed by what becomes of
its values later. The lines of a task are one JSON text, `{"dropped":0,"lines":[…]}`, which grows
to Limits.max_log_lines and max_log_bytes; then the oldest go, and are counted.
"""

from __future__ import annotations

import logging
import sys
from collections import deque
from collections.abc import Callable, Mapping, MutableMapping
from datetime import datetime
from typing import Any, Final

import msgspec

from .failures import plain_text

LEVELS: Final = ("debug", "info", "warning", "error", "critical")
EMPTY_LOG: Final = msgspec.Raw(b'{"dropped":0,"lines":[]}')

_MAX_FIELDS: Final = 4_000  # bytes of JSON that the fields of one line may take
_AROUND: Final = len(EMPTY_LOG) + 20  # bytes for what stands around the lines


class LogLine(msgspec.Struct, frozen=True):
    """One line. `fields` is what the body gave beside the message."""

    at: datetime
    level: str
    message: str
    fields: Any
    attempt: int


class TaskLog(msgspec.Struct, frozen=True):
    """The newest lines of a task, the oldest of them first."""

    lines: list[LogLine]
    dropped: int  # lines before these that are kept no longer


class _Kept(msgspec.Struct):
    dropped: int
    lines: list[msgspec.Raw]


class LogLines:
    """Lines that were written and are not kept yet: no more of them than may be kept."""

    __slots__ = ("_bytes", "_lines", "_max_bytes", "_max_lines", "dropped")

    def __init__(self, max_lines: int, max_bytes: int) -> None:
        self._max_lines = max_lines
        self._max_bytes = max_bytes - _AROUND
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self.dropped = 0

    def add(self, line: bytes) -> None:
        """Put a line after the others; the oldest go where there are too many."""
        self._lines.append(line)
        self._bytes += len(line) + 1
        while len(self._lines) > self._max_lines or self._bytes > self._max_bytes:
            self._bytes -= len(self._lines.popleft()) + 1
            self.dropped += 1

    def after(self, earlier: msgspec.Raw | None) -> msgspec.Raw:
        """Give the whole log as JSON: what was kept of it before, and these lines."""
        whole = self
        if earlier is not None:
            kept = msgspec.json.decode(earlier, type=_Kept)
            whole = LogLines(self._max_lines, self._max_bytes + _AROUND)
            for line in (*map(bytes, kept.lines), *self._lines):
                whole.add(line)
            whole.dropped += kept.dropped + self.dropped
        return msgspec.Raw(
            b'{"dropped":%d,"lines":[%b]}' % (whole.dropped, b",".join(whole._lines))
        )


def encode_fields(fields: Mapping[str, Any]) -> msgspec.Raw:
    """Write the fields of a line as JSON; what JSON has no way for is written as its repr."""
    try:
        encoded = _ENCODER.encode(fields)
    except Exception:  # noqa: BLE001  a line of a log fails no task
        encoded = _ENCODER.encode({plain_text(k, 100): described(v) for k, v in fields.items()})
    if len(encoded) > _MAX_FIELDS:
        note = f"left out: {len(encoded):,} bytes, more than {_MAX_FIELDS:,}"
        encoded = _ENCODER.encode({"fields": note})
    return msgspec.Raw(encoded)


def encode_line(line: LogLine) -> bytes:
    """Write a line, whose fields are JSON already."""
    return _ENCODER.encode(line)


def described(value: Any) -> str:
    """Give its repr as text that can be written, whatever it does. Raises nothing."""
    try:
        return plain_text(repr(value), 500)
    except Exception as error:  # noqa: BLE001  whatever an object of a body's does
        return f"({type(value).__name__}, whose repr raised {type(error).__name__})"


_ENCODER = msgspec.json.Encoder(enc_hook=described)

Keep = Callable[[str, str, Mapping[str, Any]], None]  # level, message, fields


class TaskLogger(logging.LoggerAdapter[logging.Logger]):
    """`ctx.log`: called, or used like a logger. Each line goes to the program's log, where it can
    be told whose it is, and is kept with the task.
    """

    def __init__(self, logger: logging.Logger, extra: Mapping[str, object], keep: Keep) -> None:
        super().__init__(logger, extra)
        self._keep = keep

    def __call__(self, message: object, /, *, level: str = "info", **fields: Any) -> None:
        """Write a line. `fields`: what it is about, as values that JSON has (others as text).

        The line is kept with the next progress or end of the task, which it hastens like a report
        of progress. Raises ValueError for an unknown level, and otherwise nothing.
        """
        if level not in LEVELS:
            raise ValueError(f"level must be one of {', '.join(LEVELS)}, not {level!r}")
        text = message if isinstance(message, str) else described(message)
        self._keep(level, text, fields)
        self.emit(level, text, fields)

    def emit(self, level: str, message: str, fields: Mapping[str, Any]) -> None:
        """Hand a line to the program's log alone."""
        number = logging.getLevelNamesMapping()[level.upper()]
        if self.logger.isEnabledFor(number):
            extra = {**(self.extra or {}), "fields": fields}
            self.logger.log(number, "%s", message, extra=extra, stacklevel=3)

    def log(self, level: int, msg: object, *args: Any, **kwargs: Any) -> None:
        """Write a line as a logger does; debug lines are kept only where they are wanted."""
        if level >= logging.INFO or self.isEnabledFor(level):
            fields: dict[str, Any] = dict(kwargs.get("extra") or {})
            error = kwargs.get("exc_info")
            if error:
                raised = error if isinstance(error, BaseException) else sys.exc_info()[1]
                fields["exception"] = described(raised)
            self._keep(_level_name(level), _formatted(msg, args), fields)
        kwargs["stacklevel"] = kwargs.get("stacklevel", 1) + 1  # the line of the caller's
        super().log(level, msg, *args, **kwargs)

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        """Name the task in the record, beside what the caller adds."""
        kwargs["extra"] = {**(kwargs.get("extra") or {}), **(self.extra or {})}
        return msg, kwargs


def _level_name(level: int) -> str:
    return LEVELS[max(0, min(len(LEVELS) - 1, level // 10 - 1))]


def _formatted(msg: object, args: tuple[Any, ...]) -> str:
    try:
        # As a LogRecord does, which takes a single dict for named values.
        wanted: Any = args[0] if len(args) == 1 and isinstance(args[0], Mapping) else args
        return str(msg) % wanted if args else str(msg)
    except Exception:  # noqa: BLE001  logging itself says what is wrong with it
        return plain_text(str(msg), 1_000)
