"""A server as a process of its own, put together from the public parts; and the holding of one.

Run as a program: `python -m tests.http_process LOOP OPTIONS`, its options as JSON. Its first line
of output is its URL. Beside the API it answers `POST /start/{task type}` with a task's id.
"""

from __future__ import annotations

import http.client
import json
import logging
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from cortex_tasks.backends.memory import MemoryBackend
from cortex_tasks.engine.context import TaskContext
from cortex_tasks.engine.engine import TaskEngine
from cortex_tasks.engine.registry import TaskType, task_type
from cortex_tasks.http.app import create_app
from cortex_tasks.http.serving import serve
from cortex_tasks.http.stopping import StopSignals

ROOT = Path(__file__).parent.parent
PATIENCE = 60.0  # seconds after which a law has failed; nothing that passes comes near it
BIG = 200_000  # bytes of the result of `big`


# -- the program ---------------------------------------------------------------------------------


@task_type("big")
async def big(ctx: TaskContext) -> str:
    return "x" * BIG


@task_type("quick", concurrency=100)
async def quick(ctx: TaskContext) -> None:
    await ctx.progress(percent=50, message="x" * 900)


@task_type("endless")
async def endless(ctx: TaskContext) -> None:
    await anyio.sleep_forever()


@task_type("deaf", cancel_grace=PATIENCE * 2)
async def deaf(ctx: TaskContext) -> None:
    with anyio.CancelScope(shield=True):
        await anyio.sleep_forever()


@task_type("blocking")
async def blocking(ctx: TaskContext) -> None:
    print("blocked", flush=True)  # noqa: T201  # nothing else will be heard of it
    time.sleep(1000)  # noqa: ASYNC251  # what it is for


def end_a_forked_process() -> int | None:
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(1000,))
    process.start()
    process.terminate()
    process.join()
    return process.exitcode


@task_type("forking")
async def forking(ctx: TaskContext) -> int | None:
    return await ctx.offload(end_a_forked_process)


@task_type("unheard")
async def unheard(ctx: TaskContext) -> None:
    # As if a signal came between the interpreter's last look for one and a call into C.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGINT])
    print("blocked", flush=True)  # noqa: T201
    time.sleep(1000)  # noqa: ASYNC251


@task_type("speechless")
async def speechless(ctx: TaskContext) -> None:
    # As if it were in the midst of a line of the log that nobody takes.
    assert logging.lastResort
    logging.lastResort.acquire()
    print("blocked", flush=True)  # noqa: T201
    time.sleep(1000)  # noqa: ASYNC251


class Obstinate:
    """A task that hears of its cancel and stops when it is let go."""

    def __init__(self) -> None:
        self._let_go = anyio.Event()

    def task_type(self) -> TaskType[Any, Any]:
        @task_type("obstinate", cancel_grace=PATIENCE * 2)
        async def obstinate(ctx: TaskContext) -> None:
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await self._let_go.wait()

        return obstinate

    async def let_go(self, request: Request) -> Response:
        self._let_go.set()
        return Response()


async def host(request: Request) -> Response:
    return JSONResponse(request.headers.getlist("host"))


async def stream(request: Request) -> Response:
    async def for_ever() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 10_000

    return StreamingResponse(for_ever())


async def pieces(request: Request) -> Response:
    async def a_few() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * 10

    return StreamingResponse(a_few())


async def file(request: Request) -> Response:
    return FileResponse(__file__)


async def failing_halfway(request: Request) -> Response:
    async def half() -> AsyncIterator[bytes]:
        yield b"x"
        raise ValueError("the moon is full")

    return StreamingResponse(half())


