"""What is sent is looked at before: each raises UnusableSetting for what could never arrive."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from .errors import UnusableSetting

LONGEST = 10.0**8  # seconds, some three years: what the system's clocks still count


def in_path(name: str, *taken: str) -> str:
    """Write a name so that it is one part of a path, whatever is in it.

    Refuses those that a path is shortened by, and those that are taken: what is at their place in
    the path is something else.
    """
    if name in {"", ".", "..", *taken}:
        raise UnusableSetting(f"{name!r} is no id")
    return quote(_text("an id", name), safe="")


def in_query(values: Mapping[str, Any]) -> dict[str, Any]:
    """Write the parameters of a query."""
    return {name: _in_query(name, value) for name, value in values.items()}


def in_body(values: Mapping[str, Any]) -> bytes:
    """Write the parameters of a body as JSON: a set as a list, a struct as an object.

    Refuses what JSON has not, wherever in it: NaN and the infinities, for which null would be sent,
    half a character, an object of no kind that can be written.
    """
    try:
        encoded = msgspec.json.encode(values)
        # msgspec.Raw is written as it is, and here counts for nothing.
        if b"null" in encoded:
            plain = msgspec.to_builtins(values, str_keys=True, enc_hook=lambda _: None)
            _check_finite(plain)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        if isinstance(error, UnusableSetting):
            raise
        raise UnusableSetting(f"the parameters cannot be written as JSON: {error}") from None
    return encoded


def in_header(name: str, value: str) -> str:
    """Give the value as a header may have it."""
    if not (value.isascii() and value.isprintable() and value == value.strip()):
        raise UnusableSetting(f"{name} holds characters that no header has: {value!r}")
    return value


def seconds(name: str, value: float, least: float = 0.0, most: float = LONGEST) -> float:
    """Give a number of seconds that one can wait for."""
    if not least <= value <= most:  # which holds for NaN
        raise UnusableSetting(f"{name}={value!r} is no number of seconds to wait")
    return value


def any_seconds(name: str, value: float) -> float:
    """Give a number of seconds: those that are over already, or never, are fine."""
    return seconds(name, value, -math.inf, math.inf)


def _check_finite(values: dict[str, Any]) -> None:
    waiting = list(values.items())
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(f"{place}.{name}", part) for name, part in value.items()]
        elif isinstance(value, list | tuple):
            waiting += [(f"{place}[{number}]", part) for number, part in enumerate(value)]
        elif isinstance(value, float):
            _finite(place, value)


def _finite(place: str, value: float) -> float:
    if not math.isfinite(value):
        raise UnusableSetting(f"{place} is {value}, which is no number that can be sent")
    return value


def _in_query(name: str, value: Any) -> Any:
    if isinstance(value, float):
        return _finite(name, value)
    if isinstance(value, str):
        return _text(name, value)
    return str(value).lower() if isinstance(value, bool) else value


def _text(name: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise UnusableSetting(f"{name} is no text: {value[:99]!r} ({error.reason})") from None
    return value
