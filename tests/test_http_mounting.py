"""The application inside another one: under a prefix, with a life and keys of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from cortex_tasks.engine.context import TaskContext
from cortex_tasks.engine.registry import task_type
from cortex_tasks.http.app import create_app
from cortex_tasks.http.stopping import DrainSignals
from tests.engine_setting import an_engine
from tests.http_setting import (
    RawCall,
    a_key_store,
    assert_problem,
    client_of,
    echo,
    serving,
)


@task_type("still")
async def still(ctx: TaskContext) -> None:
    await anyio.sleep_forever()


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


@pytest.mark.parametrize("prefix", ["/cortex", "/a/b/c", ""])
async def test_its_paths_follow_the_prefix(prefix: str) -> None:
    async with serving(echo) as api:
        task_id = await api.ended("echo", {"value": 1})
        host = Starlette(
            routes=[
                Route("/hello", hello),
                Mount(prefix, app=create_app(api.engine)),
            ]
        )
        async with client_of(host) as client:
            assert (await client.get("/hello")).text == "hello"
            assert (await client.get(f"{prefix}/health")).json()["status"] == "healthy"
            task = await client.get(f"{prefix}/api/tasks/{task_id}")
            assert task.json()["result"] == 1
            assert_problem(await client.get(f"{prefix}/nowhere"), 404)
            wrong = await client.put(f"{prefix}/api/tasks/{task_id}")
            assert_problem(wrong, 405)
            assert wrong.headers["allow"] == "DELETE, GET, HEAD"


async def test_its_keys_are_its_own(tmp_path: Path) -> None:
    keys = a_key_store(tmp_path)
    async with serving(echo) as api:
        inner = create_app(api.engine, keys=keys)
        host = Starlette(routes=[Route("/hello", hello), Mount("/cortex", app=inner)])
        async with client_of(host) as client:
            assert (await client.get("/hello")).status_code == 200
            assert_problem(await client.get("/cortex/api/tasks"), 401)
        async with client_of(host, keys.create("me", ["read"])) as client:
            assert (await client.get("/cortex/api/tasks")).status_code == 200


async def test_two_of_them_do_not_mix() -> None:
    async with serving(echo) as one, serving(echo) as two:
        task_id = await one.ended("echo")
        await two.ended("echo")
        await two.ended("echo")
        host = Starlette(routes=[Mount("/one", app=one.app), Mount("/two", app=two.app)])
        async with client_of(host) as client:
            assert (await client.get("/one/api/tasks")).json()["total"] == 1
            assert (await client.get("/two/api/tasks")).json()["total"] == 2
            assert (await client.get(f"/one/api/tasks/{task_id}")).status_code == 200


async def test_the_engine_lives_in_the_lifespan_of_the_host() -> None:
    engine = an_engine(echo)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with engine:
            yield

    host = Starlette(routes=[Mount("/cortex", app=create_app(engine))], lifespan=lifespan)
    async with client_of(host) as client:
        async with host.router.lifespan_context(host):
            assert (await client.get("/cortex/health")).status_code == 200
            handle = await engine.submit("echo", {"value": 1})
            await handle.wait()
            assert (await client.get(f"/cortex/api/tasks/{handle.id}")).json()["result"] == 1
        assert (await client.get("/cortex/health")).status_code == 503


@pytest.mark.parametrize("path", ["/cortex/api/tasks/{}?wait=3600", "/cortex/api/tasks/cleanup"])
async def test_a_middleware_that_insists_on_an_answer_gets_one_for_a_client_that_has_gone(
    path: str,
) -> None:
    async def pass_on(request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)

    async with serving(still) as api:
        path = path.format(await api.running("still"))
        host = Starlette(
            routes=[Mount("/cortex", app=api.app)],
            middleware=[Middleware(BaseHTTPMiddleware, dispatch=pass_on)],
        )
        method = "POST" if path.endswith("cleanup") else "GET"
        call = RawCall(host, method, path, content_type="application/json")
        async with anyio.create_task_group() as group:
            group.start_soon(call.run)
            call.send_body(b"", more=method == "POST")
            await anyio.wait_all_tasks_blocked()
            call.go_away()
        assert call.ended.is_set()


async def test_a_signal_sets_draining_and_reaches_the_server_of_the_host() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        servers_own = signal.getsignal(signal.SIGTERM)
        draining = anyio.Event()
        with anyio.fail_after(60), DrainSignals(draining):
            os.kill(os.getpid(), signal.SIGTERM)
            await draining.wait()
        assert heard == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGTERM) is servers_own
    finally:
        signal.signal(signal.SIGTERM, before)


async def test_a_signal_that_nobody_hears_is_left_alone() -> None:
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    with DrainSignals(anyio.Event()):
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


async def test_before_its_engine_is_entered_it_says_that_it_cannot_serve() -> None:
    async with serving(echo) as api:
        left = api.app
    async with client_of(left) as client:
        assert (await client.get("/health")).status_code == 503
        assert_problem(await client.get("/api/tasks"), 503)
