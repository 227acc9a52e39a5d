"""The description of the API: no call, parameter, status or field more than is served, or less."""

from __future__ import annotations

import ast
import json
import re
from typing import Any

import httpx2
import msgspec
import pytest
from openapi_spec_validator import validate
from starlette.applications import Starlette
from starlette.routing import Mount

from cortex_tasks.http.app import create_app
from cortex_tasks.http.calls import Endpoint, Media
from cortex_tasks.http.headers import LAST_EVENT_ID
from cortex_tasks.http.library_routes import LIBRARY_PROBLEMS
from cortex_tasks.http.openapi import heeded, problems_of
from cortex_tasks.http.parameters import fields_of
from cortex_tasks.http.problem_titles import TITLES
from cortex_tasks.http.problems import PROBLEMS, title_of
from cortex_tasks.http.routes import TASK_ENDPOINTS
from cortex_tasks.http.session_routes import SESSION_ENDPOINTS
from cortex_tasks.http.webhook_routes import WEBHOOK_PROBLEMS
from tests.documents import ROOT
from tests.http_setting import a_key_store, client_of, echo, serving
from tests.openapi_setting import (
    DESCRIBED,
    EXAMPLES,
    WAYS,
    described_path,
    document,
    faults,
    operation,
    resolved,
    undescribed,
)
from tests.small_world import small_world
from tests.webhook_setting import telling

each_row = pytest.mark.parametrize(
    "row", [pytest.param(row, id=f"{row.method} {row.path}") for row in DESCRIBED]
)


def calls_of(described: Any) -> set[tuple[str, str]]:
    return {(method.upper(), path) for path, rows in described["paths"].items() for method in rows}


def calls(rows: Any) -> set[tuple[str, str]]:
    return {(row.method, described_path(row)) for row in rows}


def test_it_is_an_openapi_document_as_the_standard_has_it() -> None:
    validate(document())


def test_it_has_every_call_that_is_for_programs_and_no_other() -> None:
    assert calls_of(document()) == calls(DESCRIBED)
    assert {row.tag for row in DESCRIBED} == {tag["name"] for tag in document()["tags"]}


async def test_a_server_without_its_page_describes_no_sessions(tmp_path: Any) -> None:
    async with serving(echo, keys=a_key_store(tmp_path), page=False) as api:
        described = (await api.get("/openapi.json")).json()
    assert "/api/session" not in described["paths"]
    assert set(described["components"]["securitySchemes"]) == {"apiKey", "bearer"}


async def test_a_server_without_a_library_describes_what_it_serves() -> None:
    async with serving(echo) as api:
        described = (await api.get("/openapi.json")).json()
    validate(described)
    rows = (*TASK_ENDPOINTS, *SESSION_ENDPOINTS)
    assert calls_of(described) == calls(row for row in rows if row.tag)
    used = json.dumps(described["paths"]) + json.dumps(described["components"])
    for kind, parts in described["components"].items():
        for name in parts:
            assert f"#/components/{kind}/{name}" in used, f"{kind} {name} is of no use"


async def test_a_server_with_a_library_webhooks_and_keys_describes_everything(
    tmp_path: Any,
) -> None:
    async with telling(tmp_path) as told, small_world() as (engine, library):
        keys = a_key_store(tmp_path)
        app = create_app(engine, library=library, webhooks=told.webhooks, keys=keys)
        async with client_of(app) as nobody:
            described = (await nobody.get("/openapi.json")).json()
    described["info"]["version"] = "1.2.3"
    assert described == document()


@each_row
async def test_a_wrong_method_is_told_those_that_are_described(row: Endpoint) -> None:
    path = re.sub(r"{[^}]*}", "x", described_path(row))
    async with small_world() as (engine, library):
        async with client_of(create_app(engine, library=library)) as client:
            answer = await client.request("PATCH", path)
    if answer.status_code != 404:  # what only some applications serve
        assert row.method in answer.headers["allow"].split(", ")


async def test_a_server_that_asks_for_no_keys_describes_none() -> None:
    async with serving(echo) as api:
        described = (await api.get("/openapi.json")).json()
    assert "securitySchemes" not in described["components"]
    for rows in described["paths"].values():
        for call in rows.values():
            assert call["security"] == []
            if call["operationId"] not in ("sign_in", "sign_out"):
                assert not {"401", "403"} & set(call["responses"])


async def test_under_a_prefix_it_names_the_prefix() -> None:
    async with serving(echo) as api:
        host = Starlette(routes=[Mount("/cortex", api.app)])
        async with client_of(host) as client:
            described = (await client.get("/cortex/openapi.json")).json()
        assert described["servers"] == [{"url": "/cortex"}]
        assert "/api/tasks" in described["paths"]
        assert (await api.get("/openapi.json")).json()["servers"] == [{"url": "/"}]


