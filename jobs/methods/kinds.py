"""What kind of thing an entity is: rules on its name, and cues in the sentences around it.

Each rule votes with a weight; the most votes win, and Concept when nobody says enough.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from .lexicon import (
    COMPANY_ENDINGS,
    GIVEN_NAMES,
    HONORIFICS,
    NOUN_TYPES,
    ORGANIZATIONS,
    PLACE_PHRASES,
    PLACES,
    STOP_WORDS,
    TECHNOLOGIES,
)
from .linking import Mention
from .passages import Sentence, definition_start, is_identifier
from .words import entity_key, fold, words_of

ENTITY_TYPES = (
    "Person",
    "Organization",
    "Concept",
    "Technology",
    "Location",
    "Event",
    "Product",
    "Document",
    "System",
    "Process",
)

Vote = tuple[str, float]

ENOUGH = 0.6
OF_HEADS = {  # "University of California": the first word tells
    **dict.fromkeys(
        "university institute department bank school ministry college board bureau society house"
        " academy church museum court league".split(),
        "Organization",
    ),
    **dict.fromkeys("battle treaty war siege battles fall conquest invasion".split(), "Event"),
    **dict.fromkeys("mount lake river cape fort isle gulf bay port".split(), "Location"),
}
STANDARD = re.compile(r"(?:RFC|ISO|IEEE|DIN|ANSI|ECMA)[- ]?\d.{0,20}")
MODEL = re.compile(r"[A-Za-z]+[A-Z]*[-/ ]?\d+(?:[-/]\d+)*[a-zA-Z]?")
ARTICLES = frozenset(("a", "an", "the"))
COPULAS = frozenset("is are was were became remains".split())
PERSON_VERBS = frozenset(
    "said says wrote writes argued argues believed thought told invented coined remembers recalled"
    " discovered wrote replied suggested noted".split()
)
COMPANY_VERBS = frozenset(
    "announced released acquired shipped sold bought hired marketed sells ships markets".split()
)
TOPICAL = frozenset("in on under for at with from within like unlike".split())
NOUN_ENDS = STOP_WORDS | COPULAS
# After a name, these nouns tell little about it: "the Unix vendor" makes Unix no vendor.
FOLLOWING = frozenset(("Technology", "System", "Location", "Product"))


def choose_type(votes: Mapping[str, float]) -> str:
    """The type with the most votes; of equals the first in ENTITY_TYPES."""
    best = max(ENTITY_TYPES, key=lambda kind: votes.get(kind, 0.0))
    return best if votes.get(best, 0.0) >= ENOUGH else "Concept"


def looks_like_person(name: str) -> bool:
    """Whether a name of two or three words is a given name or an initial with a surname."""
    words = [word.text for word in words_of(name)]
    return (
        2 <= len(words) <= 4
        and (words[0].casefold() in GIVEN_NAMES or (len(words[0]) == 1 and "." in name))
        and all(word[0].isupper() and word[-1].isalpha() for word in words)
        and not words[-1].isupper()
        and "-" not in words[0]
        and fold(words[-1]) not in NOUN_TYPES
    )


def votes_of_name(name: str) -> Iterator[Vote]:
    """What the name alone tells."""
    words = [word.text for word in words_of(name)]
    if not words:
        return
    first, head = words[0].casefold(), fold(_head_word(words))
    if name[0].isupper():
        yield from _votes_of_proper_name(name, words)
    if first in OF_HEADS and len(words) > 1:
        yield OF_HEADS[first], 4.0
    elif head in NOUN_TYPES:
        yield NOUN_TYPES[head], 3.0
    if len(words) == 1 and is_identifier(name) and not name.startswith(("Mc", "Mac", "De", "O'")):
        # An acronym may be anything: it takes another cue to make it a technology.
        yield "Technology", ENOUGH - 0.1 if name.isupper() else 2 * ENOUGH


def _votes_of_proper_name(name: str, words: list[str]) -> Iterator[Vote]:
    key, first = entity_key(name), words[0].casefold()
    if name.casefold() in PLACE_PHRASES or key in PLACES:
        yield "Location", 4.0
    company = len(words) > 1 and words[-1].casefold() in COMPANY_ENDINGS
    if key in ORGANIZATIONS or company:
        yield "Organization", 4.0
    if key in TECHNOLOGIES or (len(words) > 1 and fold(words[-1]) in TECHNOLOGIES):
        yield "Technology", 2.5
    if looks_like_person(name):
        yield "Person", 3.5
    elif len(words) == 1 and first in GIVEN_NAMES:
        yield "Person", 1.0
    if " & " in name or ("&" in name and len(words) == 1):
        yield "Organization", 1.5
    if STANDARD.fullmatch(name):
        yield "Document", 4.0
    elif MODEL.fullmatch(name) and key not in TECHNOLOGIES:
        yield "Product", 1.8


def _head_word(words: list[str]) -> str:
    """The word that says what a name is of: "Book" in "Book of Five Rings"."""
    of = next((position for position, word in enumerate(words) if word == "of"), len(words))
    return words[of - 1] if of else words[-1]


def votes_of_context(sentence: Sentence, mention: Mention) -> Iterator[Vote]:
    """What the words around one mention tell."""
    yield from _votes_before(sentence, mention)
    yield from _votes_after(sentence, mention)


def votes_of_definition(sentence: Sentence) -> Iterator[Vote]:
    """What an entry of a dictionary tells about its headword: "[etymology] A device that …"."""
    start = definition_start(sentence)
    words = sentence.words[start:]
    if len(words) > 1 and words[0].text.casefold() in ARTICLES:
        yield from _head_noun(sentence, start + 1, 2.0)


def _votes_before(sentence: Sentence, mention: Mention) -> Iterator[Vote]:
    words, first = sentence.words, mention.first
    if not first:
        return
    before, gap = words[first - 1].text, sentence.gap(first)
    name_is_capitalised = words[first].text[0].isupper()
    if (
        name_is_capitalised
        and before[0].isupper()
        and before.casefold() in HONORIFICS
        and gap in (" ", ". ")
    ):
        yield "Person", 2.5
    if gap != " ":
        return
    if before.islower() and fold(before) in NOUN_TYPES and name_is_capitalised:
        yield NOUN_TYPES[fold(before)], 1.5
    if before == "as" and first > 2 and words[first - 2].text == "such":
        kind = NOUN_TYPES.get(fold(words[first - 3].text))
        if kind:
            yield kind, 1.5
    if before == "at" and name_is_capitalised:
        yield "Organization", 0.6


def _votes_after(sentence: Sentence, mention: Mention) -> Iterator[Vote]:
    words, last = sentence.words, mention.last
    if last >= len(words):
        return
    after, gap = words[last].text.casefold(), sentence.gap(last)
    if gap == " " and after in COPULAS and last + 1 < len(words):
        start = last + 1
        if [word.text for word in words[start : start + 3]] == ["one", "of", "the"]:
            start += 2
        if words[start].text in ARTICLES:
            yield from _head_noun(sentence, start + 1, 3.0)
    elif gap == ", " and after in ARTICLES and not is_topic(sentence, mention):
        yield from _head_noun(sentence, last + 1, 2.0)
    elif gap == " " and words[last - 1].text[0].isupper():
        yield from _votes_of_next_word(sentence, last)


def _votes_of_next_word(sentence: Sentence, position: int) -> Iterator[Vote]:
    word = sentence.words[position]
    compound = sentence.text[word.end : word.end + 1] == "-"  # "Cat thought-experiment"
    if word.text in PERSON_VERBS and not compound:
        yield "Person", 0.8
    elif word.text in COMPANY_VERBS:
        yield "Organization", 0.8
    for kind, weight in _head_noun(sentence, position, 0.7):
        if kind in FOLLOWING:
            yield kind, weight


def is_topic(sentence: Sentence, mention: Mention) -> bool:
    """Whether a comma after the mention ends an opening like "In Unix, the user …"."""
    before = [word.text.casefold() for word in sentence.words[: mention.first]][-2:]
    return any(word in TOPICAL for word in before)


def _head_noun(sentence: Sentence, start: int, weight: float) -> Iterator[Vote]:
    """The vote of the noun that ends the noun phrase which begins at `start`."""
    head = ""
    for position in range(start, min(start + 7, len(sentence.words))):
        word = sentence.words[position].text
        joined = position == start or sentence.gap(position) in (" ", "-")
        if word.casefold() in NOUN_ENDS or not joined:
            break
        if not word.endswith(("ed", "wn", "ten")) or not head:  # "a system invented by"
            head = fold(word)
    if head in NOUN_TYPES:
        yield NOUN_TYPES[head], weight
