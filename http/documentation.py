"""The call that describes all calls."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from .calls import Answer, Call, encode

Document = Annotated[
    dict[str, Any],
    Meta(
        description="An OpenAPI 3.1 document.",
        examples=[{"openapi": "3.1.0", "info": {"title": "Cortex tasks"}, "paths": {}}],
    ),
]


async def show_description(call: Call[None]) -> Answer:
    """Give the OpenAPI document of this very server: what it serves, under the path it has."""
    servers = [{"url": call.scope.get("root_path") or "/"}]
    return Answer(encode(call.services.describe() | {"servers": servers}))
