from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_tasks.jobs.methods import meetings
from cortex_tasks.jobs.methods.identity import keep_ids
from cortex_tasks.jobs.methods.leiden import detect, resolution_for
from cortex_tasks.jobs.methods.meetings import RAREST, Crowds, too_common
from cortex_tasks.jobs.methods.weights import Edge, edge_weights, npmi, ties_between
from cortex_tasks.jobs.model import Relation

NAMES = st.sampled_from("ABCDEFGHIJ")
MENTIONS = st.dictionaries(NAMES, st.lists(st.integers(0, 19), max_size=8), max_size=10)
WEIGHTS = st.one_of(
    st.floats(0.01, 10), st.sampled_from([0.0, -1.0, math.inf, -math.inf, math.nan, 1e-300])
)
POSITIVE = st.floats(0.01, 1)
EDGES = st.lists(st.tuples(NAMES, NAMES, WEIGHTS), max_size=40)
GROUPS = st.lists(st.sets(st.integers(0, 15), min_size=1, max_size=6), max_size=5)


def related(source: str, target: str, weight: float, confidence: float) -> Relation:
    return Relation(
        source=source,
        target=target,
        type="USES",
        description="",
        weight=weight,
        confidence=confidence,
        extraction_method="per_chunk",
    )


def cliques(*groups: str) -> list[Edge]:
    """Edges of weight 1 within each group of one-letter names."""
    return [(a, b, 1.0) for group in groups for a in group for b in group if a < b]


def disjoint(groups: list[set[int]]) -> list[list[str]]:
    seen: set[int] = set()
    parts: list[list[str]] = []
    for group in groups:
        part = [str(member) for member in sorted(group - seen)]
        seen |= group
        if part:
            parts.append(part)
    return parts


def names_by_chunk(mentions: Mapping[str, list[int]], chunk_count: int) -> dict[int, list[str]]:
    """Who meets anyone, in each chunk."""
    crowds = Crowds(mentions, chunk_count)
    met: dict[int, set[str]] = {}
    for _, found in crowds.meetings():
        for a, b, chunk in zip(found.first, found.second, found.chunks, strict=True):
            met.setdefault(int(chunk), set()).update((crowds.names[a], crowds.names[b]))
    return {chunk: sorted(names) for chunk, names in met.items()}


def weighed_one_by_one(
    mentions: Mapping[str, list[int]], chunk_count: int, relations: list[Relation]
) -> dict[tuple[str, str], float]:
    """What edge_weights promises, pair by pair and chunk by chunk."""
    seen = {name: set(chunks) for name, chunks in mentions.items()}
    weights: dict[tuple[str, str], float] = {}
    for a, b in combinations(sorted(seen), 2):
        together = seen[a] & seen[b]
        crowds = [sum(chunk in chunks for chunks in seen.values()) for chunk in together]
        weight = sum(1 / (crowd - 1) for crowd in crowds)
        if together and len(together) < chunk_count:
            chance = len(seen[a]) * len(seen[b]) / chunk_count
            weight *= math.log(len(together) / chance) / -math.log(len(together) / chunk_count)
        for each in relations:
            if {each.source, each.target} == {a, b}:
                weight = max(0.0, weight) + each.weight / 10 * each.confidence
        weights[a, b] = weight
    return {pair: weight for pair, weight in weights.items() if weight > 1e-8}


# Weights


def test_a_meeting_counts_less_in_a_crowd() -> None:
    alone = {"A": [0], "B": [0], "Z": list(range(1, 9))}
    crowded = {**alone, "C": [0], "D": [0]}
    [pair] = edge_weights(alone, 10).edges()
    assert pair == ("A", "B", 1.0)
    weights = {(a, b): weight for a, b, weight in edge_weights(crowded, 10).edges()}
    assert weights["A", "B"] == pytest.approx(1 / 3)


def test_meeting_no_more_often_than_chance_makes_no_edge() -> None:
    assert edge_weights({"A": [0, 1], "B": [0, 2]}, 4).edges() == []
    together, a, b = np.array([(1, 2, 2), (0, 5, 5), (1, 1, 1), (2, 2, 2), (4, 4, 4)]).T
    assert npmi(together, a, b, 4).tolist() == [0.0, 0.0, *[pytest.approx(1.0)] * 3]


