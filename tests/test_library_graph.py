"""The graph is what the documents say together, whatever came and went, in whatever order."""

from __future__ import annotations

import functools
import sqlite3
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_tasks.engine.surroundings import offload_inline
from cortex_tasks.jobs.library import EntityNotFound, Library
from cortex_tasks.jobs.library.extractions import forget, remember
from cortex_tasks.jobs.library.merging import merge
from cortex_tasks.jobs.library.schema import prepare
from cortex_tasks.jobs.library.session import Mode, Session, Work
from cortex_tasks.jobs.model import ExtractedEntity, Extraction, Relation
from tests.knowledge import learn, relation, said_together, saying


def in_memory() -> Library:
    return Library.in_memory(offload=offload_inline)


async def test_an_entity_is_one_whatever_the_spelling_and_the_usual_one_names_it() -> None:
    async with in_memory() as library:
        await learn(library, "a.txt", saying("alpha"))
        await learn(library, "b.txt", saying("ALPHA ALPHA", "ALPHA"))
        [entity] = (await library.graph.entities()).entities
        assert (entity.name, entity.mention_count) == ("ALPHA", 4)
        assert entity.description == "ALPHA ALPHA"  # of the document that says most about it
        for spelling in ("alpha", "ALPHA", "Alpha", "ALPHa"):
            detail = await library.graph.entity(spelling)
            assert (detail.name, detail.document_count) == ("ALPHA", 2)


async def test_the_type_is_what_most_mentions_say_and_concept_loses_to_any_other() -> None:
    async with in_memory() as library:
        await learn(library, "a.txt", saying("Alpha:Concept Alpha Alpha", "Alpha Alpha"))
        assert (await library.graph.entity("Alpha")).type == "Concept"
        await learn(library, "b.txt", saying("Alpha:Product"))
        assert (await library.graph.entity("Alpha")).type == "Product"
        await learn(library, "c.txt", saying("Alpha:Technology", "Alpha:Technology"))
        assert (await library.graph.entity("Alpha")).type == "Technology"


async def test_a_document_that_gives_two_types_to_two_spellings_gives_the_telling_one() -> None:
    async with in_memory() as library:
        spellings = saying("Alpha:Concept Alpha Alpha alpha:Product")
        document = await learn(library, "a.txt", spellings)
        found = await library.graph.entity("alpha")
        assert (found.name, found.type, found.mention_count) == ("Alpha", "Product", 4)
        await library.documents.delete(document.id)
        assert await everything(library) == {}


async def test_relationships_of_several_documents_become_one_that_is_stronger() -> None:
    async with in_memory() as library:
        for number, confidence in enumerate((0.4, 0.9, 0.6)):
            one = relation("Alpha", "Beta", weight=4.0, confidence=confidence)
            await learn(library, f"{number}.txt", saying("Alpha Beta", relations=[one]))
        [found] = (await library.graph.entity("Alpha")).relationships
        assert (found.target, found.type, found.direction) == ("Beta", "USES", "outgoing")
        assert (found.weight, found.confidence) == (10.0, 0.9)  # added up, to the end of the scale
        [back] = (await library.graph.entity("Beta")).relationships
        assert (back.target, back.direction) == ("Alpha", "incoming")


async def test_what_only_a_deleted_document_said_goes_with_it() -> None:
    async with in_memory() as library:
        both = saying("Alpha Beta", relations=[relation("Alpha", "Beta")])
        first = await learn(library, "a.txt", both)
        second = await learn(library, "b.txt", saying("Beta Gamma"))
        await library.documents.delete(first.id)
        stats = await library.stats()
        assert (stats.entity_count, stats.relationship_count, stats.chunk_count) == (2, 0, 1)
        with pytest.raises(EntityNotFound, match="Alpha"):
            await library.graph.entity("Alpha")
        assert (await library.graph.entity("Beta")).mentioned_in == [second.id]
        await library.documents.delete(second.id)
        assert await everything(library) == {}


async def test_entities_are_listed_most_mentioned_first_and_found_by_type_and_name() -> None:
    async with in_memory() as library:
        await learn(
            library,
            "a.txt",
            saying("Wal:System Wal Wal", "Journal:Concept Journal", "Äther_100%:Concept"),
        )

        async def names(**wanted: Any) -> tuple[list[str], int]:
            page = await library.graph.entities(**wanted)
            return [entity.name for entity in page.entities], page.total

        assert await names() == (["Wal", "Journal", "Äther_100%"], 3)
        assert await names(limit=1, skip=1) == (["Journal"], 3)
        assert await names(entity_type="Concept") == (["Journal", "Äther_100%"], 2)
        assert await names(entity_type="nonsense") == ([], 0)
        assert await names(search="WA") == (["Wal"], 1)
        assert await names(search="äTHER") == (["Äther_100%"], 1)  # in any script
        assert await names(search="%") == (["Äther_100%"], 1)  # as it stands, no pattern
        assert await names(search="_") == (["Äther_100%"], 1)
        assert await names(search="l", entity_type="System") == (["Wal"], 1)
        assert await names(search="\ud800") == ([], 0)
        assert await names(search="' OR 1=1 --") == ([], 0)
        assert await names(search="x" * 100_000) == ([], 0)


