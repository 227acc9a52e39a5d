# Written by `python -m tests.client_twins`: change its twin, async_waiting.py, and run that.

"""Waiting for a task's end, and reading long lists."""

from __future__ import annotations

import math
import time
from collections import deque
from typing import Any, Self

from .calls import get_task, list_tasks
from .connection import Connection
from .errors import ClientError, ServerTrouble, Unreachable, UnusableSetting, WaitTimedOut
from .models import Task, TaskDetail
from .patience import Patience
from .sending import any_seconds

HOLD = 30.0  # seconds that a long poll is held
GRACE = 2.0  # seconds for an answer that is on its way when the time to wait is over
PAUSE = 0.05  # seconds between two, for the sake of the server: a task may change all the time


def wait_for_end(
    connection: Connection, task_id: str, *, timeout: float | None, patience: float
) -> TaskDetail:
    """Wait until the task has ended, as `Client.wait` promises."""
    timeout = math.inf if timeout is None else max(0.0, any_seconds("timeout", timeout))
    deadline = time.monotonic() + timeout
    left, away = timeout, Patience(patience)
    task: TaskDetail | None = None
    kept_away: ClientError | None = None
    while True:
        call = get_task(task_id, wait=None if task is None else min(HOLD, left))
        try:
            task = connection.carry_out_once(call, within=left + GRACE)
        except (Unreachable, ServerTrouble) as failure:
            kept_away, pause = failure, away.pause_after(failure, time.monotonic())
            if pause is None:
                raise
        else:
            if task.final:
                return task
            away.heard()
            pause = PAUSE
        time.sleep(max(0.0, min(pause, deadline - time.monotonic())))
        left = deadline - time.monotonic()
        if left <= 0:
            if task is not None:
                raise WaitTimedOut(task)
            assert kept_away is not None
            raise kept_away


class Tasks:
    """Every task that matches, newest first, asked for page by page.

    None comes twice and none is left out; what is submitted meanwhile is not among them. An older
    server, which gives no cursor, is asked by offsets: then the id of each task is remembered, what
    is submitted meanwhile may be among them, and what ceases to match meanwhile may hide another.
    """

    def __init__(self, connection: Connection, page_size: int, **wanted: Any) -> None:
        if page_size < 1:
            raise UnusableSetting(f"page_size={page_size!r}: a page holds at least one task")
        self._connection = connection
        self._page_size = page_size
        self._wanted = wanted
        self._cursor: str | None = "start"
        self._offset = 0
        self._page: deque[Task] = deque()
        self._seen: set[str] = set()  # new tasks move the pages, by any number
        self._last = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Task:
        while not self._page:
            if self._last:
                raise StopIteration
            self._turn()
        return self._page.popleft()

    def _turn(self) -> None:
        if self._cursor is None:
            self._turn_by_offset()
            return
        call = list_tasks(limit=self._page_size, cursor=self._cursor, **self._wanted)
        page = self._connection.carry_out(call)
        older_server = self._cursor == "start" and page.next is None
        self._cursor = page.next
        if older_server and len(page.tasks) < page.total:
            self._take(page.tasks)
        else:
            self._last = page.next is None
            self._page.extend(page.tasks)

    def _turn_by_offset(self) -> None:
        call = list_tasks(limit=self._page_size, offset=self._offset, **self._wanted)
        self._take((self._connection.carry_out(call)).tasks)

    def _take(self, found: list[Task]) -> None:
        self._offset += len(found)
        self._last = len(found) < self._page_size
        self._page.extend(task for task in found if task.task_id not in self._seen)
        self._seen.update(task.task_id for task in found)
