"""What a first look shows: the types, the last hour, what runs; and how tasks are searched for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import anyio
import pytest

from cortex_tasks.engine.context import TaskContext
from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.engine.registry import task_type
from cortex_tasks.engine.surroundings import Surroundings, offload_inline
from tests.engine_setting import LoopClock, an_engine, left_by_a_crash, short_ids, virtual_time
from tests.engine_setting import a_record as kept_record
from tests.http_setting import Api, assert_problem, echo, endless, failing, nothing, serving


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return virtual_time(request.param)


@task_type("nap", concurrency=1)
async def nap(ctx: TaskContext, seconds: float) -> None:
    await anyio.sleep(seconds)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    surroundings = Surroundings(clock=LoopClock(), new_task_id=short_ids(), offload=offload_inline)
    engine = an_engine(
        echo, nothing, failing, endless, nap, surroundings=surroundings, drain_grace=0, watchdog=1
    )
    async with serving(engine=engine) as api:
        yield api


async def type_shown(api: Api, name: str) -> dict[str, Any]:
    listed = (await api.get("/api/task-types")).json()
    assert listed["total"] == len(listed["task_types"])
    (found,) = [one for one in listed["task_types"] if one["name"] == name]
    assert isinstance(found, dict)
    return found


# -- a task's parameters -------------------------------------------------------------------------


async def test_a_task_shows_the_parameters_that_were_kept(api: Api) -> None:
    task_id = await api.ended("echo", {"value": [1, {"a": None}]})
    waiting = await api.engine.submit("echo", {"value": 2.5}, delay=60)
    assert (await api.get(f"/api/tasks/{task_id}")).json()["params"] == {"value": [1, {"a": None}]}
    assert (await api.get(f"/api/tasks/{waiting.id}")).json()["params"] == {"value": 2.5}
    assert "params" not in (await api.get("/api/tasks")).json()["tasks"][0]


# -- the types -----------------------------------------------------------------------------------


async def test_the_types_show_what_runs_what_waits_and_since_when(api: Api) -> None:
    for _ in range(3):
        await api.engine.submit("nap", 50)
    await api.engine.submit("nap", 50, delay=3600)
    begun = api.engine.overview.now
    await anyio.sleep(7)
    shown = await type_shown(api, "nap")
    assert (shown["concurrency"], shown["running"], shown["pending"]) == (1, 1, 3)
    assert shown["delayed"] == 1
    assert datetime.fromisoformat(shown["oldest_pending_at"]) == begun
    assert shown["run_seconds"] == {"count": 0, "p50": None, "p95": None, "p99": None}
    await anyio.sleep(150)
    shown = await type_shown(api, "nap")
    assert (shown["running"], shown["pending"], shown["completed"]) == (0, 1, 3)
    assert shown["oldest_pending_at"] is None
    assert shown["run_seconds"] == {"count": 3, "p50": 50, "p95": 50, "p99": 50}
    assert shown["wait_seconds"] == {"count": 3, "p50": 50, "p95": 100, "p99": 100}


async def test_a_task_that_is_tried_again_before_it_ever_ran_waits_from_then_on(api: Api) -> None:
    await api.engine.submit("nap", 500)
    called_off = await api.engine.submit("nap", 1)
    await api.engine.cancel(called_off.id)
    await anyio.sleep(30)
    tried_again = api.engine.overview.now
    await api.engine.retry(called_off.id)
    await anyio.sleep(30)
    shown = await type_shown(api, "nap")
    assert datetime.fromisoformat(shown["oldest_pending_at"]) == tried_again
    await anyio.sleep(500)
    assert (await type_shown(api, "nap"))["wait_seconds"]["p99"] == 470


async def test_who_is_given_a_task_that_waits_does_not_have_it_wait_anew(api: Api) -> None:
    await api.engine.submit("nap", 500)
    begun = api.engine.overview.now
    waiting = await api.engine.submit("nap", 1, dedupe_key="one")
    await anyio.sleep(30)
    again = await api.engine.submit("nap", 1, dedupe_key="one", idempotency_key="another")
    assert (again.id, again.deduplicated) == (waiting.id, True)
    shown = await type_shown(api, "nap")
    assert datetime.fromisoformat(shown["oldest_pending_at"]) == begun
    await anyio.sleep(500)
    assert (await type_shown(api, "nap"))["wait_seconds"]["p99"] == 500


async def test_of_those_that_wait_the_one_that_was_ready_first_is_the_oldest(api: Api) -> None:
    await api.engine.submit("nap", 500)
    late = await api.engine.submit("nap", 1, delay=100)
    await anyio.sleep(30)
    urgent = await api.engine.submit("nap", 1, priority=9)
    overview = (await api.get("/api/overview")).json()
    assert overview["oldest_pending"]["task_id"] == urgent.id
    await api.engine.cancel(urgent.id)
    assert (await api.get("/api/overview")).json()["oldest_pending"] is None
    await anyio.sleep(100)
    assert (await api.get("/api/overview")).json()["oldest_pending"]["task_id"] == late.id


# -- the overview --------------------------------------------------------------------------------


async def test_the_overview_counts_by_status_and_by_type(api: Api) -> None:
    await api.ended("echo")
    await api.ended("failing")
    running = await api.running("endless")
    overview = (await api.get("/api/overview")).json()
    assert overview["counts"] == {
        "pending": 0,
        "running": 1,
        "completed": 1,
        "failed": 1,
        "cancelled": 0,
    }
    assert set(overview["by_type"]) == {"echo", "nothing", "failing", "endless", "nap"}
    assert overview["by_type"]["failing"]["failed"] == 1
    assert overview["by_type"]["nap"] == dict.fromkeys(TaskStatus, 0)
    assert [task["task_id"] for task in overview["running"]] == [running]
    assert overview["health"] == {"status": "healthy", "reason": None}
    assert overview["version"]


async def test_the_overview_tells_the_last_hour_minute_by_minute(api: Api) -> None:
    await anyio.sleep(600)
    before = api.engine.overview.uptime
    await api.ended("nap", 20)
    await api.ended("failing")
    await anyio.sleep(60)
    overview = (await api.get("/api/overview")).json()
    assert overview["uptime_seconds"] == pytest.approx(before + 80)
    series = overview["series"]
    assert series["bucket_seconds"] == 60
    assert len(series["points"]) == 60
    ended = [point for point in series["points"] if point["completed"] or point["failed"]]
    assert [(point["completed"], point["failed"]) for point in ended] == [(1, 1)]
    assert ended[0]["mean_run_seconds"] == pytest.approx(10)
    assert ended[0]["at"].endswith(":00Z")
    moments = [datetime.fromisoformat(point["at"]) for point in series["points"]]
    assert moments == [moments[0] + timedelta(minutes=minute) for minute in range(60)]


async def test_the_overview_says_how_late_the_event_loop_was(api: Api) -> None:
    api.engine.statistics.lagged(0.25)
    assert (await api.get("/api/overview")).json()["loop_lag_seconds"] == 0.25
    await anyio.sleep(5)
    assert (await api.get("/api/overview")).json()["loop_lag_seconds"] == pytest.approx(0)


async def test_a_type_that_is_no_longer_there_is_counted_while_its_tasks_are_kept() -> None:
    backend = await left_by_a_crash(kept_record(1, TaskStatus.COMPLETED, type="gone"))
    async with serving(engine=an_engine(echo, backend=backend)) as api:
        overview = (await api.get("/api/overview")).json()
        assert overview["by_type"]["gone"]["completed"] == 1
        assert (await api.get("/api/task-types")).json()["total"] == 1


# -- searching -----------------------------------------------------------------------------------


async def test_a_search_finds_by_type_status_age_id_and_text() -> None:
    backend = await left_by_a_crash(
        kept_record(1, TaskStatus.COMPLETED, type="echo", message="The disk is fine"),
        kept_record(2, TaskStatus.FAILED, type="echo", error="No space: DISK full"),
        kept_record(3, TaskStatus.FAILED, type="nothing", error="disk"),
    )
    async with serving(engine=an_engine(echo, nothing, backend=backend)) as api:
        for query, expected in (
            ("type:echo", [2, 1]),
            ("status:failed,cancelled", [3, 2]),
            ("type:echo status:failed", [2]),
            ("disk", [3, 2, 1]),
            ('"space: disk"', [2]),
            ("id:old_1,old_3", [3, 1]),
            ("older:0s", [3, 2, 1]),
            ("older:1h", []),
            ("newer:1h", [3, 2, 1]),
            ("type:batch_processing", []),
        ):
            listed = (await api.get("/api/tasks", params={"q": query})).json()
            found = [task["task_id"] for task in listed["tasks"]]
            assert (found, listed["total"]) == ([f"old_{n}" for n in expected], len(expected))
        page = {"q": "disk", "status": "failed", "limit": 1, "offset": 1}
        listed = (await api.get("/api/tasks", params=page)).json()
        assert ([task["task_id"] for task in listed["tasks"]], listed["total"]) == (["old_2"], 2)


async def test_a_search_that_cannot_be_read_is_a_422_that_names_the_qualifiers(api: Api) -> None:
    response = await api.get("/api/tasks", params={"q": "colour:red"})
    problem = assert_problem(response, 422, "type:, status:, older:, newer:, id:")
    assert problem["errors"][0]["loc"] == ["query", "q"]
    assert_problem(await api.get("/api/tasks", params={"q": "x" * 4_001}), 422)


async def test_a_long_search_for_text_lets_others_have_their_turn() -> None:
    records = [kept_record(n, TaskStatus.COMPLETED, type="echo") for n in range(1, 3_001)]
    backend = await left_by_a_crash(*records)
    async with serving(engine=an_engine(echo, backend=backend)) as api:
        turns = 0

        async def look() -> None:
            nonlocal turns
            while True:
                await anyio.lowlevel.checkpoint()
                turns += 1

        async with anyio.create_task_group() as others:
            others.start_soon(look)
            await anyio.lowlevel.checkpoint()
            begun = turns
            search = await api.get("/api/tasks", params={"q": "nowhere", "limit": 1})
            assert search.json() == {"tasks": [], "total": 0, "seq": api.engine.seq}
            assert turns - begun > 5
            others.cancel_scope.cancel()