@each_row
def test_a_call_is_named_explained_and_sorted(row: Endpoint) -> None:
    said = operation(row)
    assert said["operationId"] == row.handler.__name__
    assert said["summary"] == row.summary
    assert len(said["description"]) > 10
    assert said["tags"] == [row.tag]
    wanted = [] if row.permission is None else [{way: [str(row.permission)]} for way in WAYS]
    assert said["security"] == wanted


def test_no_two_calls_have_one_name() -> None:
    names = [operation(row)["operationId"] for row in DESCRIBED]
    assert sorted(names) == sorted(set(names))


@each_row
def test_a_call_has_the_parameters_of_its_struct_under_all_their_names(row: Endpoint) -> None:
    said = operation(row)
    query = {each["name"]: each for each in said["parameters"] if each["in"] == "query"}
    fields = fields_of(row.params) if row.params and not row.secret else []
    fields = [field for field in fields if field.fits_query]
    assert list(query) == [name for field in fields for name in field.names]
    for field in fields:
        own, *others = (query[name] for name in field.names)
        assert own["required"] is (field.required and row.body == "none")
        assert "deprecated" not in own
        assert all(other["deprecated"] and not other["required"] for other in others)
        assert own["schema"]
    head = [each["name"] for each in said["parameters"] if each["in"] == "header"]
    assert head == [each.name for each in heeded(row)]
    path = [each["name"] for each in said["parameters"] if each["in"] == "path"]
    assert path == [part.partition(":")[0] for part in _parts(row.path)]
    assert ("requestBody" in said) == (row.body != "none" and row.params is not None)


def test_the_number_of_an_event_is_described_alike_in_header_and_query() -> None:
    rows = [row for row in TASK_ENDPOINTS if LAST_EVENT_ID in row.takes]
    assert len(rows) == 2
    for row in rows:
        given = {each["name"]: dict(each["schema"]) for each in operation(row)["parameters"]}
        header, query = given["Last-Event-ID"], given["last_event_id"]
        assert header.pop("examples") == [1042]
        del query["examples"]
        assert header == query


def _parts(path: str) -> list[str]:
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]


@each_row
def test_a_body_has_the_fields_of_its_struct_under_all_their_names(row: Endpoint) -> None:
    if row.body == "none" or row.params is None:
        return
    ((kind, content),) = operation(row)["requestBody"]["content"].items()
    schema = resolved(content["schema"])
    names = {name for field in fields_of(row.params) for name in field.names}
    assert kind == ("multipart/form-data" if row.body == "form" else "application/json")
    assert set(schema["properties"]) == names | ({"file"} if row.body == "form" else set())


@each_row
def test_a_call_has_the_statuses_of_its_row_and_those_of_every_call(row: Endpoint) -> None:
    answers = {status for status, _ in row.answers}
    problems = problems_of(row, guarded=True)
    assert {int(status) for status in operation(row)["responses"]} == answers | problems
    assert not answers & problems
    for status in problems:
        content = resolved(operation(row)["responses"][str(status)])["content"]
        assert set(content) == {"application/problem+json"}


@each_row
def test_an_answer_has_exactly_the_fields_of_its_struct(row: Endpoint) -> None:
    for _, shape in row.answers:
        for struct in _structs_in(shape):
            schema = document()["components"]["schemas"][struct.__name__]
            fields = msgspec.structs.fields(struct)
            assert set(schema["properties"]) == {field.encode_name for field in fields}
            always = {field.encode_name for field in fields if field.default is not msgspec.UNSET}
            assert set(schema["required"]) == always


def _structs_in(shape: Any) -> set[type[msgspec.Struct]]:
    found: set[type[msgspec.Struct]] = set()

    def look(info: Any) -> None:
        if isinstance(info, msgspec.inspect.StructType):
            if info.cls in found:
                return
            found.add(info.cls)
            for field in info.fields:
                look(field.type)
        for name in ("type", "item_type", "value_type"):
            if isinstance(part := getattr(info, name, None), msgspec.inspect.Type):
                look(part)
        for name in ("types", "item_types"):
            for part in getattr(info, name, ()):
                look(part)

    if not isinstance(shape, Media) and shape is not None:
        look(msgspec.inspect.type_info(shape))
    return found


def test_no_two_structs_go_by_one_name() -> None:
    structs = {
        struct
        for row in DESCRIBED
        for shape in [row.params, *(shape for _, shape in row.answers)]
        for struct in _structs_in(shape)
    }
    names = [struct.__name__ for struct in structs]
    assert sorted(names) == sorted(set(names))
    asked = {row.params for row in DESCRIBED if row.params}
    answered = {s for row in DESCRIBED for _, shape in row.answers for s in _structs_in(shape)}
    assert not asked & answered, "what is asked may lack fields, what is answered may not"


