"""Which sentences can stand alone: as a description, or in a summary."""

from __future__ import annotations

import re
from functools import lru_cache

from .lexicon import STOP_WORDS
from .words import words_of

FEWEST_WORDS, MOST_WORDS = 6, 60
SHORTEST, LONGEST = 30, 400
END = re.compile(r"[.!…]['\"’”)\]]*$")
# A sentence that opens with one of these leans on the one before it, or is no statement.
LEANING = frozenset(
    """
    he she it they we you i his her its their our my your him them us this that these those here
    there such so thus hence therefore however but and or nor yet also too then otherwise instead
    moreover furthermore meanwhile nevertheless similarly likewise consequently conversely both
    another others some most many several few neither either see compare cf note contrast consider
    indeed still besides again later afterwards although though because since unless whereas which
    who what when where why how if as not one now even often sometimes usually nowadays after before
    said used of from to with for finally eventually first second third accordingly subsequently
    antonym synonym alternatively perhaps maybe yes no well of-course
    """.split()
)
POINTER = re.compile(
    r"://|\bwww\.|\bsee also\b|[;,(] see \w+[).]|\bin sense \d"
    r"|\bthis (?:sense|term|usage|word|entry|lexicon|section|chapter)\b",
    re.IGNORECASE,
)
BRACKETS = (("(", ")"), ("[", "]"), ("“", "”"))


@lru_cache(1024)  # asked again for every entity that a sentence names
def is_statement(sentence: str) -> bool:
    """Whether a sentence says something by itself, without the one before it.

    False for questions, headings, lists, fragments, pointers to other places, quotations, and
    sentences that open with a demonstrative, a pronoun or a conjunction.
    """
    if not SHORTEST <= len(sentence) <= LONGEST or not END.search(sentence):
        return False
    if not (sentence[0].isupper() or sentence[0].isdigit()):  # a quotation needs its speaker
        return False
    if POINTER.search(sentence):
        return False
    if any(sentence.count(left) != sentence.count(right) for left, right in BRACKETS):
        return False
    words = [word.text.casefold() for word in words_of(sentence)]
    if not FEWEST_WORDS <= len(words) <= MOST_WORDS or words[0] in LEANING:
        return False
    # Prose is held together by small words; lists of names, tables and code are not.
    small = sum(word in STOP_WORDS for word in words)
    letters = sum(character.isalpha() or character == " " for character in sentence)
    return 5 * small >= len(words) and letters > 0.8 * len(sentence)
