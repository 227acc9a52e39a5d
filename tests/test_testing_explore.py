"""`explore` finds what depends on the order of things, and gives the line that shows it again."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_tasks import (
    MemoryBackend,
    StorageError,
    StorageFull,
    TaskAlreadyFinal,
    TaskContext,
    TaskFailed,
    task_type,
)
from cortex_tasks.testing import (
    Faults,
    HarnessError,
    ScenarioFailed,
    TaskHarness,
    explore,
    explore_crashes,
    replay,
    run_harness,
)

ROOT = Path(__file__).parent.parent
PROCESSES = 4


@pytest.fixture(params=["trio", "asyncio"])
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Account:
    """A balance that is read, and written a checkpoint later."""

    balance = 0


@task_type("deposit", concurrency=3)
async def deposit(ctx: TaskContext, amount: int) -> None:
    balance = Account.balance
    await anyio.lowlevel.checkpoint()
    Account.balance = balance + amount


@task_type("walk", concurrency=3, on_restart="resume", timeout=60)
async def walk(ctx: TaskContext, steps: int) -> list[float]:
    found = []
    for step in range(steps):
        await anyio.sleep(ctx.random.random())
        await ctx.progress(current=step, total=steps)
        found.append(ctx.random.random())
    return found


async def two_deposits(harness: TaskHarness) -> None:
    Account.balance = 0
    for handle in await harness.engine.submit_many(deposit, [1, 1]):
        await handle.wait()
    assert Account.balance == 2, "a deposit is lost"


async def some_walks(harness: TaskHarness) -> None:
    handles = [await harness.submit(walk, steps) for steps in (3, 4, 5)]
    await harness.advance(seconds=1)
    with contextlib.suppress(TaskAlreadyFinal):
        await harness.cancel(handles[1])
    for handle in handles:
        await harness.wait(handle)


EVERYTHING = Faults(
    commit_slow=0.1, commit_torn=0.02, crash=0.5, cancel=0.1, body_raises=0.1, body_lingers=0.1
)


def test_a_lost_update_is_found_within_20_seeds_and_the_line_shows_it_again(
    loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    with pytest.raises(ScenarioFailed, match="a deposit is lost") as raised:
        explore(two_deposits, deposit, seeds=range(20), loop=loop)
    failed = raised.value
    assert failed.replay == f"replay(two_deposits, deposit, seed={failed.seed}, loop={loop!r})"
    assert str(failed).endswith(f"Replay it with:\n    {failed.replay}")
    for _ in range(3):
        with pytest.raises(AssertionError, match="a deposit is lost"):
            eval(failed.replay)


def make_memory() -> MemoryBackend:
    return MemoryBackend()


def test_the_line_can_be_pasted_whatever_options_there_were(
    loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    with pytest.raises(ScenarioFailed) as raised:
        explore(
            two_deposits,
            deposit,
            loop=loop,
            limit=timedelta(days=3),
            drain_grace=math.inf,
            make_backend=make_memory,
        )
    assert "limit=datetime.timedelta(days=3), drain_grace=float('inf')" in raised.value.replay
    with pytest.raises(AssertionError, match="a deposit is lost"):
        exec(raised.value.replay)


def test_a_failure_that_does_not_repeat_itself_is_told_as_such(loop: str) -> None:
    runs = itertools.count(1)

    async def first_only(harness: TaskHarness) -> None:
        await harness.submit(walk, 1)
        if next(runs) == 1:
            raise KeyError("once")

    async def one_more_each_time(harness: TaskHarness) -> None:
        for _ in range(next(runs)):
            await harness.submit(walk, 1)
        raise KeyError("always")

    async def the_same(harness: TaskHarness) -> None:
        raise KeyError("always")

    said = {}
    for scenario in (first_only, one_more_each_time, the_same):
        with pytest.raises(ScenarioFailed, match="KeyError") as raised:
            explore(scenario, walk, loop=loop)
        said[scenario] = "went another way" in str(raised.value)
    assert said == {first_only: True, one_more_each_time: True, the_same: False}


def test_the_line_repeats_the_order_of_sets_where_that_is_fixed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for hashes, begin in (("0", "PYTHONHASHSEED=0 pytest tests/"), ("random", "pytest tests/")):
        monkeypatch.setenv("PYTHONHASHSEED", hashes)
        with pytest.raises(ScenarioFailed) as raised:
            explore(two_deposits, deposit)
        assert raised.value.replay.startswith(begin)


def test_under_pytest_the_line_is_one_for_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    with pytest.raises(ScenarioFailed) as raised:
        explore(two_deposits, deposit)
    failed = raised.value
    test = "tests/test_testing_explore.py::test_under_pytest_the_line_is_one_for_the_shell"
    assert failed.replay == f"pytest {test} --harness-seed={failed.seed}"


def test_a_forced_seed_is_the_only_one_that_runs(
    loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    async def look(harness: TaskHarness) -> None:
        seen.append(harness.seed)

    monkeypatch.setenv("CORTEX_TASKS_SEED", "77")
    explore(look, seeds=range(3), loop=loop)
    assert seen == [77]


def test_the_same_seed_gives_the_same_log_and_others_give_others(loop: str) -> None:
    logs = [replay(some_walks, walk, seed=seed, faults=EVERYTHING, loop=loop) for seed in range(12)]
    again = [
        replay(some_walks, walk, seed=seed, faults=EVERYTHING, loop=loop) for seed in range(12)
    ]
    assert logs == again
    assert len({log.digest for log in logs}) > 8


PROGRAM = """
import sys
from cortex_tasks.testing import replay
from tests.test_testing_explore import EVERYTHING, some_walks, walk
junk = [object() for _ in range(int(sys.argv[2]) * 1000)]
for seed in range(8):
    print(replay(some_walks, walk, seed=seed, faults=EVERYTHING, loop=sys.argv[1]).digest)
