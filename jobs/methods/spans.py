"""Capitalised spans and identifiers: the names that a text gives away by how it spells them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from .lexicon import (
    CALENDAR,
    DEMONYMS,
    HONORIFICS,
    OPENERS,
    ORGANIZATIONS,
    PLACES,
    SECTION_TITLES,
    STOP_WORDS,
    VAGUE_WORDS,
)
from .passages import Sentence, Spelling, is_identifier, is_shouted

LONGEST = 7  # words; a longer span is a heading or a list
CONNECTORS = frozenset("of de del della der di du la van von und y".split())
PREFIXES = frozenset(
    "anti co cross ex inter mid multi non post pre pro re self semi sub un".split()
)
NO_NAMES = STOP_WORDS | VAGUE_WORDS | SECTION_TITLES | PREFIXES
# What a possessive may be part of: "Moore's Law" is one name, "DEC's PDP-10" are two.
EPONYMS = frozenset(
    "algorithm bay conjecture constant day dictionary disease effect equation guide hall inequality"
    " island law lemma paradox principle razor rule syndrome test theorem".split()
)
YEAR = re.compile(r"1[5-9]\d\d|20\d\d")


class Span(NamedTuple):
    """The words [first, last) of a sentence."""

    first: int
    last: int


def named_spans(sentence: Sentence, spelling: Spelling) -> Iterator[Span]:
    """Give the spans that name something, in order, without overlap."""
    if is_shouted(sentence):
        return
    position = 0
    while position < len(sentence.words):
        last = _reach(sentence, position)
        span = _trimmed(sentence, Span(position, last), spelling) if last > position else None
        if span is not None and span.last - span.first <= LONGEST:
            yield span
        position = max(last, position + 1)


def _reach(sentence: Sentence, first: int) -> int:
    """Where the run of name-like words that begins at `first` ends; `first` if none does."""
    words = sentence.words
    if not _starts_name(words[first].text):
        return first
    last = first + 1
    while last < len(words):
        if _joins(sentence, last):
            last += 1
        elif _bridges(sentence, last):
            last += 2
        elif _bridges(sentence, last + 1) and words[last].text == "of":
            last += 3  # "Lord of the Rings"
        else:
            break
    return last


def _starts_name(word: str) -> bool:
    return word[0].isupper() or (not word[0].isdigit() and is_identifier(word))


def _joins(sentence: Sentence, position: int) -> bool:
    """Whether the word continues the name that the word before it is part of."""
    gap, word, before = (
        sentence.gap(position),
        sentence.words[position],
        sentence.words[position - 1],
    )
    if gap == ". ":
        initial = len(before.text) == 1 or before.text.casefold() in HONORIFICS
        return initial and word.text[0].isupper()
    if gap not in (" ", "-", "/", " & "):
        return False
    if before.text.endswith(("'s", "’s", "'", "’")):
        return word.text.casefold() in EPONYMS and word.text[0].isupper()
    if word.text[0].isdigit():
        return gap in "-/" or (len(word.text) < 5 and not YEAR.fullmatch(word.text))
    return _starts_name(word.text)


def _bridges(sentence: Sentence, position: int) -> bool:
    """Whether the word is a small one inside a name, with the name going on after it."""
    words = sentence.words
    if position >= len(words):
        return False
    if sentence.gap(position) == "-":  # "Time-sharing System"
        return words[position].text.isalpha() and _goes_on(sentence, position)
    if sentence.gap(position) != " ":
        return False
    small = words[position].text in CONNECTORS or (
        words[position].text == "the" and words[position - 1].text == "of"
    )
    return small and _goes_on(sentence, position)


def _goes_on(sentence: Sentence, position: int) -> bool:
    return (
        position + 1 < len(sentence.words)
        and sentence.gap(position + 1) == " "
        and sentence.words[position + 1].text[0].isupper()
    )


def _trimmed(sentence: Sentence, span: Span, spelling: Spelling) -> Span | None:
    """The span without what only looks like a part of the name, or None when nothing is left."""
    words, (first, last) = sentence.words, span
    while last > first and words[last - 1].text.casefold() in STOP_WORDS | CALENDAR:
        last -= 1
    while first < last:
        word = words[first].text
        opens = sentence.opens(first) and last - first > 1
        if not _begins_no_name(word) and not (opens and _owes_capital(word, spelling)):
            break
        first += 1
    if all(word.text.casefold() in DEMONYMS for word in words[first:last]):
        return None
    if last - first == 1 and not _stands_alone(sentence, first, spelling):
        return None
    return Span(first, last) if last > first else None


def _begins_no_name(word: str) -> bool:
    lowered = word.casefold()
    is_acronym = len(word) > 2 and word.isupper()  # "WHO" is not "who"
    opener = lowered in OPENERS and not is_acronym
    return opener or lowered in HONORIFICS or lowered in CONNECTORS or word[0].isdigit()


def _owes_capital(word: str, spelling: Spelling) -> bool:
    """Whether a word that opens a sentence is probably no part of the name after it."""
    if spelling.is_unseen(word):
        return word.endswith(("ed", "ly", "ing"))
    return not spelling.is_name(word)


def _stands_alone(sentence: Sentence, position: int, spelling: Spelling) -> bool:
    word = sentence.words[position].text
    lowered = word.casefold()
    if len(word) < 2 or lowered in NO_NAMES:
        return False
    if not sentence.opens(position):
        return spelling.is_name(word) or not spelling.is_common(word)
    known = lowered in PLACES or lowered in ORGANIZATIONS
    return spelling.is_name(word) or (known and not spelling.is_common(word))
