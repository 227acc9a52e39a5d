"""The contract's table of what feeds the four jobs and shows what they made."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from cortex_tasks.http.app import create_app
from cortex_tasks.jobs.library import Library
from cortex_tasks.jobs.model import CommunityDraft
from tests.http_setting import JSON, Api, assert_problem, client_of
from tests.knowledge import learn, relation, saying
from tests.small_world import small_world

DOCUMENT = {
    *("id", "filename", "file_type", "file_size", "upload_date", "collection_id", "source"),
    *("status", "processing_status", "error", "error_message", "chunk_count", "entity_count"),
}
COMMUNITY = {
    *("id", "community_id", "name", "description", "summary", "entity_count", "document_count"),
    *("top_entities", "sample_entities", "has_summary", "created_at"),
}
LATER = {"start_processing": "false"}
LIMIT = 5000  # bytes of an upload


class World(Api):
    library: Library

    async def upload(
        self, content: bytes = b"Some text.", name: str = "a.txt", **options: Any
    ) -> httpx2.Response:
        options.setdefault("params", LATER)
        return await self.post("/api/upload", files={"file": (name, content)}, **options)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with small_world() as (engine, library):
        app = create_app(engine, library=library, upload_limit=LIMIT)
        async with client_of(app) as client:
            world = World(engine, app, client)
            world.library = library
            yield world


@pytest.fixture
async def known(world: World) -> World:
    """A world with a graph: Alpha uses Beta and C/C++, which is part of Delta."""
    relations = [
        relation("Alpha", "Beta", weight=5.0),
        relation("Alpha", "C/C++", weight=2.0),
        relation("C/C++", "Delta", "PART_OF"),
    ]
    said = saying("Alpha:Product Beta Alpha C/C++", "Alpha Delta", relations=relations)
    await learn(world.library, "letters.txt", said, collection_id="letters")
    drafts = [
        CommunityDraft(id=1, members=["Alpha", "Beta", "C/C++"]),
        CommunityDraft(id=2, members=["Delta"]),
    ]
    await world.library.detection.replace_communities(drafts, None, revision=1)
    material = await world.library.summaries.material(1)
    await world.library.summaries.store_summary(
        1, "The first letters", "Alpha uses Beta. There is more.", drift=material.drift
    )
    return world


# -- POST /api/upload ----------------------------------------------------------------------------


async def test_an_upload_is_kept_and_told_under_both_names(world: World) -> None:
    response = await world.upload(b"# Title\n\nText.", "notes.md")
    assert response.status_code == 200
    answer = response.json()
    assert set(answer) >= {"document_id", "id", "filename", "status", "message", "source"}
    assert answer["document_id"] == answer["id"]
    assert (answer["filename"], answer["status"]) == ("notes.md", "pending")
    assert answer["message"]
    assert answer["source"] is None
    assert answer["task_id"] is None
    document = (await world.get(f"/api/documents/{answer['id']}")).json()
    assert (document["status"], document["file_size"]) == ("pending", 14)


async def test_by_default_an_upload_is_processed_at_once(world: World) -> None:
    answer = (await world.upload(b"Alpha Station is old.", params={})).json()
    assert answer["status"] == "pending"
    assert (await world.engine.wait(answer["task_id"])).status == "completed"
    document = (await world.get(f"/api/documents/{answer['id']}")).json()
    assert document["status"] == "completed"


@pytest.mark.parametrize("where", ["params", "data"])
async def test_what_is_said_of_a_file_comes_in_query_or_form(world: World, where: str) -> None:
    said = {"collection_id": "blue", "source": "a friend", "start_processing": "no"}
    options: dict[str, Any] = {"params": {}, where: said}
    response = await world.upload(**options)
    answer = response.json()
    assert (answer["source"], answer["task_id"]) == ("a friend", None)
    document = (await world.get(f"/api/documents/{answer['id']}")).json()
    assert (document["collection_id"], document["source"]) == ("blue", "a friend")


async def test_the_query_wins_over_the_form(world: World) -> None:
    answer = await world.upload(
        params={"source": "query", **LATER}, data={"source": "form", "start_processing": "true"}
    )
    assert (answer.json()["source"], answer.json()["task_id"]) == ("query", None)


@pytest.mark.parametrize("name", ["a.exe", "a", ".txt."])
async def test_an_unsupported_file_is_400(world: World, name: str) -> None:
    assert_problem(await world.upload(name=name), 400)


@pytest.mark.parametrize("content", [b"", b"  \n\t "])
async def test_an_empty_file_is_400(world: World, content: bytes) -> None:
    assert_problem(await world.upload(content), 400, "empty")


async def test_the_same_name_and_content_is_409(world: World) -> None:
    first = (await world.upload()).json()
    assert_problem(await world.upload(), 409, first["id"])
    assert (await world.upload(b"Other text.")).status_code == 200
    assert (await world.upload(name="b.txt")).status_code == 200


async def test_a_file_at_the_limit_is_taken_and_one_over_it_is_413(world: World) -> None:
    assert (await world.upload(b"x" * LIMIT)).status_code == 200
    assert_problem(await world.upload(b"y" * (LIMIT + 1)), 413)
    assert_problem(await world.upload(b"y" * 1_000_000), 413)
    assert (await world.get("/api/documents")).json()["total"] == 1


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("C:\\Users\\me\\a.txt", "a.txt"),
        ("../../etc/a.txt", "a.txt"),
        ("/a.txt", "a.txt"),
        ("Über uns.md", "Über uns.md"),
        ("a b.txt", "a b.txt"),
    ],
)
async def test_a_file_is_called_by_the_last_part_of_its_path(
    world: World, given: str, expected: str
) -> None:
    assert (await world.upload(name=given)).json()["filename"] == expected


async def test_a_form_without_a_file_is_422(world: World) -> None:
    response = await world.post("/api/upload", files={"other": ("a.txt", b"x")})
    assert assert_problem(response, 422)["errors"][0]["loc"] == ["body", "file"]
    response = await world.post("/api/upload", files={"file": (None, b"x")})
    assert assert_problem(response, 422)["errors"][0]["loc"] == ["body", "file"]


async def test_a_parameter_of_an_upload_that_does_not_fit_is_422(world: World) -> None:
    response = await world.upload(params={"start_processing": "perhaps"})
    assert assert_problem(response, 422)["errors"][0]["loc"] == ["query", "start_processing"]
    response = await world.upload(params={}, data={"start_processing": "perhaps"})
    assert assert_problem(response, 422)["errors"][0]["loc"] == ["body", "start_processing"]


async def test_two_files_in_one_form_are_400(world: World) -> None:
    files = [("file", ("a.txt", b"x")), ("file", ("b.txt", b"y"))]
    assert_problem(await world.post("/api/upload", files=files), 400)
    assert (await world.get("/api/documents")).json()["total"] == 0


@pytest.mark.parametrize("kind", [JSON, "text/plain", "application/x-www-form-urlencoded"])
async def test_an_upload_that_is_no_form_is_415(world: World, kind: str) -> None:
    response = await world.post("/api/upload", content=b"x", headers={"content-type": kind})
    assert_problem(response, 415, "multipart/form-data")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=a", b"no form at all"),
        ("multipart/form-data; boundary=a", b"--a\r\n\r\nno name\r\n--a--\r\n"),
        ("multipart/form-data; boundary=a", b"--a\r\nx y: z\r\n"),
        ("multipart/form-data; boundary=" + "a" * 300, b"--a"),
    ],
)
async def test_a_broken_form_is_refused_without_a_word_in_the_log(
    world: World, kind: str, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    response = await world.post("/api/upload", content=body, headers={"content-type": kind})
    assert response.status_code in (400, 422), response.text
    assert_problem(response, response.status_code)
    assert not [record for record in caplog.records if record.levelname != "INFO"]


async def test_a_form_with_too_many_or_too_large_fields_is_400(world: World) -> None:
    many = {f"field{n}": "x" for n in range(100)}
    assert_problem(await world.upload(data=many), 400)
    assert_problem(await world.upload(data={"source": "x" * 20_000}), 400)


# -- POST /api/custom-input ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "filename", "content"),
    [
        (
            {"input_type": "text", "content": "Some text.", "title": "My note"},
            "My note.txt",
            "Some text.",
        ),
        (
            {"input_type": "markdown", "content": "# Head\n\nText.", "title": "a/b\nc"},
            "a-b c.md",
            "# Head\n\nText.",
        ),
        (
            {"input_type": "qa_pair", "content": "Why?", "answer": "Because."},
            "Why?.md",
            "# Why?\n\nBecause.\n",
        ),
        ({"content": "Only this."}, "Only this.txt", "Only this."),
    ],
)
async def test_a_typed_text_becomes_a_document(
    world: World, given: dict[str, Any], filename: str, content: str
) -> None:
    response = await world.post("/api/custom-input", json={**given, "start_processing": False})
    assert response.status_code == 200
    answer = response.json()
    assert set(answer) >= {"document_id", "id", "filename", "status", "message", "source"}
    assert (answer["filename"], answer["status"]) == (filename, "pending")
    shown = (await world.get(f"/api/documents/{answer['id']}/content")).json()
    assert shown["content"] == content


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"input_type": "text"}, "content"),
        ({"input_type": "poem", "content": "x"}, "input_type"),
        ({"content": 5}, "content"),
        ({"input_type": "qa_pair", "content": "Why?"}, "answer"),
    ],
)
async def test_a_typed_text_that_does_not_fit_is_422(
    world: World, given: dict[str, Any], place: str
) -> None:
    problem = assert_problem(await world.post("/api/custom-input", json=given), 422)
    assert problem["errors"][0]["loc"][-1] == place


async def test_a_typed_text_may_be_empty_doubled_or_too_long_and_is_refused(world: World) -> None:
    given = {"content": "Once.", **LATER}
    assert_problem(await world.post("/api/custom-input", json={"content": " "}), 400, "empty")
    assert (await world.post("/api/custom-input", json=given)).status_code == 200
    assert_problem(await world.post("/api/custom-input", json=given), 409)
    assert_problem(await world.post("/api/custom-input", json={"content": "x" * 9000}), 413)


async def test_a_typed_text_is_processed_at_once_unless_told_otherwise(world: World) -> None:
    answer = (await world.post("/api/custom-input", json={"content": "Alpha Station."})).json()
    assert (await world.engine.wait(answer["task_id"])).status == "completed"


# -- documents -----------------------------------------------------------------------------------


async def test_documents_are_listed_newest_first_under_every_name(world: World) -> None:
    ids = [(await world.upload(name=f"{n}.txt")).json()["id"] for n in range(3)]
    listed = (await world.get("/api/documents")).json()
    assert set(listed) == {"documents", "total", "limit", "offset"}
    assert [document["id"] for document in listed["documents"]] == ids[::-1]
    assert (listed["total"], listed["offset"]) == (3, 0)
    for document in listed["documents"]:
        assert set(document) >= DOCUMENT
        assert document["status"] == document["processing_status"] == "pending"
        assert document["error"] is document["error_message"] is None
        assert document["upload_date"].endswith("Z")
    page = (await world.get("/api/documents?limit=1&offset=1")).json()
    assert [document["id"] for document in page["documents"]] == [ids[1]]
    assert (page["total"], page["limit"], page["offset"]) == (3, 1, 1)


async def test_documents_are_filtered(known: World) -> None:
    await known.upload(name="waiting.txt")
    for query, expected in {
        "status=completed": ["letters.txt"],
        "status=pending": ["waiting.txt"],
        "status=nonsense": [],
        "collection_id=letters": ["letters.txt"],
        "collection_id=nonsense": [],
    }.items():
        listed = (await known.get(f"/api/documents?{query}")).json()
        assert [document["filename"] for document in listed["documents"]] == expected


async def test_a_failed_document_tells_its_error_under_both_names(world: World) -> None:
    await world.upload(b"\x00\x01\x02", "broken.txt")
    task_id = (await world.post("/api/documents/process-pending")).json()["task_id"]
    await world.engine.wait(task_id)
    (document,) = (await world.get("/api/documents")).json()["documents"]
    assert document["status"] == "failed"
    assert document["error"] == document["error_message"]
    assert document["error"]


async def test_pending_documents_are_counted_and_listed_oldest_first(world: World) -> None:
    ids = [(await world.upload(name=f"{n}.txt")).json()["id"] for n in range(3)]
    pending = (await world.get("/api/documents/pending")).json()
    assert set(pending) == {"pending_count", "documents"}
    assert pending["pending_count"] == 3
    assert [document["id"] for document in pending["documents"]] == ids


async def test_a_document_gives_back_its_text_or_its_very_bytes(world: World) -> None:
    content = "Grüße\n".encode() + b"\xff"
    document_id = (await world.upload(content, 'we"ird\u00fc.txt')).json()["id"]
    shown = (await world.get(f"/api/documents/{document_id}/content")).json()
    assert shown["content"] == "Grüße\n\ufffd"
    assert shown["id"] == shown["document_id"] == document_id
    raw = await world.get(f"/api/documents/{document_id}/content?download=true")
    assert raw.content == content
    assert raw.headers["content-type"] == "application/octet-stream"
    assert raw.headers["content-disposition"].startswith("attachment;")


async def test_a_deleted_document_is_gone(world: World) -> None:
    document_id = (await world.upload()).json()["id"]
    response = await world.delete(f"/api/documents/{document_id}")
    assert response.status_code == 200
    assert response.json()["id"] == document_id
    for method, path in (
        ("GET", f"/api/documents/{document_id}"),
        ("GET", f"/api/documents/{document_id}/content"),
        ("DELETE", f"/api/documents/{document_id}"),
    ):
        assert_problem(await world.ask(method, path), 404, document_id)


# -- the graph -----------------------------------------------------------------------------------


async def test_entities_are_listed_most_mentioned_first(known: World) -> None:
    listed = (await known.get("/api/graph/entities")).json()
    assert set(listed) == {"entities", "total"}
    assert listed["total"] == 4
    assert listed["entities"][0]["name"] == "Alpha"
    for entity in listed["entities"]:
        assert set(entity) >= {"name", "type", "description", "mention_count"}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("entity_type=Product", ["Alpha"]),
        ("type=Product", ["Alpha"]),
        ("type=Nonsense", []),
        ("search=LPH", ["Alpha"]),
        ("search=%25", []),
        ("limit=1", ["Alpha"]),
        ("limit=1&skip=9", []),
    ],
)
async def test_entities_are_filtered_and_paged(
    known: World, query: str, expected: list[str]
) -> None:
    listed = (await known.get(f"/api/graph/entities?{query}")).json()
    assert [entity["name"] for entity in listed["entities"]] == expected


@pytest.mark.parametrize("name", ["Alpha", "alpha", "ALPHA"])
async def test_an_entity_shows_what_it_is_related_to(known: World, name: str) -> None:
    entity = (await known.get(f"/api/graph/entity/{name}")).json()
    assert (entity["name"], entity["type"]) == ("Alpha", "Product")
    assert [each["target"] for each in entity["relationships"]] == ["Beta", "C/C++"]
    for each in entity["relationships"]:
        assert set(each) >= {"target", "type", "description", "weight"}
    (document,) = (await known.get("/api/documents")).json()["documents"]
    assert entity["mentioned_in"] == [document["id"]]


async def test_an_entity_may_have_a_slash_in_its_name(known: World) -> None:
    assert (await known.get("/api/graph/entity/C%2FC%2B%2B")).json()["name"] == "C/C++"
    assert_problem(await known.get("/api/graph/entity/nobody"), 404, "nobody")


async def test_the_picture_has_nodes_and_edges_between_them(known: World) -> None:
    picture = (await known.get("/api/graph/visualization")).json()
    assert set(picture) == {"nodes", "edges", "stats"}
    ids = {node["id"] for node in picture["nodes"]}
    for node in picture["nodes"]:
        assert set(node) >= {"id", "label", "type", "description", "community_id", "mention_count"}
    for edge in picture["edges"]:
        assert set(edge) >= {"source", "target", "type", "description", "weight"}
        assert {edge["source"], edge["target"]} <= ids
    assert len(picture["edges"]) == 3
    small = (await known.get("/api/graph/visualization?limit=1")).json()
    assert len(small["nodes"]) == 1


async def test_the_graph_and_everything_else_is_counted(known: World) -> None:
    await known.upload(name="waiting.txt")
    status = (await known.get("/api/graph/status")).json()
    assert (status["entity_count"], status["relationship_count"]) == (4, 3)
    stats = (await known.get("/api/stats")).json()
    assert set(stats) >= {
        *("document_count", "chunk_count", "entity_count", "relationship_count"),
        *("community_count", "collection_count", "pending_count", "processing_count"),
        *("completed_count", "failed_count", "pending_task_count", "entity_type_counts"),
        *("entity_relationship_ratio", "total_size", "last_relationship_analysis_at"),
        *("last_community_detection_at", "disk_free_mb", "disk_total_mb"),
    }
    assert (stats["document_count"], stats["community_count"]) == (2, 2)
    assert stats["pending_count"] == stats["pending_task_count"] == 1


# -- communities ---------------------------------------------------------------------------------


async def test_communities_are_listed_under_both_ids(known: World) -> None:
    listed = (await known.get("/api/graph/communities")).json()
    assert listed["total"] == 2
    first, second = listed["communities"]
    assert set(first) >= COMMUNITY
    assert (first["id"], first["community_id"]) == (1, "comm_1")
    assert (first["name"], first["has_summary"]) == ("The first letters", True)
    assert (second["id"], second["has_summary"]) == (2, False)


@pytest.mark.parametrize("name", ["query", "q"])
async def test_communities_are_found_by_words(known: World, name: str) -> None:
    found = (await known.get(f"/api/graph/communities/search?{name}=letters")).json()
    assert set(found) == {"query", "results", "total"}
    assert (found["query"], found["total"]) == ("letters", 1)
    (hit,) = found["results"]
    assert set(hit) >= {"id", "name", "summary", "entity_count", "score"}
    assert hit["id"] == 1


async def test_a_search_needs_words(known: World) -> None:
    problem = assert_problem(await known.get("/api/graph/communities/search"), 422)
    assert problem["errors"][0]["loc"] == ["query", "query"]


@pytest.mark.parametrize("name", ["1", "comm_1"])
async def test_a_community_is_shown_by_either_id(known: World, name: str) -> None:
    community = (await known.get(f"/api/graph/communities/{name}")).json()
    assert set(community) >= COMMUNITY | {"entities", "key_relationships", "documents"}
    assert community["id"] == 1
    assert {entity["name"] for entity in community["entities"]} == {"Alpha", "Beta", "C/C++"}
    assert {each["target"] for each in community["key_relationships"]} == {"Beta", "C/C++"}
    (document,) = community["documents"]
    assert set(document) >= DOCUMENT


async def test_the_members_and_documents_of_a_community_are_listed_page_by_page(
    known: World,
) -> None:
    path = "/api/graph/communities/comm_1"
    whole = (await known.get(path)).json()
    for name in ("entities", "documents"):
        listed = (await known.get(f"{path}/{name}")).json()
        assert (listed[name], listed["total"]) == (whole[name], len(whole[name]))
        rest = (await known.get(f"{path}/{name}?limit=5&offset=1")).json()
        assert (rest[name], rest["total"]) == (whole[name][1:], len(whole[name]))
        for wrong in ("limit", "offset"):
            problem = assert_problem(await known.get(f"{path}/{name}?{wrong}=-1"), 422)
            assert problem["errors"][0]["loc"] == ["query", wrong]
        for unknown in ("7", "five"):
            assert_problem(await known.get(f"/api/graph/communities/{unknown}/{name}"), 404)


@pytest.mark.parametrize("name", ["7", "comm_7", "five", "comm_", "-5", "5.0", "9" * 30, "٥"])
async def test_an_unknown_community_is_404(known: World, name: str) -> None:
    for method in ("GET", "DELETE"):
        assert_problem(await known.ask(method, f"/api/graph/communities/{name}"), 404)


async def test_communities_are_deleted_one_by_one_or_all(known: World) -> None:
    assert (await known.delete("/api/graph/communities/comm_1")).status_code == 200
    assert_problem(await known.get("/api/graph/communities/1"), 404)
    assert (await known.get("/api/graph/communities")).json()["total"] == 1
    assert (await known.delete("/api/graph/communities")).json()["deleted"] == 1
    assert (await known.get("/api/graph/communities")).json() == {"communities": [], "total": 0}
