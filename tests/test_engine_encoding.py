"""Large values are encoded in threads that no body can hold."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable

import anyio
import pytest
from anyio import to_thread

from cortex_tasks import MemoryBackend, TaskContext, TaskEngine, task_type
from cortex_tasks.http.app import create_app
from tests.http_setting import assert_problem, client_of

LARGE = list(range(5_000))


async def submits(engine: TaskEngine) -> None:
    handle = await engine.submit("measure", LARGE)
    assert await handle.result() == len(LARGE)


async def submits_what_does_not_fit(engine: TaskEngine) -> None:
    async with client_of(create_app(engine)) as client:
        wanted = {"task_type": "measure", "params": [*LARGE, "x"]}
        assert_problem(await client.post("/api/tasks", json=wanted), 422)


async def gives_a_large_result(engine: TaskEngine) -> None:
    assert await (await engine.submit("count")).result() == LARGE


@pytest.mark.parametrize("does", [submits, submits_what_does_not_fit, gives_a_large_result])
async def test_bodies_that_hold_all_threads_keep_nobody_else_waiting(
    does: Callable[[TaskEngine], Awaitable[None]],
) -> None:
    held, let_go = anyio.Event(), threading.Event()

    @task_type("hold")
    async def hold(ctx: TaskContext) -> None:
        held.set()
        await ctx.offload(let_go.wait)

    @task_type("measure", params=list[int])
    async def measure(ctx: TaskContext, params: list[int]) -> int:
        return len(params)

    @task_type("count")
    async def count(ctx: TaskContext) -> list[int]:
        await ctx.checkpoint(LARGE)
        return LARGE

    threads = to_thread.current_default_thread_limiter()
    usual, threads.total_tokens = threads.total_tokens, 1
    async with TaskEngine([hold, measure, count], backend=MemoryBackend()) as engine:
        await engine.submit("hold")
        await held.wait()
        try:
            with anyio.fail_after(30):
                await does(engine)
        finally:
            let_go.set()
            threads.total_tokens = usual
