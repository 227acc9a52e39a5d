"""Lines of a log with names: for people as `key=value`, for programs as JSON.

    handler.setFormatter(JsonLines())

Each line says which task it is from and which attempt, also if whoever wrote it knows nothing of
tasks: a library that a body calls, say.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from .current import log_context
from .task_log import described, encode_fields

_NAMES: Final[tuple[str, ...]] = ("request_id", "task_id", "task_type", "attempt")
_MARGIN: Final = "    "


class JsonLines(logging.Formatter):
    """One JSON object a line: `at`, `level`, `logger`, `message`; `task_id`, `task_type` and
    `attempt` of what a body writes, `request_id` in a request; `fields`; `exception`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
            **_named(record),
        }
        fields = _fields(record)
        if fields:
            line["fields"] = encode_fields(fields)
        trace = _trace(self, record)
        if trace:
            line["exception"] = trace
        return _written(line)


class TextLines(logging.Formatter):
    """Time, level, logger and message, then `key=value`; what was raised on the lines after.

    Only a line that begins a record begins at the margin, and control characters are written as
    escapes: nothing that is logged can look like another record, or steer a terminal.
    """

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        at = datetime.fromtimestamp(record.created).astimezone()
        first, *more = _message(record).splitlines() or [""]
        head = f"{at:%Y-%m-%d %H:%M:%S} {record.levelname} {record.name}: {first}"
        names = _named(record)
        for name, value in _fields(record).items():  # none of them passes for whose line it is
            names[f"fields.{name}" if name in _NAMES else name] = value
        words = "".join(f" {word(name)}={word(value)}" for name, value in names.items())
        # Beside the message, where one looks, and not after a stack that belongs to it.
        lines = [_harmless(head) + words]
        more += _trace(self, record).splitlines()
        return "\n".join(lines + [_MARGIN + _harmless(each) for each in more])


def word(value: object) -> str:
    """Write a value as one word: text as it is where it can be, else as JSON."""
    if isinstance(value, str) and value.isprintable() and value and not set(value) & set(' "='):
        return value
    return _harmless(bytes(encode_fields({"": value}))[4:-1].decode())


def _harmless(text: str) -> str:
    """Escape all that is not printable, but for tabs."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char == "\t" else f"\\u{ord(char):04x}" for char in text
    )


def _message(record: logging.LogRecord) -> str:
    """Give the message, as it stands where its arguments do not fit it.

    Raising has `logging` write a traceback among the lines, and not the line.
    """
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001  whatever an argument does when it is to be text
        found = f"{described(record.msg)} % {described(record.args)}"
        return f"{found}: cannot be written ({type(error).__name__})"


def _named(record: logging.LogRecord) -> dict[str, object]:
    found = log_context()
    found.update({name: vars(record)[name] for name in _NAMES if name in vars(record)})
    return {name: found[name] for name in _NAMES if name in found}


def _fields(record: logging.LogRecord) -> Mapping[str, object]:
    fields = vars(record).get("fields")
    return fields if isinstance(fields, Mapping) else {}


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info:
        parts.append(formatter.formatException(record.exc_info))
    if record.stack_info:
        parts.append(formatter.formatStack(record.stack_info))
    return "\n".join(parts)


def _written(line: dict[str, object]) -> str:
    try:
        return msgspec.json.encode(line, enc_hook=repr).decode()
    except UnicodeEncodeError:  # lone surrogates in a message, or what a task is called
        plain = {
            name: value.encode("utf-8", "backslashreplace").decode()
            if isinstance(value, str)
            else value
            for name, value in line.items()
        }
        return msgspec.json.encode(plain, enc_hook=repr).decode()
