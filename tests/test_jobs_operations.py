"""The operations: what starts, what is under way already, what follows, and what an abort stops."""

from __future__ import annotations

from collections import Counter
from typing import Any

import anyio
import pytest

from cortex_tasks.engine.engine import TaskEngine
from cortex_tasks.engine.errors import InvalidParameters
from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.engine.records import TaskRecord
from cortex_tasks.jobs.chains import STEPS, parse_chain
from cortex_tasks.jobs.library import Library
from cortex_tasks.jobs.operations import (
    NothingPending,
    Operations,
    ProcessingStarted,
    parse_community_ids,
)
from tests.small_world import TEXTS, add_texts, small_world

CHAIN = "relationship_analysis,community_detection,community_summarization"


class Gate:
    """Holds up every child until it is opened."""

    def __init__(self) -> None:
        self.reached = anyio.Event()
        self._open = anyio.Event()

    async def __call__(self, *_: Any) -> None:
        self.reached.set()
        await self._open.wait()

    def open(self) -> None:
        """Let all pass, from now on."""
        self._open.set()


async def started(operations: Operations, **wanted: Any) -> ProcessingStarted:
    answer = await operations.process_pending(**wanted)
    assert isinstance(answer, ProcessingStarted)
    return answer


async def statuses(library: Library) -> Counter[str]:
    return Counter(each.status.value for each in (await library.documents.page()).documents)


async def records_in_order(engine: TaskEngine) -> list[TaskRecord]:
    return (await engine.list()).records[::-1]


async def test_with_nothing_pending_there_is_no_task() -> None:
    async with small_world() as (engine, library):
        answer = await Operations(engine, library).process_pending(chain=CHAIN)
        assert answer == NothingPending(message="No pending documents to process", pending_count=0)
        assert (await engine.list()).total == 0


async def test_processing_starts_one_task_and_says_what_it_will_do() -> None:
    async with small_world() as (engine, library):
        await add_texts(library)
        answer = await started(Operations(engine, library), concurrency=3, chain=CHAIN)
        assert (answer.status, answer.deduplicated) == (TaskStatus.PENDING, False)
        assert (answer.pending_count, answer.concurrency, answer.chain) == (4, 3, STEPS)
        assert answer.message == "Processing 4 pending documents"
        assert (await engine.wait(answer.task_id)).status is TaskStatus.COMPLETED


async def test_a_chain_runs_step_by_step_each_as_its_own_task() -> None:
    async with small_world() as (engine, library):
        await add_texts(library)
        answer = await started(Operations(engine, library), chain=CHAIN)
        ran = []
        task_id: str | None = answer.task_id
        while task_id is not None:
            record = await engine.wait(task_id)
            ran.append((record.type, record.status.value))
            task_id = record.next_id
        assert ran == [
            ("document_processing", "completed"),
            *((step, "completed") for step in STEPS),
        ]
        assert (await library.graph.status()).summarized_community_count > 0


async def test_the_same_work_is_not_started_twice_while_it_is_under_way() -> None:
    gate = Gate()
    async with small_world(gate) as (engine, library):
        operations = Operations(engine, library)
        await add_texts(library)
        first = await started(operations)
        await gate.reached.wait()
        second = await started(operations, concurrency=9)
        assert (second.task_id, second.deduplicated) == (first.task_id, True)
        assert second.status is TaskStatus.RUNNING
        gate.open()
        await engine.wait(first.task_id)
        assert (await engine.list()).total == 1


async def test_a_chain_asked_for_meanwhile_follows_once_all_documents_are_processed() -> None:
    gate = Gate()
    async with small_world(gate) as (engine, library):
        operations = Operations(engine, library)
        added = await add_texts(library, copies=1)
        first = await started(operations, concurrency=50)
        await gate.reached.wait()
        second = await started(operations, chain="community_detection")
        assert not second.deduplicated
        assert (second.pending_count, second.chain) == (0, ("community_detection",))
        assert second.message == (
            "No document is pending: community_detection follows once those under way are processed"
        )
        third = await started(operations, chain="community_detection")
        assert (third.task_id, third.deduplicated) == (second.task_id, True)
        fourth = await started(operations)
        assert (fourth.task_id in {first.task_id, second.task_id}, fourth.deduplicated) == (
            True,
            True,
        )
        gate.open()
        assert (await engine.wait(first.task_id)).status is TaskStatus.COMPLETED
        record = await engine.wait(second.task_id)
        assert record.status is TaskStatus.COMPLETED
        assert await statuses(library) == {"completed": len(added)}
        assert record.next_id is not None
        detected = await engine.wait(record.next_id)
        assert (await engine.result(detected.id))["total"] == 2


