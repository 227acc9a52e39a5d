"""A request that is repeated with its key makes one task, however often and whenever it comes."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from cortex_tasks.backends.json_backend import JsonBackend
from cortex_tasks.backends.memory import MemoryBackend
from cortex_tasks.engine.context import TaskContext
from cortex_tasks.engine.engine import TaskEngine
from cortex_tasks.engine.errors import IdempotencyConflict, InvalidParameters
from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.engine.records import MAX_REQUESTS_KEPT
from cortex_tasks.engine.registry import task_type

from .engine_setting import an_engine, running, virtual_time


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return virtual_time(request.param)


@task_type("echo", concurrency=2)
async def echo(ctx: TaskContext, params: dict[str, int]) -> dict[str, int]:
    return params


@task_type("other")
async def other(ctx: TaskContext, params: dict[str, int]) -> None:
    pass


@task_type("endless", max_pending=1, concurrency=1)
async def endless(ctx: TaskContext) -> None:
    await anyio.sleep_forever()


async def test_a_repeated_request_is_given_its_task_also_when_that_has_ended() -> None:
    async with running(echo) as engine:
        first = await engine.submit(echo, {"a": 1, "b": 2}, idempotency_key="k")
        assert not first.deduplicated
        await first.wait()
        again = await engine.submit("echo", {"b": 2, "a": 1}, idempotency_key="k")
        assert again.id == first.id
        assert again.deduplicated
        assert await again.result() == {"a": 1, "b": 2}
        assert (await engine.list()).total == 1


async def test_requests_at_the_same_time_make_one_task() -> None:
    async with running(echo) as engine:
        ids: set[str] = set()

        async def ask() -> None:
            ids.add((await engine.submit(echo, {"a": 1}, idempotency_key="k")).id)

        async with anyio.create_task_group() as clients:
            for _ in range(20):
                clients.start_soon(ask)
        assert len(ids) == (await engine.list()).total == 1


@pytest.mark.parametrize(
    "different",
    [
        {"task": "other"},
        {"params": {"a": 2}},
        {"priority": 1},
        {"delay": 5},
        {"dedupe_key": "d"},
        {"then": ["other"]},
    ],
)
async def test_another_request_with_the_key_is_refused_and_changes_nothing(
    different: dict[str, Any],
) -> None:
    async with running(echo, other) as engine:
        asked: dict[str, Any] = {"task": "echo", "params": {"a": 1}}
        first = await engine.submit(**asked, idempotency_key="k")
        with pytest.raises(IdempotencyConflict, match=first.id):
            await engine.submit(**(asked | different), idempotency_key="k")
        assert (await engine.list()).total == 1
        assert (await engine.submit(**asked, idempotency_key="k")).id == first.id


async def test_a_key_is_known_after_a_restart(tmp_path: Path) -> None:
    for turn in range(3):
        async with TaskEngine([echo], backend=JsonBackend(tmp_path), watchdog=None) as engine:
            handle = await engine.submit(echo, {"a": 1}, idempotency_key="k")
            assert handle.deduplicated is (turn > 0)
            assert await handle.result() == {"a": 1}
            with pytest.raises(IdempotencyConflict):
                await engine.submit(echo, {"a": 2}, idempotency_key="k")
            assert (await engine.list()).total == 1


async def test_a_key_is_free_again_once_the_record_is_gone() -> None:
    async with running(echo) as engine:
        first = await engine.submit(echo, {"a": 1}, idempotency_key="k")
        await first.wait()
        assert await engine.cleanup(timedelta(0)) == 1
        second = await engine.submit(echo, {"a": 2}, idempotency_key="k")
        assert second.id != first.id
        assert (await second.wait()).status is TaskStatus.COMPLETED


async def test_a_full_queue_refuses_no_repeated_request() -> None:
    async with an_engine(endless, backend=MemoryBackend(), drain_grace=0) as engine:
        await engine.submit(endless)
        waiting = await engine.submit(endless, idempotency_key="k")
        assert (await engine.submit(endless, idempotency_key="k")).id == waiting.id


@pytest.mark.parametrize("key", ["", "x" * 501, "a\nb", 7, b"k"])
async def test_what_cannot_be_a_key_is_refused(key: Any) -> None:
    async with running(echo) as engine:
        with pytest.raises(InvalidParameters, match="idempotency_key"):
            await engine.submit(echo, {"a": 1}, idempotency_key=key)
        assert (await engine.list()).total == 0


async def test_a_request_that_was_given_the_task_of_another_keeps_it_also_after_a_restart(
    tmp_path: Path,
) -> None:
    async with TaskEngine([endless, echo], backend=JsonBackend(tmp_path), drain_grace=0) as engine:
        first = await engine.submit(endless, dedupe_key="d", idempotency_key="first")
        second = await engine.submit(endless, dedupe_key="d", idempotency_key="second")
        assert (second.id, second.deduplicated) == (first.id, True)
    async with TaskEngine([endless, echo], backend=JsonBackend(tmp_path), drain_grace=0) as engine:
        assert (await engine.get(first.id)).final
        for key in ("first", "second"):
            assert (
                await engine.submit(endless, dedupe_key="d", idempotency_key=key)
            ).id == first.id
            with pytest.raises(IdempotencyConflict, match=first.id):
                await engine.submit(echo, {"a": 1}, idempotency_key=key)
        assert (await engine.list()).total == 1
        assert await engine.cleanup(timedelta(0)) == 1
        for key in ("first", "second"):
            assert not (await engine.submit(echo, {"a": 1}, idempotency_key=key)).deduplicated


async def test_of_those_who_were_given_a_task_it_remembers_the_last_hundred() -> None:
    async with an_engine(endless, backend=MemoryBackend(), drain_grace=0) as engine:
        first = await engine.submit(endless, dedupe_key="d", idempotency_key="k")
        for number in range(MAX_REQUESTS_KEPT + 1):
            await engine.submit(endless, dedupe_key="d", idempotency_key=f"k{number}")
        await engine.cancel(first.id)
        assert (await engine.submit(endless, dedupe_key="d", idempotency_key="k")).id == first.id
        again = await engine.submit(endless, dedupe_key="d", idempotency_key="k1")
        assert again.id == first.id
        assert not (await engine.submit(endless, idempotency_key="k0")).deduplicated


@pytest.mark.parametrize("asked", [{1, 2}, [float("nan")], {"at": [b"x"]}, [object()]])
async def test_what_json_would_change_says_nothing_of_what_is_asked_for(asked: Any) -> None:
    async with running(echo) as engine:
        with pytest.raises(InvalidParameters, match=r"asked cannot be written as JSON: \$"):
            await engine.submit(echo, {"a": 1}, idempotency_key="k", asked=asked)
        with pytest.raises(InvalidParameters, match="asked cannot be written"):
            await engine.task_of_request("k", asked)
        assert (await engine.list()).total == 0


async def test_a_request_may_say_itself_what_it_asks_for() -> None:
    async with running(echo, other) as engine:
        assert await engine.task_of_request("k", ["report", 7]) is None
        first = await engine.submit(echo, {"a": 1}, idempotency_key="k", asked=["report", 7])
        again = await engine.submit(other, {"b": 2}, idempotency_key="k", asked=["report", 7])
        found = await engine.task_of_request("k", ["report", 7])
        assert found is not None
        assert first.id == again.id == found.id
        with pytest.raises(IdempotencyConflict):
            await engine.task_of_request("k", ["report", 8])
        with pytest.raises(IdempotencyConflict):
            await engine.submit(echo, {"a": 1}, idempotency_key="k")
