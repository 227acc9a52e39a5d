"""What a caller may say about a task beside its parameters, checked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from math import isfinite
from typing import Any, Final

import msgspec

from .errors import InvalidParameters
from .exact_json import ExactJson
from .json_faults import Fault

_ANY_JSON: Final = ExactJson(Any)

HIGHEST_PRIORITY = 1_000  # and the lowest is as far below 0
LONGEST_DELAY = timedelta(days=36_525)  # a hundred years: what is longer is a mistake in the unit


def check_key(dedupe_key: object) -> None:
    """Raise InvalidParameters for what cannot be a dedupe key."""
    if not isinstance(dedupe_key, str) or not 0 < len(dedupe_key) <= 500:
        raise InvalidParameters("dedupe_key must be text of 1 to 500 characters")
    if not dedupe_key.isprintable():
        raise InvalidParameters("dedupe_key must be printable text")


def check_idempotency_key(key: object) -> None:
    """Raise InvalidParameters for what cannot be an idempotency key."""
    if not isinstance(key, str) or not 0 < len(key) <= 500 or not key.isprintable():
        raise InvalidParameters("idempotency_key must be printable text of 1 to 500 characters")


def fingerprint_of(asked: object) -> str:
    """Give a hash of what a request asks for, as JSON, whatever the order of members.

    Raises InvalidParameters for what JSON would not keep: NaN would be the same as null.
    """
    try:
        _ANY_JSON.encode(asked, as_given=True)
    except Fault as fault:
        path = fault.place()
        message = f"asked cannot be written as JSON: {path}: {fault}"
        raise InvalidParameters(message, path=path) from None
    return _hash(asked)


def fingerprint(task_type: str, params: msgspec.Raw, *options: object) -> str:
    """Give the same of a submit."""
    return _hash([task_type, msgspec.json.decode(params), options])


def _hash(asked: object) -> str:
    return sha256(msgspec.json.encode(asked, order="sorted")).hexdigest()


def check_priority(priority: int) -> None:
    """Raise InvalidParameters for what cannot be a priority."""
    if type(priority) is not int or abs(priority) > HIGHEST_PRIORITY:  # True is no number here
        raise InvalidParameters(
            f"priority must be a whole number from {-HIGHEST_PRIORITY} to {HIGHEST_PRIORITY}, "
            f"not {priority!r}"
        )


def start_of(
    delay: float | timedelta | None, run_at: datetime | None
) -> datetime | timedelta | None:
    """Give the earliest start: a moment in UTC, or how long after the task is taken.

    Raises InvalidParameters for both at once, a naive `run_at`, or no possible delay.
    """
    if run_at is None:
        return None if delay is None else checked_delay(delay)
    if delay is not None:
        raise InvalidParameters("give delay or run_at, not both")
    if not isinstance(run_at, datetime):
        raise InvalidParameters(f"run_at must be a datetime, not {run_at!r}")
    if run_at.utcoffset() is None:
        raise InvalidParameters(
            f"run_at must have a time zone, which {run_at!r} has not: say which is meant, "
            "as in datetime(2026, 3, 15, 10, 30, tzinfo=UTC)"
        )
    try:
        return run_at.astimezone(UTC)
    except OverflowError:
        raise InvalidParameters(f"run_at is out of range: {run_at!r}") from None


def checked_delay(delay: float | timedelta, name: str = "delay") -> timedelta:
    """Give the delay, from seconds or as it is; raises InvalidParameters where it cannot be one."""
    seconds = delay.total_seconds() if isinstance(delay, timedelta) else delay
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise InvalidParameters(f"{name} must be seconds or a timedelta, not {delay!r}")
    if not (isfinite(seconds) and 0 <= seconds <= LONGEST_DELAY.total_seconds()):
        raise InvalidParameters(
            f"{name} must be 0 seconds or more, and at most {LONGEST_DELAY.days:,} days, "
            f"not {delay!r}"
        )
    return delay if isinstance(delay, timedelta) else timedelta(seconds=delay)
