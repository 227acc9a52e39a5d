"""When a failed attempt is followed by another, and after what time."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from datetime import timedelta
from math import isfinite

import msgspec

from .errors import (
    InvalidParameters,
    NotImportable,
    NotJson,
    TaskTypeError,
    TooLarge,
    UnknownTaskType,
)
from .submissions import LONGEST_DELAY, checked_delay

RetryOn = type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool]

# Another attempt would end in the same way; only a predicate can want one.
_THE_SAME_AGAIN = (InvalidParameters, NotImportable, NotJson, TooLarge, UnknownTaskType)


class RetryLater(Exception):
    """Raised by a body: end this attempt, and have another after this time, whatever `retry_on` is.

    It needs a retry that is left, as any failure does; without one the task fails with `reason`.
    """

    def __init__(self, after: float | timedelta, reason: str = "") -> None:
        super().__init__(after, reason)  # all of it, so that it comes whole out of a child process
        self.after = checked_delay(after, "after")
        self.reason = reason

    def __str__(self) -> str:
        return self.reason or f"again in {self.after}"


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """How long a task waits before each retry: longer each time, and never all in step.

    The n-th retry waits `first * factor ** (n - 1)` seconds, at most `longest`, less a random part
    of up to `jitter` (0 to 1) of that. Raises TaskTypeError for what cannot work.
    """

    first: float = 1.0
    factor: float = 2.0
    longest: float = 3600.0
    jitter: float = 0.5

    def __post_init__(self) -> None:
        most = LONGEST_DELAY.total_seconds()
        _check_between("first", self.first, 0, most)
        _check_between("factor", self.factor, 1, 1_000)
        _check_between("longest", self.longest, self.first, most)
        _check_between("jitter", self.jitter, 0, 1)

    def wait_before(self, retry: int, chance: float) -> timedelta:
        """Give the wait before the n-th retry; `chance` is from 0 up to 1."""
        try:
            seconds = min(self.longest, self.first * float(self.factor) ** (retry - 1))
        except OverflowError:
            seconds = self.longest
        return timedelta(seconds=seconds * (1 - self.jitter * chance))


class RetryPolicy(msgspec.Struct, frozen=True):
    """What a task type declares about retries, checked."""

    retries: int
    retry_on: RetryOn
    backoff: Backoff

    def covers(self, error: BaseException) -> bool:
        """Whether a body that raised this is to be tried again, if a retry is left.

        Of a group, every error in it has to be such a one. Raises what a predicate raises.
        """
        return all(self._covers_one(one) for one in _each(error))

    def _covers_one(self, error: BaseException) -> bool:
        if isinstance(error, RetryLater):
            return True
        if not isinstance(error, Exception):
            return False
        if isinstance(self.retry_on, type | tuple):
            return isinstance(error, self.retry_on) and not isinstance(error, _THE_SAME_AGAIN)
        return bool(self.retry_on(error))


def asked_wait(error: BaseException) -> timedelta | None:
    """Give the time after which the body itself asked to be tried again, if it did."""
    return max((one.after for one in _each(error) if isinstance(one, RetryLater)), default=None)


def declared_policy(name: str, retries: int, retry_on: RetryOn, backoff: Backoff) -> RetryPolicy:
    """Check what a type declares about retries; raises TaskTypeError."""
    if not isinstance(backoff, Backoff):
        raise TaskTypeError(f"backoff of {name!r} must be a Backoff, not {backoff!r}")
    given: object = retry_on
    if isinstance(given, type | tuple):
        types = given if isinstance(given, tuple) else (given,)
        for one in types:
            if not (isinstance(one, type) and issubclass(one, Exception)):
                raise TaskTypeError(
                    f"retry_on of {name!r} must name classes of Exception, which {one!r} is not"
                )
        if not types:
            raise TaskTypeError(f"retry_on of {name!r} names no error: leave it out, or retries")
    elif not callable(given) or inspect.iscoroutinefunction(given):
        raise TaskTypeError(
            f"retry_on of {name!r} must be an error class, a tuple of them, or a plain function "
            f"from the error to True or False, not {given!r}"
        )
    return RetryPolicy(retries, retry_on, backoff)


def _each(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _each(inner)
    else:
        yield error


def _check_between(option: str, value: object, least: float, most: float) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number and isfinite(value) and least <= value <= most):  # type: ignore[arg-type,operator]
        raise TaskTypeError(
            f"{option} of a Backoff must be a number from {least:g} to {most:g}, not {value!r}"
        )
