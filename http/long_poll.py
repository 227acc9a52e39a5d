"""Waiting for a task on behalf of a client that may go away, on a server that may be stopped."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
from starlette.types import Receive

from ..engine.errors import CortexTasksError, EngineNotRunning
from ..engine.records import TaskRecord


async def wait_for_news(
    record: TaskRecord,
    news: Callable[[], Awaitable[TaskRecord]],
    *,
    seconds: float,
    receive: Receive,
    draining: anyio.Event,
) -> TaskRecord:
    """Give what `news` brings, or the record as it is after `seconds`.

    Also on draining, and when the client has gone: a middleware between here and the server may
    insist on an answer, though nobody reads it. Stops no task. Raises what `news` raises.
    """
    if not seconds or draining.is_set():
        return record
    failure: CortexTasksError | None = None
    async with anyio.create_task_group() as watchers:

        async def watch_client() -> None:
            # Nobody else reads: this request's body, if any, has nothing to say.
            while (await receive())["type"] != "http.disconnect":
                pass
            watchers.cancel_scope.cancel()

        async def watch_server() -> None:
            await draining.wait()
            watchers.cancel_scope.cancel()

        watchers.start_soon(watch_client)
        watchers.start_soon(watch_server)
        with anyio.move_on_after(seconds):
            try:
                record = await news()
            except EngineNotRunning:
                pass  # left while we waited: what we know still holds
            except CortexTasksError as error:
                failure = error  # raised outside, where no group wraps it
        watchers.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return record