def test_what_is_everywhere_makes_no_edges_in_a_library_large_enough_to_tell() -> None:
    everywhere = {"Hub": list(range(60)), "A": [0, 1], "B": [0, 1]}
    assert too_common(60) == too_common(2_500) == 50
    assert too_common(100_000) == 2_000
    assert names_by_chunk(everywhere, 60) == {0: ["A", "B"], 1: ["A", "B"]}


def test_of_a_crowded_chunk_only_the_rarest_make_edges() -> None:
    mentions = {f"N{number:02}": list(range(number % 10 + 1)) for number in range(60)}
    names = names_by_chunk(mentions, 100)[0]
    assert len(names) == RAREST
    assert max(len(mentions[name]) for name in names) < 8


def test_a_relationship_adds_to_the_edge_of_its_ends() -> None:
    mentions = {"A": [0], "B": [1]}
    relations = [related("B", "A", 5, 0.5), related("A", "B", 10, 0.5), related("A", "X", 9, 1)]
    assert edge_weights(mentions, 2, relations).edges() == [("A", "B", 0.75)]


@given(MENTIONS, st.lists(st.builds(related, NAMES, NAMES, WEIGHTS, WEIGHTS), max_size=10))
def test_every_edge_has_two_ends_in_order_and_a_finite_positive_weight(
    mentions: dict[str, list[int]], relations: list[Relation]
) -> None:
    edges = edge_weights(mentions, 20, relations).edges()
    assert edges == sorted(edges)
    assert len({(a, b) for a, b, _ in edges}) == len(edges)
    for a, b, weight in edges:
        assert a < b
        assert {a, b} <= set(mentions)
        assert 0 < weight < math.inf


