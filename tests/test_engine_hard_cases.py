"""Bodies and callers that came upon a hole once."""

from __future__ import annotations

import anyio
import msgspec
import pytest

from cortex_tasks import TaskContext, TaskStatus, task_type

from .engine_setting import running, virtual_time


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """Both loops, on virtual time."""
    return virtual_time(request.param)


@task_type("raw")
async def raw(ctx: TaskContext, params: str) -> msgspec.Raw:
    """Gives what it was given as JSON, whatever it is."""
    return msgspec.Raw(params.encode("latin-1"))


@pytest.mark.parametrize("text", ["{broken", "1 2", "", '"\xff"'])
async def test_a_body_that_gives_broken_json_fails_alone(text: str) -> None:
    async with running(raw) as engine:
        record = await (await engine.submit(raw, text)).wait()
        assert record.status is TaskStatus.FAILED
        assert "not JSON" in (record.error or "")
        assert await (await engine.submit(raw, "[1]")).result() == msgspec.Raw(b"[1]")


async def test_a_result_is_never_null() -> None:
    async with running(raw) as engine:
        handle = await engine.submit(raw, "null")
        await handle.wait()
        assert await engine.result(handle.id) == {}


async def test_a_task_that_is_asked_to_stop_stands_in_for_no_other() -> None:
    begun = anyio.Event()

    @task_type("slow_to_stop")
    async def slow_to_stop(ctx: TaskContext) -> None:
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(1)

    async with running(slow_to_stop) as engine:
        first = await engine.submit(slow_to_stop, dedupe_key="one")
        await begun.wait()
        async with anyio.create_task_group() as group:
            group.start_soon(first.cancel)
            record = await engine.get(first.id)
            while record.cancel_requested_at is None:
                record = await engine.wait_change(record.id, record.seq)
            second = await engine.submit(slow_to_stop, dedupe_key="one")
            assert not second.deduplicated
            assert (await engine.submit(slow_to_stop, dedupe_key="one")).id == second.id
        await second.cancel()
