"""Children for tests: functions run at once, in this process, so that a test decides everything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio.lowlevel

T = TypeVar("T")

Hook = Callable[..., Awaitable[None]]


class InlineChildren:
    """Runs functions in the event loop; `before` is awaited with the function and its arguments."""

    def __init__(self, before: Hook | None = None) -> None:
        self._before = before

    async def run(
        self,
        function: Callable[..., T],
        *args: Any,
        on_progress: Callable[[dict[str, Any]], None] | None = None,
        **kwargs: Any,
    ) -> T:
        """Give what the function gives."""
        await anyio.lowlevel.checkpoint()
        if self._before is not None:
            await self._before(function, *args)
        if on_progress is not None:
            kwargs["report"] = _reporting_to(on_progress)
        return function(*args, **kwargs)

    async def aclose(self) -> None:
        """Nothing is left over."""


def _reporting_to(on_progress: Callable[[dict[str, Any]], None]) -> Callable[..., None]:
    def report(
        *, current: float | None = None, total: float | None = None, message: str | None = None
    ) -> None:
        said = {"current": current, "total": total, "message": message}
        on_progress({name: value for name, value in said.items() if value is not None})

    return report
