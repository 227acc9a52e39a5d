"""The three jobs on the graph: relationships across documents, communities, their summaries."""

from __future__ import annotations

from typing import Any

import pytest

from cortex_tasks.engine.errors import ChildCrashed, InvalidParameters
from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.engine.messages import ProgressReport
from cortex_tasks.jobs.community_detection import READ, WEIGHED
from cortex_tasks.jobs.library import Library
from cortex_tasks.jobs.methods import meetings
from tests.inline_children import InlineChildren
from tests.small_world import add_texts, attempt, carry_out, end_of, small_world

PROCESS, ANALYSE = "document_processing", "relationship_analysis"
DETECT, SUMMARISE = "community_detection", "community_summarization"


async def test_relationships_across_documents_are_found_stored_and_counted() -> None:
    async with small_world() as (engine, library):
        await add_texts(library)
        await carry_out(engine, PROCESS)
        before = (await library.stats()).relationship_count
        result = await carry_out(engine, ANALYSE)
        after = await library.stats()
        assert result.relationships_discovered == result.candidate_pairs > 0
        assert result.relationships_stored == result.relationships_discovered
        assert after.relationship_count == before + result.relationships_stored
        assert result.total_relationships == after.relationship_count
        assert result.entity_relationship_ratio == after.entity_relationship_ratio
        assert result.entities_analyzed == after.entity_count
        assert (result.discovery_mode, result.rounds_completed) == ("incremental", 1)
        assert after.last_relationship_analysis_at is not None


async def test_an_incremental_analysis_looks_only_at_what_has_changed() -> None:
    async with small_world() as (engine, library):
        await add_texts(library, copies=1)
        await carry_out(engine, PROCESS)
        first = await carry_out(engine, ANALYSE)
        assert first.entities_analyzed > 0
        second = await carry_out(engine, ANALYSE)
        assert (second.entities_analyzed, second.relationships_discovered) == (0, 0)
        text = b"The Paper Mill stands in Beta Station. Rose Miller owns the Paper Mill."
        await library.documents.add(text, filename="mill.txt")
        await carry_out(engine, PROCESS)
        third = await carry_out(engine, ANALYSE)
        assert 0 < third.entities_analyzed < first.entities_analyzed
        rebuilt = await carry_out(engine, ANALYSE, mode="rebuild")
        assert rebuilt.entities_analyzed == (await library.stats()).entity_count


async def test_a_rebuild_twice_stores_the_same_as_once() -> None:
    async with small_world() as (engine, library):
        await add_texts(library)
        await carry_out(engine, PROCESS)
        await carry_out(engine, ANALYSE, mode="rebuild")
        once = await library.graph.visualization(limit=1000)
        await carry_out(engine, ANALYSE, mode="rebuild")
        assert await library.graph.visualization(limit=1000) == once


async def test_communities_are_detected_and_told_with_their_members() -> None:
    async with small_world() as (engine, library):
        await add_texts(library)
        await carry_out(engine, PROCESS)
        result = await carry_out(engine, DETECT)
        stored = await library.communities.page()
        assert result.total == len(result.communities) == stored.total >= 2
        for told, kept in zip(result.communities, stored.communities, strict=True):
            assert (told.id, told.entity_count) == (kept.id, kept.entity_count)
            assert told.entity_count == len(told.entities) >= 3
            assert [each.name for each in told.entities][:5] == kept.top_entities
        sizes = [each.entity_count for each in result.communities]
        found = result.distribution
        assert (found.community_count, found.total_entities_covered) == (len(sizes), sum(sizes))
        assert (found.min_size, found.max_size) == (min(sizes), max(sizes))
        assert (result.algorithm, result.collection_id) == ("leiden", None)
        assert 0 < result.modularity < 1
        apart = {
            next(each.id for each in result.communities if name in {e.name for e in each.entities})
            for name in ("Rail Network", "Blue Whale")
        }
        assert len(apart) == 2


async def test_detecting_again_keeps_ids_names_and_summaries() -> None:
    async with small_world() as (engine, library):
        await add_texts(library)
        await carry_out(engine, PROCESS)
        first = await carry_out(engine, DETECT)
        await carry_out(engine, SUMMARISE)
        again = await carry_out(engine, DETECT)
        assert [each.id for each in again.communities] == [each.id for each in first.communities]
        assert all(each.name and each.summary for each in again.communities)


@pytest.mark.parametrize("job", [ANALYSE, DETECT, SUMMARISE])
async def test_on_an_empty_library_a_job_completes_with_nothing_found(job: str) -> None:
    async with small_world() as (engine, _):
        record = await end_of(engine, job)
        assert record.status is TaskStatus.COMPLETED
        result = await engine.result(record.id)
        counts = {
            ANALYSE: "relationships_discovered",
            DETECT: "total",
            SUMMARISE: "total_processed",
        }
        assert result[counts[job]] == 0


async def test_the_distribution_of_no_communities_is_all_zero() -> None:
    async with small_world() as (engine, _):
        result = await carry_out(engine, DETECT)
        found = result.distribution
        assert (found.min_size, found.max_size, found.median_size, found.mean_size) == (0, 0, 0, 0)


