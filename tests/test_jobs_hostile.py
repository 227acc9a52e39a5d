"""Hostile documents: each is read or fails alone with its reason, and the rest goes its way."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import anyio
import pytest

from cortex_tasks.backends.memory import MemoryBackend
from cortex_tasks.engine.engine import TaskEngine
from cortex_tasks.engine.surroundings import offload_inline
from cortex_tasks.jobs import document_processing
from cortex_tasks.jobs.builtin import builtin_task_types
from cortex_tasks.jobs.library import (
    DocumentRefused,
    DuplicateDocument,
    EmptyDocument,
    Library,
)
from cortex_tasks.jobs.methods.formats import read_text
from tests.hostile_documents import PROSE, READABLE, UNREADABLE, UNUSABLE, tiny
from tests.library_rules import broken_rules
from tests.small_world import add_texts, carry_out, end_of, small_world

JOBS = (
    "document_processing",
    "relationship_analysis",
    "community_detection",
    "community_summarization",
)


async def rules_broken_in(library: Library) -> list[str]:
    return await library._database.read(broken_rules)


async def chunks_of(library: Library, document_id: str) -> str:
    def query(connection: sqlite3.Connection) -> str:
        rows = connection.execute(
            "SELECT text FROM chunks JOIN documents ON seq = document WHERE documents.id = ?",
            (document_id,),
        )
        return " ".join(text for (text,) in rows)

    return await library._database.read(query)


@pytest.mark.parametrize(("name", "content", "piece"), READABLE, ids=[row[0] for row in READABLE])
def test_whatever_is_around_it_the_text_is_read(name: str, content: bytes, piece: str) -> None:
    # With a step that took the square of the size some of these would not end within the hour.
    assert piece in read_text(name.rpartition(".")[2], content).text


async def test_in_children_each_is_read_or_fails_alone_and_all_four_jobs_go_through(
    tmp_path: Path,
) -> None:
    async with Library(tmp_path / "library.db") as library:
        readable = {
            (await library.documents.add(content, filename=name)).id: piece
            for name, content, piece in READABLE
        }
        unreadable = {
            (await library.documents.add(content, filename=name)).id: reason
            for name, content, reason in UNREADABLE
        }
        await add_texts(library)
        async with TaskEngine(builtin_task_types(library), backend=MemoryBackend()) as engine:
            results = [await carry_out(engine, job) for job in JOBS]
        ended = {each.document_id: each for each in results[0].documents}
        for document_id, reason in unreadable.items():
            assert ended[document_id].status == "failed"
            assert reason in ended[document_id].error
        for document_id, piece in readable.items():
            assert ended[document_id].status == "completed", ended[document_id]
            assert piece in await chunks_of(library, document_id)
        assert results[0].failed == len(unreadable)
        assert results[2].total > 0
        assert await rules_broken_in(library) == []


async def test_a_name_that_cannot_be_kept_is_refused_and_nothing_is_stored() -> None:
    async with small_world() as (_, library):
        for name in UNUSABLE:
            with pytest.raises(DocumentRefused):
                await library.documents.add(PROSE.encode(), filename=name)
        for what in ("collection_id", "source"):
            for name in ("a\x00", "\udcff", "x" * 5_000):
                with pytest.raises(DocumentRefused, match=what):
                    await library.documents.add(PROSE.encode(), filename="a.txt", **{what: name})
        for nothing in (b"", b" \t\r\n\x0b\x0c"):
            with pytest.raises(EmptyDocument):
                await library.documents.add(nothing, filename="a.txt")
        assert (await library.stats()).document_count == 0


async def test_the_same_name_or_the_same_content_is_another_document_and_both_are_none() -> None:
    async with small_world() as (engine, library):
        await library.documents.add(b"One is first.", filename="a.txt")
        with pytest.raises(DuplicateDocument):
            await library.documents.add(b"One is first.", filename=" a.txt ")
        await library.documents.add(b"One is first.", filename="b.txt")
        await library.documents.add(b"Two is second.", filename="a.txt")
        result = await carry_out(engine, JOBS[0])
        assert (result.processed, result.failed) == (3, 0)
        with pytest.raises(DuplicateDocument):  # also once it is processed
            await library.documents.add(b"One is first.", filename="a.txt")
        assert await rules_broken_in(library) == []


async def test_many_tiny_documents_are_all_processed_each_once() -> None:
    async with small_world() as (engine, library):
        for name, content in tiny(300):
            await library.documents.add(content, filename=name)
        result = await carry_out(engine, JOBS[0], concurrency=50)
        assert (result.processed, len(result.documents)) == (300, 300)
        assert len({each.document_id for each in result.documents}) == 300
        assert await rules_broken_in(library) == []


async def test_a_document_that_takes_for_ever_fails_alone_and_says_how_long_it_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def hang(_: Any, content: bytes, *rest: Any) -> None:
        if content == b"Endless text.":
            await anyio.sleep_forever()

    allowed = document_processing.timeout_for

    def no_time(size: int) -> float:
        return 0.0 if size == len(b"Endless text.") else allowed(size)

    monkeypatch.setattr(document_processing, "timeout_for", no_time)
    async with small_world(hang) as (engine, library):
        endless = await library.documents.add(b"Endless text.", filename="endless.txt")
        await add_texts(library)
        result = await carry_out(engine, JOBS[0], concurrency=1)
        assert result.processed == 4
        [failed] = [each for each in result.documents if each.status == "failed"]
        assert (failed.document_id, failed.error) == (endless.id, "it took longer than 0 s")


def test_a_large_document_may_take_longer_than_a_small_one() -> None:
    assert document_processing.timeout_for(0) >= 60
    assert document_processing.timeout_for(50_000_000) > 10 * document_processing.timeout_for(0)


async def test_names_of_documents_reach_logs_and_errors_as_one_line() -> None:
    async with Library.in_memory(offload=offload_inline) as library:
        with pytest.raises(DocumentRefused) as refused:
            await library.documents.add(b"Text.", filename="a\n\x1b[2J.txt")
        assert str(refused.value).isprintable()


async def test_a_task_of_hostile_documents_alone_fails_with_their_reasons() -> None:
    async with small_world() as (engine, library):
        for name, content, _ in UNREADABLE:
            await library.documents.add(content, filename=name)
        record = await end_of(engine, JOBS[0])
        assert record.error is not None
        assert f"All {len(UNREADABLE)} documents failed: nul.txt: this is a" in record.error
        assert await rules_broken_in(library) == []
