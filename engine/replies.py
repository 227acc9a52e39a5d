"""Where an answer goes, and where it is waited for."""

from __future__ import annotations

from typing import Generic, TypeVar, cast

import anyio

T = TypeVar("T")


class OneReply(Generic[T]):
    """A single answer from one actor to one caller. A caller that stops waiting harms nothing."""

    __slots__ = ("_answered", "_error", "_value")

    def __init__(self) -> None:
        self._answered = anyio.Event()
        self._value: T | None = None
        self._error: Exception | None = None

    def give(self, value: T) -> None:
        """Answer."""
        self._value = value
        self._answered.set()

    def refuse(self, error: Exception) -> None:
        """Answer that it cannot be done."""
        self._error = error
        self._answered.set()

    async def wait(self) -> T:
        """Wait for the answer; raises the error of a refusal."""
        await self._answered.wait()
        if self._error is not None:
            raise self._error
        return cast("T", self._value)
