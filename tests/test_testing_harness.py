"""The harness: virtual time, numbered ids, a log, crashes and restarts, the same on both loops."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Literal

import anyio
import anyio.lowlevel
import pytest

from cortex_tasks import MemoryBackend, TaskContext, TaskFailed, TaskHandle, task_type
from cortex_tasks.testing import HarnessError, PowerLost, Stuck, TaskHarness
from cortex_tasks.testing.injected import START

ended: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_has_ended() -> None:
    ended.clear()


@task_type("nap", concurrency=2)
async def nap(ctx: TaskContext, hours: int) -> int:
    try:
        for hour in range(hours):
            await anyio.sleep(3600)
            await ctx.progress(current=hour + 1, total=hours)
        return hours
    finally:
        ended.append(ctx.task_id)


@task_type("trip", on_restart="resume")
async def trip(ctx: TaskContext, hours: int) -> int:
    await anyio.sleep(3600 * hours)
    return ctx.attempt


@task_type("stubborn", cancel_grace=1)
async def stubborn(ctx: TaskContext) -> None:
    with anyio.CancelScope(shield=True):
        await anyio.sleep(86_400)
    ended.append(ctx.task_id)


@task_type("deaf")
async def deaf(ctx: TaskContext) -> None:
    await anyio.Event().wait()


async def test_hours_pass_in_as_many_jumps_as_there_are_timers() -> None:
    async with TaskHarness(trip) as harness:
        handle = await harness.submit(trip, 3)
        await harness.advance(hours=2.5)
        assert harness.jumps == 1
        assert (await harness.get(handle)).status == "running"
        assert await handle.result() == 1
        assert (harness.now - START).total_seconds() == 3 * 3600
        assert harness.jumps == 2


async def test_a_year_of_waiting_is_two_jumps() -> None:
    async with TaskHarness(trip) as harness:
        handle = await harness.submit(trip, 1, delay=timedelta(days=365))
        assert await handle.result() == 1
        assert harness.jumps == 2  # to its time, and to its end
        assert harness.events[-1].at == 365 * 86_400 + 3600


async def test_what_is_due_at_that_time_has_happened_when_advance_returns() -> None:
    async with TaskHarness(nap) as harness:
        handle = await harness.submit(nap, 1)
        await harness.advance(hours=1)
        assert harness.kept[handle.id].status == "completed"


async def test_ids_are_numbered_and_the_first_day_is_always_the_same() -> None:
    async with TaskHarness(nap) as harness:
        first, second = await harness.submit(nap, 0), await harness.submit("nap", 0)
        assert (first.id, second.id) == ("task_000001", "task_000002")
        assert first.record.created_at == START


async def test_the_log_shows_every_change_with_its_time_a_line_for_each() -> None:
    async with TaskHarness(nap) as harness:
        await harness.submit(nap, 2)
        await harness.run_until_idle()
        assert harness.events.lines == [
            "     0.000  -- start",
            "     0.000  task_000001  pending  nap #0 0% 'Pending'",
            "     0.000  task_000001  running  nap #1 0% 'Running'",
            "  3600.000  task_000001  running  nap #1 50% 'Running'",
            "  7200.000  task_000001  completed  nap #1 100% 'Completed'",
        ]
        assert harness.events.statuses("task_000001") == ["pending", "running", "completed"]


async def test_a_crash_leaves_what_was_committed_and_not_a_line_of_the_old_code_runs() -> None:
    async with TaskHarness(nap, trip, stubborn) as harness:
        short, long = await harness.submit(nap, 1), await harness.submit(nap, 9)
        away, deaf_to_all = await harness.submit(trip, 2), await harness.submit(stubborn)
        await harness.advance(hours=1.5)
        kept = harness.kept
        assert ended == [short.id]
        await harness.crash()
        assert ended == [short.id]  # no `finally` of a dead process runs
        assert harness.kept[short.id] == kept[short.id]
        assert harness.kept[long.id].error == "interrupted by server restart"
        assert harness.kept[deaf_to_all.id].status == "failed"
        assert await away.result() == 2  # the second attempt: the type resumes
        await harness.advance(days=2)
        assert ended == [short.id]


@pytest.mark.parametrize("storage", ["memory", "json"])
async def test_the_finally_of_a_dead_body_runs_once_the_block_is_left_and_reaches_nothing(
    storage: Literal["memory", "json"],
) -> None:
    heard: list[object] = []

    @task_type("haunt")
    async def haunt(ctx: TaskContext, again: bool) -> None:
        try:
            await anyio.sleep(86_400)
        finally:
            ended.append(ctx.task_id)
            ctx.log("from beyond")
            for reach in (
                lambda: ctx.checkpoint(1),
                lambda: ctx.progress(current=1, total=2),
                lambda: harness.submit(haunt, again),
                lambda: harness.engine.submit(haunt, again),
                lambda: harness.crash(),
            ):
                with contextlib.suppress(BaseException):
                    heard.append(await reach())

    async with TaskHarness(haunt, storage=storage) as harness:
        await harness.submit(haunt, True)
        await harness.advance(hours=1)
        await harness.crash()
        await harness.advance(hours=1)
        assert ended == []
        kept, lines = harness.kept, harness.events.lines
    assert ended == ["task_000001"]
    assert (harness.kept, harness.events.lines) == (kept, lines)
    assert [one for one in heard if one is not None] == []


async def test_a_commit_that_the_crash_came_before_is_lost_and_its_caller_hears_so() -> None:
    async with TaskHarness(nap) as harness:
        async with anyio.create_task_group() as callers:

            async def call() -> None:
                with pytest.raises(PowerLost):
                    await harness.submit(nap, 1)

            callers.start_soon(call)
            await anyio.lowlevel.checkpoint()
            await harness.crash()
        assert harness.kept == {}
        assert (await harness.submit(nap, 0)).id == "task_000002"


async def test_a_restart_ends_the_bodies_in_order_and_keeps_their_ids() -> None:
    async with TaskHarness(nap, trip, drain_grace=60) as harness:
        handle = await harness.submit(trip, 2)
        lost = await harness.submit(nap, 2)
        await harness.advance(hours=1)
        await harness.restart()
        assert ended == [lost.id]
        assert harness.events.statuses(lost.id)[-1] == "cancelled"
        assert await handle.result() == 2
        assert [event.what for event in harness.events if not event.task_id] == ["start", "restart"]


async def test_a_wait_goes_on_over_crash_and_restart() -> None:
    async with TaskHarness(trip) as harness:
        handle = await harness.submit(trip, 5)
        async with anyio.create_task_group() as others:

            async def disturb() -> None:
                await harness.advance(hours=1)
                await harness.crash()
                await harness.advance(hours=1)
                await harness.restart()

            others.start_soon(disturb)
            assert (await handle.wait()).status == "completed"


async def test_what_is_asked_while_the_next_engine_starts_is_asked_of_that_one() -> None:
    for seed in range(20):
        async with TaskHarness(trip, seed=seed) as harness:
            first = await harness.submit(trip, 1)
            results: list[int] = []

            async def ask(
                harness: TaskHarness = harness,
                first: TaskHandle[int] = first,
                results: list[int] = results,
            ) -> None:
                await anyio.lowlevel.checkpoint()  # by then the old one is gone
                later = await harness.submit(trip, 1)
                await harness.pause(trip)
                await harness.resume(trip)
                results += [await later.result(), await first.result()]

            async with anyio.create_task_group() as clients:
                clients.start_soon(ask)
                await harness.crash()
            assert len(results) == 2


async def test_a_failure_is_told_as_the_engine_tells_it() -> None:
    @task_type("fail")
    async def fail(ctx: TaskContext) -> None:
        raise ValueError("no")

    async with TaskHarness(fail) as harness:
        handle = await harness.submit(fail)
        with pytest.raises(TaskFailed, match="ValueError: no"):
            await handle.result()


async def test_a_body_that_waits_for_ever_is_named_with_the_line_on_which_it_waits() -> None:
    with pytest.raises(Stuck, match=r"task_000001 of type 'deaf' is running") as raised:
        async with TaskHarness(deaf) as harness:
            await (await harness.submit(deaf)).wait()
    assert "await anyio.Event().wait()" in str(raised.value)


async def test_a_run_that_never_comes_to_an_end_is_stopped_at_the_limit() -> None:
    @task_type("tick")
    async def tick(ctx: TaskContext) -> None:
        while True:  # noqa: ASYNC110  time is what it is about
            await anyio.sleep(86_400)

    with pytest.raises(Stuck, match="of virtual time"):
        async with TaskHarness(tick) as harness:
            await (await harness.submit(tick)).wait()


async def test_time_passes_even_where_a_body_spins_instead_of_stopping() -> None:
    @task_type("spin", cancel_grace=5)
    async def spin(ctx: TaskContext) -> None:
        while len(ended) < 3:
            try:
                await anyio.sleep(1)
            except anyio.get_cancelled_exc_class():
                if ctx.clock.now() > START.replace(minute=31):
                    raise

    @task_type("beat")
    async def beat(ctx: TaskContext) -> None:
        await anyio.sleep(120)

    async with TaskHarness(spin, beat, steps_at_one_instant=5_000) as harness:
        handle = await harness.submit(spin)
        await harness.submit(beat)
        await harness.settle()
        record = await harness.cancel(handle)
        assert "still running after 5 s" in record.message
        assert (await handle.wait()).status == "cancelled"


async def test_a_body_may_take_thousands_of_steps_while_no_time_passes() -> None:
    @task_type("diligent", timeout=60)
    async def diligent(ctx: TaskContext, steps: int) -> int:
        for step in range(steps):
            await ctx.checkpoint(step)
            await ctx.progress(current=step, total=steps)
        return steps

    async with TaskHarness(diligent, trip) as harness:
        other = await harness.submit(trip, 1)
        assert await (await harness.submit(diligent, 2_500)).result() == 2_500
        assert (harness.now, harness.jumps) == (START, 0)
        assert await other.result() == 1


async def test_a_body_that_spins_for_ever_is_named_with_the_line_on_which_it_spins() -> None:
    @task_type("spin")
    async def spin(ctx: TaskContext) -> None:
        while True:
            await anyio.lowlevel.checkpoint()

    with pytest.raises(Stuck, match=r"task_000001 of type 'spin' spins: .* 5,000 steps") as raised:
        async with TaskHarness(spin, steps_at_one_instant=5_000) as harness:
            await (await harness.submit(spin)).wait()
    assert "everyone waits" not in str(raised.value)
    assert "task_000001 spins here:" in str(raised.value)
    assert "await anyio.lowlevel.checkpoint()" in str(raised.value)


async def test_a_test_that_spins_for_ever_is_found_too() -> None:
    with pytest.raises(Stuck, match="gone round 5,000 times at one instant, and no timer"):
        async with TaskHarness(nap, steps_at_one_instant=5_000):
            while True:
                await anyio.lowlevel.checkpoint()


async def test_deadlines_around_the_block_stand_still_within_it() -> None:
    with anyio.fail_after(60):
        async with TaskHarness(nap) as harness:
            await (await harness.submit(nap, 100)).wait()
    with anyio.move_on_after(0):
        await anyio.sleep(10)


async def test_the_tests_own_error_comes_out_as_it_is() -> None:
    with pytest.raises(KeyError, match="mine"):
        async with TaskHarness(nap) as harness:
            await harness.submit(nap, 1)
            raise KeyError("mine")


async def test_there_is_one_harness_at_a_time() -> None:
    async with TaskHarness(nap):
        with pytest.raises(HarnessError, match="one at a time"):
            async with TaskHarness(nap):
                pass


async def test_a_harness_takes_any_backend_that_can_be_opened_again() -> None:
    backends: list[MemoryBackend] = []
    memory = MemoryBackend()

    def make() -> MemoryBackend:
        backends.append(memory)
        return memory

    async with TaskHarness(nap, make_backend=make) as harness:
        await harness.submit(nap, 1)
        await harness.crash()
        await harness.restart()
    assert len(backends) == 3
