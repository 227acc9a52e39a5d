"""No list grows slower with the library than it must: each is read along an index.

SQLite says how it would carry out every statement that a read makes; what must not be in it is a
walk through a whole large table, or the sorting of one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable

import pytest

from cortex_tasks.engine.surroundings import offload_inline
from cortex_tasks.jobs.library import Library
from cortex_tasks.jobs.model import CommunityDraft
from tests.knowledge import learn, relation, saying

LARGE = {
    "documents", "contents", "chunks", "entities", "mentions", "document_entities", "spellings",
    "document_relations", "relationships", "community_members",
}  # fmt: skip

Read = Callable[[Library], Awaitable[object]]

ALONG_AN_INDEX: dict[str, Read] = {
    "documents": lambda library: library.documents.page(),
    "documents by status": lambda library: library.documents.page(status="failed"),
    "documents by collection": lambda library: library.documents.page(collection_id="docs"),
    "pending": lambda library: library.documents.pending(),
    "content": lambda library: content_of_first(library),
    "filenames": lambda library: library.documents.filenames(limit=10),
    "claiming": lambda library: library.processing.claim_pending("task_1", limit=1),
    "claims": lambda library: library.processing.claimed(),
    "outcomes": lambda library: library.processing.outcomes("task_1"),
    "entities": lambda library: library.graph.entities(),
    "entities by type": lambda library: library.graph.entities(entity_type="Concept"),
    "entity": lambda library: library.graph.entity("A"),
    "picture": lambda library: library.graph.visualization(),
    "communities": lambda library: library.communities.page(),
    "community": lambda library: library.communities.get(1),
    "members": lambda library: library.communities.members(1, limit=2, offset=1),
    "their documents": lambda library: library.communities.documents(1, limit=2, offset=1),
    "material": lambda library: library.summaries.material(1),
}


async def content_of_first(library: Library) -> object:
    [document, *_] = (await library.documents.page()).documents
    return await library.documents.content(document.id)


@pytest.mark.parametrize("name", ALONG_AN_INDEX)
async def test_a_read_never_walks_through_a_large_table(name: str) -> None:
    async with Library.in_memory(offload=offload_inline) as library:
        relations = [relation("A", "B"), relation("B", "C")]
        await learn(library, "a.txt", saying("A B C", "B C", relations=relations))
        drafts = [CommunityDraft(id=1, members=["A", "B", "C"])]
        await library.detection.replace_communities(drafts, None, revision=1)
        statements = await traced(library, ALONG_AN_INDEX[name])
        assert statements
        for statement in statements:
            plan = await plan_of(library, statement)
            assert [step for step in plan if walks(step, statement)] == [], statement


def walks(step: str, statement: str) -> bool:
    """Whether a step of a plan visits the rows of a large table one by one to the end.

    Along an index in the order that is wanted, or in the order of upload, it ends at the limit of
    the page. Counting all rows walks the smallest index: that is fast, and exact.
    """
    words = step.split()
    if words[0] != "SCAN" or words[1] not in LARGE or "USING" in words:
        return False
    return "ORDER BY seq DESC LIMIT" not in statement


async def traced(library: Library, read: Read) -> list[str]:
    """Make the read, and give the statements that it made."""
    statements: list[str] = []

    def trace(on: bool) -> Callable[[sqlite3.Connection], None]:
        return lambda connection: connection.set_trace_callback(statements.append if on else None)

    await library._database.read(trace(True))
    await read(library)
    await library._database.read(trace(False))
    queries = ("SELECT", "WITH", "UPDATE", "DELETE", "INSERT")
    return [each for each in statements if each.strip().startswith(queries)]


async def plan_of(library: Library, statement: str) -> list[str]:
    def explain(connection: sqlite3.Connection) -> list[str]:
        return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]

    return await library._database.read(explain)


async def test_a_page_of_a_list_is_not_sorted_but_read_in_order() -> None:
    async with Library.in_memory(offload=offload_inline) as library:
        for read in ("documents", "documents by collection", "documents by status", "pending",
                     "entities", "entities by type"):  # fmt: skip
            for statement in await traced(library, ALONG_AN_INDEX[read]):
                for step in await plan_of(library, statement):
                    assert "TEMP B-TREE" not in step, (read, statement)
