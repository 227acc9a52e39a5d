"""A person steers over HTTP: tries tasks again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from cortex_tasks.engine.lifecycle import TaskStatus
from tests.engine_setting import a_record, an_engine, left_by_a_crash, virtual_time
from tests.http_setting import Api, assert_problem, echo, endless, failing, serving


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return virtual_time(request.param)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with serving(echo, failing, endless) as api:
        yield api


# -- trying again --------------------------------------------------------------------------------


async def test_a_failed_task_is_tried_again_under_its_id(api: Api) -> None:
    task_id = await api.ended("failing")
    revived = (await api.post(f"/api/tasks/{task_id}/retry")).json()
    assert (revived["task_id"], revived["status"], revived["error"]) == (task_id, "pending", None)
    assert "result" not in revived
    await api.engine.wait(task_id)
    task = (await api.get(f"/api/tasks/{task_id}")).json()
    assert (task["status"], task["attempt"]) == ("failed", 2)
    assert [attempt["number"] for attempt in task["attempts"]] == [1]


async def test_what_cannot_be_tried_again_is_refused_and_stays_as_it_is(api: Api) -> None:
    done = await api.ended("echo")
    running = await api.running("endless")
    for task_id, status in ((done, "completed"), (running, "running")):
        before = (await api.get(f"/api/tasks/{task_id}")).json()
        response = await api.post(f"/api/tasks/{task_id}/retry")
        assert_problem(response, 400, f"it is {status}, neither failed nor cancelled")
        assert (await api.get(f"/api/tasks/{task_id}")).json() == before
    assert_problem(await api.post("/api/tasks/task_x/retry"), 404, "may have been cleaned up")


async def test_a_type_that_is_gone_cannot_be_tried_again() -> None:
    backend = await left_by_a_crash(a_record(1, TaskStatus.FAILED, type="gone", error="no"))
    async with serving(engine=an_engine(echo, backend=backend)) as api:
        assert_problem(await api.post("/api/tasks/old_1/retry"), 422, "registered types: echo")


# -- pausing a type ------------------------------------------------------------------------------


async def test_a_paused_type_starts_nothing_until_it_is_resumed(api: Api) -> None:
    paused = (await api.post("/api/task-types/echo/pause")).json()
    assert (paused["name"], paused["paused"]) == ("echo", True)
    handle = await api.engine.submit("echo")
    assert await api.ended("failing")  # other types go on
    assert (await api.engine.get(handle.id)).status is TaskStatus.PENDING
    (shown,) = [
        one
        for one in (await api.get("/api/task-types")).json()["task_types"]
        if one["name"] == "echo"
    ]
    assert (shown["paused"], shown["pending"]) == (True, 1)
    resumed = (await api.post("/api/task-types/echo/resume")).json()
    assert resumed["paused"] is False
    assert (await handle.wait()).status is TaskStatus.COMPLETED


async def test_an_unknown_type_cannot_be_paused(api: Api) -> None:
    for verb in ("pause", "resume"):
        response = await api.post(f"/api/task-types/nowhere/{verb}")
        assert_problem(response, 404, "registered types: echo")
