"""The contract's table of operations: what starts the four jobs, and what stops them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from cortex_tasks.http.app import create_app
from cortex_tasks.jobs.library import Library
from tests.http_setting import Api, assert_problem, client_of
from tests.small_world import add_texts, small_world

PROCESS = "/api/documents/process-pending"
ANALYZE = "/api/graph/relationships/analyze"
DETECT = "/api/graph/communities/detect"
SUMMARIZE = "/api/graph/communities/summarize"
ABORT = "/api/graph/generation/abort"
STEPS = ["relationship_analysis", "community_detection", "community_summarization"]
CHAIN = ",".join(STEPS)


class World(Api):
    """An application over the four jobs and a library; children wait while the gate is shut."""

    library: Library
    gate: anyio.Event
    reached: anyio.Event  # a child is waiting at the gate

    async def end_of(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Wait until the task has ended; gives it as clients see it."""
        await self.engine.wait(answer["task_id"])
        task = await self.get(f"/api/tasks/{answer['task_id']}")
        shown: dict[str, Any] = task.json()
        return shown


@asynccontextmanager
async def a_world() -> AsyncIterator[World]:
    gate, reached = anyio.Event(), anyio.Event()
    gate.set()

    made: list[World] = []

    async def before(*_: Any) -> None:
        reached.set()
        await made[0].gate.wait()

    with anyio.fail_after(60):
        async with small_world(before) as (engine, library):
            app = create_app(engine, library=library)
            async with client_of(app) as client:
                made.append(world := World(engine, app, client))
                world.library, world.gate, world.reached = library, gate, reached
                yield world


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with a_world() as world:
        yield world


@pytest.fixture
async def busy() -> AsyncIterator[World]:
    """A world with documents, whose children get nowhere."""
    async with a_world() as world:
        await add_texts(world.library)
        world.gate = anyio.Event()
        yield world


async def started(world: World, path: str, **options: Any) -> dict[str, Any]:
    response = await world.post(path, **options)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    assert answer["task_id"].startswith("task_")
    assert answer["task_id"].removeprefix("task_").isalnum()
    assert answer["status"] == "pending"
    assert answer["message"]
    assert answer["deduplicated"] is False
    return answer


# -- process-pending -----------------------------------------------------------------------------


async def test_with_nothing_pending_there_is_no_task(world: World) -> None:
    response = await world.post(PROCESS)
    assert response.status_code == 200
    assert response.json() == {"message": "No pending documents to process", "pending_count": 0}


async def test_processing_says_what_it_will_do_and_then_what_it_did(world: World) -> None:
    documents = await add_texts(world.library)
    answer = await started(world, PROCESS, params={"concurrency": 3})
    assert (answer["pending_count"], answer["concurrency"], answer["chain"]) == (4, 3, [])
    task = await world.end_of(answer)
    assert task["type"] == "document_processing"
    assert task["kind"] == "process_documents"
    result = task["result"]
    assert set(result) >= {"processed", "failed", "cancelled", "quota_skipped", "total", "message"}
    assert (result["processed"], result["failed"], result["total"]) == (4, 0, 4)
    assert {row["document_id"] for row in result["documents"]} == {each.id for each in documents}
    for row in result["documents"]:
        assert set(row) >= {"document_id", "filename", "status", "error"}
        assert (row["status"], row["error"]) == ("completed", None)


async def test_by_default_two_documents_are_worked_on_at_a_time(world: World) -> None:
    await add_texts(world.library)
    assert (await started(world, PROCESS))["concurrency"] == 2


@pytest.mark.parametrize(
    "options",
    [
        {"params": {"concurrency": 7}},
        {"json": {"concurrency": 7}},
        {"json": {"concurrency": "7"}},
        {"params": {"concurrency": 7}, "json": {"concurrency": 9}},
        {"params": {"concurrency": "", "other": 1}, "json": {"concurrency": 7, "another": [1]}},
    ],
)
async def test_parameters_come_from_query_or_body_and_the_query_wins(
    world: World, options: dict[str, Any]
) -> None:
    await add_texts(world.library)
    assert (await started(world, PROCESS, **options))["concurrency"] == 7


@pytest.mark.parametrize("concurrency", ["0", "51", "-1", "two", "2.5", "true"])
async def test_a_concurrency_out_of_bounds_is_refused(world: World, concurrency: str) -> None:
    problem = assert_problem(await world.post(f"{PROCESS}?concurrency={concurrency}"), 422)
    assert problem["errors"][0]["loc"] == ["query", "concurrency"]
    problem = assert_problem(await world.post(PROCESS, json={"concurrency": concurrency}), 422)
    assert problem["errors"][0]["loc"] == ["body", "concurrency"]


