"""Hundreds of thousands of tasks through one server process, and nothing of them is left."""

from __future__ import annotations

import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .attack_setting import (
    ask,
    attacked,
    children_of,
    files_of,
    memory_of,
    threads_of,
    wait_until,
)
from .attacked_process import KEY
from .http_process import PATIENCE, Server
from .torture import FULL, count

TASKS = 200_000 if FULL else 1_200  # on each loop
# So many are there at once, then forgotten. What the most that ever were there took is not all
# given back, so portions of one size are held against the first two (one compaction and more).
PORTION = 20_000 if FULL else 600
CLIENTS = 8
READ = 20  # each so many tasks, its result is read


def submit(server: Server, tasks: int) -> None:
    """Submit so many on one connection, and read some of their results."""
    connection = http.client.HTTPConnection(*server.address, timeout=PATIENCE)
    headers = {"X-API-Key": KEY}

    def asked(method: str, path: str) -> tuple[int, object]:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())

    try:
        for number in range(tasks):
            status, task_id = asked("POST", "/start/quick")
            assert status == 200, task_id
            if number % READ == 0:
                while (answer := asked("GET", f"/api/tasks/{task_id}/result"))[0] == 202:
                    pass
                assert answer == (200, {"attempt": 1})
    finally:
        connection.close()


def put_through(server: Server, tasks: int) -> None:
    """Run so many to their ends, and have the server forget them."""
    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(submit, [server] * CLIENTS, [tasks // CLIENTS] * CLIENTS))
    wait_until(
        lambda: all(open_tasks(server, status) == 0 for status in ("pending", "running")),
        lambda: ask(server, "GET", "/api/tasks?status=running"),
    )
    completed = ask(server, "GET", "/api/tasks?status=completed&limit=1")[1]
    assert completed["total"] == tasks
    assert ask(server, "POST", "/forget") == (200, tasks)
    status, listed = ask(server, "GET", "/api/tasks")
    assert (status, listed["tasks"], listed["total"]) == (200, [], 0)


def open_tasks(server: Server, status: str) -> int:
    total: int = ask(server, "GET", f"/api/tasks?status={status}&limit=1")[1]["total"]
    return total


@pytest.mark.parametrize("loop", ["trio", "asyncio"])
def test_of_many_tasks_nothing_is_left_once_they_are_forgotten(loop: str, tmp_path: Path) -> None:
    with attacked(loop, tmp_path / "data", keep_alive=PATIENCE) as server:
        for _ in range(2):
            put_through(server, PORTION)
        memory, files, threads = memory_of(server), files_of(server), threads_of(server)
        for _ in range(TASKS // PORTION):
            put_through(server, PORTION)
        after = memory_of(server)
        assert after < 1.2 * memory, (memory, after)
        wait_until(lambda: len(files_of(server)) <= len(files), lambda: (files, files_of(server)))
        wait_until(lambda: threads_of(server) <= threads, lambda: (threads, threads_of(server)))
        assert not children_of(server)
        assert server.stop() == 0, server.log()
        assert not server.log()
    count("tasks through one server process", TASKS)
