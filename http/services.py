"""What the handlers work with: made once by `create_app`, the same for every request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import anyio

from ..engine.engine import TaskEngine
from .auth import Keys
from .bodies import BodyLimit
from .feed import Feed
from .measuring import RequestStatistics
from .metrics import Metrics
from .visits import Visits

if TYPE_CHECKING:
    from ..jobs.library import Library
    from ..jobs.operations import Operations
    from .webhooks.dispatch import Webhooks

UPLOADS_IN_MEMORY = 2  # documents that are held in memory at once, on their way into the library


class Services:
    """The engine and what stands beside it."""

    def __init__(
        self,
        engine: TaskEngine,
        keys: Keys | None,
        *,
        draining: anyio.Event,
        version: str,
        limits: Mapping[str, BodyLimit],
        has_page: bool = False,
    ) -> None:
        self.engine = engine
        self.keys = keys
        self.feed = Feed(engine)
        self.visits = Visits(engine, keys)
        self.draining = draining  # set: every wait ends now, with what there is
        self.version = version
        self.limits = limits  # by the kind of body that an endpoint takes
        self.requests = RequestStatistics()
        self.metrics = Metrics(self)
        self.has_page = has_page  # only then a cookie counts as a key
        self.describe: Callable[[], Awaitable[dict[str, Any]]]  # set once all rows are known
        self.storing = anyio.Semaphore(UPLOADS_IN_MEMORY)
        self._library: tuple[Library, Operations] | None = None
        self._webhooks: Webhooks | None = None

    def add_library(self, library: Library, operations: Operations) -> None:
        """Serve a library too."""
        self._library = library, operations

    @property
    def has_library(self) -> bool:
        """Whether there is a library."""
        return self._library is not None

    @property
    def library(self) -> Library:
        """The library, for endpoints that are served only where there is one."""
        assert self._library is not None
        return self._library[0]

    @property
    def operations(self) -> Operations:
        """The four jobs on the library, likewise."""
        assert self._library is not None
        return self._library[1]

    def add_webhooks(self, webhooks: Webhooks) -> None:
        """Keep webhooks too."""
        self._webhooks = webhooks

    @property
    def has_webhooks(self) -> bool:
        """Whether there are webhooks to keep."""
        return self._webhooks is not None

    @property
    def webhooks(self) -> Webhooks:
        """The webhooks, for endpoints that are served only where there are any to keep."""
        assert self._webhooks is not None
        return self._webhooks
