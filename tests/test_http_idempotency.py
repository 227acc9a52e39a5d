"""`Idempotency-Key`: a request that is repeated with its key makes one task, and says which."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cortex_tasks.backends.json_backend import JsonBackend
from cortex_tasks.engine.engine import TaskEngine
from cortex_tasks.engine.surroundings import Surroundings, offload_inline
from cortex_tasks.http.app import create_app
from cortex_tasks.http.idempotency import LONGEST_KEY
from cortex_tasks.http.library_routes import LIBRARY_ENDPOINTS
from cortex_tasks.http.routes import TASK_ENDPOINTS
from cortex_tasks.jobs.builtin import builtin_task_types
from cortex_tasks.jobs.library import Library
from tests.http_setting import Api, assert_problem, client_of, echo
from tests.inline_children import InlineChildren
from tests.small_world import add_texts

PROCESS = "/api/documents/process-pending"
ANALYZE = "/api/graph/relationships/analyze"
DETECT = "/api/graph/communities/detect"
SUMMARIZE = "/api/graph/communities/summarize"
UPLOAD = "/api/upload"
TEXT = "/api/custom-input"
SUBMIT = "/api/tasks"
FILE = {"file": ("whales.md", b"# Whales\n\nThe Blue Whale lives in the Pacific Ocean.\n")}

# A request, and another one that differs in what it asks for.
REQUESTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    PROCESS: ({"json": {"concurrency": 3}}, {"json": {"concurrency": 4}}),
    ANALYZE: ({"json": {"mode": "rebuild"}}, {"json": {"mode": "incremental"}}),
    DETECT: ({"json": {"min_size": 2}}, {"json": {"min_size": 3}}),
    SUMMARIZE: ({"json": {"community_ids": [1, 2]}}, {"json": {"community_ids": [1]}}),
    UPLOAD: ({"files": FILE}, {"files": FILE, "params": {"source": "elsewhere"}}),
    TEXT: ({"json": {"content": "Whales sing."}}, {"json": {"content": "Whales dive."}}),
    SUBMIT: (
        {"json": {"type": "echo", "params": {"value": 1}}},
        {"json": {"type": "echo", "params": {"value": 2}}},
    ),
}


@asynccontextmanager
async def a_life(data: Path) -> AsyncIterator[Api]:
    """A server over a data folder, from start to stop."""
    async with Library(data / "library.sqlite", offload=offload_inline) as library:
        engine = TaskEngine(
            [*builtin_task_types(library), echo],
            backend=JsonBackend(data / "tasks"),
            drain_grace=0,
            watchdog=None,
            surroundings=Surroundings(offload=offload_inline),
            children=InlineChildren(),
        )
        async with engine:
            if not (await library.documents.pending(limit=1)).pending_count:
                await add_texts(library, copies=1, first=(await engine.list()).total)
            app = create_app(engine, library=library)
            async with client_of(app) as client:
                yield Api(engine, app, client)


def key(text: str) -> dict[str, str]:
    return {"Idempotency-Key": text}


async def given(api: Api, path: str, text: str, options: dict[str, Any]) -> dict[str, Any]:
    response = await api.post(path, headers=key(text), **options)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_the_calls_that_make_tasks_are_those_that_heed_a_key() -> None:
    rows = [row for row in (*TASK_ENDPOINTS, *LIBRARY_ENDPOINTS) if row.idempotent]
    assert {(row.method, row.path) for row in rows} == {("POST", path) for path in REQUESTS}


@pytest.mark.parametrize("path", REQUESTS)
async def test_a_repeated_request_names_its_task_at_once_when_it_ended_and_after_a_restart(
    path: str, tmp_path: Path
) -> None:
    asked, different = REQUESTS[path]
    async with a_life(tmp_path) as api:
        first = await given(api, path, "k", asked)
        assert (await given(api, path, "k", asked))["task_id"] == first["task_id"]
        await api.engine.wait(first["task_id"])
        again = await given(api, path, "k", asked)
        assert again.keys() == first.keys()
        assert again["task_id"] == first["task_id"]
        problem = assert_problem(await api.post(path, headers=key("k"), **different), 422)
        assert first["task_id"] in problem["detail"]
        total = (await api.engine.list()).total
    async with a_life(tmp_path) as api:
        after = await given(api, path, "k", asked)
        assert after["task_id"] == first["task_id"]
        assert path == SUBMIT or after["message"] == again["message"]
        assert_problem(await api.post(path, headers=key("k"), **different), 422)
        assert (await api.engine.list()).total == total


@pytest.mark.parametrize("path", [PROCESS, ANALYZE, DETECT, SUMMARIZE])
async def test_one_that_was_given_the_task_of_another_is_given_it_again(
    path: str, tmp_path: Path
) -> None:
    asked, _ = REQUESTS[path]
    async with a_life(tmp_path) as api:
        first = await given(api, path, "first", asked)
        second = await given(api, path, "second", asked)
        assert (second["task_id"], second["deduplicated"]) == (first["task_id"], True)
        await api.engine.wait(first["task_id"])
    async with a_life(tmp_path) as api:
        again = await given(api, path, "second", asked)
        assert (again["task_id"], again["deduplicated"]) == (first["task_id"], True)
        assert again["status"] in {"completed", "failed"}
        assert "has ended" in again["message"]


async def test_the_same_key_for_another_operation_is_refused_and_starts_nothing(
    tmp_path: Path,
) -> None:
    async with a_life(tmp_path) as api:
        await given(api, DETECT, "k", {})
        for path in REQUESTS:
            if path != DETECT:
                refused = await api.post(path, headers=key("k"), **REQUESTS[path][0])
                assert_problem(refused, 422, "idempotency key")
        assert (await api.engine.list()).total == 1


async def test_what_was_said_otherwise_is_the_same_request(tmp_path: Path) -> None:
    chain = ["community_detection", "community_summarization"]
    async with a_life(tmp_path) as api:
        first = await given(api, PROCESS, "k", {"json": {"chain": chain}})
        again = await given(api, PROCESS, '"k"', {"params": {"chain": " , ".join(chain)}})
        assert again["task_id"] == first["task_id"]
        assert again["chain"] == chain


async def test_where_nothing_is_pending_the_key_is_free_for_when_there_is(tmp_path: Path) -> None:
    async with a_life(tmp_path) as api:
        await api.engine.wait((await given(api, PROCESS, "k", {}))["task_id"])
        nothing = await given(api, PROCESS, "another", {})
        assert "task_id" not in nothing
        await api.post(UPLOAD, params={"start_processing": "false"}, files=FILE)
        some = await given(api, PROCESS, "another", {})
        assert (await given(api, PROCESS, "another", {}))["task_id"] == some["task_id"]


async def test_a_document_is_taken_in_once_for_each_key(tmp_path: Path) -> None:
    async with a_life(tmp_path) as api:
        first = await given(api, UPLOAD, "k", {"files": FILE})
        again = await given(api, UPLOAD, "k", {"files": FILE})
        assert again["document_id"] == first["document_id"]
        assert "nothing was done again" in again["message"]
        assert_problem(await api.post(UPLOAD, files=FILE, headers=key("another")), 409)
        await api.engine.wait(first["task_id"])
        await api.delete(f"/api/documents/{first['document_id']}")
        anew = await given(api, UPLOAD, "k", {"files": FILE})
        assert anew["task_id"] != first["task_id"]


@pytest.mark.parametrize("bad", ["", " ", '""', "x" * (LONGEST_KEY + 1), "a\tb", "ä", "a\x7fb"])
async def test_what_cannot_be_a_key_is_refused_and_starts_nothing(bad: str, tmp_path: Path) -> None:
    async with a_life(tmp_path) as api:
        for path, (asked, _) in REQUESTS.items():
            headers = {"Idempotency-Key": bad.encode("latin-1")}
            problem = assert_problem(await api.post(path, headers=headers, **asked), 422)
            assert problem["errors"][0]["loc"] == ["header", "Idempotency-Key"]
            assert "1 to 255 printable ASCII characters" in problem["detail"]
        assert (await api.engine.list()).total == 0


async def test_two_keys_are_refused_and_start_nothing(tmp_path: Path) -> None:
    async with a_life(tmp_path) as api:
        for path, (asked, _) in REQUESTS.items():
            two = [("Idempotency-Key", "one"), ("idempotency-key", "two")]
            problem = assert_problem(await api.post(path, headers=two, **asked), 422, "one key")
            assert problem["errors"][0]["loc"] == ["header", "Idempotency-Key"]
        assert (await api.engine.list()).total == 0


async def test_a_key_of_the_longest_kind_is_one(tmp_path: Path) -> None:
    async with a_life(tmp_path) as api:
        long = "~" * LONGEST_KEY
        first = await given(api, DETECT, long, {})
        assert (await given(api, DETECT, long, {}))["task_id"] == first["task_id"]
