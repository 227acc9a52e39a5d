"""Progress that tells the truth and costs little; changes that can be followed without a gap."""

from __future__ import annotations

import itertools
import math
from typing import Any

import anyio
import msgspec
import pytest

from cortex_tasks.engine.context import TaskContext
from cortex_tasks.engine.errors import EventsMissed
from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.engine.records import TaskEvent, TaskRecord
from cortex_tasks.engine.registry import task_type
from cortex_tasks.engine.settings import Limits

from .engine_setting import HoldingBackend, running, virtual_time


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return virtual_time(request.param)


class Count(msgspec.Struct):
    number: int = 0


@task_type("count", concurrency=2)
async def count(ctx: TaskContext, params: Count) -> None:
    for number in range(1, params.number + 1):
        await ctx.progress(current=number, total=params.number, message=f"Number {number}")


@task_type("quick")
async def quick(ctx: TaskContext) -> None:
    return None


async def changes_of(engine: Any, task_id: str) -> list[TaskRecord]:
    """All records that the task has had, up to the final one."""
    found = []
    async for change in engine.events(after=0):
        if change.task_id == task_id:
            found.append(change.record)
            if change.record.final:
                break
    return found


# -- progress ------------------------------------------------------------------------------------


async def test_a_hundred_thousand_reports_cost_few_changes_and_the_last_is_kept() -> None:
    backend = HoldingBackend()
    async with running(count, backend=backend) as engine:
        handle = await engine.submit(count, Count(100_000))
        record = await handle.wait()
        assert (record.progress_current, record.progress_total) == (100_000, 100_000)
        assert record.message == "Number 100000"
        assert record.progress_percent == 100
        assert engine.seq < 10
        assert len(backend.commits) < 10


async def test_the_last_report_of_a_body_that_fails_is_kept_too() -> None:
    @task_type("half")
    async def half(ctx: TaskContext) -> None:
        await ctx.progress(current=1, total=2, message="One of two")
        raise ValueError("no")

    async with running(half) as engine:
        record = await (await engine.submit(half)).wait()
        assert (record.progress_percent, record.progress_current) == (50, 1)


async def test_the_first_report_is_seen_at_once_and_others_at_most_once_an_interval() -> None:
    times: list[float] = []

    @task_type("steady")
    async def steady(ctx: TaskContext) -> None:
        for number in range(1_000):
            await ctx.progress(current=number, total=1_000)
            await anyio.sleep(0.01)

    async with running(steady, progress_interval=1.0) as engine:
        before = anyio.current_time()
        handle = await engine.submit(steady)
        seq = engine.seq
        while not (record := await engine.wait_change(handle.id, seq)).final:
            seq = record.seq
            times.append(anyio.current_time() - before)
        assert times[0] < 0.1
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert min(gaps[:-1]) > 0.9
        assert 9 <= len(times) <= 12


async def test_percent_never_falls_and_is_100_only_when_completed() -> None:
    @task_type("wavering")
    async def wavering(ctx: TaskContext) -> None:
        for percent in (10, 60, 30, 100, 1e9, -4):
            await ctx.progress(percent=percent)
            await anyio.sleep(1)

    async with running(wavering) as engine:
        handle = await engine.submit(wavering)
        records = await changes_of(engine, handle.id)
        percents = [record.progress_percent for record in records]
        assert percents == sorted(percents)
        assert percents[-1] == 100
        assert set(percents) == {0, 10, 60, 99, 100}
        updated = [record.updated_at for record in records]
        assert updated == sorted(updated)
        assert len(set(updated[1:])) == len(updated[1:])


BAD: list[tuple[dict[str, Any], str]] = [
    ({"percent": math.nan}, "ValueError: percent must be a finite number"),
    ({"current": math.inf}, "ValueError: current must be a finite number"),
    ({"total": -math.inf}, "ValueError: total must be a finite number"),
    ({"current": 10**400}, "ValueError: current must be a finite number"),
    ({"current": 2**60}, "ValueError: current must be a finite number"),
    ({"current": "one"}, "TypeError: current must be a number, not str"),
    ({"percent": True}, "TypeError: percent must be a number, not bool"),
    ({"message": 3}, "TypeError: message must be text, not int"),
    ({"message": b"x"}, "TypeError: message must be text, not bytes"),
]


@pytest.mark.parametrize(("fields", "error"), BAD, ids=str)
async def test_a_report_that_cannot_be_true_fails_its_task_alone(
    fields: dict[str, Any], error: str
) -> None:
    @task_type("bad")
    async def bad(ctx: TaskContext) -> None:
        await ctx.progress(**fields)

    async with running(bad, quick) as engine:
        record = await (await engine.submit(bad)).wait()
        assert record.status is TaskStatus.FAILED
        assert str(record.error).startswith(error)
        assert (await (await engine.submit(quick)).wait()).status is TaskStatus.COMPLETED


