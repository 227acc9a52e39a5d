"""Where one sentence ends and the next begins."""

from __future__ import annotations

from collections.abc import Iterator

import sentencex

# The segmenter takes time that grows with the square of a text that is not cut by white space
# (34 s for 300,000 characters of Chinese), so it sees no more than this at once.
WINDOW = 2000
# No sentence is longer: what has no end in sight is a table, a log or a program.
LONGEST = 1000


def sentences_of(text: str) -> list[str]:
    """Split a paragraph into its sentences, in order, each stripped and on one line.

    Nothing but white space is lost. A sentence longer than LONGEST is cut, at white space where
    there is any. Abbreviations do not end a sentence.
    """
    line = " ".join(text.split())
    sentences: list[str] = []
    start = 0
    while start < len(line):
        found = sentencex.segment("en", line[start : start + WINDOW])
        if start + WINDOW < len(line) and len(found) > 1:
            found.pop()  # cut off by the window: read again, whole, in the next one
        start += sum(map(len, found))
        sentences += (piece for sentence in found for piece in _pieces(sentence.strip()))
    return sentences


def _pieces(sentence: str) -> Iterator[str]:
    """The sentence, or if it is too long its pieces."""
    start = 0
    while len(sentence) - start > LONGEST:
        limit = start + LONGEST
        cut = sentence.rfind(" ", start + LONGEST // 2, limit) + 1 or limit
        yield sentence[start:cut].strip()
        start = cut
    rest = sentence[start:].strip()
    if rest:
        yield rest
