"""What is listed, and what is cleaned up when."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import anyio
import pytest

from cortex_tasks.backends.memory import MemoryBackend
from cortex_tasks.engine.context import TaskContext
from cortex_tasks.engine.errors import TaskNotFound
from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.engine.registry import task_type
from cortex_tasks.engine.settings import Retention

from .engine_setting import TickingClock, numbered_surroundings, running, virtual_time


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return virtual_time(request.param)


@task_type("quick")
async def quick(ctx: TaskContext) -> None:
    return None


@task_type("broken")
async def broken(ctx: TaskContext) -> None:
    raise ValueError("no")


@task_type("endless")
async def endless(ctx: TaskContext) -> None:
    await anyio.sleep_forever()


async def test_the_newest_come_first_and_pages_make_up_the_whole() -> None:
    async with running(endless, quick) as engine:
        ids = [(await engine.submit("endless" if n % 3 else "quick")).id for n in range(20)]
        await anyio.wait_all_tasks_blocked()
        page = await engine.list()
        assert [record.id for record in page.records] == ids[::-1]
        assert page.total == 20
        found = []
        for offset in range(0, 25, 7):
            part = await engine.list(limit=7, offset=offset)
            assert part.total == 20
            found += part.records
        assert found == page.records
        assert (await engine.list(offset=100)).records == []
        assert (await engine.list(limit=0)).records == []
        assert (await engine.list(limit=0)).total == 20


async def test_a_list_holds_what_was_asked_for() -> None:
    async with running(endless, quick, broken) as engine:
        for name in ("endless", "endless", "quick", "broken", "quick"):
            await engine.submit(name)
        await anyio.wait_all_tasks_blocked()
        await engine.cancel("task_1")
        await anyio.wait_all_tasks_blocked()

        async def ids(**filters: Any) -> list[str]:
            return [record.id for record in (await engine.list(**filters)).records]

        assert await ids(status="completed") == ["task_5", "task_3"]
        assert await ids(status=TaskStatus.FAILED) == ["task_4"]
        assert await ids(status="cancelled") == ["task_1"]
        assert await ids(status="running") == ["task_2"]
        assert await ids(task_type="endless") == ["task_2", "task_1"]
        assert await ids(task_type="endless", status="running") == ["task_2"]
        assert await ids(task_type="quick", limit=1, offset=1) == ["task_3"]
        assert engine.count() == 5
        assert engine.count(status=TaskStatus.COMPLETED) == 2
        assert engine.count(task_type="endless", status=TaskStatus.CANCELLED) == 1


async def test_an_unknown_status_or_type_matches_nothing() -> None:
    async with running(quick) as engine:
        await (await engine.submit(quick)).wait()
        for filters in ({"status": "done"}, {"status": ""}, {"task_type": "slow"}):
            page = await engine.list(**filters)  # type: ignore[arg-type]
            assert (page.records, page.total) == ([], 0)


async def test_a_page_before_the_first_is_refused() -> None:
    async with running(quick) as engine:
        with pytest.raises(ValueError, match="must be 0 or more"):
            await engine.list(limit=-1)
        with pytest.raises(ValueError, match="must be 0 or more"):
            await engine.list(offset=-1)


async def test_cleanup_drops_what_ended_long_ago_and_never_what_has_not() -> None:
    surroundings, backend = numbered_surroundings(), MemoryBackend()
    clock = surroundings.clock
    assert isinstance(clock, TickingClock)
    async with running(
        quick, broken, endless, backend=backend, surroundings=surroundings
    ) as engine:
        run, waiting = await engine.submit(endless), await engine.submit(endless)
        old = [await engine.submit(quick), await engine.submit(broken)]
        cancelled = await engine.submit(endless)
        await cancelled.cancel()
        for handle in old:
            await handle.wait()
        clock.time += timedelta(hours=25)
        recent = await engine.submit(quick)
        await recent.wait()
        seq = engine.seq
        events = engine.events()
        assert await engine.cleanup(max_age=timedelta(hours=24)) == 3
        assert await engine.cleanup(max_age=timedelta(hours=24)) == 0
        kept = {record.id for record in (await engine.list()).records}
        assert kept == {run.id, waiting.id, recent.id}
        with pytest.raises(TaskNotFound, match="cleaned up"):
            await old[0].wait()
        with pytest.raises(TaskNotFound):
            await backend.read(old[0].id, "result")
        removals = [await anext(events) for _ in range(3)]
        assert all(removal.removed and removal.record is None for removal in removals)
        assert [removal.seq for removal in removals] == [seq + 1, seq + 2, seq + 3]
        assert await engine.cleanup(max_age=timedelta(0)) == 1


async def test_more_than_one_batch_is_cleaned_up_in_one_call() -> None:
    async with running(quick) as engine:
        handles = await engine.submit_many(quick, [None] * 2_500)
        for handle in handles:
            await handle.wait()
        assert await engine.cleanup(max_age=timedelta(0)) == 2_500
        assert (await engine.list()).total == 0


async def test_old_tasks_go_by_themselves() -> None:
    surroundings = numbered_surroundings()
    clock = surroundings.clock
    assert isinstance(clock, TickingClock)
    keep = Retention(max_age=timedelta(days=7), max_count=None, every=timedelta(minutes=10))
    async with running(quick, endless, surroundings=surroundings, retention=keep) as engine:
        await engine.submit(endless)
        await (await engine.submit(quick)).wait()
        clock.time += timedelta(days=6)
        await anyio.sleep(601)
        assert (await engine.list()).total == 2
        clock.time += timedelta(days=2)
        await anyio.sleep(601)
        assert [record.type for record in (await engine.list()).records] == ["endless"]


async def test_of_too_many_final_tasks_those_that_ended_first_go() -> None:
    keep = Retention(max_age=None, max_count=3, every=timedelta(minutes=10))
    async with running(quick, endless, retention=keep) as engine:
        await engine.submit(endless)
        for _ in range(10):
            await (await engine.submit(quick)).wait()
        await anyio.sleep(601)
        ids = [record.id for record in (await engine.list()).records]
        assert ids == ["task_11", "task_10", "task_9", "task_1"]


async def test_numbers_go_on_after_the_newest_task_was_dropped_and_the_engine_restarted() -> None:
    backend = MemoryBackend()
    async with running(quick, backend=backend) as engine:
        await (await engine.submit(quick)).wait()
        await engine.cleanup(max_age=timedelta(0))
        last = engine.seq
    async with running(quick, backend=backend) as engine:
        assert engine.seq == last
        events = engine.events()
        await engine.submit(quick)
        assert (await anext(events)).seq == last + 1


async def test_the_registered_types_can_be_asked_for() -> None:
    async with running(quick, endless) as engine:
        assert list(engine.task_types) == [quick, endless]
