"""Polling a task over HTTP beside a bare Starlette route, each in a server process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import urlsplit

import anyio
import anyio.abc

from .measuring import Figure, Stopwatch, at_least, in_turn

CONNECTIONS = 16
ROUNDS = 5


class PolledServer(NamedTuple):
    """A server process, and the URL to poll."""

    url: str
    pid: int


@contextmanager
def polled_server(loop: str, kind: str) -> Iterator[PolledServer]:
    """Run a server process: `bare`, `api`, or `list` with the number of records in its store."""
    command = [sys.executable, "-m", "benchmarks.polled_server", loop, *kind.split()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield PolledServer(process.stdout.readline().strip(), process.pid)
        finally:
            process.kill()


async def polls_per_second(url: str, total: int) -> float:
    """Poll over a few connections that are kept open, each as fast as it is answered."""
    parts = urlsplit(url)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    request = f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()

    async def poll(count: int) -> None:
        async with await anyio.connect_tcp(parts.hostname or "", parts.port or 0) as stream:
            for _ in range(count):
                await stream.send(request)
                await _read_answer(stream)

    watch = Stopwatch()
    async with anyio.create_task_group() as group:
        for _ in range(CONNECTIONS):
            group.start_soon(poll, total // CONNECTIONS)
    return total / watch.seconds


async def _read_answer(stream: anyio.abc.ByteReceiveStream) -> None:
    received = b""
    while b"\r\n\r\n" not in received:
        received += await stream.receive()
    head, _, body = received.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"the server answered {head.splitlines()[0]!r}")
    lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    missing = int(lines[b"content-length"]) - len(body)
    while missing > 0:
        missing -= len(await stream.receive())


async def measure(loop: str) -> AsyncIterator[Figure]:
    """Every figure about requests to a server on this loop."""
    with polled_server(loop, "bare") as bare, polled_server(loop, "api") as api:
        limit, rate = await in_turn(
            [lambda: polls_per_second(bare.url, 2_000), lambda: polls_per_second(api.url, 2_000)],
            ROUNDS,
        )
    yield Figure(f"{loop}: bare Starlette route on Hypercorn", limit, "/s")
    yield at_least(f"{loop}: GET /api/tasks/{{id}}", rate, limit, "bare route", 0.8)
