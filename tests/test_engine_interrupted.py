"""A body that raises KeyboardInterrupt ends the engine, and nothing of it stays behind."""

from __future__ import annotations

import threading

import anyio
import pytest

from cortex_tasks.backends.memory import MemoryBackend
from cortex_tasks.engine.context import TaskContext
from cortex_tasks.engine.engine import TaskEngine
from cortex_tasks.engine.registry import task_type

from .engine_setting import VirtualTimeLoop, an_engine


@pytest.mark.parametrize("loop", ["trio", "asyncio"])
def test_a_keyboard_interrupt_is_not_swallowed(loop: str) -> None:
    @task_type("interrupted")
    async def interrupted(ctx: TaskContext) -> None:
        raise KeyboardInterrupt

    backend = MemoryBackend()

    async def main() -> None:
        async with an_engine(interrupted, backend=backend) as engine:
            await (await engine.submit(interrupted)).wait()
            await anyio.sleep_forever()

    options = {"loop_factory": VirtualTimeLoop} if loop == "asyncio" else {}
    with pytest.raises(BaseException) as caught:  # noqa: PT011  looked at below
        anyio.run(main, backend=loop, backend_options=options)
    error: BaseException = caught.value
    while isinstance(error, BaseExceptionGroup):
        (error,) = error.exceptions
    assert isinstance(error, KeyboardInterrupt)


@pytest.mark.parametrize("loop", ["trio", "asyncio"])
def test_a_keyboard_interrupt_leaves_no_thread_that_would_keep_the_process_alive(loop: str) -> None:
    @task_type("interrupted")
    async def interrupted(ctx: TaskContext) -> None:
        await ctx.offload(list)
        raise KeyboardInterrupt

    async def main() -> None:
        async with TaskEngine([interrupted], backend=MemoryBackend()) as engine:
            await (await engine.submit(interrupted)).wait()

    before = threading.enumerate()
    with pytest.raises(BaseException):  # noqa: B017, PT011  in groups or not, as each loop does it
        anyio.run(main, backend=loop)
    for thread in set(threading.enumerate()) - set(before):
        if not thread.daemon:
            thread.join(timeout=30)
            assert not thread.is_alive()
