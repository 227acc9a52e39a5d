"""A report that went along with its task's outcome is not told again, to an engine that is gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import anyio
import pytest

from cortex_tasks.engine.context import TaskContext
from cortex_tasks.engine.registry import task_type

from .engine_setting import running, virtual_time

T = TypeVar("T")


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return virtual_time(request.param)


class SlowToEnd:
    """Children that take ten minutes to be closed."""

    async def run(
        self,
        function: Callable[..., T],
        *args: Any,
        on_progress: Callable[[dict[str, Any]], None] | None = None,
        **kwargs: Any,
    ) -> T:
        return function(*args, **kwargs)

    async def aclose(self) -> None:
        await anyio.sleep(600)


@task_type("tell_twice")
async def tell_twice(ctx: TaskContext) -> None:
    await ctx.progress(percent=1, message="told at once")
    await anyio.sleep(0.01)
    await ctx.progress(percent=2, message="told with the outcome")


async def test_leaving_slowly_after_a_last_report_is_no_error() -> None:
    async with running(tell_twice, children=SlowToEnd(), progress_interval=60.0) as engine:
        handle = await engine.submit(tell_twice)
        record = await handle.wait()
        assert record.message == "told with the outcome"