async def main(patience: float, grace: float, keep_alive: float) -> None:
    draining = anyio.Event()
    obstinate = Obstinate()
    types: list[TaskType[Any, Any]] = [
        *(big, quick, endless, deaf, blocking, unheard, speechless, forking),
        obstinate.task_type(),
    ]
    with (
        anyio.CancelScope() as all_of_it,
        StopSignals(draining, all_of_it.cancel, patience=patience),
    ):
        async with TaskEngine(
            types,
            backend=MemoryBackend(),
            drain_grace=0,
            watchdog=None,  # whether the loop is held up is the machine's to decide, and timing
        ) as engine:

            async def start(request: Request) -> Response:
                return JSONResponse((await engine.submit(request.path_params["name"])).id)

            async def start_many(request: Request) -> Response:
                name, count = request.path_params["name"], request.path_params["count"]
                await engine.submit_many(name, [None] * count)
                return Response()

            api = create_app(engine, draining=draining, upload_limit=1000, json_limit=1000)
            routes = [
                Route("/start/{name}", start, methods=["POST"]),
                Route("/start/{name}/{count:int}", start_many, methods=["POST"]),
                Route("/let-go", obstinate.let_go, methods=["POST"]),
                Route("/host", host),
                Route("/stream", stream),
                Route("/pieces", pieces),
                Route("/file", file),
                Route("/failing-halfway", failing_halfway),
                Mount("", app=api),
            ]
            await serve(
                Starlette(routes=routes),
                port=0,
                draining=draining,
                grace=grace,
                keep_alive=keep_alive,
                on_ready=lambda url: print(url, flush=True),  # noqa: T201
            )
    print("left", flush=True)  # noqa: T201


# -- holding it ----------------------------------------------------------------------------------


class Server:
    """A running server, and how to talk to it."""

    def __init__(self, process: subprocess.Popen[str], log: IO[str]) -> None:
        self.process = process
        self._log = log
        self.url = self.line()
        parts = urlsplit(self.url)
        assert parts.hostname is not None, self.log()
        assert parts.port is not None
        self.address = parts.hostname, parts.port

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=PATIENCE)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Any:
        """Ask on a connection of its own; gives status and JSON."""
        connection = http.client.HTTPConnection(*self.address, timeout=PATIENCE)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read() or b"null")
        finally:
            connection.close()

    def start(self, name: str) -> str:
        """Submit a task and wait until it runs; gives its id."""
        task_id: str = self.ask("POST", f"/start/{name}")[1]
        while self.ask("GET", f"/api/tasks/{task_id}?wait=1")[1]["status"] == "pending":
            pass
        return task_id

    def is_well(self) -> bool:
        """Whether it lives and answers."""
        status, health = self.ask("GET", "/health")
        return self.process.poll() is None and (status, health["status"]) == (200, "healthy")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; gives the exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def wait_until_it_refuses(self) -> None:
        """Wait until a signal was heard. (Two that are equal and waiting would count as one.)"""
        while True:
            try:
                self.connect().close()
            except ConnectionRefusedError:
                return
            except ConnectionResetError:
                pass  # it is about to

    def line(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        watchdog = threading.Timer(PATIENCE, self.process.kill)
        watchdog.start()
        try:
            return self.process.stdout.readline().strip()
        finally:
            watchdog.cancel()

    def log(self) -> str:
        """What it has logged."""
        # Not by seeking: the process writes where this file stands.
        return os.pread(self._log.fileno(), 1_000_000, 0).decode()


@contextmanager
def a_server(
    loop: str,
    *,
    patience: float = PATIENCE,
    grace: float = 0.5,
    keep_alive: float = PATIENCE * 2,
    program: str = "tests.http_process",
    **more: str | float,
) -> Iterator[Server]:
    """Run one; it is killed at the end, if it has not ended. `more`: options of the program."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    options = {"patience": patience, "grace": grace, "keep_alive": keep_alive, **more}
    with (
        tempfile.TemporaryFile("w+") as log,  # a pipe that nobody reads would fill, and hold it up
        subprocess.Popen(
            [sys.executable, "-m", program, loop, json.dumps(options)],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        try:
            yield Server(process, log)
        finally:
            process.kill()


if __name__ == "__main__":
    anyio.run(lambda: main(**json.loads(sys.argv[2])), backend=sys.argv[1])
