"""What the analyses read, and how the relationships that they find are stored."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from cortex_tasks.engine.surroundings import offload_inline
from cortex_tasks.jobs.library import Library
from cortex_tasks.jobs.library.corpus import Corpus
from cortex_tasks.jobs.model import Relation
from tests.knowledge import learn, relation, saying


class Standing:
    """A clock that stands."""

    def now(self) -> datetime:
        return datetime(2026, 3, 15, 10, 30, tzinfo=UTC)


def in_memory() -> Library:
    return Library.in_memory(offload=offload_inline, clock=Standing())


def cross(source: str, target: str, weight: float = 5.0) -> Relation:
    return relation(source, target, "RELATED_TO", weight=weight, method="cross_collection")


async def store(
    library: Library, *found: Relation, collection_id: str | None = None, rebuild: bool = False
) -> int:
    corpus = (await library.corpora.of(collection_id, with_relations=False)).load()
    stored = await library.relationships.replace_cross_collection(
        list(found), collection_id=collection_id, rebuild=rebuild, revision=corpus.revision
    )
    return stored.stored


async def found_across(library: Library) -> set[str]:
    picture = await library.graph.visualization()
    edges = [edge for edge in picture.edges if edge.type == "RELATED_TO"]
    return {f"{edge.source}{edge.target}{edge.weight:g}" for edge in edges}


async def load(library: Library, collection_id: str | None = None) -> Corpus:
    return (await library.corpora.of(collection_id, with_relations=True)).load()


@pytest.mark.parametrize("on_disk", [False, True])
async def test_a_corpus_is_one_scope_as_of_one_moment(tmp_path: Path, on_disk: bool) -> None:
    path = tmp_path / "library.db"
    async with Library(path) if on_disk else in_memory() as library:
        uses = [relation("A", "B"), relation("B", "C")]
        await learn(library, "a.txt", saying("A B", "B:Product C", relations=uses))
        await learn(library, "b.txt", saying("C D"), collection_id="docs")
        everything = await load(library)
        assert everything.chunks == ["A B", "B:Product C", "C D"]
        assert everything.documents == [1, 1, 2]
        assert everything.mentions == {"A": [0], "B": [0, 1], "C": [1, 2], "D": [2]}
        assert everything.types["B"] == "Concept"
        assert [(r.source, r.target) for r in everything.relations] == [("A", "B"), ("B", "C")]
        part = await load(library, "docs")
        assert (part.chunks, part.documents) == (["C D"], [2])
        assert part.mentions == {"C": [0], "D": [0]}
        assert part.relations == []
        assert (await load(library, "nowhere")).chunks == []
        assert (await load(library, "\ud800")).chunks == []


async def test_relationships_across_documents_stand_beside_those_of_documents() -> None:
    async with in_memory() as library:
        await learn(library, "a.txt", saying("A B", relations=[relation("A", "B", "RELATED_TO")]))
        assert await store(library, cross("A", "B"), cross("A", "Z"), cross("A", "a")) == 1
        both = (await library.graph.entity("A")).relationships
        assert {each.extraction_method for each in both} == {"per_chunk", "cross_collection"}
        assert (await library.stats()).relationship_count == 2
        assert await found_across(library) == {"AB5"}  # drawn once, as the stronger one says


async def test_an_incremental_analysis_adds_and_renews_and_takes_nothing_away() -> None:
    async with in_memory() as library:
        await learn(library, "a.txt", saying("A B C D"))
        await store(library, cross("A", "B"), cross("B", "C"))
        await store(library, cross("B", "C", 7.0), cross("C", "D"))
        assert await found_across(library) == {"AB5", "BC7", "CD5"}


async def test_a_rebuild_replaces_what_it_computes_again_and_nothing_else() -> None:
    async with in_memory() as library:
        own = [relation("A", "B", "USES")]
        await learn(library, "a.txt", saying("A B C D E", relations=own), collection_id="one")
        await learn(library, "b.txt", saying("A B C D E"), collection_id="two")
        await store(library, cross("A", "B"), cross("B", "C"))
        await store(library, cross("B", "C", 6.0), cross("C", "D"), collection_id="one")
        await store(library, cross("D", "E"), collection_id="two")
        # One collection: what only it found goes; what is known from elsewhere stays.
        await store(library, cross("A", "E"), collection_id="one", rebuild=True)
        assert await found_across(library) == {"AB5", "BC6", "DE5", "AE5"}
        # Everything: all of it goes, except what single documents say.
        await store(library, cross("A", "C"), rebuild=True)
        assert await found_across(library) == {"AC5"}
        assert (await library.stats()).relationship_count == 2


async def test_entities_are_changed_until_an_analysis_has_seen_them() -> None:
    async with in_memory() as library:
        await learn(library, "a.txt", saying("A B"), collection_id="docs")
        assert (await load(library)).changed == {"A", "B"}
        await store(library)
        assert (await load(library)).changed == frozenset()
        assert (await load(library, "docs")).changed == frozenset()  # seen with everything
        other = await learn(library, "b.txt", saying("B C"), collection_id="docs")
        await store(library, collection_id="docs")
        assert (await load(library, "docs")).changed == frozenset()
        assert (await load(library)).changed == {"B", "C"}
        await library.documents.delete(other.id)
        assert (await load(library)).changed == {"B"}


async def test_what_changes_during_an_analysis_is_left_for_the_next() -> None:
    async with in_memory() as library:
        await learn(library, "a.txt", saying("A B"))
        seen = await load(library)
        await learn(library, "b.txt", saying("B C"))
        await library.relationships.replace_cross_collection(
            [], collection_id=None, rebuild=False, revision=seen.revision
        )
        assert (await load(library)).changed == {"B", "C"}


async def test_the_end_of_each_analysis_is_dated() -> None:
    async with in_memory() as library:
        await store(library, collection_id="docs")
        stats = await library.stats()
        assert stats.last_relationship_analysis_at == datetime(2026, 3, 15, 10, 30, tzinfo=UTC)
        assert stats.last_community_detection_at is None
        await library.detection.replace_communities([], None, revision=0)
        status = await library.graph.status()
        assert status.last_community_detection_at == stats.last_relationship_analysis_at
