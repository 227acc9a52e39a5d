"""The calls about the graph: its entities, its picture, how it stands, and all that is counted."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from ..jobs.library.views import Statistics
from .calls import Answer, Call, encode
from .parameters import alias


class EntityFilter(msgspec.Struct, frozen=True):
    """Which entities to list; `search` finds names that contain it, an unknown type none."""

    entity_type: Annotated[str | None, Meta(extra=alias("type"))] = None
    search: str | None = None
    limit: Annotated[int, Meta(ge=0)] = 50
    skip: Annotated[int, Meta(ge=0, extra=alias("offset"))] = 0


class PictureSize(msgspec.Struct, frozen=True):
    """How many entities the picture of the graph shows."""

    limit: Annotated[int, Meta(ge=0)] = 200


class Stats(Statistics, frozen=True, kw_only=True):
    """All that is counted. `pending_task_count` counts documents: so a client knows it."""

    pending_task_count: int


async def list_entities(call: Call[EntityFilter]) -> Answer:
    """List entities, most mentioned first."""
    wanted = call.params
    page = await call.services.library.graph.entities(
        limit=wanted.limit,
        skip=wanted.skip,
        entity_type=wanted.entity_type,
        search=wanted.search,
    )
    return Answer(encode(page))


async def show_entity(call: Call[None]) -> Answer:
    """Show one entity with its relationships and the documents that mention it."""
    return Answer(encode(await call.services.library.graph.entity(call.path("name"))))


async def show_picture(call: Call[PictureSize]) -> Answer:
    """Give nodes and edges to draw."""
    return Answer(encode(await call.services.library.graph.visualization(limit=call.params.limit)))


async def show_status(call: Call[None]) -> Answer:
    """Tell what the graph holds and when it was last worked on."""
    return Answer(encode(await call.services.library.graph.status()))


async def show_stats(call: Call[None]) -> Answer:
    """Count everything."""
    counted = await call.services.library.stats()
    stats = Stats(**msgspec.structs.asdict(counted), pending_task_count=counted.pending_count)
    return Answer(encode(stats))
