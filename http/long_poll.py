"""Waiting for a task on behalf of a client that may go away, on a server that may be stopped."""

from __future__ import annotations

import anyio
from starlette.types import Receive

from ..engine.engine import TaskEngine
from ..engine.errors import CortexTasksError, EngineNotRunning
from ..engine.records import TaskRecord


async def wait_for_news(
    engine: TaskEngine,
    task_id: str,
    *,
    seconds: float,
    receive: Receive,
    draining: anyio.Event,
) -> TaskRecord:
    """Give the record once it changes or is final.

    As it stands after `seconds`, on draining, and when the client has gone: a middleware between
    here and the server may insist on an answer, though nobody reads it. Stops no task. Raises
    TaskNotFound.
    """
    record = await engine.get(task_id)
    if record.final or not seconds or draining.is_set():
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
                record = await engine.wait_change(task_id, record.seq)
            except EngineNotRunning:
                pass  # left while we waited: what we know still holds
            except CortexTasksError as error:
                failure = error  # raised outside, where no group wraps it
        watchers.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return record
