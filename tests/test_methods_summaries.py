from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cortex_tasks.jobs.methods.lexrank import centrality, similarities
from cortex_tasks.jobs.methods.statements import is_statement
from cortex_tasks.jobs.methods.summaries import LONGEST, MOST_SENTENCES, name_of, summarise

CHUNKS = [
    "Zephyr is a database that keeps its rows in Quartz files on disk. It is fast.",
    "Do you know how Zephyr and Quartz work together? This Quartz is what Zephyr needs on disk.",
    "Zephyr is a database that keeps the rows in Quartz files on a disk.",
    "Quartz files were invented by Maria Lopez for the measurements of wind farms.",
    "See also Zephyr, Quartz, Onyx.",
    "Trees grow in the forest, and Onyx is not one of these trees at all.",
]
MENTIONS = {"Zephyr": [0, 1, 2, 4], "Quartz": [0, 1, 2, 3, 4], "Maria Lopez": [3]}


@pytest.mark.parametrize(
    "sentence",
    [
        "Unix was written by Ken Thompson after Bell Labs left the Multics project.",
        "In 1969 Ken Thompson wrote the first Unix for a small machine of his.",
    ],
)
def test_a_sentence_that_says_something_by_itself_is_a_statement(sentence: str) -> None:
    assert is_statement(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "",
        "Unix.",
        "Was Unix really written by Ken Thompson at Bell Labs?",
        "It was written by Ken Thompson after Bell Labs left the project.",
        "This system was written by Ken Thompson after the project had ended.",
        "However, the system was written by Ken Thompson after the project.",
        "The correct name for this sense of the word is not known to us.",
        "See also the entries for Unix and for the Multics system.",
        "The paper can be found at http://host/paper and it is worth a look.",
        "the system was written by Ken Thompson after the project had ended.",
        "The system was written by Ken Thompson (after the project had ended.",
        "The system was written by Ken Thompson after the project had ended",
        "Alpha Beta Gamma Delta Epsilon Zeta Eta Theta Iota Kappa Lambda.",
        "“Unix is a system that was written by Ken Thompson at Bell Labs.”",
    ],
)
def test_a_sentence_that_leans_on_others_is_none(sentence: str) -> None:
    assert not is_statement(sentence)


def test_a_summary_is_made_of_statements_that_name_members_and_repeats_nothing() -> None:
    summary = summarise(["Quartz", "Zephyr", "Maria Lopez"], CHUNKS, MENTIONS)
    assert summary is not None
    database = [CHUNKS[0].removesuffix(" It is fast."), CHUNKS[2]]
    assert sum(sentence in summary.summary for sentence in database) == 1
    assert CHUNKS[3] in summary.summary
    for unwanted in ("It is fast", "Do you know", "This Quartz", "See also", "Trees"):
        assert unwanted not in summary.summary


def test_where_nothing_can_be_said_there_is_no_summary() -> None:
    assert summarise(["Zephyr"], ["See Zephyr.", "What is Zephyr?"], {"Zephyr": [0, 1]}) is None
    assert summarise(["Zephyr"], [], {}) is None
    assert summarise([], CHUNKS, {}) is None


def test_a_community_is_named_after_its_most_prominent_members() -> None:
    assert name_of({"Zephyr": 3.0}) == "Zephyr"
    assert name_of({"Zephyr": 3.0, "Quartz": 2.0}) == "Zephyr and Quartz"
    assert name_of(dict.fromkeys("ABCD", 1.0)) == "A, B and C"


def test_no_part_of_a_name_is_named_beside_it() -> None:
    prominence = {"Unix": 3.0, "BSD Unix": 2.5, "UNIX": 2.2, "Linux": 2.0}
    assert name_of(prominence) == "Unix and Linux"


def test_a_sentence_like_all_others_is_the_most_central() -> None:
    sentences = ["Oak trees grow.", "Oak trees grow, and fish swim.", "Fish swim.", "Oil burns."]
    ranks = centrality(similarities(sentences))
    assert max(ranks) == ranks[1] == 1.0
    assert min(ranks) == ranks[3]
    assert centrality(similarities([])) == []


WORDS = st.sampled_from(
    "Zephyr Quartz Onyx the is a of database rows file . ? , It See and".split()
)
TEXTS = st.lists(st.lists(WORDS, max_size=25).map(" ".join), min_size=1, max_size=8)


@given(TEXTS)
def test_a_summary_is_never_empty_nor_too_long_and_each_sentence_is_of_the_texts(
    chunks: list[str],
) -> None:
    members = ["Zephyr", "Quartz", "Onyx"]
    mentions = {
        member: [at for at, chunk in enumerate(chunks) if member in chunk] for member in members
    }
    summary = summarise(members, chunks, mentions, chunk_count=50)
    if summary is not None:
        assert summary.name
        assert 0 < len(summary.summary) <= LONGEST
        assert summary.summary.count(".") <= MOST_SENTENCES * 2
        assert summary == summarise(members, chunks, mentions, chunk_count=50)
