"""What the engine tells those who watch it: each step of a task's life, once it is kept.

The engine knows no observer by name: statistics.py counts for it, others trace or publish. They
are called between a commit and the answers that rest on it, so they must be quick; they change
nothing, and what one raises, SystemExit too, is logged and changes nothing either. Only a
KeyboardInterrupt is meant for the whole program.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from .lifecycle import LifeEvent
from .records import TaskRecord

log = logging.getLogger("cortex_tasks.engine")


class Move(msgspec.Struct, frozen=True, gc=False):
    """One step of one task: what happened, and its record right before and right after."""

    event: LifeEvent | None  # None: it was submitted
    before: TaskRecord | None  # None then
    after: TaskRecord


class Observer(Protocol):
    """Told of what happens in an engine. Never await, never block, never call the engine."""

    def moved(self, moves: Sequence[Move]) -> None:
        """These steps are kept, in this order."""
        ...

    def recovered(self, moves: Sequence[Move]) -> None:
        """These are what a start made of what it found: no attempt of this process ended."""
        ...


class Observers:
    """All observers of an engine, as one."""

    def __init__(self, observers: Iterable[Observer]) -> None:
        self._observers = tuple(observers)

    def moved(self, moves: Sequence[Move]) -> None:
        """Tell all of them."""
        if moves:
            for observer in self._observers:
                try:
                    observer.moved(moves)
                except KeyboardInterrupt:
                    raise
                except BaseException:
                    log.exception("an observer failed")

    def recovered(self, moves: Sequence[Move]) -> None:
        """Tell all of them."""
        if moves:
            for observer in self._observers:
                try:
                    observer.recovered(moves)
                except KeyboardInterrupt:
                    raise
                except BaseException:
                    log.exception("an observer failed")
