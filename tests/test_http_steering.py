"""A person steers over HTTP: tries tasks again, pauses types, steers many at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from cortex_tasks.engine.context import TaskContext
from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.engine.registry import task_type
from tests.engine_setting import a_record, an_engine, left_by_a_crash, virtual_time
from tests.http_setting import Api, Obstinate, assert_problem, echo, endless, failing, serving


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


# -- many at once --------------------------------------------------------------------------------


async def bulk(api: Api, verb: str, **wanted: Any) -> dict[str, Any]:
    response = await api.post(f"/api/tasks/bulk/{verb}", json=wanted)
    assert response.status_code == 200, response.text
    done = response.json()
    assert isinstance(done, dict)
    return done


async def test_all_that_fit_are_cancelled_and_have_stopped(api: Api) -> None:
    running = await api.running("endless")
    waiting = [(await api.engine.submit("endless", delay=60)).id for _ in range(3)]
    other = await api.engine.submit("echo", delay=60)
    done = await bulk(api, "cancel", q="type:endless")
    assert (done["matched"], done["affected"], done["dry_run"]) == (4, 4, False)
    assert (set(done["task_ids"]), done["refused"]) == ({running, *waiting}, [])
    assert api.engine.count(status=TaskStatus.CANCELLED) == 4
    assert (await api.engine.get(other.id)).status is TaskStatus.PENDING
    again = await bulk(api, "cancel", q="type:endless")
    assert (again["matched"], again["affected"]) == (0, 0)


async def test_what_came_of_many_is_told_in_the_order_in_which_they_were_submitted() -> None:
    # The later ones stop first, and every other one not within its grace.
    seconds = (90, 30, 80, 20, 70, 10)
    all_run, begun = anyio.Event(), 0

    @task_type("lingering", params=int, concurrency=9, cancel_grace=60)
    async def lingering(ctx: TaskContext, needs: int) -> None:
        nonlocal begun
        begun += 1
        if begun == len(seconds):
            all_run.set()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(needs)

    async with serving(lingering) as api:
        tasks = [(await api.engine.submit(lingering, each)).id for each in seconds]
        await all_run.wait()
        done = await bulk(api, "cancel", q="type:lingering")
        assert done["task_ids"] == tasks[1::2]
        assert [refusal["task_id"] for refusal in done["refused"]] == tasks[::2]


async def test_a_dry_run_counts_and_changes_nothing(api: Api) -> None:
    failed = [await api.ended("failing") for _ in range(3)]
    await api.ended("echo")
    seq = api.engine.seq
    for wanted in ({"q": "type:failing"}, {"status": "failed"}, {"ids": failed}):
        done = await bulk(api, "retry", **wanted, dry_run=True)
        assert (done["matched"], done["affected"], done["dry_run"]) == (3, 0, True)
        assert done["task_ids"] == failed  # first the one that was submitted first
    done = await bulk(api, "cancel", task_type="failing", dry_run=True)
    assert done["matched"] == 0
    assert api.engine.seq == seq


async def test_all_that_fit_are_tried_again(api: Api) -> None:
    failed = [await api.ended("failing") for _ in range(3)]
    done = await bulk(api, "retry", q="moon", status="failed")
    assert (done["matched"], done["affected"]) == (3, 3)
    for task_id in failed:
        assert (await api.engine.wait(task_id)).attempt == 2


async def test_tasks_that_are_named_are_steered_or_it_is_said_why_not(api: Api) -> None:
    waiting, done_one = (await api.engine.submit("echo", delay=60)).id, await api.ended("echo")
    done = await bulk(api, "cancel", ids=[waiting, done_one, "task_x", waiting])
    assert (done["matched"], done["task_ids"]) == (1, [waiting])
    refused = {refusal["task_id"]: refusal["detail"] for refusal in done["refused"]}
    assert refused.keys() == {done_one, "task_x"}
    assert refused[done_one].endswith("is completed.")
    assert "not found" in refused["task_x"]
    response = await api.post("/api/tasks/bulk/retry", params={"ids": f"{waiting},{done_one}"})
    assert response.json()["task_ids"] == [waiting]


async def test_a_body_that_ignores_its_cancel_is_counted_as_what_it_is() -> None:
    obstinate = Obstinate()
    async with serving(obstinate.task_type(), endless) as api:
        stubborn, willing = await api.running("obstinate"), await api.running("endless")
        done = await bulk(api, "cancel", status="running")
        assert (done["matched"], done["affected"], done["task_ids"]) == (2, 1, [willing])
        (refusal,) = done["refused"]
        assert refusal["task_id"] == stubborn
        assert "still running" in refusal["detail"]
        obstinate.let_go.set()


async def test_what_a_full_queue_does_not_take_is_refused_one_by_one() -> None:
    @task_type("crowded", concurrency=1, max_pending=2)
    async def crowded(ctx: TaskContext) -> None:
        await anyio.sleep_forever()

    async with serving(crowded) as api:
        for _ in range(5):
            handle = await api.engine.submit(crowded)
            await handle.cancel()
        done = await bulk(api, "retry", q="type:crowded")
        assert (done["matched"], done["affected"], len(done["refused"])) == (5, 3, 2)
        assert all("is full" in refusal["detail"] for refusal in done["refused"])


async def test_a_filter_is_needed_and_one_that_cannot_be_read_changes_nothing(api: Api) -> None:
    waiting = await api.engine.submit("echo", delay=60)
    for verb in ("cancel", "retry"):
        path = f"/api/tasks/bulk/{verb}"
        assert_problem(await api.post(path), 422, "one of q, status, task_type and ids")
        assert_problem(await api.post(path, json={"dry_run": False}), 422, "one of q, status")
        assert_problem(await api.post(path, json={"q": "colour:red"}), 422, "no qualifier")
        for blank in ({"q": ""}, {"q": " "}, {"status": ""}, {"q": "", "task_type": ""}):
            assert_problem(await api.post(path, json=blank), 422, "one of q, status")
        assert_problem(await api.post(path, params={"q": " "}), 422, "one of q, status")
    assert (await bulk(api, "cancel", ids=[]))["matched"] == 0
    assert (await api.engine.get(waiting.id)).status is TaskStatus.PENDING


async def test_a_misspelt_dry_run_is_refused_and_not_the_real_thing(api: Api) -> None:
    waiting = await api.engine.submit("echo", delay=60)
    path = "/api/tasks/bulk/cancel"
    for name in ("dry-run", "dryRun", "dry_rum"):
        response = await api.post(path, json={"q": "type:echo", name: True})
        assert_problem(response, 422, f"{name}: Unknown here; there are q, status")
        response = await api.post(path, params={name: "true"}, json={"q": "type:echo"})
        assert_problem(response, 422, f"{name}: Unknown here")
    assert (await api.engine.get(waiting.id)).status is TaskStatus.PENDING
    # Another spelling that is known is none of these.
    assert (await bulk(api, "cancel", type="echo", dry_run=True))["matched"] == 1


async def test_many_are_cancelled_while_others_have_their_turn(api: Api) -> None:
    await api.engine.submit_many("echo", [{}] * 2_000, delay=60)
    turns = 0

    async def look() -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    async with anyio.create_task_group() as others:
        others.start_soon(look)
        done = await bulk(api, "cancel", q="type:echo")
        others.cancel_scope.cancel()
    assert (done["affected"], turns > 20) == (2_000, True)


async def test_a_server_that_stops_says_of_which_tasks_nothing_was_done() -> None:
    draining = anyio.Event()
    async with serving(echo, draining=draining) as api:
        await api.engine.submit_many("echo", [{}] * 3, delay=60)
        draining.set()
        done = await bulk(api, "cancel", q="type:echo")
        assert (done["matched"], done["affected"], len(done["refused"])) == (3, 0, 3)
        assert "stopping" in done["refused"][0]["detail"]