async def test_a_task_that_is_stopping_answers_for_its_scope_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate, putting_back = Gate(), Gate()
    async with small_world(gate) as (engine, library):
        operations = Operations(engine, library)
        await add_texts(library, copies=1)
        first = await started(operations, concurrency=50)
        await gate.reached.wait()
        release = library.processing.release_claims

        async def release_slowly(task_id: str) -> int:
            if task_id == first.task_id:
                await putting_back()
            return await release(task_id)

        monkeypatch.setattr(library.processing, "release_claims", release_slowly)
        async with anyio.create_task_group() as group:
            group.start_soon(engine.cancel, first.task_id)
            await putting_back.reached.wait()
            second = await started(operations)
            assert (second.deduplicated, second.pending_count) == (False, 0)
            assert second.message == (
                "No document is pending: processing what the task that is stopping puts back"
            )
            assert (await started(operations)).task_id == second.task_id
            putting_back.open()
            gate.open()
        assert (await engine.get(first.task_id)).status is TaskStatus.CANCELLED
        assert (await engine.wait(second.task_id)).status is TaskStatus.COMPLETED
        assert await statuses(library) == {"completed": 2}


async def test_a_task_that_has_claimed_everything_still_answers_for_its_scope() -> None:
    gate = Gate()
    async with small_world(gate) as (engine, library):
        operations = Operations(engine, library)
        await add_texts(library, copies=1)
        first = await started(operations, concurrency=50)
        await gate.reached.wait()
        assert (await statuses(library))["pending"] == 0
        again = await started(operations)
        assert (again.task_id, again.deduplicated, again.pending_count) == (first.task_id, True, 0)
        gate.open()
        await engine.wait(first.task_id)
        assert isinstance(await operations.process_pending(), NothingPending)


async def test_another_collection_is_another_scope() -> None:
    gate = Gate()
    async with small_world(gate) as (engine, library):
        operations = Operations(engine, library)
        names = ("one", "two", "ü 🐋" + "x" * 250)
        for name in names:
            await library.documents.add(
                b"Some Text.", filename=f"{name[:9]}.md", collection_id=name
            )
        answers = [await started(operations, collection_id=name) for name in names]
        assert len({each.task_id for each in answers}) == 3
        assert [each.pending_count for each in answers] == [1, 1, 1]
        everything = await operations.process_pending()
        assert not isinstance(everything, ProcessingStarted) or not everything.deduplicated
        gate.open()


async def test_other_work_on_the_same_scope_is_not_taken_for_the_same() -> None:
    gate = Gate()
    async with small_world(gate) as (engine, library):
        operations = Operations(engine, library)
        added = await operations.analyze()
        assert (await operations.analyze(mode="incremental")).task_id == added.task_id
        rebuilt = await operations.analyze(rebuild=True)
        assert rebuilt.task_id != added.task_id
        assert (await operations.analyze(mode="rebuild")).task_id == rebuilt.task_id
        three = await operations.detect()
        assert (await operations.detect(min_size=3)).deduplicated
        assert not (await operations.detect(min_size=4)).deduplicated
        assert not (await operations.detect(collection_id="docs")).deduplicated
        assert three.message == "Community detection started"
        some = await operations.summarize(community_ids=["comm_5", 7])
        assert (await operations.summarize(community_ids="7,5")).task_id == some.task_id
        assert not (await operations.summarize(community_ids=5)).deduplicated
        assert not (await operations.summarize()).deduplicated
        assert not (await operations.summarize(force_regenerate=True)).deduplicated
        gate.open()


async def test_a_step_of_a_chain_is_under_way_for_single_flight_too() -> None:
    gate = Gate()

    async def hold_analysis(function: Any, *arguments: Any) -> None:
        if function.__name__ == "find_relationships":
            await gate()

    async with small_world(hold_analysis) as (engine, library):
        operations = Operations(engine, library)
        await add_texts(library, copies=1)
        await started(operations, chain="relationship_analysis")
        await gate.reached.wait()
        answer = await operations.analyze()
        assert answer.deduplicated
        assert [record.type for record in await records_in_order(engine)] == [
            "document_processing",
            "relationship_analysis",
        ]
        gate.open()
        await engine.wait(answer.task_id)


