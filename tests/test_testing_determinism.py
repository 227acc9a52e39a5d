"""How a loop is made to repeat itself, put back as it was, and refused where that cannot be."""

from __future__ import annotations

import asyncio
import random
import sys
import warnings
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio.testing

from cortex_tasks import TaskContext, task_type
from cortex_tasks.testing import DeterminismUnavailable, TaskHarness, determinism, run_harness
from cortex_tasks.testing.asyncio_loop import AsyncioLoop, check_asyncio
from cortex_tasks.testing.children import InlineChildren
from cortex_tasks.testing.trio_loop import TrioLoop


@task_type("steps", concurrency=8)
async def steps(ctx: TaskContext, count: int) -> None:
    for _ in range(count):
        await anyio.lowlevel.checkpoint()


@pytest.fixture(params=["trio", "asyncio"])
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def _unproved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(determinism, "_proved", set())


async def order_of_eight(harness: TaskHarness) -> list[int]:
    """In which order eight coroutines of the test itself take their steps."""
    order = []

    async def walk(number: int) -> None:
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
            order.append(number)

    async with anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(walk, number)
    return order


def test_the_order_of_steps_follows_the_seed(loop: str) -> None:
    orders = [run_harness(order_of_eight, seed=seed, loop=loop) for seed in range(10)]
    assert orders == [run_harness(order_of_eight, seed=seed, loop=loop) for seed in range(10)]
    assert len(set(map(tuple, orders))) == 10


def test_chance_of_the_random_module_is_seeded_and_put_back(loop: str) -> None:
    async def draw(harness: TaskHarness) -> float:
        return random.random()

    random.seed(1)
    before = random.getstate()
    assert run_harness(draw, seed=3, loop=loop) == run_harness(draw, seed=3, loop=loop)
    assert run_harness(draw, seed=3, loop=loop) != run_harness(draw, seed=4, loop=loop)
    assert random.getstate() == before


async def test_the_loop_is_afterwards_what_it_was(anyio_backend_name: str) -> None:
    before = state_of(anyio_backend_name)
    async with TaskHarness(steps) as harness:
        await harness.submit(steps, 3)
        await harness.crash()
        await anyio.sleep(80_000)
        assert state_of(anyio_backend_name) != before
    assert state_of(anyio_backend_name) == before
    with pytest.raises(KeyError):
        async with TaskHarness(steps):
            raise KeyError
    assert state_of(anyio_backend_name) == before
    assert sys.getprofile() is None


def state_of(loop: str) -> list[Any]:
    """What the harness takes hold of."""
    if loop == "trio":
        run: Any = trio._core._run
        runner = run.GLOBAL_RUN_CONTEXT.runner
        return [
            runner.clock,
            runner.clock_autojump_threshold,
            runner.deadlines,
            run._r.getstate(),
            run._ALLOW_DETERMINISTIC_SCHEDULING,
            sys.get_asyncgen_hooks(),
        ]
    running: Any = asyncio.get_running_loop()
    names = ("time", "_run_once", "get_task_factory")
    return (
        [
            *(getattr(running, name).__func__ for name in names if hasattr(running, name)),
            running.get_task_factory(),
            id(running._scheduled),
            sys.get_asyncgen_hooks(),
        ]
        if "time" not in vars(running)
        else ["seized"]
    )


async def test_timers_that_were_set_before_stand_still() -> None:
    rung = anyio.Event()

    async def ring() -> None:
        await anyio.sleep(3600)
        rung.set()

    async with anyio.create_task_group() as group:
        group.start_soon(ring)
        await anyio.wait_all_tasks_blocked()
        async with TaskHarness(steps) as harness:
            await harness.advance(days=365)
        assert not rung.is_set()
        group.cancel_scope.cancel()


@pytest.mark.usefixtures("_unproved")
def test_a_loop_that_does_not_follow_the_seed_is_refused(
    loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeded = TrioLoop if loop == "trio" else AsyncioLoop
    monkeypatch.setattr(seeded, "seed", lambda self, seed: None)
    with pytest.raises(DeterminismUnavailable, match="does not follow the seed"):
        run_harness(order_of_eight, loop=loop)


def test_what_trio_no_longer_has_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(trio.testing.MockClock, "_autojump")
    with pytest.raises(DeterminismUnavailable, match=r"MockClock has no '_autojump' any more"):
        run_harness(order_of_eight, loop="trio")


def test_what_another_event_loop_does_not_have_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: SimpleNamespace(_ready=[]))
    with pytest.raises(DeterminismUnavailable, match="it has no _run_once, _scheduled"):
        check_asyncio()


async def numbers() -> AsyncIterator[int]:
    """An async generator that is never done."""
    try:
        for number in range(100):
            await anyio.sleep(1)
            yield number
    finally:
        closed.append("numbers")


closed: list[str] = []


@pytest.fixture
def _nothing_is_complained_of() -> Iterator[None]:
    closed.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.usefixtures("_nothing_is_complained_of")
async def test_the_dead_go_in_peace_whatever_they_held() -> None:
    @task_type("holder")
    async def holder(ctx: TaskContext) -> None:
        send, _receive = anyio.create_memory_object_stream[int](1)
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(anyio.sleep_forever)
            try:
                async for _ in numbers():
                    with anyio.CancelScope(shield=True):
                        await send.send(1)
            finally:
                closed.append("holder")
                await anyio.sleep(1)
                group.start_soon(anyio.sleep, 1)

    @task_type("deaf")
    async def deaf(ctx: TaskContext) -> None:
        while True:
            try:
                await anyio.sleep(10)
            except BaseException:  # noqa: BLE001  the worst of all bodies
                closed.append("deaf")

    for wait in (0, 0.5, 1.5, 15):
        closed.clear()
        async with TaskHarness(holder, deaf) as harness:
            await harness.submit(holder)
            await harness.submit(deaf)
            await harness.advance(seconds=wait)
            await harness.crash()
            await harness.advance(hours=1)
            assert closed == []


async def test_a_child_is_given_what_a_real_one_would_be() -> None:
    children = InlineChildren(faithful=True)
    given: list[int] = []
    assert await children.run(appended, given) == [1]
    assert given == []  # what is sent is a copy
    with pytest.raises(ValueError, match="exists only where it was made"):
        await children.run(lambda: None)
    with pytest.raises(TypeError, match="cannot be sent"):
        await children.run(appended, (number for number in given))


def appended(numbers: list[int]) -> list[int]:
    numbers.append(1)
    return numbers
