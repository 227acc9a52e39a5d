"""The call that describes all calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from anyio import to_thread
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
    described = await call.services.describe()
    return Answer(encode(described | {"servers": servers}))


class Description:
    """The document of one application; made when it is first asked for.

    In a thread: it takes a tenth of a second.
    """

    def __init__(self, make: Callable[[], dict[str, Any]]) -> None:
        self._make = make
        self._made: dict[str, Any] | None = None

    async def __call__(self) -> dict[str, Any]:
        """Give the document; two that ask at once may both make it."""
        if self._made is None:
            self._made = await to_thread.run_sync(self._make)
        return self._made
