"""A bell that is rung whenever documents may have become pending, or may be so no longer."""

from __future__ import annotations

import anyio


class Bell:
    """Wakes whoever listens. The library has one owner, so whatever changes it can ring.

    Take `next_ring` before looking, wait for it after: what changes in between is not missed.
    """

    def __init__(self) -> None:
        self._ring = anyio.Event()

    def ring(self) -> None:
        """Wake all who listen; rung once too often, they look and find nothing."""
        ring, self._ring = self._ring, anyio.Event()
        ring.set()

    @property
    def next_ring(self) -> anyio.Event:
        """What is set when the bell rings the next time."""
        return self._ring
