"""Waiting for a task's end, and reading long lists."""

from __future__ import annotations

from collections import deque
from typing import Any, Self

import anyio

from .async_connection import AsyncConnection
from .calls import get_task, list_tasks
from .errors import ServerTrouble, Unreachable, WaitTimedOut
from .models import Task, TaskDetail

HOLD = 30.0  # seconds that a long poll is held
PAUSE = 0.05  # seconds between two, for the sake of the server: a task may change all the time


async def wait_for_end(
    connection: AsyncConnection, task_id: str, *, timeout: float | None, patience: float
) -> TaskDetail:
    """Wait until the task has ended, over restarts of the server.

    Raises WaitTimedOut when `timeout` is over, and what keeps the server away once it has been
    away for `patience` seconds.
    """
    task = await connection.carry_out(get_task(task_id))
    deadline = None if timeout is None else anyio.current_time() + timeout
    tries, waited = 0, 0.0
    while not task.final:
        left = HOLD if deadline is None else min(HOLD, deadline - anyio.current_time())
        if left <= 0:
            raise WaitTimedOut(task)
        try:
            task = await connection.carry_out(get_task(task_id, wait=left))
        except (Unreachable, ServerTrouble) as failure:
            if waited >= patience:
                raise
            pause = connection.settings.pause(tries, failure)
            tries, waited = tries + 1, waited + pause
        else:
            tries, waited, pause = 0, 0.0, PAUSE
        if not task.final:
            await anyio.sleep(pause)
    return task


class AsyncTasks:
    """Every task that matches, newest first, asked for page by page.

    What is submitted meanwhile is not among them; what is cleaned up meanwhile may hide another.
    """

    def __init__(self, connection: AsyncConnection, page_size: int, **wanted: Any) -> None:
        self._connection = connection
        self._page_size = page_size
        self._wanted = wanted
        self._offset = 0
        self._page: deque[Task] = deque()
        self._seen: frozenset[str] = frozenset()  # of the page before: new tasks move the pages
        self._last = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Task:
        while not self._page:
            if self._last:
                raise StopAsyncIteration
            await self._turn()
        return self._page.popleft()

    async def _turn(self) -> None:
        call = list_tasks(limit=self._page_size, offset=self._offset, **self._wanted)
        found = (await self._connection.carry_out(call)).tasks
        self._offset += len(found)
        self._last = len(found) < self._page_size
        self._page.extend(task for task in found if task.task_id not in self._seen)
        self._seen = frozenset(task.task_id for task in found)
