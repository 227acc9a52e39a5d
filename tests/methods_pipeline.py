"""The four jobs' methods over a folder of documents, one after the other, as a library would."""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from pathlib import Path

import msgspec

from cortex_tasks.jobs.methods.candidates import discover
from cortex_tasks.jobs.methods.entities import entity_key
from cortex_tasks.jobs.methods.extract import extract
from cortex_tasks.jobs.methods.formats import file_type_of, title_from
from cortex_tasks.jobs.methods.leiden import Partition, detect
from cortex_tasks.jobs.methods.summaries import Summary, summarise
from cortex_tasks.jobs.methods.weights import edge_weights
from cortex_tasks.jobs.model import Extraction, Relation

SAMPLE = Path(__file__).parent.parent / "docs" / "sample" / "jargon"


class Knowledge(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of all documents together; entities by their most frequent name."""

    extractions: dict[str, Extraction]  # by filename
    chunks: list[str]
    mentions: dict[str, list[int]]
    types: dict[str, str]
    discovered: list[Relation]
    partition: Partition
    summaries: list[Summary | None]  # of the communities of the partition


def know(folder: Path) -> Knowledge:
    """Read every document of a folder, and take from all of them what they say."""
    files = sorted(folder.iterdir())
    titles = [title_from(file.name) for file in files]
    extractions = {
        file.name: extract(
            file.read_bytes(), file_type_of(file.name), file.name, known_titles=titles
        )
        for file in files
    }
    names, types = _names_and_types(list(extractions.values()))
    chunks: list[str] = []
    document_of: list[int] = []
    mentions: dict[str, list[int]] = {}
    relations: list[Relation] = []
    for document, extraction in enumerate(extractions.values()):
        for entity in extraction.entities:
            places = mentions.setdefault(names[entity_key(entity.name)], [])
            places += (len(chunks) + at for at in entity.mentions)
        chunks += extraction.chunks
        document_of += [document] * len(extraction.chunks)
        relations += (
            msgspec.structs.replace(
                relation,
                source=names[entity_key(relation.source)],
                target=names[entity_key(relation.target)],
            )
            for relation in extraction.relations
        )
    discovered = discover(chunks, document_of, mentions, types)
    ties = edge_weights(mentions, len(chunks), [*relations, *discovered])
    partition = detect(ties, min_size=3)
    return Knowledge(
        extractions=extractions,
        chunks=chunks,
        mentions=mentions,
        types=types,
        discovered=discovered,
        partition=partition,
        summaries=[summarise(members, chunks, mentions) for members in partition.communities],
    )


def _names_and_types(extractions: list[Extraction]) -> tuple[dict[str, str], dict[str, str]]:
    """The most frequent name of every key, and by name its most frequent type."""
    spellings: dict[str, Counter[str]] = {}
    types: dict[str, Counter[str]] = {}
    for extraction in extractions:
        for entity in extraction.entities:
            key, times = entity_key(entity.name), sum(entity.mentions.values())
            spellings.setdefault(key, Counter())[entity.name] += times
            types.setdefault(key, Counter())[entity.type] += times
    names = {
        key: max(found, key=lambda name: (found[name], name)) for key, found in spellings.items()
    }
    kinds = {
        names[key]: max(found, key=lambda kind: (kind != "Concept", found[kind], kind))
        for key, found in types.items()
    }
    return names, kinds


def digest(knowledge: Knowledge) -> str:
    """A fingerprint of all of it, to the last digit."""
    return hashlib.sha256(msgspec.json.encode(knowledge)).hexdigest()


if __name__ == "__main__":
    sys.stdout.write(digest(know(SAMPLE)))
