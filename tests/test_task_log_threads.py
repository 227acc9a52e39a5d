"""What a body writes to its task's log from threads: here they are real ones."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from cortex_tasks import MemoryBackend, TaskContext, TaskEngine, task_type


async def test_a_body_writes_from_threads_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    @task_type("threaded")
    async def threaded(ctx: TaskContext) -> None:
        def work() -> None:
            ctx.log("a line", n=1)
            ctx.log.warning("as a %s", "logger")

        await ctx.offload(work)
        ctx.log("between")
        await anyio.to_thread.run_sync(work)

    async with TaskEngine([threaded], backend=MemoryBackend()) as engine:
        handle = await engine.submit("threaded")
        await handle.result()
        lines = (await engine.log_lines(handle.id)).lines
        half = ["a line", "as a logger"]
        assert [line.message for line in lines] == [*half, "between", *half]
        assert [
            each.getMessage() for each in caplog.records if each.name.endswith(".threaded")
        ] == [
            *half,
            "between",
            *half,
        ]


async def test_what_threads_write_is_kept_if_the_body_waits_for_them_however_it_does() -> None:
    @task_type("pool")
    async def pool(ctx: TaskContext) -> None:
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(ctx.log, range(20)))

    @task_type("joined")
    async def joined(ctx: TaskContext) -> None:
        thread = threading.Thread(target=ctx.log, args=("a line",))
        thread.start()
        thread.join()

    @task_type("looked_at")
    async def looked_at(ctx: TaskContext) -> None:
        thread = threading.Thread(target=ctx.log, args=("a line",))
        thread.start()
        while thread.is_alive():
            await anyio.lowlevel.checkpoint()

    async with TaskEngine([pool, joined, looked_at], backend=MemoryBackend()) as engine:
        for name, count in (("pool", 20), ("joined", 1), ("looked_at", 1)):
            for _ in range(5):
                handle = await engine.submit(name)
                await handle.result()
                assert len((await engine.log_lines(handle.id)).lines) == count


async def test_what_a_thread_writes_when_all_is_over_is_nobodys_trouble() -> None:
    contexts: list[TaskContext] = []

    @task_type("quick")
    async def quick(ctx: TaskContext) -> None:
        contexts.append(ctx)

    async with TaskEngine([quick], backend=MemoryBackend()) as engine:
        handle = await engine.submit("quick")
        await handle.result()
        await anyio.to_thread.run_sync(contexts[0].log, "late")
        assert (await engine.log_lines(handle.id)).lines == []
        assert (await engine.get(handle.id)).status == "completed"
    await anyio.to_thread.run_sync(contexts[0].log, "later still")
