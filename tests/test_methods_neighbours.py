from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_tasks.jobs.methods import neighbours
from cortex_tasks.jobs.methods.candidates import (
    PER_ENTITY,
    Candidate,
    discover,
    propose,
    shared_documents,
)
from cortex_tasks.jobs.methods.neighbours import nearest
from cortex_tasks.jobs.methods.relations import RELATIONSHIP_TYPES

CHUNKS = [
    "The Oak is a tall tree with broad leaves and deep roots in the forest.",
    "The Beech is a tall tree with smooth bark and deep roots in the forest.",
    "The Trout is a fish that swims in cold rivers and eats insects.",
    "The Perch is a fish that swims in warm lakes and eats insects.",
    "The Diesel is an engine that burns heavy oil.",
]
MENTIONS = {"Oak": [0], "Beech": [1], "Trout": [2], "Perch": [3], "Diesel": [4]}

NAMES = st.sampled_from([f"Name {letter}" for letter in "ABCDEFGH"])
WORDS = st.sampled_from("tree fish engine river oil forest root lake burn swim".split())
SENTENCES = st.lists(WORDS, min_size=1, max_size=8).map(" ".join)
CORPORA = st.lists(SENTENCES, min_size=1, max_size=12).flatmap(
    lambda chunks: st.tuples(
        st.just(chunks),
        st.dictionaries(NAMES, st.lists(st.integers(0, len(chunks) - 1), max_size=5), max_size=8),
    )
)


def test_entities_spoken_of_in_the_same_words_are_near() -> None:
    pairs = {(a, b) for a, b, _ in nearest(CHUNKS, MENTIONS, 1)}
    assert {("Beech", "Oak"), ("Perch", "Trout")} <= pairs
    assert ("Diesel", "Oak") not in pairs


def test_a_shared_name_brings_nobody_nearer() -> None:
    chunks = ["Red Falcon burns oil.", "Red Heron eats fish.", "Blue Egret eats frogs and fish."]
    mentions = {"Red Falcon": [0], "Red Heron": [1], "Blue Egret": [2]}
    assert [(a, b) for a, b, _ in nearest(chunks, mentions, 2)] == [("Blue Egret", "Red Heron")]


def test_an_entity_never_mentioned_without_the_other_is_not_its_neighbour() -> None:
    chunks = ["Oak and Ivy grow in the forest.", "The forest has old trees.", *CHUNKS[2:]]
    mentions = {"Oak": [0], "Ivy": [0], "Elm": [1]}
    pairs = {(a, b) for a, b, _ in nearest(chunks, mentions, 3)}
    assert ("Ivy", "Oak") not in pairs
    assert pairs == {("Elm", "Ivy"), ("Elm", "Oak")}


def test_nothing_is_near_in_an_empty_library() -> None:
    assert nearest([], {}, 5) == []
    assert nearest(["Oak."], {"Oak": []}, 5) == []
    assert nearest(CHUNKS, MENTIONS, 0) == []
    assert nearest(["", "1 2 3", "the of"], {"A": [0, 1], "B": [2]}, 5) == []


@given(CORPORA, st.integers(1, 4))
def test_neighbours_are_pairs_in_order_with_a_nearness_of_0_to_1(
    corpus: tuple[list[str], dict[str, list[int]]], k: int
) -> None:
    chunks, mentions = corpus
    found = nearest(chunks, mentions, k)
    assert found == sorted(found, key=lambda each: (-each[2], each[0], each[1]))
    assert all(a < b and 0 < similarity <= 1 for a, b, similarity in found)
    assert len({(a, b) for a, b, _ in found}) == len(found)


@given(CORPORA, st.randoms(use_true_random=False))
def test_the_order_of_entities_and_of_their_mentions_does_not_matter(
    corpus: tuple[list[str], dict[str, list[int]]], chance: random.Random
) -> None:
    chunks, mentions = corpus
    names = list(mentions)
    chance.shuffle(names)
    shuffled = {name: chance.sample(mentions[name], len(mentions[name])) for name in names}
    assert nearest(chunks, shuffled, 3) == nearest(chunks, mentions, 3)


