"""Children for tests: functions run at once, in this process, so that a test decides everything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import anyio.lowlevel

from ..engine.child_functions import name_of
from ..engine.child_main import pack, unpack
from .watch import call_in_sight

T = TypeVar("T")

Hook = Callable[..., Awaitable[None]]


class InlineChildren:
    """Runs functions in the event loop; `before` is awaited with the function and its arguments.

    With `faithful`, what a real child could not be sent is refused as there: a function that
    cannot be imported by name (NotImportable), an argument that cannot be pickled (TypeError);
    and function and caller share no object, as over a pipe. Checkpoints are kept once the function
    has ended, in their order: nothing can be waited for inside it.
    """

    def __init__(self, before: Hook | None = None, *, faithful: bool = False) -> None:
        self._before = before
        self._faithful = faithful

    async def run(
        self,
        function: Callable[..., T],
        *args: Any,
        on_progress: Callable[[dict[str, Any]], None] | None = None,
        on_save: Callable[[Any], Awaitable[None]] | None = None,
        **kwargs: Any,
    ) -> T:
        """Give what the function gives."""
        await anyio.lowlevel.checkpoint()
        if self._before is not None:
            await self._before(function, *args)
        if self._faithful:
            name_of(function)
            args, kwargs = _sent((args, kwargs))
        if on_progress is not None:
            kwargs["report"] = lambda **said: on_progress(said)
        saved: list[Any] = []
        if on_save is not None:
            kwargs["save"] = saved.append
        try:
            result = call_in_sight(function, *args, **kwargs)
        finally:
            if on_save is not None:
                for checkpoint in saved:
                    await on_save(_sent(checkpoint) if self._faithful else checkpoint)
        return cast("T", _sent(result)) if self._faithful else result

    async def aclose(self) -> None:
        """Nothing is left over."""


def _sent(value: Any) -> Any:
    """What arrives at the other end of a pipe."""
    try:
        return unpack(pack(value))
    except Exception as error:
        raise TypeError(f"this cannot be sent to a child process or back: {error}") from error
