"""The one call that needs no key."""

from __future__ import annotations

import msgspec

from .calls import Answer, Call, encode
from .problems import RETRY_LATER
from .services import Services
from .wire import Health

HEALTHY = "healthy"
STORAGE_FAILED = (
    "The storage has failed, and nothing more is accepted. What was acknowledged is kept; the "
    "server's log says why. Mend that, then restart the server."
)
STORAGE_FULL = (
    "The disk is full: nothing new is accepted, and pending tasks wait. What runs goes on, and its "
    "end is kept. Free some room, and all goes on by itself."
)
LIBRARY_UNREACHABLE = "The library cannot be read. The server's log says why."
STOPPING = "The server is stopping, or has not started yet."


async def show_health(call: Call[None]) -> Answer:
    """Tell anybody whether this server can do its work and what kind of thing ails it."""
    health = await health_of(call.services)
    if health.status == HEALTHY:
        return Answer(encode(health))
    return Answer(encode(health), status=503, headers=RETRY_LATER)


async def health_of(services: Services) -> Health:
    """Say whether this server can do its work; never in an error's words: they may name folders."""
    storage = services.engine.trouble is None
    library = not services.has_library or await services.library.reachable()
    reachable = storage and library
    healthy = reachable and services.engine.accepting and not services.draining.is_set()
    reason: str | msgspec.UnsetType = msgspec.UNSET
    if not storage:
        reason = STORAGE_FAILED
    elif not library:
        reason = LIBRARY_UNREACHABLE
    elif services.engine.no_room is not None:
        reason = STORAGE_FULL
    elif not healthy:
        reason = STOPPING
    return Health(
        status=HEALTHY if healthy else "degraded",
        neo4j_connected=reachable,
        schema_initialized=reachable,
        version=services.version,
        reason=reason,
    )
