"""Answers that go on, and whether the keys that opened them would still do so.

A key may be revoked in another process, and a browser signed out, while a stream is open. Whoever
sends asks `Visit.goes_on` right before: nothing is sent after that to whom a new request would be
refused.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

import anyio

from ..engine.engine import TaskEngine
from ..engine.errors import StorageError
from .auth import Admission, Keys, VersionedKeys, readmit
from .problems import Problem

LOOK_AFTER = 0.25  # seconds for which what was seen of the keys holds, while no task changes


class Visits:
    """All answers that go on.

    However many they are, the keys are looked at once for each change of a task, and a key is
    asked about again only if they have changed since.
    """

    def __init__(self, engine: TaskEngine, keys: Keys | None) -> None:
        self._engine = engine
        self._keys = keys
        self._version: object = None  # of the keys, as they were when they were last looked at
        self._seen_at = -1  # the number of the newest change at that time
        self._seen_until = 0.0
        self._generation = 1  # another one whenever the keys may have changed
        self._by_cookie: dict[bytes, dict[Visit, None]] = {}  # by key

    def begin(self, admission: Admission | None) -> Visit:
        """Give the answer to a request that was let in so; None: no key was asked for."""
        return Visit(self, admission)

    def sign_out(self, presented: bytes) -> None:
        """End what was opened by cookies with this key.

        Of several browsers with the same key only the one that signed out cannot open it again.
        """
        for visit in list(self._by_cookie.pop(presented, ())):
            visit.end()

    def generation(self) -> int:
        """Look at the keys, unless that has just been done; gives their generation."""
        if self._engine.seq != self._seen_at or anyio.current_time() >= self._seen_until:
            self._look()
        return self._generation

    def would_let_in(self, admission: Admission) -> bool:
        """Ask about the key itself. Where the keys cannot be read, it is no way in."""
        assert self._keys is not None
        try:
            readmit(self._keys, admission)
        except Problem:
            return False
        return True

    def note(self, visit: Visit, presented: bytes) -> None:
        """Have a visit end with its cookie."""
        self._by_cookie.setdefault(presented, {})[visit] = None

    def forget(self, visit: Visit, presented: bytes) -> None:
        """It is over."""
        visits = self._by_cookie.get(presented)
        if visits is not None:
            visits.pop(visit, None)
            if not visits:
                del self._by_cookie[presented]

    def _look(self) -> None:
        self._seen_at = self._engine.seq
        self._seen_until = anyio.current_time() + LOOK_AFTER
        if isinstance(self._keys, VersionedKeys):
            try:
                version = self._keys.version()
            except StorageError:
                pass  # what the keys are is not known: each is asked about, and refused
            else:
                if version == self._version:
                    return
                self._version = version
        self._generation += 1


class Visit:
    """One answer that goes on; a context manager, for as long as it does."""

    def __init__(self, visits: Visits, admission: Admission | None) -> None:
        self._visits = visits
        self._admission = admission
        self._generation = 0  # of the keys, when its own was last asked about
        self._over = False
        self._on_end: Callable[[], None] | None = None

    def __enter__(self) -> Visit:
        if self._admission is not None and self._admission.by_cookie:
            self._visits.note(self, self._admission.presented)
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._admission is not None:
            self._visits.forget(self, self._admission.presented)

    def on_end(self, act: Callable[[], None]) -> None:
        """Have this called when it is ended from outside."""
        self._on_end = act

    def end(self) -> None:
        """Let it send nothing more."""
        self._over = True
        if self._on_end is not None:
            self._on_end()

    @property
    def goes_on(self) -> bool:
        """Whether something may still be sent."""
        if self._admission is None:
            return True
        generation = self._visits.generation()
        if not self._over and generation != self._generation:
            self._over = not self._visits.would_let_in(self._admission)
            self._generation = generation
        return not self._over