def test_comparing_block_by_block_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = nearest(CHUNKS, MENTIONS, 2)
    monkeypatch.setattr(neighbours, "BLOCK", 2)
    assert nearest(CHUNKS, MENTIONS, 2) == whole


def test_a_pair_scores_by_likeness_and_by_the_documents_that_mention_both() -> None:
    found = propose([("A", "B", 0.5), ("A", "C", 0.1)], {("A", "B"): 2, ("B", "C"): 8})
    assert found == [
        Candidate(source="A", target="B", score=0.5, similarity=0.5, documents=2),
        Candidate(source="B", target="C", score=0.4, similarity=0.0, documents=8),
    ]


def test_two_entities_meet_in_a_document_when_one_of_its_chunks_mentions_both() -> None:
    mentions = {"A": [0, 2, 3], "B": [0, 3, 4], "C": [0, 1, 2]}
    document_of = [0, 0, 1, 2, 2]
    assert shared_documents(mentions, document_of) == {("A", "B"): 2, ("A", "C"): 2}


def test_no_entity_is_in_more_pairs_than_allowed_and_the_best_are_kept() -> None:
    pairs = [("Hub", f"Leaf {number:02}", 1 - number / 100) for number in range(40)]
    found = propose(pairs, {})
    assert [each.target for each in found] == [f"Leaf {number:02}" for number in range(PER_ENTITY)]


def test_a_focus_leaves_only_pairs_that_touch_it() -> None:
    pairs = [("A", "B", 0.9), ("B", "C", 0.8), ("C", "D", 0.7)]
    assert [(each.source, each.target) for each in propose(pairs, {}, focus={"A", "D"})] == [
        ("A", "B"),
        ("C", "D"),
    ]


def test_a_discovered_relationship_shows_the_sentence_that_names_both() -> None:
    chunks = [
        "We saw the trees. Zephyr depends on Quartz for its storage.",
        "Later Zephyr and Quartz were sold in Berlin.",
        "Zephyr stores rows.",
        "Quartz stores rows.",
    ]
    [relation] = discover(
        chunks,
        [0, 1, 2, 3],
        {"Zephyr": [0, 1, 2], "Quartz": [0, 1, 3]},
        {"Zephyr": "Technology", "Quartz": "Technology"},
    )
    assert (relation.source, relation.type, relation.target) == ("Zephyr", "DEPENDS_ON", "Quartz")
    assert relation.description == "Zephyr depends on Quartz for its storage."
    assert relation.extraction_method == "cross_collection"


def test_without_such_a_sentence_it_shows_one_for_each() -> None:
    chunks = [f"{chunk} Nothing else grows." for chunk in CHUNKS]
    found = discover(chunks, list(range(5)), MENTIONS, {})
    [trees] = [each for each in found if {each.source, each.target} == {"Oak", "Beech"}]
    assert trees.type == "RELATED_TO"
    assert trees.description == f"{CHUNKS[1]} {CHUNKS[0]}"


@given(CORPORA)
def test_discovered_relationships_keep_to_the_model(
    corpus: tuple[list[str], dict[str, list[int]]],
) -> None:
    chunks, mentions = corpus
    found = discover(chunks, [at % 3 for at in range(len(chunks))], mentions, {})
    for each in found:
        assert {each.source, each.target} <= set(mentions)
        assert each.source != each.target
        assert each.type in RELATIONSHIP_TYPES
        assert each.description
        assert 0 <= each.weight <= 10
        assert 0 <= each.confidence <= 1
    ends = Counter(end for each in found for end in (each.source, each.target))
    assert all(count <= PER_ENTITY for count in ends.values())


def test_progress_of_an_analysis_never_falls_and_ends_at_its_total() -> None:
    told: list[tuple[int, int, str]] = []
    discover(CHUNKS, list(range(5)), MENTIONS, {}, report=lambda *step: told.append(step))
    assert [step[0] for step in told] == sorted(step[0] for step in told)
    assert told[-1][0] == told[-1][1]
