from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_tasks.jobs.methods.entities import ENTITY_TYPES, entity_key
from cortex_tasks.jobs.methods.extract import extract
from cortex_tasks.jobs.methods.passages import read_sentences
from cortex_tasks.jobs.methods.relations import RELATIONSHIP_TYPES
from cortex_tasks.jobs.methods.sentences import sentences_of
from cortex_tasks.jobs.methods.terms import repeated_terms
from cortex_tasks.jobs.model import ExtractedEntity, Extraction

HISTORY = """\
# Acme Robotics

Acme Robotics was founded by Maria Lopez and John Chen in 2011 in Boston. The company builds
warehouse robots. In 2019 Acme Robotics acquired Coyote Systems, a startup based in Berlin.
Coyote Systems had developed PathFinder, a route planning engine. PathFinder depends on PostgreSQL
and runs on Kubernetes. Most warehouse robots are used in Germany.

Dr. Anna Schmidt worked for the Max Planck Institute before. Schmidt leads the research laboratory
in Munich. The PDP-10s there are older than Unix's first CPUs. However, nobody minds.
"""


def entities_of(text: str, *, titles: tuple[str, ...] = ()) -> dict[str, ExtractedEntity]:
    extraction = extract(text.encode(), "md", known_titles=titles)
    return {entity.name: entity for entity in extraction.entities}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Unix", "UNIX"),
        ("PDP-10", "pdp 10"),
        ("Bell Labs", "  bell   labs "),
        ("operating system", "Operating Systems"),
        ("back door", "back-doors"),
        ("PDP-10", "PDP-10s"),
        ("CPU", "CPUs"),
        ("Unix", "Unix's"),
        ("the Jargon File", "Jargon File"),
        ("Moore’s Law", "Moore's law"),
        ("library", "library"),
        ("open libraries", "open library"),
    ],
)
def test_spellings_of_one_name_have_one_key(one: str, other: str) -> None:
    assert entity_key(one) == entity_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Windows", "window"), ("HTTPS", "HTTP"), ("C", "C++"), ("ITS", "IT"), ("AT&T", "ATT")],
)
def test_different_names_have_different_keys(one: str, other: str) -> None:
    assert entity_key(one) != entity_key(other)


@given(st.text(max_size=60))
def test_every_name_that_is_not_blank_has_a_key(name: str) -> None:
    assert bool(entity_key(name)) == bool(name.strip())
    assert entity_key(f"  {name} ") == entity_key(name)


def test_the_entities_of_a_text_are_those_that_a_reader_would_name() -> None:
    found = entities_of(HISTORY)
    assert set(found) >= {
        "Acme Robotics", "Maria Lopez", "John Chen", "Boston", "Coyote Systems", "Berlin",
        "PathFinder", "PostgreSQL", "Kubernetes", "Germany", "Anna Schmidt", "Munich",
        "Max Planck Institute", "warehouse robots", "PDP-10", "Unix",
    }  # fmt: skip
    assert not set(found) & {"The", "In", "However", "Schmidt", "Most", "Dr", "company", "Coyote"}


def test_the_types_of_entities_follow_their_names_and_what_is_said_of_them() -> None:
    found = entities_of(HISTORY)
    types = {name: entity.type for name, entity in found.items()}
    assert types["Maria Lopez"] == types["Anna Schmidt"] == "Person"
    assert types["Acme Robotics"] == types["Max Planck Institute"] == "Organization"
    assert types["Boston"] == types["Germany"] == "Location"
    assert types["PathFinder"] == types["PostgreSQL"] == "Technology"
    assert types["PDP-10"] == "Product"
    assert set(types.values()) <= set(ENTITY_TYPES)


def test_a_surname_alone_is_a_mention_of_the_person() -> None:
    assert sum(entities_of(HISTORY)["Anna Schmidt"].mentions.values()) == 2


def test_the_description_is_a_sentence_of_the_document_that_tells_what_it_is() -> None:
    text = "We bought Zephyr. Some like Zephyr. Zephyr is a small database for wind farms."
    assert entities_of(text)["Zephyr"].description == ("Zephyr is a small database for wind farms.")


def test_a_word_that_opens_a_sentence_is_no_name_unless_it_is_one_elsewhere() -> None:
    found = entities_of("Pages go to disk. The pages of Linux are small. Linux was first.")
    assert "Linux" in found
    assert "Pages" not in found


