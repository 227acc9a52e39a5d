"""What a person types to find tasks: `type:report status:failed,cancelled older:1h disk full`.

Terms are parted by spaces, and a task must fit all of them. A qualifier may name several values,
parted by commas, of which the task must have one. What is no qualifier is free text, looked for in
id, message and error, whatever the case of its letters. In double quotes stands what has spaces,
commas or a colon in it: `type:"a b"`, `"no such host: example"`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from .errors import InvalidParameters
from .lifecycle import TaskStatus
from .records import TaskRecord

_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_AGE: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)([smhdw])")
_QUALIFIER: Final = re.compile(r"([A-Za-z_][\w-]*):")
_VALUES: Final = re.compile(r'(?:"[^"]*"|[^\s",])+(?:,(?:"[^"]*"|[^\s",])+)*')
_VALUE: Final = re.compile(r'(?:"[^"]*"|[^",])+')
_WORD: Final = re.compile(r'"[^"]*"(?=\s|$)|[^\s"]\S*')
_SPACE: Final = re.compile(r"\s*")


class Search(msgspec.Struct, frozen=True):
    """Which tasks are looked for; None: any, and an empty tuple: none."""

    ids: tuple[str, ...] | None = None
    types: tuple[str, ...] | None = None
    statuses: tuple[TaskStatus, ...] | None = None
    created_until: datetime | None = None  # at the latest
    created_from: datetime | None = None  # at the earliest
    words: tuple[str, ...] = ()  # each of them, in lower case

    def matches(self, record: TaskRecord) -> bool:
        """Whether the task is one of them."""
        return (
            (self.statuses is None or record.status in self.statuses)
            and (self.types is None or record.type in self.types)
            and (self.ids is None or record.id in self.ids)
            and (self.created_until is None or record.created_at <= self.created_until)
            and (self.created_from is None or record.created_at >= self.created_from)
            and (not self.words or _says(record, self.words))
        )

    def narrowed(
        self, *, status: str | None = None, task_type: str | None = None, ids: Any = None
    ) -> Search:
        """Give the search for those that fit these too; an unknown status fits none."""
        changes: dict[str, Any] = {}
        if status is not None:
            known = [one for one in TaskStatus if one == status]
            changes["statuses"] = _both(self.statuses, known)
        if task_type is not None:
            changes["types"] = _both(self.types, [task_type])
        if ids is not None:
            changes["ids"] = _both(self.ids, ids)
        return msgspec.structs.replace(self, **changes) if changes else self


def parse_search(
    text: str, now: datetime, *, type_aliases: Mapping[str, str] | None = None
) -> Search:
    """Read what was typed; ages count back from `now`.

    Raises InvalidParameters, which names the known qualifiers or what a value must look like.
    """
    reading = _Reading(now, type_aliases or {})
    at = _skip_space(text, 0)
    while at < len(text):
        at = _skip_space(text, _read_term(reading, text, at))
    return Search(**reading.fields, words=tuple(reading.words))


class _Reading:
    """The search so far."""

    def __init__(self, now: datetime, type_aliases: Mapping[str, str]) -> None:
        self._now = now
        self._type_aliases = type_aliases
        self.fields: dict[str, Any] = {}
        self.words: list[str] = []

    def qualify(self, name: str, values: list[str]) -> None:
        """Take a qualifier in."""
        read = _QUALIFIERS.get(name.lower())
        if read is None:
            known = ", ".join(f"{one}:" for one in _QUALIFIERS)
            raise _refused(
                f"there is no qualifier {name}: (there are {known}); text with a colon in it is "
                f'looked for in double quotes, as in "{name}:…"'
            )
        field, value = read(self, name, values)
        if field in self.fields:
            raise _refused(f"{name}: stands there twice; several values are parted by commas")
        self.fields[field] = value

    def read_ids(self, _name: str, values: list[str]) -> tuple[str, object]:
        return "ids", tuple(dict.fromkeys(values))

    def read_types(self, _name: str, values: list[str]) -> tuple[str, object]:
        meant = (self._type_aliases.get(value, value) for value in values)
        return "types", tuple(dict.fromkeys(meant))

    def read_statuses(self, _name: str, values: list[str]) -> tuple[str, object]:
        found = []
        for value in dict.fromkeys(value.lower() for value in values):
            if value not in TaskStatus.__members__.values():
                known = ", ".join(TaskStatus)
                raise _refused(f"there is no status {value!r}: the statuses are {known}")
            found.append(TaskStatus(value))
        return "statuses", tuple(found)

    def read_older(self, name: str, values: list[str]) -> tuple[str, object]:
        return "created_until", self._moment(name, values)

    def read_newer(self, name: str, values: list[str]) -> tuple[str, object]:
        return "created_from", self._moment(name, values)

    def _moment(self, name: str, values: list[str]) -> datetime:
        found = _AGE.fullmatch(values[0].lower()) if len(values) == 1 else None
        if found is not None:
            try:
                return self._now - timedelta(seconds=float(found[1]) * _UNITS[found[2]])
            except OverflowError:
                pass
        raise _refused(
            f"{name}: takes an age such as 30s, 15m, 1h, 2d or 4w, not {','.join(values)!r}"
        )


_QUALIFIERS: Final[Mapping[str, Callable[[_Reading, str, list[str]], tuple[str, object]]]] = {
    "type": _Reading.read_types,
    "status": _Reading.read_statuses,
    "older": _Reading.read_older,
    "newer": _Reading.read_newer,
    "id": _Reading.read_ids,
}


def _read_term(reading: _Reading, text: str, at: int) -> int:
    """Take in the term that begins there; give where it ends."""
    qualifier = _QUALIFIER.match(text, at)
    if qualifier is None:
        word = _WORD.match(text, at)
        if word is None:
            raise _refused("a double quote is not closed, or something follows it without a space")
        wanted = word[0][1:-1] if word[0].startswith('"') else word[0]
        if wanted:
            reading.words.append(wanted.lower())
        return word.end()
    name = qualifier[1]
    values = _VALUES.match(text, qualifier.end())
    end = qualifier.end() if values is None else values.end()
    if values is None or (end < len(text) and not text[end].isspace()):
        if name.lower() not in _QUALIFIERS:
            reading.qualify(name, [])
        raise _refused(
            f"{name}: takes a value right after the colon, or several parted by commas; "
            "one with spaces or commas in it stands in double quotes"
        )
    reading.qualify(name, [value.replace('"', "") for value in _VALUE.findall(values[0])])
    return end


def _skip_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    assert found is not None
    return found.end()


def _says(record: TaskRecord, words: tuple[str, ...]) -> bool:
    message, task_id = record.message.lower(), record.id.lower()
    error = "" if record.error is None else record.error.lower()
    for word in words:  # a loop, as it may go over a million records
        if word not in message and word not in task_id and word not in error:
            return False
    return True


def _both(wanted: tuple[Any, ...] | None, also: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(one for one in dict.fromkeys(also) if wanted is None or one in wanted)


def _refused(reason: str) -> InvalidParameters:
    return InvalidParameters(f"the search cannot be read: {reason}", path="$.q")
