"""Following tasks to their end, over a server's restart too: they keep their ids."""

from __future__ import annotations

import msgspec

from ..client.models import TaskDetail
from .connection import Answer, Connection, path_of_task
from .exits import Exit
from .progress import ProgressView, progress_view

EXIT_BY_STATUS = {
    "completed": Exit.DONE,
    "failed": Exit.FAILED,
    "cancelled": Exit.CANCELLED,
}


def wait_for(connection: Connection, task_id: str) -> list[Answer]:
    """Wait for the task and for those of its chain that follow, with a bar for each.

    Gives the last answer about each, in their order.
    """
    ended: list[Answer] = []
    following: str | None = task_id
    with progress_view() as view:
        while following is not None:
            last = _watch(connection, following, view)
            ended.append(last)
            following = last.read(TaskDetail).next_task_id
    return ended


def exit_of(ended: list[Answer]) -> Exit:
    """The exit code of tasks that were waited for: the last one's, as all before it completed."""
    return EXIT_BY_STATUS.get(ended[-1].read(TaskDetail).status, Exit.FAILED)


def all_in_one(answers: list[Answer]) -> bytes:
    """Several answers as one JSON document: the answer itself, or a list if there are more."""
    if len(answers) == 1:
        return answers[0].body
    return msgspec.json.encode([msgspec.Raw(answer.body) for answer in answers])


def _watch(connection: Connection, task_id: str, view: ProgressView) -> Answer:
    for task in connection.follow(task_id):
        view.show(task.task_id, task.task_type, task.progress_percent, task.status, task.message)
    return connection.ask_patiently(path_of_task(task_id))
