"""What the contract says of every call: keys, permissions, errors, health, request ids."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from cortex_tasks.engine.engine import TaskEngine
from cortex_tasks.engine.errors import EngineNotRunning, QueueFull, StorageError, StorageFull
from cortex_tasks.http.app import create_app
from cortex_tasks.http.health import LIBRARY_UNREACHABLE, STORAGE_FAILED
from cortex_tasks.http.keys import KeyStore, Permission
from cortex_tasks.http.library_routes import LIBRARY_ENDPOINTS
from cortex_tasks.http.routes import TASK_ENDPOINTS
from tests.engine_setting import FailingBackend, an_engine
from tests.http_setting import (
    JSON,
    PROBLEM,
    Api,
    a_key_store,
    assert_problem,
    client_of,
    echo,
    endless,
    serving,
)
from tests.small_world import small_world

ENDPOINTS = (*TASK_ENDPOINTS, *LIBRARY_ENDPOINTS)
GUARDED = [(row.method, row.path, row.permission) for row in ENDPOINTS if row.permission]


@pytest.fixture
def keys(tmp_path: Path) -> KeyStore:
    return a_key_store(tmp_path)


@pytest.fixture
async def api(keys: KeyStore) -> AsyncIterator[Api]:
    async with serving(echo, endless, keys=keys, key=keys.create("me")) as api:
        yield api


# -- keys and permissions ------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path", "permission"), GUARDED)
async def test_every_call_but_health_needs_a_key_with_its_permission(
    keys: KeyStore, method: str, path: str, permission: Permission
) -> None:
    reader, manager = keys.create("reader", ["read"]), keys.create("manager", ["manage"])
    path = path.replace("{name:path}", "x").replace("{", "").replace("}", "")
    draining = anyio.Event()
    draining.set()  # so that what would go on for ever, as events do, ends
    async with small_world() as (engine, library):
        app = create_app(engine, library=library, keys=keys, draining=draining)
        async with client_of(app) as nobody, client_of(app, reader) as one_who_reads:
            refused = await nobody.request(method, path)
            assert_problem(refused, 401, "API key required")
            answer = await one_who_reads.request(method, path)
            if permission is Permission.READ:
                assert answer.status_code in (200, 404, 422)
            else:
                problem = assert_problem(answer, 403)
                assert problem["detail"] == "Insufficient permissions: MANAGE access required"
        async with client_of(app, manager) as one_who_manages:
            answer = await one_who_manages.request(method, path)
            assert answer.status_code not in (401, 403, 405, 500)


async def test_the_contract_says_which_calls_change_things() -> None:
    reading = {(row.method, row.path) for row in ENDPOINTS if row.permission is Permission.READ}
    assert all(method == "GET" for method, _ in reading)
    open_to_all = [(row.method, row.path) for row in ENDPOINTS if row.permission is None]
    assert open_to_all == [("GET", "/health"), ("GET", "/openapi.json")]
    managing = {path for _, path, permission in GUARDED if permission is Permission.MANAGE}
    assert "/api/instance/status" in managing


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, "API key required"),
        ({"X-API-Key": ""}, "API key required"),
        ({"X-API-Key": "   "}, "API key required"),
        ({"Authorization": "Bearer "}, "API key required"),
        ({"Authorization": "Bearer"}, "API key required"),
        ({"Authorization": "Basic dTpw"}, "API key required"),
        ({"X-API-Key": "cortex_rw_wrong"}, "Invalid API key"),
        ({"X-API-Key": b"\xff\xfe"}, "Invalid API key"),
        ({"Authorization": "Bearer cortex_rw_wrong"}, "Invalid API key"),
    ],
)
async def test_without_a_good_key_the_answer_is_401(
    api: Api, headers: dict[str, Any], expected: str
) -> None:
    async with client_of(api.app) as nobody:
        response = await nobody.get("/api/tasks", headers=headers)
    problem = assert_problem(response, 401)
    assert problem["detail"] == expected
    assert response.headers["www-authenticate"] == "APIKey"


@pytest.mark.parametrize(
    "form", ["X-API-Key: {}", "Authorization: Bearer {}", "Authorization: bearer  {} "]
)
async def test_a_key_may_come_in_either_header(api: Api, keys: KeyStore, form: str) -> None:
    name, _, value = form.partition(": ")
    async with client_of(api.app) as client:
        response = await client.get("/api/tasks", headers={name: value.format(keys.create("k"))})
    assert response.status_code == 200


async def test_of_two_keys_the_one_in_x_api_key_counts(api: Api, keys: KeyStore) -> None:
    good = keys.create("good")
    async with client_of(api.app) as client:
        both = {"X-API-Key": good, "Authorization": "Bearer wrong"}
        assert (await client.get("/api/tasks", headers=both)).status_code == 200
        both = {"X-API-Key": "wrong", "Authorization": f"Bearer {good}"}
        assert (await client.get("/api/tasks", headers=both)).status_code == 401
        both = {"X-API-Key": "", "Authorization": f"Bearer {good}"}
        assert (await client.get("/api/tasks", headers=both)).status_code == 200


async def test_a_key_in_the_query_is_no_key(api: Api, keys: KeyStore) -> None:
    async with client_of(api.app) as client:
        assert_problem(await client.get(f"/api/tasks?api_key={keys.create('k')}"), 401)


async def test_a_key_revoked_beside_the_server_is_refused_at_once(
    api: Api, keys: KeyStore, tmp_path: Path
) -> None:
    key = keys.create("short-lived")
    async with client_of(api.app, key) as client:
        assert (await client.get("/api/tasks")).status_code == 200
        a_key_store(tmp_path).revoke("short-lived")  # as the command line does it
        assert_problem(await client.get("/api/tasks"), 401, "Invalid API key")


async def test_when_the_keys_cannot_be_read_nobody_gets_in_and_no_path_gets_out(
    api: Api, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "keys.json").write_text("no keys here")
    problem = assert_problem(await api.get("/api/tasks"), 503)
    assert str(tmp_path) not in problem["detail"]
    assert str(tmp_path) in caplog.text


async def test_without_keys_the_surrounding_program_guards_the_way() -> None:
    async with serving(echo) as api:
        assert (await api.get("/api/tasks")).status_code == 200


# -- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api"),
        ("GET", "/api/task"),
        ("GET", "/api/tasks/"),
        ("POST", "/api/tasks/x/y"),
        ("GET", "/api/documents"),  # served with a library only
        ("GET", "/%00"),
        ("GET", "//api/tasks"),
    ],
)
async def test_an_unknown_path_is_404(api: Api, method: str, path: str) -> None:
    assert_problem(await api.ask(method, path), 404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/api/tasks/x", "DELETE, GET, HEAD"),
        ("PUT", "/api/tasks", "GET, HEAD, POST"),
        ("PATCH", "/api/tasks/x/result", "GET, HEAD"),
        ("DELETE", "/api/tasks", "GET, HEAD, POST"),
        ("POST", "/health", "GET, HEAD"),
        ("OPTIONS", "/api/tasks", "GET, HEAD, POST"),
        ("NONSENSE", "/api/tasks", "GET, HEAD, POST"),
    ],
)
async def test_a_wrong_method_is_405_with_all_that_are_right(
    api: Api, method: str, path: str, allowed: str
) -> None:
    response = await api.ask(method, path)
    assert_problem(response, 405)
    assert response.headers["allow"] == allowed


async def test_head_is_get_without_a_body(api: Api) -> None:
    task_id = await api.ended("echo")
    for path in ("/health", "/api/tasks", f"/api/tasks/{task_id}", f"/api/tasks/{task_id}/result"):
        whole, head = await api.get(path), await api.ask("HEAD", path)
        assert head.status_code == 200
        assert head.content == b""
        assert head.headers["content-length"] == whole.headers["content-length"]
    missing = await api.ask("HEAD", "/api/tasks/nobody")
    assert (missing.status_code, missing.content) == (404, b"")


@pytest.mark.parametrize("body", [b"{", b'{"a": }', b"\xff", b"max_age_hours=3", b"[" * 5000])
async def test_a_body_that_is_no_json_is_400(api: Api, body: bytes) -> None:
    response = await api.post("/api/tasks/cleanup", content=body, headers={"content-type": JSON})
    assert_problem(response, 400, "JSON")


@pytest.mark.parametrize("body", [b"[]", b"3", b'"text"', b"true"])
async def test_a_body_that_is_no_object_is_422(api: Api, body: bytes) -> None:
    response = await api.post("/api/tasks/cleanup", content=body, headers={"content-type": JSON})
    assert assert_problem(response, 422)["errors"][0]["loc"] == ["body"]


@pytest.mark.parametrize("body", [b"", b"  \n", b"{}", b"null"])
async def test_an_absent_or_empty_body_is_fine(api: Api, body: bytes) -> None:
    response = await api.post("/api/tasks/cleanup", content=body, headers={"content-type": JSON})
    assert response.status_code == 200
    assert (await api.post("/api/tasks/cleanup")).status_code == 200


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "nonsense"]
)
async def test_another_content_type_is_415(api: Api, kind: str) -> None:
    given = {"content": b'{"max_age_hours": 3}', "headers": {"content-type": kind}}
    assert_problem(await api.post("/api/tasks/cleanup", **given), 415, "application/json")
    nothing = await api.post("/api/tasks/cleanup", content=b"", headers={"content-type": kind})
    assert nothing.status_code == 200


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"]
)
async def test_json_may_call_itself_by_any_of_its_names(api: Api, kind: str) -> None:
    given = {"content": b'{"max_age_hours": 3}', "headers": {"content-type": kind}}
    assert (await api.post("/api/tasks/cleanup", **given)).status_code == 200


async def test_a_body_over_the_limit_is_413(keys: KeyStore) -> None:
    key = keys.create("me")
    async with serving(echo, keys=keys, key=key, json_limit=100) as api:
        body = b'{"max_age_hours": 3, "more": "' + b"x" * 100 + b'"}'
        given = {"content": body, "headers": {"content-type": JSON}}
        assert_problem(await api.post("/api/tasks/cleanup", **given), 413, "100 bytes")


async def test_every_wrong_parameter_is_told_with_its_place() -> None:
    async with serving(echo) as api:
        problem = assert_problem(await api.get("/api/tasks?limit=a&offset=-1&status=x"), 422)
        assert [error["loc"] for error in problem["errors"]] == [
            ["query", "limit"],
            ["query", "offset"],
        ]
        assert "limit" in problem["detail"]
        assert "offset" in problem["detail"]


async def test_an_error_that_nobody_foresaw_is_500_and_tells_nothing_but_where_to_look(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(self: TaskEngine, **_: Any) -> None:
        raise RuntimeError("the password is swordfish")

    monkeypatch.setattr(TaskEngine, "list", broken)
    async with serving(echo) as api:
        with caplog.at_level(logging.ERROR):
            response = await api.get("/api/tasks", headers={"X-Request-ID": "look-here"})
        problem = assert_problem(response, 500)
        assert "swordfish" not in response.text
        assert problem["request_id"] == response.headers["x-request-id"] == "look-here"
        assert "look-here" in caplog.text
        assert "swordfish" in caplog.text


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (QueueFull("echo", 3), 503),
        (StorageFull("no room"), 507),
        (StorageError("the disk is gone"), 503),
        (EngineNotRunning("draining"), 503),
        (ExceptionGroup("several", [QueueFull("echo", 3)]), 503),
    ],
)
async def test_an_error_of_the_engine_is_an_answer_that_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    async def refusing(self: TaskEngine, *_: Any) -> None:
        raise error

    monkeypatch.setattr(TaskEngine, "cleanup", refusing)
    async with serving(echo) as api:
        response = await api.post("/api/tasks/cleanup")
        assert_problem(response, status)
        if status == 503:
            assert int(response.headers["retry-after"]) > 0


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [("x=" + "y" * 9000, {}, 414), ("", {"X-Long": "y" * 40_000}, 431)],
)
async def test_a_head_without_end_is_refused(
    api: Api, query: str, headers: dict[str, str], status: int
) -> None:
    assert_problem(await api.get(f"/api/tasks?{query}", headers=headers), status)


# -- what every answer carries -------------------------------------------------------------------


@pytest.mark.parametrize("sane", ["abc", "req-1.2:3", "0f8fad5b-d9cb-469f-a165-70867728950e"])
async def test_a_request_id_is_echoed(api: Api, sane: str) -> None:
    for path in ("/health", "/api/tasks", "/nowhere"):
        response = await api.get(path, headers={"X-Request-ID": sane})
        assert response.headers["x-request-id"] == sane


@pytest.mark.parametrize("hostile", ["", "a b", "<script>", "x" * 200, b"\xff", "a\tb", "{id}"])
async def test_a_hostile_request_id_is_replaced(api: Api, hostile: Any) -> None:
    response = await api.get("/health", headers={"X-Request-ID": hostile})
    assert response.headers["x-request-id"].startswith("req_")


async def test_a_missing_request_id_is_made_and_never_twice_the_same(api: Api) -> None:
    ids = {(await api.get("/health")).headers["x-request-id"] for _ in range(5)}
    assert len(ids) == 5


async def test_no_answer_is_kept_on_the_way_or_taken_for_a_page(api: Api) -> None:
    for path in ("/health", "/api/tasks", "/nowhere"):
        headers = (await api.get(path)).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"


# -- health --------------------------------------------------------------------------------------


async def test_health_is_public_and_says_what_clients_look_for(api: Api) -> None:
    async with client_of(api.app) as nobody:
        response = await nobody.get("/health")
    assert response.status_code == 200
    assert response.headers["content-type"] == JSON
    health = response.json()
    assert isinstance(health.pop("version"), str)
    assert health == {"status": "healthy", "neo4j_connected": True, "schema_initialized": True}


async def test_health_is_degraded_when_the_store_has_failed() -> None:
    backend = FailingBackend()
    with pytest.raises(StorageError):
        async with serving(engine=an_engine(echo, backend=backend, drain_grace=0)) as api:
            backend.failure = StorageError("/secret/place cannot be written")
            with pytest.raises(StorageError):
                await api.engine.submit(echo)
            response = await api.get("/health")
            assert (response.status_code, response.headers["retry-after"]) == (503, "5")
            assert response.headers["content-type"] != PROBLEM
            health = response.json()
            assert (health["status"], health["neo4j_connected"]) == ("degraded", False)
            assert health["reason"] == STORAGE_FAILED
            assert "secret" not in response.text


async def test_health_is_degraded_when_the_library_cannot_be_reached() -> None:
    async with small_world() as (engine, library):
        app = create_app(engine, library=library)
        async with client_of(app) as client:
            assert (await client.get("/health")).status_code == 200
            await library.__aexit__(None, None, None)
            response = await client.get("/health")
            assert response.status_code == 503
            assert response.json()["neo4j_connected"] is False
            assert response.json()["reason"] == LIBRARY_UNREACHABLE
            assert_problem(await client.get("/api/documents"), 503)
