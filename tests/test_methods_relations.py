from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_tasks.jobs.methods.extract import extract
from cortex_tasks.jobs.methods.phrases import PHRASES, RELATIONSHIP_TYPES, read_between


def triples(text: str, *, title: str = "") -> set[tuple[str, str, str]]:
    extraction = extract(text.encode(), "txt", f"{title}.txt" if title else "")
    return {(each.source, each.type, each.target) for each in extraction.relations}


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("We know that Unix was written by Ken Thompson.", ("Unix", "CREATED_BY", "Ken Thompson")),
        ("In 1969 Ken Thompson wrote Unix.", ("Unix", "CREATED_BY", "Ken Thompson")),
        ("We met Dennis Ritchie, the inventor of Unix.", ("Unix", "CREATED_BY", "Dennis Ritchie")),
        ("So Acme Corp was founded by Ken Olsen.", ("Acme Corp", "FOUNDED_BY", "Ken Olsen")),
        ("Later Ken Olsen worked for Acme Corp.", ("Ken Olsen", "WORKS_FOR", "Acme Corp")),
        ("We met Acme Corp president Ken Olsen.", ("Ken Olsen", "WORKS_FOR", "Acme Corp")),
        ("Our Acme Corp is based in Berlin.", ("Acme Corp", "LOCATED_IN", "Berlin")),
        ("Our PathFinder depends on PostgreSQL.", ("PathFinder", "DEPENDS_ON", "PostgreSQL")),
        ("Our PathFinder uses PostgreSQL.", ("PathFinder", "USES", "PostgreSQL")),
        ("Our PathFinder implements OpenGL.", ("PathFinder", "IMPLEMENTS", "OpenGL")),
        ("Our PathFinder is part of OpenCourse.", ("PathFinder", "PART_OF", "OpenCourse")),
        ("Our PathFinder contains OpenGL.", ("PathFinder", "CONTAINS", "OpenGL")),
        ("Our PathFinder features OpenGL.", ("PathFinder", "FEATURES", "OpenGL")),
        ("Our PathFinder talks to PostgreSQL.", ("PathFinder", "INTERACTS_WITH", "PostgreSQL")),
        ("Our FreeBSD is a variant of Unix.", ("FreeBSD", "IS_A", "Unix")),
        ("Our PathFinder met PostgreSQL.", ("PathFinder", "RELATED_TO", "PostgreSQL")),
    ],
)
def test_a_phrase_between_two_names_tells_how_they_are_related(
    sentence: str, expected: tuple[str, str, str]
) -> None:
    assert expected in triples(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "Our PathFinder never uses PostgreSQL.",
        "Our PathFinder came; it uses trees, not PostgreSQL.",
        "Our PathFinder is a PostgreSQL tool.",
        "Unlike our PathFinder, a PostgreSQL cannot fly.",
    ],
)
def test_what_is_denied_or_said_of_something_else_is_not_claimed(sentence: str) -> None:
    assert triples(sentence) == {("PathFinder", "RELATED_TO", "PostgreSQL")}


def test_a_denial_anywhere_between_the_names_is_heard() -> None:
    assert triples("Our Unix was never written by Ken Thompson.") == {
        ("Unix", "RELATED_TO", "Ken Thompson")
    }


def test_what_is_listed_together_is_related_alike() -> None:
    found = triples("Our Acme Corp was founded by Maria Lopez, John Chen and Ken Olsen.")
    for person in ("Maria Lopez", "John Chen", "Ken Olsen"):
        assert ("Acme Corp", "FOUNDED_BY", person) in found


def test_the_subject_is_understood_where_a_sentence_leaves_it_out() -> None:
    text = "A tool that few know, written by Ken Olsen. It depends on PostgreSQL."
    found = triples(text, title="PathFinder")
    assert ("PathFinder", "CREATED_BY", "Ken Olsen") in found
    assert ("PathFinder", "DEPENDS_ON", "PostgreSQL") in found


def test_repetition_makes_a_relationship_weigh_more() -> None:
    once, often = (
        extract(f"Here {'Linux met Solaris. ' * times}".encode(), "txt").relations[0]
        for times in (1, 3)
    )
    assert often.weight > once.weight
    assert often.confidence > once.confidence


def test_a_relationship_without_a_name_has_one_direction() -> None:
    text = "Here Linux met Solaris. There Solaris met Linux."
    assert triples(text) == {("Linux", "RELATED_TO", "Solaris")}


def test_a_named_relationship_leaves_no_unnamed_one_beside_it() -> None:
    text = "Here Linux met PostgreSQL. There PostgreSQL depends on Linux."
    assert triples(text) == {("PostgreSQL", "DEPENDS_ON", "Linux")}


def test_every_phrase_means_a_relationship_of_the_contract() -> None:
    assert len(set(RELATIONSHIP_TYPES)) == 14
    assert {phrase.type for phrase in PHRASES} | {"RELATED_TO"} == set(RELATIONSHIP_TYPES)


@given(
    st.lists(
        st.sampled_from("was written by the a of is , in uses not 's x-y".split()), max_size=20
    ).map(" ".join),
    st.sampled_from(["Person", "Concept", "Organization", "Technology"]),
    st.sampled_from(["Person", "Concept", "Location", "Technology"]),
)
def test_any_text_between_two_names_is_read(between: str, first: str, second: str) -> None:
    reading = read_between(f" {between} ", first, second)
    assert reading.type in RELATIONSHIP_TYPES
    assert 0 < reading.confidence <= 1


def test_no_phrase_makes_a_long_search_of_a_short_text() -> None:
    # The longest text that is read, of words that every optional place of a phrase takes.
    for phrase in PHRASES:
        for word in ("a ", "the ", "was ", "first ", "in ", "by ", "made "):
            assert isinstance(phrase.pattern, re.Pattern)
            phrase.pattern.fullmatch(word * 30 + "! ")
