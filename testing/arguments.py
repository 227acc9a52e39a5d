"""What a harness is given is looked at where it is given: an error says what is wanted."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from ..engine.errors import TaskTypeError
from ..engine.registry import TaskType
from .errors import HarnessError
from .faults import Faults
from .generators import LIFE


def check_types(given: Iterable[object]) -> None:
    """Raise TaskTypeError unless these are task types."""
    for one in given:
        if not isinstance(one, TaskType):
            raise TaskTypeError(f"{one!r} is not a task type: decorate it with @task_type")


def check_span(name: str, given: object) -> None:
    """Raise TypeError or ValueError unless this is a timedelta that does not go back."""
    if not isinstance(given, timedelta):
        raise TypeError(f"{name} must be a timedelta, as timedelta(hours=3), not {given!r}")
    if given < timedelta():
        raise ValueError(
            f"{name} must not be negative, as time does not go back: {given.total_seconds():g} s"
        )


def check_count(name: str, given: object, least: int) -> None:
    """Raise TypeError or ValueError unless this is a whole number, and at least so large."""
    if not isinstance(given, int) or isinstance(given, bool):
        raise TypeError(f"{name} must be a whole number, not {given!r}")
    if given < least:
        raise ValueError(f"{name} must be at least {least}, not {given}")


def check_faults(given: object) -> None:
    """Raise TypeError unless these are Faults."""
    if not isinstance(given, Faults):
        raise TypeError(f"faults must be Faults, as Faults(crash=0.5), not {given!r}")


def check_storage(given: object) -> None:
    """Raise ValueError unless there is such a storage."""
    if given not in ("memory", "json"):
        raise ValueError(f"storage must be 'memory' or 'json', not {given!r}")


def check_makes(given: object) -> None:
    """Raise TypeError unless this makes backends, or is None."""
    if given is not None and not callable(given):
        raise TypeError(f"make_backend must be a function that gives a backend, not {given!r}")


def check_not_given(options: dict[str, Any], name: str, instead: str) -> None:
    """Raise TypeError if there is this option, which is for another function."""
    if name in options:
        raise TypeError(f"{name}= is not for this function: {instead}")


def refuse_bodies(call: str) -> None:
    """Raise HarnessError if a body, or something else of the engine's, calls this."""
    if LIFE.get() is not None:
        raise HarnessError(f"{call}() is for the test: a body cannot wait for its own end")


def id_of(task: object) -> str:
    """The id of a task that is given by its handle or its id; raises TypeError."""
    found = getattr(task, "id", task)
    if not isinstance(found, str):
        raise TypeError(f"a task is given by its handle or its id, not by {task!r}")
    return found
