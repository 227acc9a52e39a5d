"""The contract's table of task calls, row by row."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import anyio
import msgspec
import pytest

from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.engine.registry import task_type
from cortex_tasks.engine.retrying import Backoff
from cortex_tasks.testing.injected import START
from tests.engine_setting import (
    a_record,
    an_engine,
    left_by_a_crash,
    virtual_time,
)
from tests.http_setting import (
    JSON,
    Api,
    Obstinate,
    assert_problem,
    echo,
    endless,
    failing,
    nothing,
    serving,
)

UNION = {
    *("task_id", "id", "task_type", "type", "kind", "status", "progress_percent", "progress"),
    *("progress_current", "progress_total", "message", "error"),
    *("created_at", "updated_at", "started_at", "completed_at"),
}
TIMES = ("created_at", "updated_at", "started_at", "completed_at")


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return virtual_time(request.param)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with serving(echo, nothing, failing, endless) as api:
        yield api


# -- the task object -----------------------------------------------------------------------------


async def test_a_task_is_told_under_every_name_that_clients_know(api: Api) -> None:
    task_id = await api.ended("echo", {"value": [1, 2]})
    task = (await api.get(f"/api/tasks/{task_id}")).json()
    assert set(task) >= UNION | {"result"}
    assert task["task_id"] == task["id"] == task_id
    assert task["task_type"] == task["type"] == task["kind"] == "echo"
    assert task["status"] == "completed"
    assert task["progress_percent"] == task["progress"] == 100
    assert task["error"] is None
    assert task["result"] == [1, 2]


async def test_times_are_rfc_3339_in_utc_with_a_z(api: Api) -> None:
    task = (await api.get(f"/api/tasks/{await api.ended('nothing')}")).json()
    for name in TIMES:
        assert task[name].startswith("2026-03-15T10:30:0")
        assert task[name].endswith("Z")


async def test_a_running_task_shows_where_it_is_and_no_result_yet(api: Api) -> None:
    task_id = await api.running("endless")
    response = await api.get(f"/api/tasks/{task_id}?wait=5")  # for its first report
    task = response.json()
    assert task["status"] == "running"
    assert (task["progress_current"], task["progress_total"]) == (1, 4)
    assert task["progress_percent"] == task["progress"] == 25
    assert task["message"] == "Looking at it"
    assert task["result"] is None
    assert task["started_at"] is not None
    assert task["completed_at"] is None


async def test_a_pending_task_has_not_started() -> None:
    @task_type("queued", concurrency=1)
    async def queued(ctx: Any) -> None:
        await anyio.sleep_forever()

    async with serving(queued) as api:
        await api.running("queued")
        second = await api.engine.submit(queued)
        task = (await api.get(f"/api/tasks/{second.id}")).json()
        assert task["status"] == "pending"
        assert task["started_at"] is None
        assert task["completed_at"] is None
        assert task["result"] is None


async def test_a_failed_task_says_why_and_its_traceback_stays_here(api: Api) -> None:
    task_id = await api.ended("failing")
    response = await api.get(f"/api/tasks/{task_id}")
    task = response.json()
    assert task["status"] == "failed"
    assert "the moon is full" in task["error"]
    assert task["message"] == f"Failed: {task['error']}"
    assert task["result"] is None
    assert (await api.engine.get(task_id)).traceback
    for path in (f"/api/tasks/{task_id}", f"/api/tasks/{task_id}/result", "/api/tasks"):
        text = (await api.get(path)).text
        assert "traceback" not in text.lower()
        assert __file__ not in text
        assert "raise ValueError" not in text


async def test_document_processing_has_a_kind_of_its_own() -> None:
    @task_type("document_processing")
    async def processing(ctx: Any) -> None: ...

    async with serving(processing) as api:
        task_id = await api.ended("document_processing")
        task = (await api.get(f"/api/tasks/{task_id}")).json()
        assert task["task_type"] == task["type"] == "document_processing"
        assert task["kind"] == "process_documents"


async def test_a_chain_names_its_neighbours(api: Api) -> None:
    first = await api.engine.submit(echo, then=[nothing])
    await first.wait()
    before = (await api.get(f"/api/tasks/{first.id}")).json()
    after = (await api.get(f"/api/tasks/{before['next_task_id']}")).json()
    assert after["previous_task_id"] == first.id
    assert after["type"] == "nothing"


async def test_a_task_says_what_it_waits_for_and_at_which_attempt_it_is(api: Api) -> None:
    waiting = await api.engine.submit(echo, delay=3600, priority=7)
    task = (await api.get(f"/api/tasks/{waiting.id}")).json()
    assert waiting.record.run_at is not None
    assert datetime.fromisoformat(task["run_at"]) == waiting.record.run_at
    assert (task["status"], task["priority"], task["attempt"]) == ("pending", 7, 0)
    task = (await api.get(f"/api/tasks/{await api.ended('nothing')}")).json()
    assert (task["run_at"], task["priority"], task["attempt"]) == (None, 0, 1)
    assert task["attempts"] == []


async def test_a_task_on_its_own_tells_how_its_earlier_attempts_ended() -> None:
    @task_type("flaky", retries=1, backoff=Backoff(first=0))
    async def flaky(ctx: Any) -> None:
        if not ctx.last_attempt:
            raise ConnectionError("refused")

    async with serving(flaky) as api:
        task_id = await api.ended("flaky")
        task = (await api.get(f"/api/tasks/{task_id}")).json()
        (first,) = task["attempts"]
        assert (task["status"], task["attempt"], task["error"]) == ("completed", 2, None)
        assert (first["number"], first["error"]) == (1, "ConnectionError: refused")
        assert first["started_at"] <= first["ended_at"] <= task["completed_at"]
        (listed,) = (await api.get("/api/tasks")).json()["tasks"]
        assert "attempts" not in listed


# -- GET /api/tasks ------------------------------------------------------------------------------


async def test_the_list_is_newest_first_without_results_and_with_a_total(api: Api) -> None:
    ids = [await api.ended("echo", {"value": n}) for n in range(3)]
    response = await api.get("/api/tasks")
    assert response.status_code == 200
    assert response.headers["content-type"] == JSON
    listed = response.json()
    assert [task["id"] for task in listed["tasks"]] == ids[::-1]
    assert listed["total"] == 3
    for task in listed["tasks"]:
        assert set(task) >= UNION
        assert "result" not in task


async def test_an_empty_list_is_a_list(api: Api) -> None:
    assert (await api.get("/api/tasks")).json() == {"tasks": [], "total": 0, "seq": 0}


async def test_without_a_limit_every_task_is_listed(api: Api) -> None:
    handles = await api.engine.submit_many(echo, [{"value": n} for n in range(1203)])
    listed = (await api.get("/api/tasks")).json()
    assert [task["id"] for task in listed["tasks"]] == [handle.id for handle in handles[::-1]]
    assert listed["total"] == 1203


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("status=completed", ["task_3", "task_1"]),
        ("status=failed", ["task_2"]),
        ("status=cancelled", []),
        ("status=no-such-status", []),
        ("task_type=echo", ["task_3", "task_1"]),
        ("type=echo", ["task_3", "task_1"]),
        ("task_type=ech", []),
        ("task_type=Echo", []),
        ("status=completed&task_type=failing", []),
        ("status=&task_type=", ["task_3", "task_2", "task_1"]),
        ("limit=2", ["task_3", "task_2"]),
        ("limit=1&offset=1", ["task_2"]),
        ("offset=2", ["task_1"]),
        ("offset=7", []),
        ("limit=0", []),
        ("something_else=1", ["task_3", "task_2", "task_1"]),
    ],
)
async def test_the_list_is_filtered_and_paged(api: Api, query: str, expected: list[str]) -> None:
    for name in ("echo", "failing", "echo"):
        await api.ended(name)
    listed = (await api.get(f"/api/tasks?{query}")).json()
    assert [task["id"] for task in listed["tasks"]] == expected


async def test_the_total_counts_what_matches_on_all_pages(api: Api) -> None:
    for name in ("echo", "failing", "echo"):
        await api.ended(name)
    assert (await api.get("/api/tasks?limit=1")).json()["total"] == 3
    assert (await api.get("/api/tasks?limit=1&task_type=echo")).json()["total"] == 2


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("batch_processing", "document_processing"),
        ("reprocess_batch", "document_processing"),
        ("document_processing", "document_processing"),
        ("summarization", "community_summarization"),
        ("community_summarization", "community_summarization"),
    ],
)
async def test_older_names_of_task_types_find_them(alias: str, name: str) -> None:
    @task_type("document_processing")
    async def processing(ctx: Any) -> None: ...

    @task_type("community_summarization")
    async def summarization(ctx: Any) -> None: ...

    async with serving(processing, summarization) as api:
        await api.ended("document_processing")
        await api.ended("community_summarization")
        listed = (await api.get(f"/api/tasks?task_type={alias}")).json()
        assert [task["type"] for task in listed["tasks"]] == [name]


@pytest.mark.parametrize(
    "query", ["limit=-1", "limit=many", "offset=-1", "offset=1.5", "limit=1e9x"]
)
async def test_a_page_that_makes_no_sense_is_refused(api: Api, query: str) -> None:
    problem = assert_problem(await api.get(f"/api/tasks?{query}"), 422)
    (error,) = problem["errors"]
    assert error["loc"] == ["query", query.partition("=")[0]]
    assert error["msg"]


# -- GET /api/tasks/{id} -------------------------------------------------------------------------


async def test_an_unknown_task_is_named_and_may_have_been_cleaned_up(api: Api) -> None:
    for method, path in (
        ("GET", "/api/tasks/task_0000"),
        ("GET", "/api/tasks/task_0000/result"),
        ("GET", "/api/tasks/task_0000?wait=5"),
        ("DELETE", "/api/tasks/task_0000"),
    ):
        problem = assert_problem(await api.ask(method, path), 404, "task_0000")
        assert "cleaned up" in problem["detail"]


# -- GET /api/tasks/{id}/result ------------------------------------------------------------------


@pytest.mark.parametrize("value", [{"a": 1}, [1, "two", None], "text", 0, False, 1.5, []])
async def test_the_result_is_given_bare(api: Api, value: Any) -> None:
    task_id = await api.ended("echo", {"value": value})
    response = await api.get(f"/api/tasks/{task_id}/result")
    assert response.status_code == 200
    assert response.headers["content-type"] == JSON
    assert response.json() == value


async def test_a_task_that_returns_nothing_has_an_empty_object_as_its_result(api: Api) -> None:
    for task_id in (await api.ended("nothing"), await api.ended("echo", {"value": None})):
        assert (await api.get(f"/api/tasks/{task_id}/result")).text == "{}"
        assert (await api.get(f"/api/tasks/{task_id}")).json()["result"] == {}


async def test_there_is_no_result_while_a_task_is_under_way(api: Api) -> None:
    task_id = await api.running("endless")
    await api.get(f"/api/tasks/{task_id}?wait=5")
    response = await api.get(f"/api/tasks/{task_id}/result")
    assert response.status_code == 202
    assert int(response.headers["retry-after"]) >= 1
    assert response.json() == {
        "task_id": task_id,
        "status": "running",
        "progress_percent": 25,
        "message": "Looking at it",
    }


async def test_there_is_no_result_of_a_failed_task(api: Api) -> None:
    task_id = await api.ended("failing")
    response = await api.get(f"/api/tasks/{task_id}/result")
    assert response.status_code == 400
    answer = response.json()
    assert answer["task_id"] == task_id
    assert answer["status"] == "failed"
    assert "the moon is full" in answer["error"]
    assert "the moon is full" in answer["detail"]
    assert task_id in answer["detail"]


async def test_there_is_no_result_of_a_cancelled_task(api: Api) -> None:
    task_id = await api.running("endless")
    await api.delete(f"/api/tasks/{task_id}")
    response = await api.get(f"/api/tasks/{task_id}/result")
    assert response.status_code == 400
    answer = response.json()
    assert (answer["task_id"], answer["status"]) == (task_id, "cancelled")
    assert answer["error"] is None
    assert answer["detail"]


# -- DELETE /api/tasks/{id} ----------------------------------------------------------------------


async def test_a_cancel_is_answered_once_the_work_has_stopped() -> None:
    begun = anyio.Event()
    stopped = False

    @task_type("tidy")
    async def tidy(ctx: Any) -> None:
        nonlocal stopped
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(2)
            stopped = True

    async with serving(tidy) as api:
        task_id = (await api.engine.submit(tidy)).id
        await begun.wait()
        response = await api.delete(f"/api/tasks/{task_id}")
        assert stopped
        assert response.status_code == 200
        assert response.json() == {
            "task_id": task_id,
            "status": "cancelled",
            "message": "Task cancelled",
        }
        task = (await api.get(f"/api/tasks/{task_id}")).json()
        assert task["status"] == "cancelled"
        assert task["error"] is None
        assert task["completed_at"] is not None


async def test_a_pending_task_is_cancelled_without_having_run() -> None:
    @task_type("queued", concurrency=1)
    async def queued(ctx: Any) -> None:
        await anyio.sleep_forever()

    async with serving(queued) as api:
        await api.running("queued")
        second = await api.engine.submit(queued)
        response = await api.delete(f"/api/tasks/{second.id}")
        assert response.json()["status"] == "cancelled"
        assert (await api.get(f"/api/tasks/{second.id}")).json()["started_at"] is None


async def test_cancelling_twice_gives_the_same_answer(api: Api) -> None:
    task_id = await api.running("endless")
    first = await api.delete(f"/api/tasks/{task_id}")
    second = await api.delete(f"/api/tasks/{task_id}")
    assert (first.status_code, first.json()) == (second.status_code, second.json())


async def test_a_body_that_ignores_the_cancel_is_told_as_running_until_it_stops() -> None:
    body = Obstinate()
    async with serving(body.task_type()) as api:
        task_id = (await api.engine.submit("obstinate")).id
        await body.begun.wait()
        response = await api.delete(f"/api/tasks/{task_id}")
        assert (response.status_code, response.headers["retry-after"]) == (202, "1")
        answer = response.json()
        assert answer["task_id"] == task_id
        assert answer["status"] == "running"
        assert "still running" in answer["message"]
        body.let_go.set()
        await api.engine.wait(task_id)
        assert (await api.get(f"/api/tasks/{task_id}")).json()["status"] == "cancelled"
        assert (await api.delete(f"/api/tasks/{task_id}")).status_code == 200


@pytest.mark.parametrize(("name", "status"), [("nothing", "completed"), ("failing", "failed")])
async def test_what_has_ended_cannot_be_cancelled(api: Api, name: str, status: str) -> None:
    task_id = await api.ended(name)
    assert_problem(await api.delete(f"/api/tasks/{task_id}"), 400, status)
    assert (await api.get(f"/api/tasks/{task_id}")).json()["status"] == status


# -- POST /api/tasks/cleanup ---------------------------------------------------------------------


async def a_past() -> Any:
    """A task of each final status that ended 30 hours ago, and two that may not go yet."""
    long_ago = START - timedelta(hours=30)
    return await left_by_a_crash(
        a_record(101, TaskStatus.COMPLETED, completed_at=long_ago, result_size=2),
        a_record(102, TaskStatus.FAILED, completed_at=long_ago, error="no"),
        a_record(103, TaskStatus.CANCELLED, completed_at=long_ago),
        a_record(104, TaskStatus.COMPLETED, completed_at=START, result_size=2),
        a_record(105, TaskStatus.PENDING, type="endless"),
    )


async def test_cleanup_removes_what_ended_long_ago_and_says_how_many() -> None:
    engine = an_engine(endless, backend=await a_past())
    async with serving(engine=engine) as api:
        queued = await api.engine.submit(endless)
        response = await api.post("/api/tasks/cleanup")
        assert response.status_code == 200
        assert response.json() == {
            "removed": 3,
            "remaining": 3,
            "message": "Cleaned up 3 old tasks",
        }
        listed = (await api.get("/api/tasks")).json()["tasks"]
        assert [task["id"] for task in listed] == [queued.id, "old_105", "old_104"]
        assert_problem(await api.get("/api/tasks/old_101"), 404, "old_101")


@pytest.mark.parametrize(
    "options",
    [
        {"params": {"max_age_hours": 48}},
        {"json": {"max_age_hours": 48}},
        {"params": {"max_age_hours": 48}, "json": {"max_age_hours": 1}},
        {"params": {"max_age_hours": ""}, "json": {"max_age_hours": 48}},
    ],
)
async def test_the_age_comes_from_the_query_or_the_body_and_the_query_wins(
    options: dict[str, Any],
) -> None:
    async with serving(engine=an_engine(endless, backend=await a_past())) as api:
        assert (await api.post("/api/tasks/cleanup", **options)).json()["removed"] == 0


@pytest.mark.parametrize("hours", ["0", "0.5", "169", "-1", "nan", "inf", "a day", "true"])
async def test_an_age_out_of_bounds_is_refused(api: Api, hours: str) -> None:
    problem = assert_problem(await api.post(f"/api/tasks/cleanup?max_age_hours={hours}"), 422)
    assert problem["errors"][0]["loc"] == ["query", "max_age_hours"]
    body = msgspec.json.encode({"max_age_hours": hours})
    response = await api.post("/api/tasks/cleanup", content=body, headers={"content-type": JSON})
    assert assert_problem(response, 422)["errors"][0]["loc"] == ["body", "max_age_hours"]


@pytest.mark.parametrize("hours", ["1", "168", "24", "1.5"])
async def test_an_age_within_bounds_is_taken(api: Api, hours: str) -> None:
    response = await api.post(f"/api/tasks/cleanup?max_age_hours={hours}")
    assert response.json() == {
        "removed": 0,
        "remaining": 0,
        "message": "Cleaned up 0 old tasks",
    }


# -- after a restart -----------------------------------------------------------------------------


async def test_a_task_that_was_running_says_that_a_restart_interrupted_it() -> None:
    backend = await left_by_a_crash(a_record(1, TaskStatus.RUNNING, type="endless"))
    async with serving(engine=an_engine(endless, backend=backend)) as api:
        task = (await api.get("/api/tasks/old_1")).json()
        assert task["status"] == "failed"
        assert task["error"] == "interrupted by server restart"
        assert task["message"] == "Failed: interrupted by server restart"


async def test_a_resumable_task_goes_on_under_the_same_id() -> None:
    @task_type("steady", on_restart="resume")
    async def steady(ctx: Any) -> None:
        await anyio.sleep_forever()

    backend = await left_by_a_crash(a_record(1, TaskStatus.RUNNING, type="steady"))
    async with serving(engine=an_engine(steady, backend=backend)) as api:
        listed = (await api.get("/api/tasks")).json()
        assert [task["id"] for task in listed["tasks"]] == ["old_1"]
        assert listed["tasks"][0]["status"] in ("pending", "running")