@pytest.mark.parametrize("name", ["", "nobody", "\ud800", "%", "\0", "x" * 100_000])
async def test_an_entity_that_nobody_mentions_is_not_found(name: str) -> None:
    async with in_memory() as library:
        await learn(library, "a.txt", saying("Alpha"))
        with pytest.raises(EntityNotFound):
            await library.graph.entity(name)


async def test_the_picture_shows_the_most_mentioned_and_edges_only_among_them() -> None:
    async with in_memory() as library:
        relations = [relation("A", "B"), relation("A", "B", "PART_OF"), relation("B", "C")]
        await learn(library, "a.txt", saying("A A A B B C", relations=relations))
        picture = await library.graph.visualization(limit=2)
        assert [(node.id, node.mention_count) for node in picture.nodes] == [("A", 3), ("B", 2)]
        assert [(edge.source, edge.target, edge.type) for edge in picture.edges] == [
            ("A", "B", "PART_OF"),
            ("A", "B", "USES"),
        ]
        stats = picture.stats
        assert (stats.node_count, stats.edge_count) == (2, 2)
        assert (stats.total_entities, stats.total_relationships) == (3, 3)
        assert (await library.graph.visualization(limit=0)).nodes == []


async def test_the_status_of_an_empty_graph_divides_by_nothing() -> None:
    async with in_memory() as library:
        status = await library.graph.status()
        assert (status.entity_count, status.entity_relationship_ratio) == (0, 0.0)
        assert status.last_relationship_analysis_at is None


# -- the law of merging --------------------------------------------------------------------------

NAMES = st.sampled_from(["Alpha", "ALPHA", "alpha", "Beta", "Gamma", "Delta"])
TYPES = st.sampled_from(["Concept", "Product", "Person"])


@st.composite
def extractions(draw: st.DrawFn) -> Extraction:
    names = draw(st.lists(NAMES, unique=True, max_size=4))
    entities = [
        ExtractedEntity(
            name=name,
            type=draw(TYPES),
            description=draw(st.sampled_from(["", f"{name} is.", "It is."])),
            mentions=draw(
                st.dictionaries(st.integers(0, 2), st.integers(1, 3), min_size=1, max_size=3)
            ),
        )
        for name in names
    ]
    pairs = [(source, target) for source in names for target in names]
    relations = [
        Relation(
            source=source,
            target=target,
            type=draw(st.sampled_from(["USES", "IS_A"])),
            description=draw(st.sampled_from(["One.", "Two."])),
            weight=float(draw(st.integers(0, 10))),
            confidence=draw(st.sampled_from([0.25, 0.5, 1.0])),
            extraction_method="per_chunk",
        )
        for source, target in draw(
            st.lists(st.sampled_from(pairs), max_size=4) if pairs else st.just([])
        )
    ]
    return Extraction(chunks=["a", "b", "c"], entities=entities, relations=relations)


DOCUMENTS = 3
STEPS = st.lists(
    st.tuples(st.integers(1, DOCUMENTS), st.one_of(st.none(), extractions())), max_size=8
)


@given(STEPS)
def test_the_graph_depends_on_what_is_said_and_not_on_what_happened(
    steps: list[tuple[int, Extraction | None]],
) -> None:
    """A random history of saying, saying something else and forgetting leaves what a library has
    that was only ever told the last word of each document.
    """
    last_words = dict(steps)
    with_history, afresh = graph_after(steps), graph_after(sorted_words(last_words))
    assert with_history == afresh
    if not any(last_words.values()):
        assert with_history == {}


def sorted_words(words: dict[int, Extraction | None]) -> list[tuple[int, Extraction | None]]:
    # Forwards and backwards must not differ either, so take the other direction here.
    return sorted(words.items(), key=lambda said: -said[0])


def graph_after(steps: list[tuple[int, Extraction | None]]) -> dict[str, list[Any]]:
    def tell(connection: sqlite3.Connection) -> dict[str, list[Any]]:
        connection.execute("SAVEPOINT nothing_said")
        for document, extraction in steps:
            touched = forget(connection, document)
            if extraction is not None:
                touched |= remember(connection, document, extraction)
            merge(connection, touched)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        graph = dict(said_together(connection))
        connection.execute("ROLLBACK TO nothing_said")
        return graph

    return silent_documents().transact(Mode.WRITE, tell, Work())


@functools.cache
def silent_documents() -> Session:
    """A library with documents that say nothing yet; every example leaves it so."""

    def make(connection: sqlite3.Connection) -> None:
        prepare(connection)
        connection.executemany(
            "INSERT INTO documents (seq, id, filename, file_type, file_size, upload_date)"
            " VALUES (?1, ?1, 'a.txt', 'txt', 1, '2026-01-01T00:00:00+00:00')",
            ((number,) for number in range(1, DOCUMENTS + 1)),
        )

    session = Session(None, read_only=False)
    session.transact(Mode.WRITE, make, Work())
    return session


async def everything(library: Library) -> dict[str, list[Any]]:
    return await library._database.read(lambda connection: dict(said_together(connection)))