@each_row
def test_every_example_is_one_that_the_server_would_take_or_give(row: Endpoint) -> None:
    said = operation(row)
    if row.params is not None:
        msgspec.convert(EXAMPLES.shown(row.params), row.params)
    if row.body not in {"none", "form"} and row.params is not None:
        content = said["requestBody"]["content"]["application/json"]
        assert faults(content["example"], content["schema"]) == []
    for each in said["parameters"]:
        shown = [each["example"]] if "example" in each else each["schema"].get("examples", [])
        assert shown or each["in"] == "query", f"{each['name']} has no example"
        for value in shown:
            assert faults(value, each["schema"]) == []
    for status, answer in said["responses"].items():
        content = resolved(answer).get("content", {}).get("application/json")
        shapes = [shape for of, shape in row.answers if str(of) == status]
        if content is None:
            continue
        examples = [example["value"] for example in content["examples"].values()]
        assert examples
        for value in examples:
            assert faults(value, content["schema"]) == []
        for value, shape in zip(examples, shapes, strict=False):
            msgspec.json.decode(json.dumps(value), type=shape)


@each_row
def test_each_answer_that_is_not_the_last_word_says_when_to_ask_again(row: Endpoint) -> None:
    answers = operation(row)["responses"]
    for status in answers.keys() & {"202", "503", "507"}:
        assert "Retry-After" in resolved(answers[status])["headers"]


def test_a_body_is_required_only_where_the_query_cannot_say_it_all() -> None:
    required = {
        row.path for row in DESCRIBED if operation(row).get("requestBody", {}).get("required")
    }
    assert required == {"/api/session", "/api/upload"}


@each_row
def test_nothing_that_may_be_left_out_is_filled_in_by_who_shows_the_description(
    row: Endpoint,
) -> None:
    for each in operation(row)["parameters"]:
        if not each["required"]:
            assert not {"example", "examples"} & each.keys()
            # It would count over what a person writes into the body.
            assert row.body == "none" or "default" not in each["schema"]


def test_every_problem_has_an_example_as_problems_are() -> None:
    for answer in document()["components"]["responses"].values():
        content = answer["content"]["application/problem+json"]
        assert content["examples"]
        for example in content["examples"].values():
            assert faults(example["value"], content["schema"]) == []


async def test_the_description_is_for_anybody(tmp_path: Any) -> None:
    async with serving(echo, keys=a_key_store(tmp_path)) as api:
        response = await api.get("/openapi.json")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"


def an_answer(status: int, content: Any, kind: str = "application/json") -> httpx2.Response:
    return httpx2.Response(
        status,
        content=json.dumps(content).encode(),
        headers={"content-type": kind},
        request=httpx2.Request("GET", "http://testserver/health"),
    )


def test_an_answer_that_is_not_as_described_is_noticed_by_the_laws_that_look_at_answers() -> None:
    good = {"status": "healthy", "neo4j_connected": True, "schema_initialized": True}
    good |= {"version": "1"}
    assert undescribed(an_answer(200, good)) == []
    assert "'extra' was unexpected" in str(undescribed(an_answer(200, good | {"extra": 1})))
    assert "required" in str(undescribed(an_answer(200, {"status": "healthy"})))
    assert "not of type" in str(undescribed(an_answer(200, good | {"version": 1})))
    assert undescribed(an_answer(201, good)) == ["status 201 is not described"]
    assert undescribed(an_answer(200, good, "text/html"))
    assert "required" in str(undescribed(an_answer(500, {}, "application/problem+json")))


# -- the kinds of problems -----------------------------------------------------------------------


def titles_in_the_code() -> set[tuple[int, str]]:
    """Every status and title with which a Problem is made, or that a table has."""
    found = {*PROBLEMS.values(), *LIBRARY_PROBLEMS.values(), *WEBHOOK_PROBLEMS.values()}
    for file in (ROOT / "http").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Problem":
                match node.args[:2]:
                    case [ast.Constant(value=int(status)), ast.Constant(value=str(title))]:
                        found.add((status, title))
                    case _:
                        pass
    return found


# Whose title is that of its status: of Starlette (400 of a form, 404, 405) and of the server.
BY_STATUS = {(status, title_of(status)) for status in (400, 404, 405, 431, 501, 505)}


def test_every_kind_of_problem_is_described_and_no_other() -> None:
    assert set(TITLES) == titles_in_the_code() | BY_STATUS


def test_the_page_about_problems_has_every_kind_with_its_status() -> None:
    page = (ROOT / "docs" / "problems.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d{3}) \| ([^|]+) \| [^|]+ \| [^|]+ \|$", page, re.MULTILINE)
    assert [(int(status), title) for status, title in rows] == list(TITLES)
