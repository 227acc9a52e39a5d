from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cortex_tasks.jobs.methods.entities import ENTITY_TYPES, entity_key
from cortex_tasks.jobs.methods.statements import is_statement
from tests.methods_pipeline import SAMPLE, Knowledge, digest, know

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def sample() -> Knowledge:
    return know(SAMPLE)


def community_of(knowledge: Knowledge, member: str) -> set[str]:
    [found] = [set(each) for each in knowledge.partition.communities if member in each]
    return found


def test_the_sample_says_where_it_comes_from_and_holds_nothing_but_documents() -> None:
    origin = (SAMPLE.parent / "README.md").read_text(encoding="utf-8")
    assert "Jargon File" in origin
    assert "public domain" in origin
    assert {file.suffix for file in SAMPLE.iterdir()} == {".md"}


def test_every_document_of_the_sample_yields_chunks_entities_and_relationships(
    sample: Knowledge,
) -> None:
    assert len(sample.extractions) == 60
    for filename, extraction in sample.extractions.items():
        names = {entity.name for entity in extraction.entities}
        assert extraction.chunks, filename
        assert len(names) >= 2, filename
        assert extraction.relations, filename
        for relation in extraction.relations:
            assert {relation.source, relation.target} <= names


def test_what_a_knowledgeable_reader_expects_is_among_the_entities(sample: Knowledge) -> None:
    expected = {
        "Ken Thompson": "Person",
        "Richard Stallman": "Person",
        "Bell Labs": "Organization",
        "DEC": "Organization",
        "Free Software Foundation": "Organization",
        "Unix": "Technology",
        "PDP-10": "Product",
        "operating system": "System",
        "Great Renaming": "Event",
        "heisenbug": "Concept",
    }
    assert {name: sample.types.get(name) for name in expected} == expected
    assert set(sample.types.values()) <= set(ENTITY_TYPES)
    assert len({entity_key(name) for name in sample.types}) == len(sample.types)


def test_known_facts_are_among_the_relationships(sample: Knowledge) -> None:
    facts = {
        (relation.source, relation.type, relation.target)
        for extraction in sample.extractions.values()
        for relation in extraction.relations
    }
    assert {
        ("Unix", "CREATED_BY", "Ken Thompson"),
        ("C", "CREATED_BY", "Dennis Ritchie"),
        ("EMACS", "CREATED_BY", "Richard Stallman"),
        ("Kenneth Olsen", "WORKS_FOR", "DEC"),
        ("Tech Model Railroad Club", "PART_OF", "MIT"),
    } <= facts


def test_the_analysis_finds_pairs_that_belong_together(sample: Knowledge) -> None:
    pairs = {frozenset((each.source, each.target)) for each in sample.discovered}
    for pair in (
        ("Internet", "Usenet"),
        ("virus", "worm"),
        ("ADVENT", "Zork"),
        ("Bell Labs", "Unix"),
        ("memory leak", "overrun screw"),
    ):
        assert frozenset(pair) in pairs
    assert len(sample.discovered) > len(sample.types) / 2


def test_the_communities_are_the_subjects_of_the_sample(sample: Knowledge) -> None:
    communities = sample.partition.communities
    assert 4 <= len(communities) <= 12
    assert all(len(members) >= 3 for members in communities)
    assert max(map(len, communities)) < len(sample.types) / 4
    assert sample.partition.modularity > 0.5
    assert {"Linux", "Bell Labs", "Ken Thompson"} <= community_of(sample, "Unix")
    assert {"VAX", "PDP-10", "TOPS-20"} <= community_of(sample, "DEC")
    assert {"ADVENT", "Infocom"} <= community_of(sample, "Zork")
    assert {"virus", "Trojan horse", "cracker"} <= community_of(sample, "worm")
    assert {"memory smash", "overrun screw", "smash the stack"} <= community_of(
        sample, "fandango on core"
    )
    assert {"Internet", "newsgroup"} <= community_of(sample, "Usenet")
    assert "Usenet" not in community_of(sample, "Zork")


def test_every_community_is_named_after_members_and_summarised(sample: Knowledge) -> None:
    for members, summary in zip(sample.partition.communities, sample.summaries, strict=True):
        assert summary is not None
        assert any(member in summary.name for member in members)
        assert len(summary.summary) > 100
        assert sum(member in summary.summary for member in members) >= 2
    names = [summary.name for summary in sample.summaries if summary]
    assert len(set(names)) == len(names)
    assert is_statement("Unlike a worm, a virus cannot infect other computers without assistance.")


def test_it_is_the_same_in_every_process_whatever_its_hash_seed(sample: Knowledge) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.methods_pipeline"],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]
    digests = {process.communicate()[0] for process in processes}
    assert digests == {digest(sample)}
