"""Small extractions for tests of the library: documents that say what a test needs them to say."""

from __future__ import annotations

from cortex_tasks.jobs.library import Library
from cortex_tasks.jobs.model import Document, ExtractedEntity, Extraction, Relation


def saying(*chunks: str, relations: list[Relation] | None = None) -> Extraction:
    """An extraction whose chunks are lists of entity names: `saying("Alpha Beta", "Alpha")`.

    A name may carry a type: "Alpha:Product". The description of an entity is its first chunk.
    """
    mentions: dict[str, dict[int, int]] = {}
    types: dict[str, str] = {}
    for position, chunk in enumerate(chunks):
        for word in chunk.split():
            name, _, kind = word.partition(":")
            types.setdefault(name, kind or "Concept")
            counts = mentions.setdefault(name, {})
            counts[position] = counts.get(position, 0) + 1
    return Extraction(
        chunks=list(chunks),
        entities=[
            ExtractedEntity(
                name=name, type=types[name], description=chunks[min(counts)], mentions=counts
            )
            for name, counts in mentions.items()
        ],
        relations=relations or [],
    )


def relation(
    source: str,
    target: str,
    type: str = "USES",
    *,
    weight: float = 3.0,
    confidence: float = 0.5,
    method: str = "per_chunk",
) -> Relation:
    """A relation whose description says which it is."""
    return Relation(
        source=source,
        target=target,
        type=type,
        description=f"{source} {type} {target}.",
        weight=weight,
        confidence=confidence,
        extraction_method=method,
    )


async def learn(
    library: Library, filename: str, extraction: Extraction, *, collection_id: str | None = None
) -> Document:
    """Add a document and store what it says."""
    document = await library.documents.add(
        filename.encode(), filename=filename, collection_id=collection_id
    )
    claimed = await library.processing.claim_pending("task_learn", limit=1000)
    assert document.id in {each.id for each in claimed}
    return await library.processing.store_extraction(document.id, "task_learn", extraction)
