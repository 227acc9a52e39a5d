"""Async generators of an engine that died: left alone, as nobody runs any more who could end them.

An event loop closes async generators that nobody iterates any longer, by running their code. For
those of a dead engine that would be the dead at work, so the loop never gets to know of it.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol
from weakref import WeakSet


class Mortal(Protocol):
    """One life of an engine."""

    dead: bool


# Which engine's life a coroutine belongs to; not set for the scenario and its coroutines.
LIFE: ContextVar[Mortal | None] = ContextVar("cortex_tasks_life", default=None)


class LivingGenerators:
    """Knows of each async generator in which life it was begun, while `hooked`."""

    def __init__(self) -> None:
        # By id, as a generator has lost its weak references when it comes to its end.
        self._life: dict[int, Mortal] = {}
        self._begun: dict[Mortal, WeakSet[AsyncGenerator[Any, Any]]] = {}

    @contextmanager
    def hooked(self) -> Iterator[None]:
        """Stand between the interpreter and the loop's own hooks."""
        hooks = sys.get_asyncgen_hooks()

        def begun(generator: AsyncGenerator[Any, Any]) -> None:
            life = LIFE.get()
            if life is not None:
                self._life[id(generator)] = life
                self._begun.setdefault(life, WeakSet()).add(generator)
            else:
                self._life.pop(id(generator), None)
            if hooks.firstiter is not None:
                hooks.firstiter(generator)

        def dropped(generator: AsyncGenerator[Any, Any]) -> None:
            life = self._life.pop(id(generator), None)
            if (life is None or not life.dead) and hooks.finalizer is not None:
                hooks.finalizer(generator)

        sys.set_asyncgen_hooks(begun, dropped)
        try:
            yield
        finally:
            sys.set_asyncgen_hooks(*hooks)

    def take(
        self, life: Mortal, forget: Callable[[AsyncGenerator[Any, Any]], None]
    ) -> list[AsyncGenerator[Any, Any]]:
        """Have the loop forget those of a life that is over, and give them."""
        taken = list(self._begun.pop(life, ()))
        for generator in taken:
            forget(generator)
        return taken