def test_terms_that_repeat_are_entities_and_a_part_of_one_is_not() -> None:
    text = "A garbage collection pause hurts. One garbage collection pause was long."
    assert set(entities_of(text)) == {"garbage collection pause"}
    sentences = read_sentences([sentences_of(text)])
    assert repeated_terms(sentences) == {("garbage", "collection", "pause"): 2}


def test_titles_of_other_documents_are_linked_in_any_case_and_number() -> None:
    text = "Some worms and one Back door were found; bob knew its reason."
    found = entities_of(text, titles=("worm", "back_door", "back door", "ITS", "Introduction"))
    assert set(found) == {"worm", "back door"}


def test_a_document_is_about_its_title_even_if_no_sentence_repeats_it() -> None:
    found = entities_of("# Kluge\n\nA device that works for the wrong reason.")
    assert found["Kluge"].mentions == {0: 1}
    assert found["Kluge"].description == "A device that works for the wrong reason."


def test_labels_are_no_subjects() -> None:
    assert entities_of("# Introduction\n\nA device that works for the wrong reason.") == {}


def consistent(extraction: Extraction) -> bool:
    """What the model promises of every extraction."""
    names = [entity.name for entity in extraction.entities]
    keys = [entity_key(name) for name in names]
    positions = range(len(extraction.chunks))
    return (
        len(set(keys)) == len(keys)
        and all(names)
        and all(entity.type in ENTITY_TYPES for entity in extraction.entities)
        and all(entity.mentions for entity in extraction.entities)
        and all(
            at in positions and count >= 1
            for entity in extraction.entities
            for at, count in entity.mentions.items()
        )
        and all(
            {relation.source, relation.target} <= set(names)
            and relation.source != relation.target
            and relation.type in RELATIONSHIP_TYPES
            and 0 <= relation.weight <= 10
            and 0 <= relation.confidence <= 1
            and relation.extraction_method == "per_chunk"
            and relation.description
            for relation in extraction.relations
        )
        and len({(r.source, r.target, r.type) for r in extraction.relations})
        == len(extraction.relations)
    )


PIECES = st.sampled_from(
    "Alpha Beta AT&T PDP-10s Bell Labs ’s the of and is by in was Smith J. R. Unix's worm worms a"
    " X x_y C++ Thompson Ken Ken_Thompson 7 1969 , . : ( ) “ ” - / garbage collection \n\n\n # *"
    " Law's Time-sharing System ÉCOLE \u0645\u0631\u062d 你好 😀 ITS its".split(" ")
)


@given(st.lists(PIECES, max_size=80).map(" ".join))
def test_whatever_the_text_an_extraction_is_consistent(text: str) -> None:
    titles = ("worm", "Ken Thompson", "ITS", "C", "garbage collection", "the network", "a", "")
    extraction = extract(f"word {text}".encode(), "md", "worm.md", known_titles=titles)
    assert consistent(extraction)


HOSTILE = {
    "one word": "word",
    "no space": "A" * 50_000,
    "capitals": "Alpha Beta " * 1_500,
    "connectors": "Alpha of the " * 1_500,
    "hyphens": "A-" * 30_000,
    "initials": "J. " * 5_000,
    "possessives": "Moore's Law's " * 3_000,
    "ampersands": "A & " * 10_000,
    "quotes": "“Alpha” (Beta) [" * 3_000,
    "dots": "a." * 30_000,
    "right to left": "\u0645\u0631\u062d\u0628\u0627 \u202e\u0639\u0627\u0644\u0645. " * 2_000,
    "emoji": "😀 Smile. " * 5_000,
    "controls": "a\x01b\x02 C\x7f " * 5_000,
    "chinese": "你好\uff0c世界。" * 30_000,
    "headings": "Heading One\n\n" * 1_500,
    "names": " ".join(f"The Xa{n} Yb{n} went." for n in range(2_000)),
    "terms": "garbage collection operating kernel memory page " * 1_500,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_extracted_like_any_other(text: str) -> None:
    # With a step that took the square of the length this would not end within the hour.
    assert consistent(extract(text.encode(), "txt", "x.txt", known_titles=["alpha", "page"]))


def test_progress_never_falls_and_ends_at_its_total() -> None:
    told: list[tuple[int, int, str]] = []
    extract(HISTORY.encode(), "md", report=lambda *step: told.append(step))
    assert [step[0] for step in told] == sorted(step[0] for step in told)
    assert told[-1][0] == told[-1][1]
    assert all(message for _, _, message in told)