@pytest.mark.parametrize(
    "options",
    [
        {"params": {"chain": CHAIN}},
        {"params": {"chain": f" {CHAIN.replace(',', ' , ')} "}},
        {"params": [("chain", step) for step in STEPS]},
        {"json": {"chain": CHAIN}},
        {"json": {"chain": STEPS}},
    ],
)
async def test_a_chain_runs_each_step_as_its_own_task(
    world: World, options: dict[str, Any]
) -> None:
    await add_texts(world.library)
    answer = await started(world, PROCESS, **options)
    assert answer["chain"] == STEPS
    task = await world.end_of(answer)
    ran = []
    while task["next_task_id"]:
        task = await world.end_of({"task_id": task["next_task_id"]})
        ran.append((task["type"], task["status"]))
    assert ran == [(step, "completed") for step in STEPS]


@pytest.mark.parametrize("path", [PROCESS, ANALYZE])
async def test_an_unknown_step_of_a_chain_is_refused_and_nothing_starts(
    world: World, path: str
) -> None:
    await add_texts(world.library)
    response = await world.post(f"{path}?chain=community_detection,make_coffee")
    problem = assert_problem(response, 422, "make_coffee")
    assert problem["errors"][0]["loc"] == ["query", "chain"]
    problem = assert_problem(await world.post(path, json={"chain": "make_coffee"}), 422)
    assert problem["errors"][0]["loc"] == ["body", "chain"]
    assert (await world.get("/api/tasks")).json()["total"] == 0


async def test_the_same_operation_twice_is_one_task(busy: World) -> None:
    first = await started(busy, PROCESS)
    await busy.reached.wait()
    second = (await busy.post(PROCESS)).json()
    assert (second["task_id"], second["deduplicated"]) == (first["task_id"], True)
    assert (await busy.get("/api/tasks")).json()["total"] == 1


# -- the other three -----------------------------------------------------------------------------


async def processed(world: World) -> None:
    await add_texts(world.library)
    await world.end_of(await started(world, PROCESS))


async def test_an_analysis_tells_what_it_found(world: World) -> None:
    await processed(world)
    answer = await started(world, ANALYZE)
    task = await world.end_of(answer)
    assert task["type"] == "relationship_analysis"
    assert set(task["result"]) >= {
        *("relationships_discovered", "relationships_stored", "entities_analyzed"),
        *("collection_id", "entity_relationship_ratio", "target_ratio", "rounds_completed"),
        *("total_relationships", "discovery_mode", "candidate_pairs"),
    }
    assert task["result"]["discovery_mode"] == "incremental"


@pytest.mark.parametrize(
    ("options", "mode"),
    [
        ({}, "incremental"),
        ({"params": {"mode": "incremental"}}, "incremental"),
        ({"params": {"mode": "rebuild"}}, "rebuild"),
        ({"params": {"rebuild": "true"}}, "rebuild"),
        ({"params": {"rebuild": "1"}}, "rebuild"),
        ({"params": {"rebuild": "YES"}}, "rebuild"),
        ({"params": {"rebuild": "false"}}, "incremental"),
        ({"params": {"rebuild": "no"}}, "incremental"),
        ({"json": {"rebuild": True}}, "rebuild"),
        ({"json": {"mode": "rebuild"}}, "rebuild"),
        ({"params": {"mode": "incremental"}, "json": {"mode": "rebuild"}}, "incremental"),
    ],
)
async def test_the_mode_of_an_analysis_is_said_in_either_way(
    world: World, options: dict[str, Any], mode: str
) -> None:
    task = await world.end_of(await started(world, ANALYZE, **options))
    assert task["result"]["discovery_mode"] == mode


@pytest.mark.parametrize("query", ["mode=sideways", "rebuild=perhaps"])
async def test_a_mode_that_there_is_not_is_refused(world: World, query: str) -> None:
    problem = assert_problem(await world.post(f"{ANALYZE}?{query}"), 422)
    assert problem["errors"][0]["loc"] == ["query", query.partition("=")[0]]


async def test_a_detection_tells_the_communities_it_found(world: World) -> None:
    await processed(world)
    task = await world.end_of(await started(world, DETECT))
    assert task["type"] == "community_detection"
    result = task["result"]
    assert set(result) >= {"communities", "total", "collection_id", "modularity", "algorithm"}
    assert set(result["distribution"]) >= {
        *("community_count", "total_entities_covered"),
        *("min_size", "max_size", "median_size", "mean_size"),
    }
    assert result["total"] == len(result["communities"]) > 0
    for community in result["communities"]:
        assert set(community) >= {"id", "entities", "entity_count", "name", "summary"}
        assert isinstance(community["id"], int)
        for entity in community["entities"]:
            assert set(entity) >= {"name", "type", "description"}


@pytest.mark.parametrize("name", ["min_size", "min_community_size"])
async def test_the_smallest_size_goes_by_either_name(world: World, name: str) -> None:
    await processed(world)
    few = await world.end_of(await started(world, DETECT, params={name: 20}))
    assert few["result"]["total"] == 0
    many = await world.end_of(await started(world, DETECT, json={name: 2}))
    assert many["result"]["total"] > 0
    for size in (1, 21):
        problem = assert_problem(await world.post(f"{DETECT}?{name}={size}"), 422)
        assert problem["errors"][0]["loc"] == ["query", name]


