"""Words: where they are in a sentence, what they are without their endings, and their stems."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

from snowballstemmer.english_stemmer import EnglishStemmer

from .lexicon import STOP_WORDS

# Hyphens and slashes part words: "time-sharing" and "time sharing" must come out the same. Points,
# apostrophes, ampersands and underscores inside a word hold it together: U.S, AT&T, snake_case.
WORD = re.compile(r"[^\W_]+(?:[.'’&_@][^\W_]+)*+(?:\+\+|#(?!\w))?")
POSSESSIVE = re.compile(r"['’][sS]?$")
CACHED = 1 << 16

IRREGULAR = {
    "men": "man",
    "women": "woman",
    "children": "child",
    "mice": "mouse",
    "indices": "index",
}
UNCHANGED = frozenset("always gas lens means news perhaps series species this".split())


class Word(NamedTuple):
    """A word and where it stands."""

    text: str
    start: int
    end: int


def words_of(sentence: str) -> list[Word]:
    """Every word of a sentence, in order."""
    return [Word(match[0], match.start(), match.end()) for match in WORD.finditer(sentence)]


def without_possessive(word: str) -> str:
    return POSSESSIVE.sub("", word)


@lru_cache(CACHED)
def fold(word: str) -> str:
    """The form that a word shares with its capitalised, possessive and plural forms.

    Acronyms keep their final S ("HTTPS" is not the plural of "HTTP") but lose a plural's
    ("CPUs").
    """
    word = without_possessive(word)
    if _is_plural_of_acronym(word):
        return word[:-1].casefold()
    return word.casefold() if word.isupper() else _singular(word.casefold())


def _is_plural_of_acronym(word: str) -> bool:
    """ "CPUs", and the last word of "PDP-10s"."""
    return len(word) > 1 and word[-1] == "s" and not any(map(str.islower, word[:-1]))


def in_singular(name: str) -> str:
    """A name without the plural of an acronym; other plurals stay, for they may be names."""
    last = words_of(name)[-1:]
    return (
        name[:-1]
        if last and last[0].end == len(name) and _is_plural_of_acronym(last[0].text)
        else name
    )


def _singular(word: str) -> str:
    if word in IRREGULAR:
        return IRREGULAR[word]
    if len(word) < 4 or not word.endswith("s") or word in UNCHANGED:
        return word
    if word.endswith(("ss", "us", "is", "as", "os")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes", "zzes", "oes")):
        return word[:-2]
    return word[:-1]


def entity_key(name: str) -> str:
    """The key by which two spellings are one entity, within a document and across documents.

    Names that differ only in case, hyphens, white space, a leading article, a possessive or (if
    they have several words) a plural have the same key. A single word keeps its plural: "Windows"
    is not "window", nor "Bolts" "bolt". Never empty unless `name` is blank.
    """
    name = unicodedata.normalize("NFKC", name)
    words = [word.text for word in words_of(name)]
    if len(words) > 1 and words[0].casefold() in ("the", "a", "an"):
        words = words[1:]
    if not words:
        return " ".join(name.casefold().split())
    if len(words) == 1:
        return single_key(words[0])
    return " ".join(fold(word) for word in words)


@lru_cache(CACHED)
def single_key(word: str) -> str:
    """The key of a name of one word."""
    bare = without_possessive(word)
    return (bare[:-1] if _is_plural_of_acronym(bare) else bare).casefold()


_stemmer = EnglishStemmer()


@lru_cache(CACHED)
def stem(word: str) -> str:
    """The stem of a word in lower case."""
    # The stemmer takes time that grows with a word's length; no real word is this long.
    return str(_stemmer.stemWord(word)) if len(word) <= 40 else word[:40]


def stems_of(text: str) -> list[str]:
    """The stems of the words that carry a subject, in order."""
    lowered = (word.text.casefold() for word in words_of(text))
    return [stem(word) for word in lowered if word not in STOP_WORDS and not word.isdigit()]