async def test_odd_reports_that_can_be_kept_harm_nothing() -> None:
    @task_type("odd")
    async def odd(ctx: TaskContext) -> None:
        reports: list[dict[str, Any]] = [
            {"message": "\ud800 \udcff"},
            {"message": "x" * 1_000_000},
            {"message": ""},
            {"current": -5, "total": -10},
            {"current": 2**53, "total": 1e-300},
            {"current": 1, "total": 0},
            {"percent": 1e-300},
            {},
        ]
        for fields in reports:
            await ctx.progress(**fields)
            await anyio.sleep(1)

    async with running(odd) as engine:
        handle = await engine.submit(odd)
        records = await changes_of(engine, handle.id)
        assert records[-1].status is TaskStatus.COMPLETED, records[-1].error
        for record in records:
            assert len(record.message) <= 1_000
            assert 0 <= record.progress_percent <= 100
            msgspec.json.encode(record)


async def test_a_report_is_a_point_at_which_a_cancel_is_heard() -> None:
    @task_type("busy")
    async def busy(ctx: TaskContext) -> None:
        while True:
            await ctx.progress(message="busy")

    async with running(busy, quick) as engine:
        handle = await engine.submit(busy)
        assert await (await engine.submit(quick)).wait()  # type: ignore[truthy-bool]
        assert (await handle.cancel()).status is TaskStatus.CANCELLED


async def test_a_context_that_outlives_its_body_changes_nothing() -> None:
    kept: list[TaskContext] = []

    @task_type("leaking")
    async def leaking(ctx: TaskContext) -> None:
        kept.append(ctx)
        await ctx.progress(current=1, total=2)

    async with running(leaking) as engine:
        record = await (await engine.submit(leaking)).wait()
        await kept[0].progress(current=2, total=2, message="late")
        await anyio.sleep(10)
        assert await engine.get(record.id) == record


async def test_a_body_knows_who_it_is_and_has_its_ways_to_the_world() -> None:
    @task_type("curious")
    async def curious(ctx: TaskContext) -> list[Any]:
        ctx.log.info("here")
        doubled = await ctx.offload(lambda: 21 * 2)
        return [ctx.task_id, ctx.task_type, ctx.attempt, doubled, ctx.clock.now().isoformat()]

    async with running(curious) as engine:
        result: Any = await (await engine.submit(curious)).result()
        assert result[:4] == ["task_1", "curious", 1, 42]
        assert result[4].startswith("2026-03-15")


# -- changes -------------------------------------------------------------------------------------


async def test_changes_come_in_order_and_without_a_gap() -> None:
    async with running(count) as engine:
        handles = await engine.submit_many(count, [Count(number) for number in range(20)])
        for handle in handles:
            await handle.wait()
        last = engine.seq
        seen: list[TaskEvent] = []
        events = engine.events(after=0)
        while events.seq < last:
            seen.append(await anext(events))
        assert [change.seq for change in seen] == list(range(1, last + 1))
        assert {change.task_id for change in seen} == {handle.id for handle in handles}
        for change in seen:
            assert change.record is not None
            assert change.record.seq == change.seq
            assert not change.removed


async def test_a_follower_goes_on_after_the_number_that_it_saw_last() -> None:
    async with running(quick) as engine:
        await (await engine.submit(quick)).wait()
        events = engine.events(after=0)
        first = await anext(events)
        again = engine.events(after=first.seq)
        assert (await anext(again)).seq == first.seq + 1
        from_now = engine.events()
        handle = await engine.submit(quick)
        change = await anext(from_now)
        assert (change.task_id, change.record and change.record.status) == (handle.id, "pending")


async def test_changes_of_progress_are_seen_one_by_one_although_kept_together() -> None:
    async with running(quick) as engine:
        handle = await engine.submit(quick)
        statuses = [record.status for record in await changes_of(engine, handle.id)]
        assert statuses == ["pending", "running", "completed"]


async def test_a_follower_that_falls_too_far_behind_is_told_what_it_can_have() -> None:
    async with running(quick, limits=Limits(events_kept=10)) as engine:
        slow = engine.events()
        for _ in range(10):
            await (await engine.submit(quick)).wait()
        with pytest.raises(EventsMissed) as missed:
            await anext(slow)
        assert missed.value.wanted == 1
        assert missed.value.oldest == engine.seq - 9
        resumed = engine.events(after=missed.value.oldest - 1)
        assert (await anext(resumed)).seq == missed.value.oldest


async def test_a_change_is_waited_for_from_the_number_that_was_seen() -> None:
    go = anyio.Event()

    @task_type("gated")
    async def gated(ctx: TaskContext) -> None:
        await go.wait()

    async with running(gated) as engine, anyio.create_task_group() as group:
        handle = await engine.submit(gated)
        now = await engine.get(handle.id)
        assert await engine.wait_change(handle.id, now.seq - 1) == now
        found: list[TaskRecord] = []

        async def wait() -> None:
            found.append(await engine.wait_change(handle.id, now.seq))

        group.start_soon(wait)
        await anyio.sleep(60)
        assert found == []
        go.set()
        await handle.wait()
        await anyio.wait_all_tasks_blocked()
        assert [record.status for record in found] == [TaskStatus.COMPLETED]
        # Of a final task nothing more is to be waited for.
        assert (await engine.wait_change(handle.id, 10**9)).final
