"""Followers of tasks by server-sent events: how many, how fast, and what they cost."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from .crowd import Crowd
from .measuring import Figure, Stopwatch

FOLLOWERS = 2_000  # of one task
IDLE = 2_000  # streams in which nothing happens
CHANGES_FOR_ONE = 5_000
CHANGES_FOR_ALL = 50
KIB = 1024


class _Server(NamedTuple):
    """The server process."""

    url: str
    process: subprocess.Popen[str]

    def post(self, **task: Any) -> str:
        """Submit a task; gives its id."""
        request = urllib.request.Request(
            f"{self.url}/api/tasks",
            json.dumps(task).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            task_id: str = json.load(answer)["task_id"]
        return task_id

    def memory(self) -> int:
        """Bytes that it has in memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize()


@contextmanager
def _server(loop: str) -> Iterator[_Server]:
    # What is blocked by thousands of sends is for the figures to say, and not for the log.
    command = [sys.executable, "-m", "benchmarks.followed_server", loop]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield _Server(process.stdout.readline().strip(), process)
        finally:
            process.kill()


def _seconds(server: _Server, crowd: Crowd, followers: int, changes: int) -> float:
    """Have a task change so often before so many followers that were not there yet."""
    task_id = server.post(type="changing", params={"count": changes})
    crowd.join(f"/api/tasks/{task_id}/events", followers)
    watch = Stopwatch()
    server.post(type="opening")
    crowd.read_until_all_have(b"event: end", followers)
    return watch.seconds


async def measure(loop: str) -> AsyncIterator[Figure]:
    """Every figure about followers, with all streams open in one process."""
    _raise_limit_of_files(2 * (FOLLOWERS + IDLE))
    with _server(loop) as server:
        with Crowd(server.url) as crowd:
            _seconds(server, crowd, 1, 500)  # warm
            alone = _seconds(server, crowd, 1, CHANGES_FOR_ONE)
        yield Figure(f"{loop}: changes to one follower", CHANGES_FOR_ONE / alone, "/s")
        before = server.memory()
        with Crowd(server.url) as idle, Crowd(server.url) as crowd:
            idle.join("/api/tasks/events?type=none", IDLE)
            each = (server.memory() - before) / IDLE / KIB
            yield Figure(f"{loop}: memory of an idle stream, of {IDLE:,}", each, "KiB")
            beside = _seconds(server, crowd, 1, CHANGES_FOR_ONE)
            yield Figure(
                f"{loop}: … to one beside {IDLE:,} idle streams",
                CHANGES_FOR_ONE / beside,
                "/s",
                "without them",
                alone / beside,
            )
            many = _seconds(server, crowd, FOLLOWERS, CHANGES_FOR_ALL)
            yield Figure(
                f"{loop}: … to each of {FOLLOWERS:,} followers of one task",
                CHANGES_FOR_ALL / many,
                "/s",
            )
            told = CHANGES_FOR_ALL * FOLLOWERS / many
            yield Figure(f"{loop}: … in all", told, "/s")
            crowd.join("/api/tasks/events", FOLLOWERS)
            watch = Stopwatch()
            server.process.send_signal(signal.SIGTERM)
            server.process.wait()
            name = f"{loop}: stop after SIGTERM, {FOLLOWERS + IDLE:,} streams open"
            yield Figure(name, watch.seconds, "s")


def _raise_limit_of_files(needed: int) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most if most != resource.RLIM_INFINITY and most < needed else needed
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
