"""`POST /api/tasks`: how a task of any type is submitted over HTTP."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from cortex_tasks import Limits, MemoryBackend, TaskContext, TaskEngine, task_type
from cortex_tasks.http.app import create_app
from cortex_tasks.http.keys import Permission
from tests.http_setting import a_key_store, assert_problem, client_of, echo, nothing, serving
from tests.small_world import small_world


async def test_a_submitted_task_runs_with_its_parameters() -> None:
    async with serving(echo) as api:
        answer = await api.post("/api/tasks", json={"task_type": "echo", "params": {"value": [1]}})
        assert answer.status_code == 200
        task = answer.json()
        assert (task["task_type"], task["deduplicated"]) == ("echo", False)
        await api.engine.wait(task["task_id"])
        assert (await api.get(f"/api/tasks/{task['task_id']}/result")).json() == [1]


async def test_parameters_are_whatever_the_type_takes() -> None:
    @task_type("double", params=int)
    async def double(ctx: TaskContext, params: int) -> int:
        return 2 * params

    async with serving(double) as api:
        wanted = {
            "task_type": "double",
            "params": 7,
            "then": [{"task_type": "double", "params": 8}],
        }
        task_id = (await api.post("/api/tasks", json=wanted)).json()["task_id"]
        first = await api.engine.wait(task_id)
        assert (await api.get(f"/api/tasks/{task_id}")).json()["params"] == 7
        assert first.next_id is not None
        await api.engine.wait(first.next_id)
        assert [await api.engine.result(each) for each in (task_id, first.next_id)] == [14, 16]


@pytest.mark.parametrize(
    ("wanted", "place"),
    [
        ({"params": 7}, "params"),
        ({"params": {"size": "x"}}, "params.size"),
        ({"then": [{"task_type": "sized", "params": {"size": []}}]}, "then[0].params.size"),
        ({"then": ["sized", {"task_type": "sized", "params": "x"}]}, "then[1].params"),
        ({"priority": 5, "dedupe_key": ""}, None),
    ],
)
async def test_parameters_that_do_not_fit_are_named_by_their_place_in_the_body(
    wanted: dict[str, Any], place: str | None
) -> None:
    class Sized(msgspec.Struct):
        size: int = 1

    @task_type("sized", params=Sized)
    async def sized(ctx: TaskContext, params: Sized) -> None:
        pass

    async with serving(sized) as api:
        problem = assert_problem(
            await api.post("/api/tasks", json={"task_type": "sized", **wanted}), 422
        )
        assert [error["loc"] for error in problem["errors"]] == [
            ["body", place] if place else ["body"]
        ]
        assert api.engine.count() == 0


@pytest.mark.parametrize("of_a_step", [False, True])
@pytest.mark.parametrize(("size", "in_a_thread"), [(2, False), (2_000, True)])
async def test_large_parameters_are_checked_in_a_thread_whether_they_fit_or_not(
    of_a_step: bool, size: int, in_a_thread: bool
) -> None:
    threads: set[bool] = set()

    class Row(msgspec.Struct):
        number: int

        def __post_init__(self) -> None:
            threads.add(threading.current_thread() is not threading.main_thread())

    @task_type("rows", params=list[Row])
    async def rows(ctx: TaskContext, params: list[Row]) -> None:
        pass

    async with TaskEngine([rows], backend=MemoryBackend()) as engine:
        async with client_of(create_app(engine)) as client:
            answers = []
            for last in (2, "x"):
                params = [{"number": 1}] * size + [{"number": last}]
                wanted = {"task_type": "rows", "params": params, "delay": 3600}
                if of_a_step:
                    wanted |= {"params": [], "then": [{"task_type": "rows", "params": params}]}
                answers.append(await client.post("/api/tasks", json=wanted))
            assert answers[0].status_code == 200
            place = f"{'then[0].' if of_a_step else ''}params[{size}].number"
            assert assert_problem(answers[1], 422)["errors"][0]["loc"] == ["body", place]
            assert threads == {in_a_thread}


async def test_no_more_is_read_of_a_task_than_it_may_have_as_parameters() -> None:
    limits = Limits(max_params_bytes=2_000)
    async with TaskEngine([echo], backend=MemoryBackend(), limits=limits) as engine:
        app = create_app(engine, json_limit=100)
        async with client_of(app) as client:
            for size, status in ((1_900, 200), (2_300, 413)):
                wanted = {"task_type": "echo", "params": {"value": "x" * size}}
                assert (await client.post("/api/tasks", json=wanted)).status_code == status
        async with client_of(create_app(engine, upload_limit=1_000)) as client:
            assert_problem(await client.post("/api/tasks", content=b"x" * 1_001), 413)


async def test_delay_priority_key_and_steps_are_those_that_were_asked_for() -> None:
    async with serving(echo, nothing) as api:
        wanted = {
            "type": "echo",
            "params": {"value": 7},
            "delay": 3600,
            "priority": 5,
            "dedupe_key": "once",
            "then": ["nothing", {"task_type": "echo", "params": {"value": 8}}],
        }
        first = (await api.post("/api/tasks", json=wanted)).json()
        again = (await api.post("/api/tasks", json=wanted)).json()
        assert again["task_id"] == first["task_id"]
        assert again["deduplicated"] is True
        record = await api.engine.get(first["task_id"])
        assert (record.priority, record.dedupe_key) == (5, "once")
        assert record.run_at is not None
        assert record.run_at == record.created_at + timedelta(hours=1)
        assert [step.task_type for step in record.then] == ["nothing", "echo"]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({}, "task_type"),
        ({"task_type": "unheard"}, "registered types: echo"),
        ({"task_type": "echo", "params": {"value": 1}, "priority": 9999}, "priority"),
        ({"task_type": "echo", "params": [1]}, "bad parameters for 'echo'"),
        ({"task_type": "echo", "delay": -1}, "delay"),
        ({"task_type": "echo", "delay": 1, "run_at": "2030-01-01T00:00:00Z"}, "not both"),
        ({"task_type": "echo", "run_at": "2030-01-01T00:00:00"}, "time zone"),
        ({"task_type": "echo", "then": ["unheard"]}, "unknown task type"),
        ({"task_type": "echo", "then": [{"task_type": 1}]}, "then"),
        ({"task_type": "echo", "dedupe_key": ""}, "dedupe_key"),
    ],
)
async def test_what_does_not_fit_is_refused_by_name_and_starts_nothing(
    wanted: dict[str, Any], said: str
) -> None:
    async with serving(echo) as api:
        assert_problem(await api.post("/api/tasks", json=wanted), 422, said)
        assert api.engine.count() == 0


async def test_submitting_takes_a_key_that_may_manage(tmp_path: Path) -> None:
    keys = a_key_store(tmp_path)
    reader = keys.create("reader", [Permission.READ])
    async with serving(echo, keys=keys, key=reader) as api:
        assert_problem(await api.post("/api/tasks", json={"task_type": "echo"}), 403)
        assert api.engine.count() == 0


async def test_what_an_operation_starts_is_left_to_the_operation() -> None:
    async def at_once(*_: Any) -> None:
        await anyio.lowlevel.checkpoint()

    async with small_world(at_once) as (engine, library):
        async with client_of(create_app(engine, library=library)) as client:
            for wanted in (
                {"task_type": "community_detection"},
                {"task_type": "unheard", "then": ["community_detection"]},
            ):
                answer = await client.post("/api/tasks", json=wanted)
                assert_problem(answer, 422, "POST /api/graph/communities/detect")
        assert engine.count() == 0
