"""Repeated terms of several words: what a text keeps talking about without capitals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from .lexicon import STOP_WORDS, VAGUE_WORDS
from .passages import Sentence
from .words import fold

LONGEST = 3  # words
EDGE_ENDINGS = ("ly", "n't")
LAST_ENDINGS = ("ed", "ly")

Term = tuple[str, ...]  # folded words


def repeated_terms(sentences: list[Sentence]) -> dict[Term, int]:
    """Give each term with the number of sentences it is in.

    A term of two or three plain words counts when it is in several sentences (more in a long
    document), and not when it never appears without a longer one around it.
    """
    counts: Counter[Term] = Counter()
    for sentence in sentences:
        counts.update(set(_candidates(sentence)))
    needed = 2 + (len(sentences) > 200) + (len(sentences) > 2000)
    frequent = {term: count for term, count in counts.items() if count >= needed}
    swallowed = {
        part
        for term, count in frequent.items()
        for part in (term[1:], term[:-1])
        if frequent.get(part) == count
    }
    return {term: count for term, count in sorted(frequent.items()) if term not in swallowed}


def _candidates(sentence: Sentence) -> Iterator[Term]:
    for run in _runs(sentence):
        for size in range(2, LONGEST + 1):
            for start in range(len(run) - size + 1):
                term = run[start : start + size]
                if _is_edge(term[0]) and _is_edge(term[-1]) and not term[-1].endswith(LAST_ENDINGS):
                    yield tuple(fold(word) for word in term)


def _runs(sentence: Sentence) -> Iterable[list[str]]:
    """Words in lower case that stand side by side, with nothing but subjects among them."""
    run: list[str] = []
    for position, word in enumerate(sentence.words):
        plain = word.text.islower() and word.text.isalpha() and 2 < len(word.text) <= 30
        if run and sentence.gap(position) not in (" ", "-"):
            yield run
            run = []
        if plain and word.text not in STOP_WORDS:
            run.append(word.text)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _is_edge(word: str) -> bool:
    return word not in VAGUE_WORDS and not word.endswith(EDGE_ENDINGS)