async def test_every_community_gets_a_name_and_whole_sentences_of_its_texts() -> None:
    async with small_world() as (engine, library):
        await with_communities(library, engine)
        result = await carry_out(engine, SUMMARISE)
        assert result.total_processed == result.summaries_generated == len(result.results) >= 2
        for each in result.results:
            kept = await library.communities.get(each.id)
            assert (each.status, each.name, each.summary) == (
                "summarized",
                kept.name,
                kept.summary,
            )
            assert each.summary.endswith(".")
        assert (await library.graph.status()).summarized_community_count == len(result.results)


async def test_a_good_summary_is_kept_unless_all_are_to_be_written_anew() -> None:
    async with small_world() as (engine, library):
        await with_communities(library, engine)
        await carry_out(engine, SUMMARISE)
        again = await carry_out(engine, SUMMARISE)
        assert {each.status for each in again.results} == {"skipped"}
        assert {each.reason for each in again.results} == {"it has a summary that still fits"}
        assert all(each.name and each.summary for each in again.results)
        assert again.summaries_skipped == again.total_processed
        forced = await carry_out(engine, SUMMARISE, force_regenerate=True)
        assert {each.status for each in forced.results} == {"summarized"}


async def test_only_the_communities_that_were_named_are_summarised() -> None:
    async with small_world() as (engine, library):
        await with_communities(library, engine)
        first, *_ = (await library.communities.page()).communities
        result = await carry_out(engine, SUMMARISE, community_ids=[first.id, first.id, 999])
        assert [(each.id, each.status) for each in result.results] == [
            (first.id, "summarized"),
            (999, "failed"),
        ]
        assert (await library.graph.status()).summarized_community_count == 1


async def test_a_task_that_could_summarise_nothing_has_failed_and_says_why() -> None:
    async with small_world() as (engine, library):
        await with_communities(library, engine)
        record = await end_of(engine, SUMMARISE, community_ids=[998, 999])
        assert record.status is TaskStatus.FAILED
        assert record.error is not None
        assert "None of 2 communities" in record.error
        assert "community 998: there is no such community" in record.error


async def test_a_community_that_kills_its_child_fails_alone_and_keeps_its_summary() -> None:
    async def crash(function: Any, *arguments: Any) -> None:
        if function.__name__ == "write_summary" and "Blue Whale" in arguments[0].members:
            raise ChildCrashed("the child process ran out of memory")

    async with small_world(crash) as (engine, library):
        await with_communities(library, engine)
        ids = {each.id for each in (await library.communities.page()).communities}
        for community in ids:
            await library.summaries.store_summary(community, "Old", "It was good.", drift=0.0)
        result = await carry_out(engine, SUMMARISE, force_regenerate=True)
        [failed] = [each for each in result.results if each.status == "failed"]
        assert "ran out of memory" in failed.reason
        assert (failed.name, failed.summary) == ("Old", "It was good.")
        assert (await library.communities.get(failed.id)).summary == "It was good."
        assert result.summaries_generated == len(ids) - 1


async def test_a_community_replaced_while_it_is_summarised_is_told_and_harms_no_other() -> None:
    async def delete(function: Any, *arguments: Any) -> None:
        if function.__name__ == "write_summary" and "Blue Whale" in arguments[0].members:
            for each in (await library.communities.search("Blue Whale")).results:
                await library.communities.delete(each.id)

    async with small_world(delete) as (engine, library):
        await with_communities(library, engine)
        result = await carry_out(engine, SUMMARISE)
        assert "there is no such community, or no longer" in {
            each.reason for each in result.results
        }
        assert result.summaries_generated > 0


@pytest.mark.parametrize(
    ("job", "params"),
    [
        (DETECT, {"min_size": 1}),
        (DETECT, {"min_size": 21}),
        (ANALYSE, {"mode": "sideways"}),
        (SUMMARISE, {"community_ids": ["five"]}),
    ],
)
async def test_a_parameter_that_does_not_fit_is_refused_at_submit(
    job: str, params: dict[str, Any]
) -> None:
    async with small_world() as (engine, _):
        with pytest.raises(InvalidParameters, match=next(iter(params))):
            await engine.submit(job, params)


@pytest.mark.parametrize("job", [ANALYSE, DETECT, SUMMARISE])
async def test_progress_never_falls_and_its_words_are_for_people(job: str) -> None:
    async with small_world() as (engine, library):
        await with_communities(library, engine)
        reports: list[ProgressReport] = []
        await attempt(library, job, children=InlineChildren(), heard=reports.append)
        told = [
            100 * each.current / each.total if each.current is not None and each.total else percent
            for each in reports
            for percent in [each.percent]
        ]
        shares = [share for share in told if share is not None]
        assert shares == sorted(shares)
        assert len(shares) >= 3
        assert all(each.message and each.message[0].isupper() for each in reports)


async def test_weighing_the_graph_tells_how_many_chunks_are_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(meetings, "BATCH", 5)
    async with small_world() as (engine, library):
        await with_communities(library, engine)
        reports: list[ProgressReport] = []
        await attempt(library, DETECT, heard=reports.append)
        told = [each for each in reports if (each.message or "").startswith("Weighing ties: ")]
        assert [each.message for each in told] == [
            f"Weighing ties: {chunk} of 4 chunks" for chunk in (1, 2, 3, 4)
        ]
        percents = [each.current for each in told if each.current is not None]
        assert {each.total for each in told} == {100}
        assert percents == sorted(set(percents))
        assert percents[0] > READ
        assert percents[-1] < WEIGHED


async def with_communities(library: Library, engine: Any) -> None:
    await add_texts(library)
    await carry_out(engine, PROCESS)
    await carry_out(engine, DETECT)
