"""The client says what the description of the API says: no call, parameter or field is missing."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from cortex_tasks.client import AsyncClient, Client, UnusableSetting, calls, webhook_calls
from cortex_tasks.client.async_webhooks import AsyncWebhooks
from cortex_tasks.client.calls import Call, File
from cortex_tasks.client.webhooks import Webhooks
from tests.client_twins import twins
from tests.documents import ROOT
from tests.openapi_setting import DESCRIBED, document, resolved, template_of

# One of each; what may be given is given.
CALLS: list[Call[Any]] = [
    calls.submit(
        "t", {}, delay=1, run_at=None, priority=1, dedupe_key="k", then=["u"], idempotency_key="i"
    ),
    calls.list_tasks(q="q", status="s", task_type="t", limit=1, offset=1, cursor="start"),
    calls.get_task("x", wait=1),
    calls.get_result("x"),
    calls.get_log("x"),
    calls.cancel("x"),
    calls.retry("x"),
    calls.clean_up(max_age_hours=2),
    calls.bulk("cancel", q="q", status="s", task_type="t", ids=["x"], dry_run=True),
    calls.bulk("retry", q="q", status="s", task_type="t", ids=["x"], dry_run=True),
    calls.list_task_types(),
    calls.set_paused("t", paused=True),
    calls.set_paused("t", paused=False),
    calls.overview(),
    calls.health(),
    calls.process_pending(concurrency=2, collection_id="c", chain=["d"]),
    calls.analyze(mode="rebuild", collection_id="c", chain=["d"]),
    calls.detect(min_size=3, collection_id="c"),
    calls.summarize(community_ids=[5], force_regenerate=True),
    calls.abort(),
    calls.instance_status(),
    calls.upload(File("a.md", b"a"), collection_id="c", source="s", start_processing=False),
    calls.add_text(
        "a", title="t", answer="b", input_type="text", collection_id="c", start_processing=False
    ),
    calls.list_documents(status="s", collection_id="c", limit=1, offset=1),
    calls.list_pending(collection_id="c", limit=1),
    calls.get_document("x"),
    calls.get_text("x"),
    calls.download("x"),
    calls.delete_document("x"),
    calls.list_entities(entity_type="t", search="s", limit=1, skip=1),
    calls.get_entity("x"),
    calls.get_picture(limit=1),
    calls.graph_status(),
    calls.stats(),
    calls.list_communities(collection_id="c", limit=1, offset=1),
    calls.search_communities("q", limit=1),
    calls.get_community(5),
    calls.list_community_entities(5, limit=1, offset=1),
    calls.list_community_documents(5, limit=1, offset=1),
    calls.delete_community("comm_5"),
    calls.delete_communities(collection_id="c"),
    webhook_calls.list_webhooks(),
    webhook_calls.add_webhook("https://example.com", events=["task.failed"]),
    webhook_calls.get_webhook("x"),
    webhook_calls.remove_webhook("x"),
    webhook_calls.test_webhook("x"),
    webhook_calls.list_deliveries("x", state="dead", limit=1),
    webhook_calls.retry_delivery("x", "y"),
]
# For a browser, for Prometheus, for who runs the server; the streams are followed by hand.
ELSEWHERE = {
    "sign_in", "show_session", "sign_out", "show_metrics", "show_description",
    "follow_task", "follow_tasks",
}  # fmt: skip
# What the client leaves out, as it has the same under another name, or never has a use for it.
DOUBLED = {
    "id", "type", "kind", "progress", "processing_status", "error_message", "upload_status",
    "community_id", "sample_entities", "pending_task_count", "neo4j_connected",
    "schema_initialized", "results", "total_processed", "tasks_removed", "docling_workers_killed",
}  # fmt: skip


def described(call: Call[Any]) -> dict[str, Any]:
    path = template_of(call.method, call.path)
    assert path is not None, call.path
    return dict(document()["paths"][path][call.method.lower()])


each_call = pytest.mark.parametrize(
    "call",
    [
        pytest.param(call, id=f"{number} {call.method} {call.path}")
        for number, call in enumerate(CALLS)
    ],
)


def test_every_call_of_the_server_is_one_of_the_clients_and_no_other() -> None:
    asked = {described(call)["operationId"] for call in CALLS}
    served = {row.handler.__name__ for row in DESCRIBED}
    assert asked == served - ELSEWHERE


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_what_a_path_is_shortened_by_is_no_id(name: str) -> None:
    for call in (calls.delete_community, calls.get_task, webhook_calls.remove_webhook):
        with pytest.raises(UnusableSetting, match="no id"):
            call(name)


NAMED: list[Callable[[str], Call[Any]]] = [
    calls.get_task, calls.get_result, calls.get_log, calls.cancel, calls.retry,
    calls.get_document, calls.get_text, calls.download, calls.delete_document,
    calls.get_entity, calls.get_community, calls.delete_community,
    calls.list_community_entities, calls.list_community_documents,
    webhook_calls.get_webhook, webhook_calls.remove_webhook, webhook_calls.test_webhook,
    webhook_calls.list_deliveries,
]  # fmt: skip


@pytest.mark.parametrize("name_one", NAMED)
def test_no_id_makes_a_call_another(name_one: Callable[[str], Call[Any]]) -> None:
    meant = described(name_one("x"))
    for word in {word for row in DESCRIBED for word in row.path.split("/") if "{" not in word}:
        with suppress(UnusableSetting):
            assert described(name_one(word)) == meant, word


@each_call
def test_a_call_gives_every_parameter_by_its_first_name(call: Call[Any]) -> None:
    said = described(call)
    known = {
        each["name"]
        for each in said["parameters"]
        if each["in"] == "query" and not each.get("deprecated")
    }
    for content in said.get("requestBody", {}).get("content", {}).values():
        properties = resolved(content["schema"])["properties"]
        known |= {name for name, each in properties.items() if not each.get("deprecated")}
    known -= {"file"}
    given = {*call.query, *(call.body or ())}
    never = {"rebuild", "download", "run_at"} | ({"wait"} if call.answer is Any else set())
    assert given <= known
    assert known - given <= never
    heeded = {each["name"] for each in said["parameters"] if each["in"] == "header"}
    assert call.idempotent == ("Idempotency-Key" in heeded)


def test_following_takes_every_filter_that_the_server_knows() -> None:
    said = document()["paths"]["/api/tasks/events"]["get"]["parameters"]
    known = {each["name"] for each in said if each["in"] == "query" and not each.get("deprecated")}
    assert known <= set(inspect.signature(Client.follow).parameters)


@each_call
def test_an_answer_is_read_into_a_struct_that_leaves_out_nothing_but_doubled_names(
    call: Call[Any],
) -> None:
    content = described(call)["responses"]["200"]["content"]
    if call.answer is None:
        assert "application/octet-stream" in content
        return
    for example in content["application/json"]["examples"].values():
        msgspec.json.decode(json.dumps(example["value"]), type=call.answer)
    if call.answer is not Any:
        schema = resolved(content["application/json"]["schema"])
        for shape in schema.get("anyOf", [schema]):
            compare(call.answer, resolved(shape), covering="anyOf" not in schema)


def compare(struct: type[msgspec.Struct], schema: dict[str, Any], *, covering: bool) -> None:
    """Hold a struct to a schema, and those in it."""
    properties = schema["properties"]
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    assert set(properties) - set(fields) - DOUBLED == set()
    if covering and struct.__name__ != "Started":
        assert set(fields) - set(properties) == set()
    for name, field in fields.items():
        inner = struct_in(field.type)
        shown = properties.get(name, {})
        shown = shown.get("items", shown)
        references = [shown, *shown.get("anyOf", ())]
        if inner is not None:
            (found,) = [resolved(each) for each in references if "$ref" in each]
            compare(inner, found, covering=True)


def struct_in(declared: Any) -> type[msgspec.Struct] | None:
    found: list[Any] = []

    def look(info: Any) -> None:
        if isinstance(info, msgspec.inspect.StructType):
            found.append(info.cls)
        elif isinstance(info, msgspec.inspect.CollectionType):
            look(info.item_type)
        elif isinstance(info, msgspec.inspect.UnionType):
            for each in info.types:
                look(each)

    look(msgspec.inspect.type_info(declared))
    return found[0] if found else None


def test_the_modules_that_block_are_those_that_await_in_other_words() -> None:
    for file, text in twins().items():
        assert file.read_text(encoding="utf-8") == text, "run python -m tests.client_twins"


@pytest.mark.parametrize(("awaits", "blocks"), [(AsyncClient, Client), (AsyncWebhooks, Webhooks)])
def test_both_clients_have_the_same_methods_with_the_same_parameters(
    awaits: type, blocks: type
) -> None:
    def signatures(client: type) -> dict[str, list[str]]:
        return {
            name.replace("aclose", "close"): list(inspect.signature(member).parameters)
            for name, member in inspect.getmembers(client, callable)
            if not name.startswith("_")
        }

    assert signatures(awaits) == signatures(blocks)


def test_without_httpx2_the_structs_are_there_and_the_client_names_its_extra() -> None:
    program = (
        "import sys; sys.modules['httpx2'] = None\n"
        "import cortex_tasks.client as client\n"
        "assert client.Task and client.NotFound\n"
        "assert not {'starlette', 'trio', 'cortex_tasks.jobs'} & set(sys.modules)\n"
        "try: client.Client\n"
        "except ModuleNotFoundError as error: print(error)\n"
    )
    run = [sys.executable, "-c", program]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == (
        "The client needs httpx2, which is not installed: pip install 'cortex-tasks[client]'\n"
    ), done.stderr
