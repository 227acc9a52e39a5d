"""What a law of the HTTP layer stands on: task types that do as they are told, and a client that
talks to the application in the same run, so that it shares the loop and its time.
"""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import msgspec
from starlette.types import ASGIApp

from cortex_tasks.engine.context import TaskContext
from cortex_tasks.engine.engine import TaskEngine
from cortex_tasks.engine.registry import TaskType, task_type
from cortex_tasks.http.app import create_app
from cortex_tasks.http.keys import KeyStore
from tests.engine_setting import an_engine
from tests.openapi_setting import hold_to_description

JSON = "application/json"
PROBLEM = "application/problem+json"


class Echo(msgspec.Struct):
    value: Any = None


@task_type("echo")
async def echo(ctx: TaskContext, params: Echo) -> Any:
    return params.value


@task_type("nothing")
async def nothing(ctx: TaskContext) -> None:
    return None


@task_type("failing")
async def failing(ctx: TaskContext) -> None:
    raise ValueError("the moon is full")


@task_type("endless")
async def endless(ctx: TaskContext) -> None:
    await ctx.progress(current=1, total=4, message="Looking at it")
    await anyio.sleep_forever()


class Obstinate:
    """A task type that ignores a cancel until it is let go."""

    def __init__(self) -> None:
        self.begun = anyio.Event()
        self.let_go = anyio.Event()

    def task_type(self) -> TaskType[Any, Any]:
        @task_type("obstinate", cancel_grace=1.0)
        async def obstinate(ctx: TaskContext) -> None:
            self.begun.set()
            with anyio.CancelScope(shield=True):
                await self.let_go.wait()
            await anyio.lowlevel.checkpoint()

        return obstinate


class Api:
    """An engine, the application over it, and a client that may do everything."""

    def __init__(self, engine: TaskEngine, app: ASGIApp, client: httpx2.AsyncClient) -> None:
        self.engine = engine
        self.app = app
        self.client = client

    async def ask(self, method: str, path: str, **options: Any) -> httpx2.Response:
        return await self.client.request(method, path, **options)

    async def get(self, path: str, **options: Any) -> httpx2.Response:
        return await self.ask("GET", path, **options)

    async def post(self, path: str, **options: Any) -> httpx2.Response:
        return await self.ask("POST", path, **options)

    async def delete(self, path: str, **options: Any) -> httpx2.Response:
        return await self.ask("DELETE", path, **options)

    async def ended(self, name: str, params: Any = None) -> str:
        """Run a task to its end; gives its id."""
        handle = await self.engine.submit(name, params)
        await handle.wait()
        return handle.id

    async def running(self, name: str) -> str:
        """Start a task, and wait until it runs; gives its id."""
        handle = await self.engine.submit(name)
        while (await self.engine.get(handle.id)).status != "running":
            await self.engine.wait_change(handle.id, (await self.engine.get(handle.id)).seq)
        return handle.id


@asynccontextmanager
async def serving(
    *task_types: TaskType[Any, Any],
    keys: KeyStore | None = None,
    key: str | None = None,
    library: Any = None,
    engine: TaskEngine | None = None,
    **options: Any,
) -> AsyncIterator[Api]:
    """An application over an entered engine, and a client with the key."""
    with anyio.fail_after(3600):
        async with engine or an_engine(*task_types, drain_grace=0) as entered:
            app = create_app(entered, library=library, keys=keys, **options)
            async with client_of(app, key) as client:
                yield Api(entered, app, client)


def client_of(app: ASGIApp, key: str | None = None) -> httpx2.AsyncClient:
    """A client of an application in the same run; every answer must be one that is described."""
    return httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app),
        event_hooks={"response": [hold_to_description]},
        base_url="http://testserver",
        headers={} if key is None else {"X-API-Key": key},
    )


def a_key_store(folder: Path) -> KeyStore:
    return KeyStore.in_folder(folder)


def assert_problem(response: httpx2.Response, status: int, detail: str | None = None) -> Any:
    """Check that the answer is a problem as RFC 9457 has it; gives its members."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == PROBLEM
    problem = response.json()
    assert isinstance(problem["detail"], str)
    assert problem["detail"]
    assert isinstance(problem["title"], str)
    assert problem["status"] == status
    if detail is not None:
        assert detail in problem["detail"]
    return problem


class RawCall:
    """One request by hand: each piece of its body is sent when the law says so."""

    def __init__(self, app: ASGIApp, method: str, path: str, **headers: str) -> None:
        self._app = app
        route, _, query = path.partition("?")
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "path": route,
            "raw_path": route.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "scheme": "http",
            "headers": [
                (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
            ],
        }
        self._outbox, self._inbox = anyio.create_memory_object_stream[dict[str, Any]](math.inf)
        self.received = 0  # messages that the application has taken
        self.sent: list[dict[str, Any]] = []
        self.answered = anyio.Event()  # the whole body of the answer is out, though it may go on
        self.ended = anyio.Event()
        self.news = anyio.Event()  # set when more is sent

    def send_body(self, piece: bytes, *, more: bool = False) -> None:
        self._outbox.send_nowait({"type": "http.request", "body": piece, "more_body": more})

    def go_away(self) -> None:
        if not self.ended.is_set():
            self._outbox.send_nowait({"type": "http.disconnect"})

    async def run(self) -> None:
        async def receive() -> dict[str, Any]:
            message = await self._inbox.receive()
            self.received += 1
            return message

        async def send(message: Any) -> None:
            await self.taken(message)

        with self._outbox, self._inbox:
            await self._app(self._scope, receive, send)
        self.ended.set()

    async def taken(self, message: Any) -> None:
        """The client has been sent this."""
        self.sent.append(message)
        if message["type"] == "http.response.body" and message.get("body"):
            self.answered.set()
        news, self.news = self.news, anyio.Event()
        news.set()

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status

    def json(self) -> Any:
        return json.loads(b"".join(message.get("body", b"") for message in self.sent[1:]))
