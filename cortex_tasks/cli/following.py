"""Following tasks to their end, over a server's restart too: they keep their ids."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import msgspec

from .connection import Answer, Connection, Unreachable, in_path
from .exits import Exit
from .progress import ProgressView, progress_view
from .screen import note
from .views import TaskView

# The server answers as soon as the task changes, and else after HOLD; PAUSE is for its sake, where
# a task changes all the time.
HOLD = 20  # seconds
PAUSE = 0.05  # seconds
PATIENCE = 30  # tries, one a second, to reach a server that went away
EXIT_BY_STATUS = {
    "completed": Exit.DONE,
    "failed": Exit.FAILED,
    "cancelled": Exit.CANCELLED,
}


def follow(connection: Connection, task_id: str) -> Iterator[Answer]:
    """Yield what the server says about the task, again and again, the last time once it is final.

    Raises Refused for an unknown task, and Unreachable when a server that went away stays away.
    """
    ask = _patient(connection)
    path = f"/api/tasks/{in_path(task_id)}"
    answer = connection.ask("GET", path)
    yield answer
    while not answer.read(TaskView).final:
        time.sleep(PAUSE)
        answer = ask(path)
        yield answer


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
            following = last.read(TaskView).next_task_id
    return ended


def exit_of(ended: list[Answer]) -> Exit:
    """The exit code of tasks that were waited for: the last one's, as all before it completed."""
    return EXIT_BY_STATUS.get(ended[-1].read(TaskView).status, Exit.FAILED)


def all_in_one(answers: list[Answer]) -> bytes:
    """Several answers as one JSON document: the answer itself, or a list if there are more."""
    if len(answers) == 1:
        return answers[0].body
    return msgspec.json.encode([msgspec.Raw(answer.body) for answer in answers])


def _watch(connection: Connection, task_id: str, view: ProgressView) -> Answer:
    last: Answer | None = None
    for answer in follow(connection, task_id):
        task = answer.read(TaskView)
        view.show(task.task_id, task.task_type, task.progress_percent, task.status, task.message)
        last = answer
    assert last is not None  # follow() yields at least once, or raises
    return last


def _patient(connection: Connection) -> Callable[[str], Answer]:
    """Ask and, if the server has gone away, ask again for a while."""

    def ask(path: str) -> Answer:
        for attempt in range(PATIENCE):
            try:
                return connection.ask("GET", path, params={"wait": HOLD})
            except Unreachable as gone:
                if attempt == 0:
                    note(f"{gone}\nThe task is kept over a restart; trying again …")
                time.sleep(1)
        return connection.ask("GET", path, params={"wait": HOLD})

    return ask
