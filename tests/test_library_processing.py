"""Claims: a document is processed by one task, and what it says is stored whole or not at all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import anyio
import pytest

from cortex_tasks.engine.surroundings import offload_inline
from cortex_tasks.jobs.library import ClaimLost, Library
from cortex_tasks.jobs.model import Document, DocumentStatus
from tests.knowledge import learn, relation, saying


def in_memory() -> Library:
    return Library.in_memory(offload=offload_inline)


async def add(library: Library, count: int) -> list[Document]:
    return [await library.documents.add(b"x", filename=f"{number}.txt") for number in range(count)]


async def test_documents_are_claimed_in_the_order_of_their_upload() -> None:
    async with in_memory() as library:
        added = await add(library, 5)
        first = await library.processing.claim_pending("task_1", limit=2)
        assert [document.id for document in first] == [document.id for document in added[:2]]
        assert {document.status for document in first} == {DocumentStatus.PROCESSING}
        rest = await library.processing.claim_pending("task_2", limit=99)
        assert [document.id for document in rest] == [document.id for document in added[2:]]
        assert await library.processing.claim_pending("task_3", limit=99) == []


async def test_a_document_is_given_to_one_of_many_who_ask_at_once() -> None:
    async with in_memory() as library:
        await add(library, 20)
        given: list[str] = []

        async def claim(task_id: str) -> None:
            while claimed := await library.processing.claim_pending(task_id, limit=3):
                given.extend(document.id for document in claimed)

        async with anyio.create_task_group() as group:
            for number in range(8):
                group.start_soon(claim, f"task_{number}")
        assert len(given) == len(set(given)) == 20


async def test_a_claim_can_be_for_one_collection() -> None:
    async with in_memory() as library:
        await library.documents.add(b"x", filename="a.txt")
        b = await library.documents.add(b"x", filename="b.txt", collection_id="docs")
        claimed = await library.processing.claim_pending("task_1", collection_id="docs", limit=9)
        assert [document.id for document in claimed] == [b.id]


async def test_only_the_task_that_claims_a_document_can_finish_it() -> None:
    async with in_memory() as library:
        [document] = await add(library, 1)
        processing = library.processing
        attempts: list[Callable[..., Awaitable[object]]] = [
            partial(processing.store_extraction, document.id, extraction=saying("Alpha")),
            partial(processing.mark_failed, document.id, error="no"),
            partial(processing.mark_extracting, document.id),
        ]
        for attempt in attempts:
            with pytest.raises(ClaimLost):
                await attempt(task_id="task_1")  # still pending
        await processing.claim_pending("task_1", limit=1)
        for attempt in attempts:
            with pytest.raises(ClaimLost):
                await attempt(task_id="task_2")
        await processing.mark_extracting(document.id, "task_1")
        assert (await library.documents.get(document.id)).status is DocumentStatus.EXTRACTING
        done = await processing.store_extraction(document.id, "task_1", saying("Alpha Beta", "B"))
        assert done.status is DocumentStatus.COMPLETED
        assert (done.chunk_count, done.entity_count) == (2, 3)
        for attempt in attempts:
            with pytest.raises(ClaimLost):
                await attempt(task_id="task_1")  # finished: once is enough


async def test_released_documents_are_pending_again_and_finished_ones_stay() -> None:
    async with in_memory() as library:
        added = await add(library, 4)
        await library.processing.claim_pending("task_1", limit=3)
        await library.processing.store_extraction(added[0].id, "task_1", saying("Alpha"))
        await library.processing.mark_extracting(added[1].id, "task_1")
        assert await library.processing.release_claims("task_1") == 2
        assert await library.processing.release_claims("task_1") == 0
        assert await statuses(library) == ["completed", "pending", "pending", "pending"]
        with pytest.raises(ClaimLost):
            await library.processing.mark_failed(added[1].id, "task_1", "late")


async def test_claims_of_tasks_that_are_gone_are_released_and_those_of_living_ones_kept() -> None:
    async with in_memory() as library:
        await add(library, 3)
        for task_id in ("task_dead", "task_alive", "task_'; --"):
            await library.processing.claim_pending(task_id, limit=1)
        assert await library.processing.release_claims_except(["task_alive", "task_'; --"]) == 1
        assert await statuses(library) == ["pending", "processing", "processing"]
        assert await library.processing.release_claims_except([]) == 2


async def test_a_deleted_document_is_lost_to_the_task_that_works_on_it() -> None:
    async with in_memory() as library:
        [document] = await add(library, 1)
        await library.processing.claim_pending("task_1", limit=1)
        await library.documents.delete(document.id)
        with pytest.raises(ClaimLost):
            await library.processing.store_extraction(document.id, "task_1", saying("Alpha"))
        assert (await library.stats()).entity_count == 0


async def test_what_a_task_has_done_is_listed_over_all_its_attempts() -> None:
    async with in_memory() as library:
        added = await add(library, 4)
        await library.processing.claim_pending("task_1", limit=2)
        await library.processing.store_extraction(added[0].id, "task_1", saying("Alpha"))
        await library.processing.release_claims("task_1")  # a crash, and a second attempt
        await library.processing.claim_pending("task_1", limit=2)
        await library.processing.mark_failed(added[1].id, "task_1", "no text in it")
        await library.processing.claim_pending("task_2", limit=1)
        await library.processing.store_extraction(added[3].id, "task_2", saying("Beta"))
        done = await library.processing.outcomes("task_1")
        assert [(each.id, each.status, each.error) for each in done] == [
            (added[0].id, "completed", None),
            (added[1].id, "failed", "no text in it"),
        ]


async def test_a_failed_extraction_leaves_the_document_claimed_and_says_nothing() -> None:
    async with in_memory() as library:
        [document] = await add(library, 1)
        await library.processing.claim_pending("task_1", limit=1)
        unstorable = saying("Alpha", "Beta \ud800")
        with pytest.raises(UnicodeEncodeError):
            await library.processing.store_extraction(document.id, "task_1", unstorable)
        assert (await library.documents.get(document.id)).status is DocumentStatus.PROCESSING
        stats = await library.stats()
        assert (stats.chunk_count, stats.entity_count) == (0, 0)


async def test_processing_again_replaces_what_the_document_said() -> None:
    async with in_memory() as library:
        document = await learn(
            library, "a.txt", saying("Alpha Beta", relations=[relation("Alpha", "Beta")])
        )
        await library.documents.delete(document.id)
        await learn(library, "a.txt", saying("Beta Gamma"))
        assert {e.name for e in (await library.graph.entities()).entities} == {"Beta", "Gamma"}
        assert (await library.stats()).relationship_count == 0


async def test_an_intake_closes_only_when_nothing_waits_or_is_under_way() -> None:
    async with in_memory() as library:
        processing = library.processing
        assert (await processing.intake()).generation == 0
        await library.documents.add(b"x", filename="a.txt", collection_id="docs")
        assert not await processing.close_intake()
        assert not await processing.close_intake(collection_id="docs")
        assert await processing.close_intake(collection_id="other")
        waiting = await processing.intake(collection_id="docs")
        assert (waiting.pending_count, waiting.generation) == (1, 0)
        [document] = await processing.claim_pending("task_1", limit=1)
        assert not await processing.close_intake()  # somebody works on it still
        await processing.mark_failed(document.id, "task_1", "no text")
        assert await processing.close_intake()
        assert await processing.close_intake()
        assert (await processing.intake()).generation == 2
        assert (await processing.intake(collection_id="docs")).generation == 0


async def statuses(library: Library) -> list[str]:
    page = await library.documents.page()
    return [document.status for document in reversed(page.documents)]


async def test_the_bell_rings_for_documents_that_come_or_are_done_and_not_for_nothing() -> None:
    async with in_memory() as library:
        processing = library.processing

        async def rings(change: Awaitable[object]) -> bool:
            ring = processing.bell.next_ring
            await change
            return ring.is_set()

        assert await rings(library.documents.add(b"x", filename="a.txt"))
        b = await library.documents.add(b"x", filename="b.txt")
        c = await library.documents.add(b"x", filename="c.txt")
        a, *_ = await processing.claim_pending("task_1", limit=3)
        assert await rings(processing.store_extraction(a.id, "task_1", saying("Alpha")))
        assert await rings(processing.mark_failed(b.id, "task_1", "no text"))
        assert not await rings(processing.release_claims("task_2"))
        assert await rings(processing.release_claims("task_1"))
        await processing.claim_pending("task_1", limit=3)
        with processing.at_work("task_1"):
            assert not await rings(processing.release_abandoned())
        assert await rings(processing.release_abandoned())
        assert await rings(library.documents.delete(c.id))
