"""The one call that needs no key."""

from __future__ import annotations

from .calls import Answer, Call, encode
from .wire import Health


async def show_health(call: Call[None]) -> Answer:
    """Tell anybody whether this server can do its work, but not what ails it."""
    services = call.services
    reachable = services.engine.trouble is None
    if services.has_library:
        reachable = reachable and await services.library.reachable()
    healthy = reachable and services.engine.accepting and not services.draining.is_set()
    health = Health(
        status="healthy" if healthy else "degraded",
        neo4j_connected=reachable,
        schema_initialized=reachable,
        version=services.version,
    )
    return Answer(encode(health), status=200 if healthy else 503)
