"""The application inside another one: under a prefix, with a life and keys of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from cortex_tasks.engine.engine import TaskEngine
from cortex_tasks.http.app import create_app
from tests.http_setting import a_key_store, assert_problem, client_of, echo, serving


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


async def test_the_engine_may_live_in_the_lifespan_of_the_host() -> None:
    async with serving(echo) as outer:
        engine = outer.engine
        seen: list[TaskEngine] = []

        @asynccontextmanager
        async def lifespan(app: Starlette) -> AsyncIterator[None]:
            seen.append(engine)
            yield

        host = Starlette(routes=[Mount("/cortex", app=create_app(engine))], lifespan=lifespan)
        async with host.router.lifespan_context(host), client_of(host) as client:
            assert (await client.get("/cortex/health")).status_code == 200
        assert seen == [engine]


async def test_before_its_engine_is_entered_it_says_that_it_cannot_serve() -> None:
    async with serving(echo) as api:
        left = api.app
    async with client_of(left) as client:
        assert (await client.get("/health")).status_code == 503
        assert_problem(await client.get("/api/tasks"), 503)
