"""Chunks: a few sentences that belong together, the unit in which mentions are counted."""

from __future__ import annotations

from collections.abc import Iterable

from .readers.blocks import Block
from .sentences import sentences_of

# Characters. Long enough for two entities to meet, short enough that meeting means something.
TARGET = 400


def chunk_sentences(blocks: Iterable[Block], *, target: int = TARGET) -> list[list[str]]:
    """Pack the sentences of a document into chunks of about `target` characters.

    Every sentence is in exactly one chunk, whole and in reading order; no chunk is empty. A chunk
    is longer than `target` only when a single sentence is. Headings are in no chunk, and none
    reaches across one.
    """
    chunks: list[list[str]] = []
    room = 0
    for block in blocks:
        if block.heading:
            room = 0
            continue
        for sentence in sentences_of(block.text):
            if len(sentence) + 1 <= room:
                chunks[-1].append(sentence)
                room -= len(sentence) + 1
            else:
                chunks.append([sentence])
                room = target - len(sentence)
    return chunks


def chunk_text(sentences: list[str]) -> str:
    """The text of a chunk as it is stored."""
    return " ".join(sentences)
