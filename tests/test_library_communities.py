"""Communities: replaced all at once, with names and summaries that are never lost for nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from cortex_tasks.engine.surroundings import offload_inline
from cortex_tasks.jobs.library import CommunityNotFound, Library
from cortex_tasks.jobs.library.detection import StoredCommunity
from cortex_tasks.jobs.model import CommunityDraft
from tests.knowledge import learn, relation, saying

LETTERS = "A B C D E F G H I J"


def in_memory() -> Library:
    return Library.in_memory(offload=offload_inline)


async def with_letters(library: Library, collection_id: str | None = None) -> None:
    relations = [relation("A", "B"), relation("B", "C", weight=9.0), relation("C", "D")]
    letters = saying(LETTERS, "A B C", "A", relations=relations)
    await learn(library, "letters.txt", letters, collection_id=collection_id)


async def replace(
    library: Library, *groups: tuple[int, str], collection_id: str | None = None
) -> list[StoredCommunity]:
    drafts = [CommunityDraft(id=id_, members=members.split()) for id_, members in groups]
    return await library.detection.replace_communities(drafts, collection_id, revision=1)


async def summarise(library: Library, community_id: int, name: str, summary: str) -> bool:
    material = await library.summaries.material(community_id)
    return await library.summaries.store_summary(community_id, name, summary, drift=material.drift)


async def test_communities_are_listed_largest_first_with_what_they_are_made_of() -> None:
    async with in_memory() as library:
        await with_letters(library)
        stored = await replace(library, (1, "D E"), (2, "C A B Z"))
        assert [[each.name for each in one.entities] for one in stored] == [
            ["D", "E"],
            ["C", "A", "B"],  # Z is nobody
        ]
        page = await library.communities.page()
        assert page.total == 2
        largest, smallest = page.communities
        assert (largest.id, largest.entity_count, largest.document_count) == (2, 3, 1)
        assert largest.top_entities == largest.sample_entities == ["C", "A", "B"]
        assert (largest.name, largest.summary, largest.has_summary) == ("", "", False)
        assert smallest.id == 1
        assert (await library.communities.page(limit=1, offset=1)).communities == [smallest]


async def test_a_community_is_shown_with_members_relationships_and_documents() -> None:
    async with in_memory() as library:
        await with_letters(library)
        await replace(library, (1, "A B C"))
        await summarise(library, 1, "Letters", "They are letters. There are three.")
        detail = await library.communities.get(1)
        assert [entity.name for entity in detail.entities] == ["A", "B", "C"]
        assert [(e.source, e.target) for e in detail.key_relationships] == [("B", "C"), ("A", "B")]
        assert [document.filename for document in detail.documents] == ["letters.txt"]
        assert detail.description == "They are letters."


async def test_a_community_however_large_gives_all_its_members_and_documents_by_and_by() -> None:
    names = [f"E{number:03}" for number in range(230)]
    async with in_memory() as library:
        for number in range(60):
            spoken = " ".join(names[: 230 - number])
            await learn(library, f"{number}.txt", saying(spoken, spoken))
        await replace(library, (1, " ".join(reversed(names))))
        detail = await library.communities.get(1)
        assert (detail.entity_count, len(detail.entities)) == (230, 200)
        assert (detail.document_count, len(detail.documents)) == (60, 50)
        entities, documents = detail.entities, detail.documents
        while more := (await library.communities.members(1, offset=len(entities))).entities:
            entities = entities + more
        while further := (await library.communities.documents(1, offset=len(documents))).documents:
            documents = documents + further
        assert [entity.name for entity in entities] == names[::-1]
        assert [document.filename for document in documents] == [f"{n}.txt" for n in range(60)]
        assert (await library.communities.members(1, limit=1, offset=999)).total == 230
        assert (await library.communities.documents(1, limit=1)).total == 60


@pytest.mark.parametrize("community_id", [0, -1, 7, 2**63, 10**30])
async def test_a_community_that_is_not_there_is_not_found(community_id: int) -> None:
    async with in_memory() as library:
        await with_letters(library)
        await replace(library, (1, LETTERS))
        communities = library.communities
        asks: list[Callable[[int], Awaitable[object]]] = [
            communities.get,
            communities.members,
            communities.documents,
            communities.delete,
            library.summaries.material,
        ]
        for ask in asks:
            with pytest.raises(CommunityNotFound, match=str(community_id)):
                await ask(community_id)
        with pytest.raises(CommunityNotFound):
            await library.summaries.store_summary(community_id, "A", "B.", drift=0.0)


async def test_a_kept_id_keeps_name_summary_and_date() -> None:
    async with in_memory() as library:
        await with_letters(library)
        await replace(library, (1, "A B C D E F G H I"))
        await summarise(library, 1, "Letters", "They are letters.")
        before = await library.communities.get(1)
        [kept] = await replace(library, (1, "B A C D E F G H I J"))
        assert (kept.id, kept.name, kept.summary) == (1, "Letters", "They are letters.")
        after = await library.communities.get(1)
        assert (after.created_at, after.stale) == (before.created_at, False)
        assert after.top_entities[0] == "B"


async def test_a_summary_is_stale_once_its_members_have_changed_much_in_all() -> None:
    async with in_memory() as library:
        await with_letters(library)
        await replace(library, (1, "A B C D E F G H"))
        await summarise(library, 1, "Letters", "They are letters.")
        stale = []
        for members in ("A B C D E F G", "A B C D E F", "A B C D E"):
            await replace(library, (1, members))  # a little each time
            stale.append((await library.communities.get(1)).stale)
        assert stale == [False, False, True]
        await summarise(library, 1, "Letters", "They are five.")
        assert not (await library.communities.get(1)).stale


async def test_what_moved_while_a_summary_was_written_still_counts() -> None:
    async with in_memory() as library:
        await with_letters(library)
        await replace(library, (1, "A B C D E F"))
        material = await library.summaries.material(1)
        await replace(library, (1, "A B C G"))
        await library.summaries.store_summary(1, "Letters", "They are six.", drift=material.drift)
        assert (await library.communities.get(1)).stale


async def test_ids_are_never_given_twice_and_never_used_again() -> None:
    async with in_memory() as library:
        await with_letters(library, "docs")
        await replace(library, (1, "A B"), (2, "C D"))
        [other] = await replace(library, (1, "E F"), collection_id="docs")
        assert other.id == 3  # 1 is another scope's
        await library.communities.delete(3)
        again = await replace(library, (9, "A B"), (2, "C D"), (2, "E F"))
        assert [each.id for each in again] == [4, 2, 5]


async def test_only_the_communities_of_the_same_scope_are_replaced() -> None:
    async with in_memory() as library:
        await with_letters(library, "docs")
        await replace(library, (1, "A B"))
        await replace(library, (9, "C D"), collection_id="docs")
        await replace(library, collection_id="docs")
        assert [each.id for each in (await library.communities.page()).communities] == [1]
        assert await library.detection.earlier("docs") == []
        [earlier] = await library.detection.earlier(None)
        assert (earlier.id, earlier.members) == (1, ["A", "B"])
        # An entity of both is drawn in the community of the whole library.
        await replace(library, (9, "A B C"), collection_id="docs")
        nodes = (await library.graph.visualization()).nodes
        communities = {node.label: node.community_id for node in nodes}
        assert (communities["A"], communities["C"], communities["D"]) == (1, 3, None)


async def test_an_empty_summary_never_replaces_a_good_one() -> None:
    async with in_memory() as library:
        await with_letters(library)
        await replace(library, (1, LETTERS))
        assert await summarise(library, 1, "Letters", "They are letters.")
        for name, summary in (("", ""), (" ", "x"), ("x", " \n")):
            assert not await summarise(library, 1, name, summary)
        [state] = await library.summaries.states()
        assert (state.name, state.summary, state.stale) == ("Letters", "They are letters.", False)


async def test_states_are_given_for_all_or_for_those_that_exist() -> None:
    async with in_memory() as library:
        await with_letters(library)
        await replace(library, (1, "A B"), (2, "C D"))
        assert [each.id for each in await library.summaries.states()] == [1, 2]
        assert [each.id for each in await library.summaries.states([2, 7, 10**30])] == [2]
        assert await library.summaries.states([]) == []


async def test_the_material_holds_the_chunks_that_mention_members_and_no_others() -> None:
    async with in_memory() as library:
        await learn(library, "a.txt", saying("A B", "X Y", "B"))
        await replace(library, (1, "B A"))
        material = await library.summaries.material(1)
        assert material.members == ["B", "A"]
        assert material.chunks == ["A B", "B"]
        assert material.mentions == {"B": [0, 1], "A": [0]}
        assert material.chunk_count == 3


async def test_a_deleted_document_takes_its_members_along_and_empty_communities_go() -> None:
    async with in_memory() as library:
        gone = await learn(library, "a.txt", saying("A B"))
        await learn(library, "b.txt", saying("B C D"))
        await replace(library, (1, "A"), (2, "B A C"))
        await summarise(library, 2, "All", "They are three.")
        await library.documents.delete(gone.id)
        [left] = (await library.communities.page()).communities
        assert (left.id, left.top_entities, left.stale) == (2, ["B", "C"], True)


async def test_communities_are_deleted_one_by_one_or_all_and_entities_stay() -> None:
    async with in_memory() as library:
        await with_letters(library, "docs")
        await replace(library, (1, "A B"), (2, "C D"))
        await replace(library, (1, "A B"), collection_id="docs")
        await library.communities.delete(1)
        assert await library.communities.delete_all(collection_id="docs") == 1
        assert await library.communities.delete_all() == 1
        assert await library.communities.delete_all() == 0
        assert (await library.stats()).entity_count == 10


async def test_a_search_scores_names_over_summaries_over_members() -> None:
    async with in_memory() as library:
        await learn(library, "a.txt", saying("Kernel Scheduler Äther Zebra"))
        await replace(library, (1, "Zebra"), (2, "Scheduler Äther"), (3, "Kernel"), (4, "Kernel"))
        await summarise(library, 1, "Kernel", "It runs.")
        await summarise(library, 3, "Third", "About the kernel and 100% more.")

        async def found(text: str) -> list[tuple[int, float]]:
            answer = await library.communities.search(text)
            assert (answer.query, answer.total) == (text, len(answer.results))
            return [(hit.id, hit.score) for hit in answer.results]

        assert await found("kernel") == [(1, 1.0), (3, 0.6), (4, 0.5)]
        assert await found("KERNEL runs") == [(1, 0.8), (3, 0.3), (4, 0.25)]
        assert await found("äTHER") == [(2, 0.5)]
        assert await found("100%") == [(3, 0.6)]
        assert await found("%") == [(3, 0.6)]  # as it stands, no pattern
        for nothing in ("", "  ", "_", "nowhere", "\ud800", "';--", "x" * 100_000):
            assert await found(nothing) == []
        best = await library.communities.search("kernel", limit=1)
        assert ([hit.id for hit in best.results], best.total) == ([1], 3)
