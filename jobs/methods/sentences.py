"""Where one sentence ends and the next begins."""

from __future__ import annotations

import re
from collections.abc import Iterator

import sentencex

# The segmenter takes time that grows with the square of a text that is not cut by white space
# (34 s for 300,000 characters of Chinese), so it sees no more than this at once.
WINDOW = 4000
# No sentence is longer: what has no end in sight is a table, a log or a program.
LONGEST = 1000

END = re.compile(r"[.!?…。！？؟।]['\"’”)\]]*(?:\s|(?<=[。！？]))")


def sentences_of(text: str) -> list[str]:
    """Split a paragraph into its sentences, in order, each stripped and on one line.

    Nothing but white space is lost. A sentence longer than LONGEST is cut, at white space where
    there is any. Abbreviations do not end a sentence.
    """
    return [
        piece
        for window in _windows(" ".join(text.split()), WINDOW)
        for sentence in sentencex.segment("en", window)
        for piece in _windows(sentence.strip(), LONGEST)
    ]


def _windows(text: str, size: int) -> Iterator[str]:
    """Pieces of at most `size` characters, cut at a sentence's end, or at a space, or anywhere."""
    start = 0
    while len(text) - start > size:
        limit = start + size
        ends = [end.end() for end in END.finditer(text, start + size // 2, limit)]
        cut = ends[-1] if ends else text.rfind(" ", start + size // 2, limit) + 1 or limit
        yield text[start:cut].strip()
        start = cut
    rest = text[start:].strip()
    if rest:
        yield rest