"""


def test_the_same_seed_gives_the_same_log_in_another_process_with_other_hashes(loop: str) -> None:
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, loop, str(number)],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": str(number), "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    said = {process.communicate()[0] for process in running}
    assert [process.returncode for process in running] == [0] * PROCESSES
    assert len(said) == 1
    assert len(said.pop().split()) == 8


def test_every_fault_happens_and_the_engine_bears_it(loop: str) -> None:
    found = explore(some_walks, walk, seeds=range(40), faults=EVERYTHING, loop=loop)
    assert set(found.injected) == set(EVERYTHING.names)
    assert found.crashes > 0
    assert found.jumps > 0


def test_a_crash_comes_after_every_single_step_of_the_engine(loop: str) -> None:
    found = explore_crashes(two_short_walks, walk, loop=loop)
    assert found.crashes == found.runs - 1 > 40


async def two_short_walks(harness: TaskHarness) -> None:
    for handle in [await harness.submit(walk, 1) for _ in range(2)]:
        await harness.wait(handle)


def test_the_line_for_a_crash_names_its_step(loop: str) -> None:
    async def check(harness: TaskHarness) -> None:
        attempts = [record.attempt for record in harness.kept.values()]
        assert max(attempts, default=0) < 2, "it ran twice"

    with pytest.raises(ScenarioFailed, match="it ran twice") as raised:
        explore_crashes(two_short_walks, walk, check=check, loop=loop)
    assert "seed=0" in raised.value.replay
    with pytest.raises(AssertionError, match="it ran twice"):
        eval(raised.value.replay, {**globals(), "check": check})


def test_of_all_faults_only_those_are_named_that_it_takes(
    loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")

    async def check(harness: TaskHarness) -> None:
        for record in harness.kept.values():
            assert "was made to fail" not in (record.error or ""), "it was"

    with pytest.raises(ScenarioFailed, match="it was") as raised:
        explore(some_walks, walk, faults=EVERYTHING, check=check, loop=loop)
    assert "faults=Faults(body_raises=0.1)" in raised.value.replay


def test_the_check_comes_when_all_is_over_and_calm(loop: str) -> None:
    async def check(harness: TaskHarness) -> None:
        assert all(record.final for record in harness.kept.values())
        assert await (await harness.submit(walk, 0)).result() == []

    explore(some_walks, walk, seeds=range(15), faults=EVERYTHING, check=check, loop=loop)


def test_what_a_scenario_suffers_from_a_fault_is_no_failure_and_all_else_is(loop: str) -> None:
    @task_type("fail")
    async def fail(ctx: TaskContext) -> None:
        raise ValueError("mine")

    async def ask(harness: TaskHarness) -> None:
        await (await harness.submit(fail)).result()

    with pytest.raises(ScenarioFailed, match="TaskFailed: ValueError: mine"):
        explore(ask, fail, seeds=range(3), loop=loop)
    explore(some_results, walk, seeds=range(10), faults=Faults(body_raises=1.0), loop=loop)


async def some_results(harness: TaskHarness) -> None:
    async with anyio.create_task_group() as clients:
        for _ in range(2):
            clients.start_soon(harness.result, await harness.submit(walk, 20))


def test_every_promise_holds_while_the_scenario_is_what_fails(loop: str) -> None:
    async def fail(harness: TaskHarness) -> None:
        await harness.submit(walk, 1)
        raise KeyError("mine")

    with pytest.raises(ScenarioFailed, match="KeyError: 'mine'") as raised:
        explore(fail, walk, seeds=range(1), loop=loop)
    assert "task_000001  pending" in raised.value.events


def test_a_run_without_pytest_gives_what_the_scenario_gives(loop: str) -> None:
    async def one(harness: TaskHarness) -> Any:
        assert harness.loop == loop
        return await (await harness.submit(walk, 40)).result()

    first = run_harness(one, walk, seed=4, loop=loop)
    assert run_harness(one, walk, seed=4, loop=loop) == first
    assert run_harness(one, walk, seed=5, loop=loop) != first
    with pytest.raises(TaskFailed):
        run_harness(one, walk, seed=4, loop=loop, faults=Faults(body_raises=1.0))


def test_what_a_body_draws_does_not_depend_on_the_others() -> None:
    async def alone(harness: TaskHarness) -> Any:
        return await (await harness.submit(walk, 3)).result()

    async def among_others(harness: TaskHarness) -> Any:
        first = await harness.submit(walk, 3)
        await harness.submit(walk, 5)
        return await first.result()

    assert run_harness(alone, walk, seed=9) == run_harness(among_others, walk, seed=9)


@given(seed=st.integers(0, 2**32), steps=st.lists(st.integers(0, 4), max_size=4))
def test_hypothesis_may_draw_the_seed_and_what_the_scenario_does(
    seed: int, steps: list[int]
) -> None:
    async def walks(harness: TaskHarness) -> list[int]:
        handles = [await harness.submit(walk, count) for count in steps]
        return [len(await handle.result()) for handle in handles]

    assert run_harness(walks, walk, seed=seed) == steps


async def test_within_an_event_loop_it_says_how_to_go_on() -> None:
    with pytest.raises(HarnessError, match="async with TaskHarness"):
        explore(two_deposits, deposit)


def test_a_resume_that_was_refused_is_made_good_before_all_has_to_end(loop: str) -> None:
    refused = 0

    async def pausing(harness: TaskHarness) -> None:
        nonlocal refused
        await harness.pause(walk)
        await harness.submit(walk, 2)
        try:
            await harness.resume(walk)
        except StorageError:
            refused += 1
            raise

    explore(pausing, walk, seeds=range(20), faults=Faults(commit_refused=0.3), loop=loop)
    assert refused


def test_a_disk_can_stay_full_for_a_while_and_all_goes_on_by_itself(loop: str) -> None:
    spells: list[float] = []

    async def filling(harness: TaskHarness) -> None:
        for _ in range(10):
            with contextlib.suppress(StorageFull):
                await harness.submit(walk, 2)
            began = anyio.current_time()
            while harness.engine.no_room:
                await harness.advance(seconds=1)
            spells.append(anyio.current_time() - began)

    found = explore(filling, walk, seeds=range(20), faults=Faults(disk_full=0.05), loop=loop)
    assert found.injected["disk_full"]
    assert max(spells) > 30
