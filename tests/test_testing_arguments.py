"""A harness that is used in the wrong way says so at once, and says what is wanted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import Any

import anyio
import pytest

from cortex_tasks import TaskContext, TaskTypeError, task_type
from cortex_tasks.testing import Faults, HarnessError, TaskHarness, explore, explore_crashes

Call = Callable[[TaskHarness], Awaitable[object]]


@task_type("nap")
async def nap(ctx: TaskContext, hours: int) -> None:
    await anyio.sleep(3600 * hours)


async def settle(harness: TaskHarness) -> None:
    await harness.settle()


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        ({"limit": 3}, TypeError, "limit must be a timedelta"),
        ({"limit": timedelta(-1)}, ValueError, "limit must not be negative"),
        ({"storage": "jsno"}, ValueError, "'memory' or 'json'"),
        ({"faults": {"crash": 1}}, TypeError, "must be Faults"),
        ({"crash_at": -1}, ValueError, "crash_at must be at least 0"),
        ({"crash_at": "1"}, TypeError, "crash_at must be a whole number"),
        ({"steps_at_one_instant": 0}, ValueError, "must be at least 1"),
        ({"make_backend": "memory"}, TypeError, "a function that gives a backend"),
    ],
    ids=str,
)
def test_a_setting_that_cannot_be_is_refused_where_it_is_given(
    given: dict[str, Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        TaskHarness(nap, **given)


def test_what_is_no_task_type_is_refused_where_it_is_given() -> None:
    wrong: Any = [nap]
    with pytest.raises(TaskTypeError, match="is not a task type: decorate it"):
        TaskHarness(wrong)


@pytest.mark.parametrize("chance", [1.5, -1, "often"])
def test_a_chance_is_a_number_from_0_to_1(chance: Any) -> None:
    with pytest.raises(ValueError, match="crash must be a number from 0 to 1"):
        Faults(crash=chance)


def test_an_exploration_is_told_apart_from_a_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TypeError, match="seed= is not for this function: explore"):
        explore(settle, nap, seed=3)
    for option in ("seeds", "faults", "crash_at"):
        given: dict[str, Any] = {option: 1}
        with pytest.raises(TypeError, match=f"{option}= is not for this function"):
            explore_crashes(settle, nap, **given)
    monkeypatch.setenv("CORTEX_TASKS_SEED", "first")
    with pytest.raises(HarnessError, match="CORTEX_TASKS_SEED must be a whole number, not 'first'"):
        explore(settle, nap)
    monkeypatch.setenv("CORTEX_TASKS_SEED", "")  # as good as not set
    assert explore(settle, nap, seeds=range(2)).runs == 2


@pytest.mark.parametrize("seeds", [[], range(3, 0), iter([])], ids=["none", "backwards", "used up"])
def test_an_exploration_that_ran_nothing_does_not_pass(seeds: Iterable[int]) -> None:
    with pytest.raises(ValueError, match=r"seeds= holds no seed.*seeds=range\(1000\)"):
        explore(settle, nap, seeds=seeds)


def test_an_exploration_in_which_the_power_never_failed_as_asked_does_not_pass() -> None:
    with pytest.raises(ValueError, match="crash_at=5000 comes too late: no run had so many steps"):
        explore(settle, nap, seeds=range(3), crash_at=5000)
    assert explore(settle, nap, seeds=range(3), crash_at=5).crashes == 3


async def test_time_does_not_go_back_and_has_units() -> None:
    number: Any = 5
    async with TaskHarness(nap) as harness:
        with pytest.raises(ValueError, match="time does not go back: -3600 s"):
            await harness.advance(hours=-1)
        with pytest.raises(TypeError, match="must be a timedelta"):
            await harness.advance(number)
        with pytest.raises(TypeError, match="limit must be a timedelta"):
            await harness.run_until_idle(limit=number)
        assert harness.jumps == 0


async def test_a_task_is_given_by_its_handle_or_its_id() -> None:
    wrong: Any = nap
    async with TaskHarness(nap) as harness:
        for ask in (harness.get, harness.wait, harness.result, harness.cancel, harness.retry):
            with pytest.raises(TypeError, match="by its handle or its id, not by <TaskType 'nap'>"):
                await ask(wrong)


CALLS: dict[str, Call] = {
    "submit": lambda harness: harness.submit(nap, 1),
    "get": lambda harness: harness.get("task_000001"),
    "pause": lambda harness: harness.pause(nap),
    "settle": lambda harness: harness.settle(),
    "advance": lambda harness: harness.advance(hours=1),
    "run_until_idle": lambda harness: harness.run_until_idle(),
    "crash": lambda harness: harness.crash(),
    "restart": lambda harness: harness.restart(),
    "recover": lambda harness: harness.recover(),
    "check": lambda harness: harness.check(),
}


@pytest.mark.parametrize("name", CALLS)
async def test_outside_of_its_block_a_harness_says_so_instead_of_waiting(name: str) -> None:
    harness = TaskHarness(nap)
    with pytest.raises(HarnessError, match="has not been entered"):
        await CALLS[name](harness)
    async with harness:
        await harness.submit(nap, 0)
    with pytest.raises(HarnessError, match="has been left"):
        await CALLS[name](harness)


@pytest.mark.parametrize("name", ["crash", "restart", "run_until_idle"])
async def test_what_ends_or_awaits_all_bodies_is_refused_to_a_body(name: str) -> None:
    @task_type("reckless")
    async def reckless(ctx: TaskContext) -> None:
        await CALLS[name](harness)

    async with TaskHarness(reckless) as harness:
        record = await (await harness.submit(reckless)).wait()
    assert f"{name}() is for the test" in str(record.error)