async def test_a_summarization_tells_what_became_of_each_community(world: World) -> None:
    await processed(world)
    detected = await world.end_of(await started(world, DETECT))
    answer = await started(world, SUMMARIZE)
    assert (answer["results"], answer["total_processed"]) == ([], 0)
    task = await world.end_of(answer)
    assert task["type"] == "community_summarization"
    result = task["result"]
    assert set(result) >= {
        *("results", "total_processed", "summaries_generated", "summaries_skipped"),
    }
    assert result["total_processed"] == detected["result"]["total"]
    for row in result["results"]:
        assert set(row) >= {"id", "status", "name", "summary", "reason"}
        assert row["status"] in ("summarized", "skipped", "failed")


@pytest.mark.parametrize(
    "options",
    [
        {"params": {"community_ids": "{}"}},
        {"params": {"community_ids": "comm_{}"}},
        {"params": {"community_ids": "{},{}"}},
        {"params": [("community_ids", "{}"), ("community_ids", "comm_{}")]},
        {"json": {"community_ids": "{}"}},
        {"json": {"community_ids": ["{}"]}},
        {"json": {"community_ids": ["comm_{}", "{}"]}},
        {"json": {"community_ids": "int"}},
        {"json": {"community_ids": ["int"]}},
    ],
)
async def test_communities_are_named_in_any_way_that_clients_do(
    world: World, options: dict[str, Any]
) -> None:
    await processed(world)
    detected = await world.end_of(await started(world, DETECT))
    first = detected["result"]["communities"][0]["id"]
    task = await world.end_of(await started(world, SUMMARIZE, **_filled(options, first)))
    assert [row["id"] for row in task["result"]["results"]] == [first]


async def test_a_good_summary_is_written_anew_only_when_forced(world: World) -> None:
    await processed(world)
    await world.end_of(await started(world, DETECT))
    await world.end_of(await started(world, SUMMARIZE))
    kept = await world.end_of(await started(world, SUMMARIZE))
    assert kept["result"]["summaries_generated"] == 0
    forced = await world.end_of(await started(world, SUMMARIZE, params={"force_regenerate": "on"}))
    assert forced["result"]["summaries_generated"] > 0


@pytest.mark.parametrize("ids", ["five", "comm_", "-1", "1,x", "5.5"])
async def test_what_is_no_community_id_is_refused(world: World, ids: str) -> None:
    problem = assert_problem(await world.post(f"{SUMMARIZE}?community_ids={ids}"), 422)
    assert problem["errors"][0]["loc"] == ["query", "community_ids"]
    problem = assert_problem(await world.post(SUMMARIZE, json={"community_ids": [ids]}), 422)
    assert problem["errors"][0]["loc"] == ["body", "community_ids"]


# -- stopping ------------------------------------------------------------------------------------


async def test_an_abort_stops_all_that_is_under_way_and_nothing_is_lost(busy: World) -> None:
    running = await started(busy, PROCESS, params={"chain": CHAIN})
    await busy.reached.wait()
    detection = await started(busy, DETECT)
    response = await busy.post(ABORT)
    assert response.status_code == 200
    answer = response.json()
    assert set(answer) >= {
        *("documents_cancelled", "chain_tasks_cancelled", "tasks_removed", "tasks_cancelled"),
        *("docling_workers_killed", "documents_reset"),
    }
    assert set(answer["tasks_cancelled"]) == {running["task_id"], detection["task_id"]}
    assert (answer["tasks_removed"], answer["docling_workers_killed"]) == ([], 0)
    assert answer["documents_cancelled"] == answer["documents_reset"] == 2
    assert answer["chain_tasks_cancelled"] == 1
    for task in (await busy.get("/api/tasks")).json()["tasks"]:
        assert task["status"] == "cancelled"
    assert (await busy.get("/api/documents/pending")).json()["pending_count"] == 4


async def test_an_abort_with_nothing_to_stop_stops_nothing(world: World) -> None:
    answer = (await world.post(ABORT)).json()
    assert (answer["tasks_cancelled"], answer["documents_reset"]) == ([], 0)


async def test_the_instance_tells_whether_it_may_be_replaced(busy: World) -> None:
    idle = (await busy.get("/api/instance/status")).json()
    assert idle == {
        "safe_to_redeploy": True,
        "reasons": [],
        "running_task_count": 0,
        "running_tasks": [],
    }
    running = await started(busy, PROCESS)
    await busy.reached.wait()
    at_work = (await busy.get("/api/instance/status")).json()
    assert (at_work["safe_to_redeploy"], at_work["running_task_count"]) == (False, 1)
    assert len(at_work["reasons"]) == 1
    assert at_work["running_tasks"][0]["task_id"] == running["task_id"]
    assert "traceback" not in at_work["running_tasks"][0]


def _filled(value: Any, number: int) -> Any:
    """Put the number where a pattern has {}, and in place of "int"."""
    match value:
        case str():
            return number if value == "int" else value.replace("{}", str(number))
        case dict():
            return {name: _filled(inner, number) for name, inner in value.items()}
        case tuple():
            return tuple(_filled(inner, number) for inner in value)
        case _:
            return [_filled(inner, number) for inner in value]