@pytest.mark.parametrize("before", [True, False])
async def test_a_document_uploaded_as_a_task_ends_is_not_left_between_two_tasks(
    monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    """It comes right before, or right after, the running task looks for more the last time."""
    async with small_world() as (engine, library):
        operations = Operations(engine, library)
        await add_texts(library, copies=1)
        close_intake = library.processing.close_intake
        answers: list[ProcessingStarted] = []

        async def upload() -> None:
            if not answers:
                await library.documents.add(TEXTS["seas"].encode(), filename="late.txt")
                answers.append(await started(operations))

        async def close_with_an_upload(**scope: Any) -> bool:
            if before:
                await upload()
            closed = await close_intake(**scope)
            await upload()
            return closed

        monkeypatch.setattr(library.processing, "close_intake", close_with_an_upload)
        first = await started(operations)
        await engine.wait(first.task_id)
        [second] = answers
        assert second.deduplicated == before
        await engine.wait(second.task_id)
        assert await statuses(library) == {"completed": 3}


async def test_an_unknown_step_is_refused_and_nothing_starts() -> None:
    async with small_world() as (engine, library):
        operations = Operations(engine, library)
        await add_texts(library, copies=1)
        for chain in ("nonsense", f"{CHAIN},nonsense", "relationship_analysis;x"):
            with pytest.raises(InvalidParameters, match="unknown chain step"):
                await operations.process_pending(chain=chain)
            with pytest.raises(InvalidParameters, match="unknown chain step"):
                await operations.analyze(chain=chain)
        assert (await engine.list()).total == 0


def test_a_chain_is_a_comma_list_of_known_steps_each_once() -> None:
    assert parse_chain(None) == parse_chain("") == parse_chain(" , ") == ()
    assert parse_chain(" community_detection , community_summarization,") == STEPS[1:]
    assert parse_chain(["relationship_analysis"]) == STEPS[:1]
    with pytest.raises(InvalidParameters, match="more than once") as refused:
        parse_chain("community_detection,community_detection")
    assert refused.value.path == "$.chain"
    with pytest.raises(InvalidParameters, match=", ".join(STEPS)):
        parse_chain("document_processing")


def test_community_ids_are_read_as_people_write_them() -> None:
    assert (
        parse_community_ids(5) == parse_community_ids("5") == parse_community_ids("comm_5") == [5]
    )
    assert parse_community_ids("5, comm_7,5") == [5, 7]
    assert parse_community_ids([5, "7", "comm_9,11"]) == [5, 7, 9, 11]
    assert parse_community_ids([]) == []
    for bad in ("", "five", "comm_", "-5", "5.0", "\u0665", "5" * 30, True, [None], "comm_5;7"):
        with pytest.raises(InvalidParameters, match="community id"):
            parse_community_ids(bad)  # type: ignore[arg-type]


async def test_an_abort_stops_everything_and_puts_documents_back() -> None:
    gate = Gate()
    async with small_world(gate) as (engine, library):
        operations = Operations(engine, library)
        await add_texts(library)
        processing = await started(operations, concurrency=2, chain=CHAIN)
        detection = await operations.detect()
        waiting = await operations.detect(min_size=4)
        await gate.reached.wait()
        await anyio.wait_all_tasks_blocked()
        aborted = await operations.abort()
        assert set(aborted.tasks_cancelled) == {
            processing.task_id,
            detection.task_id,
            waiting.task_id,
        }
        assert (aborted.documents_cancelled, aborted.documents_reset) == (2, 2)
        assert (aborted.chain_tasks_cancelled, aborted.tasks_still_running) == (2, [])
        assert (aborted.tasks_removed, aborted.docling_workers_killed) == ([], 0)
        assert await statuses(library) == {"pending": 4}
        records = await records_in_order(engine)
        assert {record.status for record in records} == {TaskStatus.CANCELLED}
        assert len(records) == 3  # no step of the chain came after it


async def test_an_abort_also_stops_the_step_that_turns_up_while_it_stops_the_one_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate = Gate()

    async def hold(function: Any, *arguments: Any) -> None:
        if function.__name__ == "find_relationships":
            await anyio.sleep_forever()
        await gate()

    async with small_world(hold) as (engine, library):
        operations = Operations(engine, library)
        await add_texts(library, copies=1)
        processing = await started(operations, chain=CHAIN)
        await gate.reached.wait()
        stop = operations._stop

        async def stop_too_late(record: TaskRecord, told: dict[str, TaskRecord | None]) -> None:
            gate.open()
            if record.id == processing.task_id:
                await engine.wait(record.id)
            await stop(record, told)

        monkeypatch.setattr(operations, "_stop", stop_too_late)
        aborted = await operations.abort()
        first, second = await records_in_order(engine)
        assert (first.status, second.status) == (TaskStatus.COMPLETED, TaskStatus.CANCELLED)
        assert (aborted.tasks_cancelled, aborted.chain_tasks_cancelled) == ([second.id], 1)
        assert aborted.tasks_still_running == []


async def test_an_abort_of_nothing_says_so() -> None:
    async with small_world() as (engine, library):
        await add_texts(library)
        aborted = await Operations(engine, library).abort()
        assert aborted.tasks_cancelled == []
        assert (aborted.documents_cancelled, aborted.documents_reset) == (0, 0)


async def test_it_is_safe_to_redeploy_only_while_nothing_runs() -> None:
    gate = Gate()
    async with small_world(gate) as (engine, library):
        operations = Operations(engine, library)
        idle = await operations.instance_status()
        assert (idle.safe_to_redeploy, idle.reasons, idle.running_tasks) == (True, [], [])
        answer = await operations.detect()
        await gate.reached.wait()
        busy = await operations.instance_status()
        assert (busy.safe_to_redeploy, busy.running_task_count) == (False, 1)
        assert busy.reasons == [f"community_detection {answer.task_id} is running (0 %)"]
        assert [record.id for record in busy.running_tasks] == [answer.task_id]
        gate.open()
        await engine.wait(answer.task_id)
        assert (await operations.instance_status()).safe_to_redeploy