@given(MENTIONS, st.lists(st.builds(related, NAMES, NAMES, POSITIVE, POSITIVE), max_size=5))
@pytest.mark.parametrize("batch", [1, 3, 100_000])
def test_batches_give_what_reckoning_pair_by_pair_gives(
    batch: int, mentions: dict[str, list[int]], relations: list[Relation]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(meetings, "BATCH", batch)
        found = {(a, b): weight for a, b, weight in edge_weights(mentions, 20, relations).edges()}
    assert found == pytest.approx(weighed_one_by_one(mentions, 20, relations), abs=2e-9)


def test_weighing_tells_how_far_it_is_and_looks_at_each_entity_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Counted(dict[str, list[int]]):
        def __getitem__(self, name: str) -> list[int]:
            looked_at[name] += 1
            return super().__getitem__(name)

    monkeypatch.setattr(meetings, "BATCH", 10)
    looked_at: Counter[str] = Counter()
    mentions = Counted({f"N{number:02}": list(range(number, 40)) for number in range(30)})
    told: list[tuple[int, int, str]] = []
    ties = edge_weights(mentions, 40, report=lambda *step: told.append(step))
    assert set(looked_at.values()) == {1}
    done = [current for current, _, _ in told]
    assert done == sorted(set(done))
    assert told[0][2] == "Weighing ties: 4 of 40 chunks"
    assert told[-1] == (told[-1][1], told[-1][1], f"Weighed {len(ties.weights)} ties")
    assert len(told) > 30


# Communities


def test_groups_that_hang_together_are_communities() -> None:
    edges = [*cliques("ABCDE", "FGHI"), ("A", "F", 0.1)]
    partition = detect(ties_between(edges), min_size=3)
    assert partition.communities == [list("ABCDE"), list("FGHI")]
    assert 0.3 < partition.modularity < 1
    assert partition.algorithm == "leiden"


def test_the_strongest_member_comes_first() -> None:
    star = [("Hub", f"Leaf {number}", 1.0 + number / 10) for number in range(5)]
    [members] = detect(ties_between(star), min_size=2).communities
    assert members == ["Hub", "Leaf 4", "Leaf 3", "Leaf 2", "Leaf 1", "Leaf 0"]


def test_communities_below_the_least_size_are_dropped() -> None:
    assert detect(ties_between(cliques("ABCD", "EF")), min_size=3).communities == [list("ABCD")]
    assert detect(ties_between(cliques("ABCD", "EF")), min_size=5).communities == []


@pytest.mark.parametrize(
    "edges", [[], [("A", "A", 1.0)], [("A", "B", 0.0)], [("A", "B", math.nan)]]
)
def test_a_graph_without_edges_has_no_communities(edges: list[Edge]) -> None:
    partition = detect(ties_between(edges), min_size=2)
    assert partition.communities == []
    assert partition.modularity == 0.0


def test_a_few_entities_that_hang_on_a_large_community_belong_to_it() -> None:
    large = [f"Large {number:02}" for number in range(40)]
    ring = [(a, b, 1.0) for a in large for b in large if a < b]
    small = [("S1", "S2", 9.0), ("S2", "S3", 9.0), ("S1", "S3", 9.0), ("S1", "Large 07", 0.01)]
    [members] = detect(ties_between([*ring, *small]), min_size=3).communities
    assert {"S1", "S2", "S3"} <= set(members)


def test_a_larger_graph_is_divided_more_finely() -> None:
    sizes = [1, 100, 500, 1_000, 5_000, 1_000_000]
    resolutions = [resolution_for(size) for size in sizes]
    assert resolutions == sorted(resolutions)
    assert (resolutions[0], resolutions[-1]) == (0.5, 1.0)


@given(EDGES, st.integers(2, 4))
def test_communities_are_disjoint_and_of_the_size_asked_for(
    edges: list[Edge], min_size: int
) -> None:
    partition = detect(ties_between(edges), min_size=min_size)
    members = [member for community in partition.communities for member in community]
    assert len(set(members)) == len(members)
    assert set(members) <= {end for a, b, _ in edges for end in (a, b)}
    assert all(len(community) >= min_size for community in partition.communities)
    sizes = [len(community) for community in partition.communities]
    assert sizes == sorted(sizes, reverse=True)


@given(EDGES, st.randoms(use_true_random=False))
def test_the_order_and_direction_of_edges_do_not_matter(
    edges: list[Edge], chance: random.Random
) -> None:
    turned = [(b, a, weight) if chance.random() < 0.5 else (a, b, weight) for a, b, weight in edges]
    chance.shuffle(turned)
    assert detect(ties_between(turned), min_size=2) == detect(ties_between(edges), min_size=2)


# Identity


def ids(old: Mapping[int, Sequence[str]], *new: Sequence[str]) -> list[int]:
    return [draft.id for draft in keep_ids(old, new, 100)]


def test_a_community_that_keeps_most_of_its_members_keeps_its_id() -> None:
    assert ids({7: "ABCDE", 8: "FGH"}, "FGXY", "ABCZ") == [8, 7]


def test_half_is_not_most() -> None:
    assert ids({7: "ABCD"}, "AB", "CD") == [100, 101]


def test_of_two_that_became_one_the_larger_part_gives_the_id() -> None:
    assert ids({3: "AB", 4: "CDE"}, "ABCDE") == [4]
    assert ids({3: "AB", 4: "CD"}, "ABCD") == [3]


def test_a_new_id_is_none_that_was_used_before() -> None:
    assert [draft.id for draft in keep_ids({50: "AB"}, ["CD", "EF"], 10)] == [51, 52]


@given(GROUPS, GROUPS, st.integers(0, 50))
def test_no_id_is_given_twice_and_the_members_stay(
    before: list[set[int]], after: list[set[int]], next_id: int
) -> None:
    old = dict(enumerate(disjoint(before), start=1))
    new = disjoint(after)
    drafts = keep_ids(old, new, next_id)
    assert [draft.members for draft in drafts] == new
    given_ids = [draft.id for draft in drafts]
    assert len(set(given_ids)) == len(given_ids)
    for draft in drafts:
        if draft.id in old:
            kept = set(old[draft.id]) & set(draft.members)
            assert 2 * len(kept) > len(old[draft.id])
        else:
            assert draft.id >= next_id


@given(GROUPS)
def test_communities_that_did_not_change_keep_their_ids(groups: list[set[int]]) -> None:
    parts = disjoint(groups)
    old = dict(enumerate(parts, start=1))
    assert ids(old, *reversed(parts)) == list(reversed(old))
