"""One document, from its bytes to all that document_processing takes from it."""

from __future__ import annotations

from collections.abc import Iterable

from ..model import Extraction
from .chunks import chunk_sentences, chunk_text
from .entities import entity_key, take_census
from .formats import read_text, title_from
from .passages import read_sentences
from .relations import relations_in
from .reporting import Report, silent
from .titles import names_subject

STEPS = 4


def extract(
    data: bytes,
    file_type: str,
    filename: str = "",
    *,
    known_titles: Iterable[str] = (),
    report: Report = silent,
) -> Extraction:
    """Read a document and find its chunks, its entities and their relationships.

    `known_titles` are the titles of other documents (see `title_from`): where the text mentions
    one, it is linked. Pure, and in time linear in the size of `data`. Raises UnreadableDocument
    when there is no text in it.
    """
    report(0, STEPS, "Reading")
    document = read_text(file_type, data)
    report(1, STEPS, "Splitting into chunks")
    chunks = chunk_sentences(document.blocks)
    report(2, STEPS, "Finding entities")
    sentences = read_sentences(chunks)
    own = title_from(filename)
    title = document.title if names_subject(document.title) else own
    census = take_census(
        sentences, title=title, headings=document.headings, known_titles=[own, *known_titles]
    )
    report(3, STEPS, "Finding relationships")
    relations = relations_in(sentences, census.mentions, census.entities, entity_key(title))
    report(STEPS, STEPS, "Extracted")
    return Extraction(
        chunks=[chunk_text(chunk) for chunk in chunks],
        entities=list(census.entities.values()),
        relations=relations,
    )
