"""document_processing: every document once, a bad one alone, and the truth about all of them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import anyio
import pytest

from cortex_tasks.engine.errors import ChildCrashed, InvalidParameters
from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.engine.messages import ProgressReport
from cortex_tasks.jobs.library import Library
from tests.knowledge import saying
from tests.small_world import BINARY, TEXTS, add_texts, attempt, carry_out, end_of, small_world

PROCESS = "document_processing"


async def statuses(library: Library) -> Counter[str]:
    return Counter(each.status.value for each in (await library.documents.page()).documents)


async def test_all_pending_documents_are_processed_and_counted() -> None:
    async with small_world() as (engine, library):
        added = await add_texts(library)
        result = await carry_out(engine, PROCESS, concurrency=3)
        assert (result.processed, result.failed, result.total) == (4, 0, 4)
        assert [each.document_id for each in result.documents] == [each.id for each in added]
        assert {each.status for each in result.documents} == {"completed"}
        assert await statuses(library) == {"completed": 4}
        assert "John Carter" in {e.name for e in (await library.graph.entities()).entities}
        found = await library.graph.entity("John Carter")
        assert "Rail Network" in {each.target for each in found.relationships}
        assert len(found.mentioned_in) == 2


async def test_one_bad_document_fails_alone_and_says_why() -> None:
    async with small_world() as (engine, library):
        bad = await library.documents.add(BINARY, filename="bad.txt")
        await add_texts(library, copies=1)
        result = await carry_out(engine, PROCESS)
        assert (result.processed, result.failed, result.total) == (2, 1, 3)
        [failed] = [each for each in result.documents if each.status == "failed"]
        assert failed.document_id == bad.id
        assert "binary" in failed.error
        assert (await library.documents.get(bad.id)).error == failed.error
        record = (await engine.list(task_type=PROCESS)).records[0]
        assert record.message == "Processed 2 of 3 documents, 1 failed"


async def test_a_task_whose_documents_all_failed_has_failed_with_their_reasons() -> None:
    async with small_world() as (engine, library):
        for number in range(7):
            await library.documents.add(BINARY, filename=f"bad{number}.txt")
        record = await end_of(engine, PROCESS)
        assert record.status is TaskStatus.FAILED
        assert record.error is not None
        assert "All 7 documents failed" in record.error
        assert "bad0.txt: this is a binary file" in record.error
        assert "and 2 more" in record.error
        assert await statuses(library) == {"failed": 7}


async def test_with_nothing_pending_it_completes_and_says_so() -> None:
    async with small_world() as (engine, _):
        result = await carry_out(engine, PROCESS)
        assert (result.total, result.message) == (0, "No pending documents")


@pytest.mark.parametrize("concurrency", [1, 2, 3])
async def test_no_more_documents_are_claimed_than_asked_for(concurrency: int) -> None:
    most = 0

    async def look(*_: Any) -> None:
        nonlocal most
        counts = await statuses(library)
        most = max(most, counts["processing"] + counts["extracting"])
        await anyio.wait_all_tasks_blocked()

    async with small_world(look) as (engine, library):
        await add_texts(library, copies=3)
        await carry_out(engine, PROCESS, concurrency=concurrency)
        assert most == concurrency


async def test_a_document_uploaded_meanwhile_is_taken_up_by_the_same_task() -> None:
    async def upload(_: Any, content: bytes, file_type: str, filename: str, *rest: Any) -> None:
        if filename == "seas_0.md":
            await library.documents.add(TEXTS["rails"].encode(), filename="late.txt")

    async with small_world(upload) as (engine, library):
        await add_texts(library, copies=1)
        result = await carry_out(engine, PROCESS)
        assert [each.filename for each in result.documents][-1] == "late.txt"
        assert result.processed == 3


async def test_only_the_documents_of_a_collection_are_processed_when_one_is_named() -> None:
    async with small_world() as (engine, library):
        await add_texts(library, copies=1)
        await library.documents.add(TEXTS["seas"].encode(), filename="c.md", collection_id="docs")
        result = await carry_out(engine, PROCESS, collection_id="docs")
        assert [each.filename for each in result.documents] == ["c.md"]
        assert await statuses(library) == {"pending": 2, "completed": 1}


async def test_tasks_side_by_side_never_process_the_same_document() -> None:
    extracted: Counter[str] = Counter()

    async def count(_: Any, content: bytes, file_type: str, filename: str, *rest: Any) -> None:
        extracted[filename] += 1
        await anyio.wait_all_tasks_blocked()

    async with small_world(count) as (engine, library):
        await add_texts(library, copies=5)
        results = [await engine.submit(PROCESS, {"concurrency": 2}) for _ in range(3)]
        totals = [(await handle.result()).total for handle in results]
        assert sum(totals) == 10
        assert set(extracted.values()) == {1}
        assert len(extracted) == 10


async def test_a_document_that_a_task_could_not_put_back_is_taken_up_by_the_next() -> None:
    async with small_world() as (engine, library):
        added = await add_texts(library)
        await library.processing.claim_pending("task_gone", limit=2)
        with anyio.fail_after(60):  # rather than wait for it for ever
            result = await carry_out(engine, PROCESS)
        assert result.processed == len(added)


async def test_a_document_deleted_meanwhile_is_left_out_and_harms_no_other() -> None:
    async def delete(_: Any, content: bytes, file_type: str, filename: str, *rest: Any) -> None:
        if filename == gone.filename:
            await library.documents.delete(gone.id)

    async with small_world(delete) as (engine, library):
        gone, *_ = await add_texts(library)
        result = await carry_out(engine, PROCESS)
        assert gone.id not in {each.document_id for each in result.documents}
        assert (result.processed, result.total) == (3, 3)


async def test_a_document_that_kills_its_child_fails_alone() -> None:
    async def crash(_: Any, content: bytes, file_type: str, filename: str, *rest: Any) -> None:
        if filename == "rails_0.md":
            raise ChildCrashed("the child process was killed by SIGSEGV")

    async with small_world(crash) as (engine, library):
        await add_texts(library)
        result = await carry_out(engine, PROCESS)
        assert [each.error for each in result.documents if each.status == "failed"] == [
            "the child process was killed by SIGSEGV"
        ]
        assert result.processed == 3


async def test_a_library_that_fails_is_the_tasks_failure_and_not_its_documents() -> None:
    async def close(*_: Any) -> None:
        await library.__aexit__(None, None, None)

    async with small_world(close) as (engine, library):
        await add_texts(library)
        record = await end_of(engine, PROCESS)
        assert record.status is TaskStatus.FAILED
        assert record.error is not None
        assert record.error.startswith("LibraryClosed: ")


async def test_a_cancel_is_answered_once_the_documents_are_pending_again() -> None:
    begun = anyio.Event()

    async def block(_: Any, content: bytes, file_type: str, filename: str, *rest: Any) -> None:
        if filename.startswith("seas"):
            begun.set()
            await anyio.sleep_forever()

    async with small_world(block) as (engine, library):
        await add_texts(library)
        handle = await engine.submit(PROCESS, {"concurrency": 2})
        await begun.wait()
        record = await handle.cancel()
        assert record.status is TaskStatus.CANCELLED
        counts = await statuses(library)
        assert counts["processing"] == counts["extracting"] == 0
        assert counts["pending"] >= 2


async def test_a_second_attempt_goes_on_and_its_result_counts_all_documents_once() -> None:
    async with small_world() as (_, library):
        first, second, *_rest = await add_texts(library)
        # What a crash leaves: a document that was finished, and one that was under way.
        await library.processing.claim_pending("task_1", limit=2)
        await library.processing.store_extraction(first.id, "task_1", saying("Alpha"))
        await library.processing.mark_extracting(second.id, "task_1")
        result = await attempt(library, PROCESS, task_id="task_1")
        assert (result.processed, result.total) == (4, 4)
        assert len({each.document_id for each in result.documents}) == 4
        assert (await library.graph.entity("Alpha")).document_count == 1  # not processed again


async def test_an_unknown_parameter_value_is_refused_at_submit() -> None:
    async with small_world() as (engine, _):
        for bad in (0, 51, "many", 1.5):
            with pytest.raises(InvalidParameters, match="concurrency"):
                await engine.submit(PROCESS, {"concurrency": bad})


async def test_progress_is_told_in_numbers_and_in_words() -> None:
    async with small_world() as (_, library):
        await add_texts(library)
        reports: list[ProgressReport] = []
        await attempt(library, PROCESS, {"concurrency": 1}, heard=reports.append)
        assert [(each.current, each.total, each.message) for each in reports] == [
            (0, 4, "Processing rails_0.md (1 of 4)"),
            (1, 4, "Processed rails_0.md (1 of 4)"),
            (1, 4, "Processing seas_0.md (2 of 4)"),
            (2, 4, "Processed seas_0.md (2 of 4)"),
            (2, 4, "Processing rails_1.md (3 of 4)"),
            (3, 4, "Processed rails_1.md (3 of 4)"),
            (3, 4, "Processing seas_1.md (4 of 4)"),
            (4, 4, "Processed seas_1.md (4 of 4)"),
            (4, 4, "Processed 4 of 4 documents"),
        ]
