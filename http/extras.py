"""Naming the extra of the distribution when one of its libraries is not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_NEEDY = {"server": "The HTTP layer", "jobs": "A server with the four jobs"}


@contextmanager
def from_extra(extra: str) -> Iterator[None]:
    """Around imports: a library that is not there is named with the extra that brings it."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{_NEEDY[extra]} needs {error.name}, which is not installed: "
            f"pip install 'cortex-tasks[{extra}]'",
            name=error.name,
        ) from None
