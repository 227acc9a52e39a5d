"""Finding known names in sentences: the longest name wins, and no two mentions overlap."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from .lexicon import STOP_WORDS
from .passages import Sentence, Spelling
from .words import CACHED, entity_key, fold, single_key, words_of

JOINTS = frozenset((" ", "-", "/", " & ", ". "))


class Mention(NamedTuple):
    """The words [first, last) of a sentence, and the key of the entity that they name."""

    key: str
    first: int
    last: int


class Linker:
    """The names to look for. A name of several words is found in any case and number."""

    def __init__(self) -> None:
        self._phrases: dict[str, dict[tuple[str, ...], str]] = {}  # by their first word
        self._longest: dict[str, int] = {}  # of the phrases with this first word
        self._single: dict[str, tuple[str, bool]] = {}

    def add(self, name: str, *, cased: bool) -> str:
        """Look for `name`; return its key, "" when it has no word to look for.

        A name of one word that is `cased` is found only where it is capitalised for its own sake.
        Once added without that condition, it stays without.
        """
        key, folded = _parsed(name)
        if len(folded) == 1:
            self._single[key] = (key, cased and self._single.get(key, ("", True))[1])
        elif folded:
            self._phrases.setdefault(folded[0], {})[folded] = key
            self._longest[folded[0]] = max(len(folded), self._longest.get(folded[0], 0))
        return key if folded else ""

    def alias(self, word: str, key: str) -> None:
        """Take a single capitalised word for another name of the entity `key`."""
        self._single[single_key(word)] = (key, True)

    def mentions(self, sentence: Sentence, spelling: Spelling) -> list[Mention]:
        """Every mention in a sentence, from left to right."""
        found: list[Mention] = []
        position = 0
        while position < len(sentence.words):
            mention = self._phrase_at(sentence, position) or self._word_at(
                sentence, position, spelling
            )
            if mention:
                found.append(mention)
            position = mention.last if mention else position + 1
        return found

    def _phrase_at(self, sentence: Sentence, first: int) -> Mention | None:
        opening = fold(sentence.words[first].text)
        phrases = self._phrases.get(opening)
        if phrases is None:
            return None
        folded = [opening]
        best: Mention | None = None
        for position in range(first + 1, min(first + self._longest[opening], len(sentence.words))):
            if sentence.gap(position) not in JOINTS:
                break
            folded.append(fold(sentence.words[position].text))
            key = phrases.get(tuple(folded))
            if key:
                best = Mention(key, first, position + 1)
        return best

    def _word_at(self, sentence: Sentence, position: int, spelling: Spelling) -> Mention | None:
        word = sentence.words[position].text
        known = self._single.get(single_key(word))
        if known is None and (word[0].islower() or sentence.opens(position)):
            known = self._single.get(fold(word))  # "viruses" of the entity "virus"
        if known is None:
            return None
        key, cased = known
        if cased and not _has_own_capital(sentence, position, spelling):
            return None
        return Mention(key, position, position + 1)


@lru_cache(CACHED)  # a collection looks for the same titles in each of its documents
def _parsed(name: str) -> tuple[str, tuple[str, ...]]:
    """A name's key, and its folded words without an article before them."""
    words = [word.text for word in words_of(name)]
    if len(words) > 1 and words[0].casefold() in ("the", "a", "an"):
        words = words[1:]
    return entity_key(name), tuple(fold(word) for word in words)


def _has_own_capital(sentence: Sentence, position: int, spelling: Spelling) -> bool:
    word = sentence.words[position].text
    if len(word) == 1:
        return word.isupper() and not _is_initial(sentence, position)
    if word.islower() and "_" not in word:
        return False
    if word.casefold() in STOP_WORDS and not word.isupper():
        return False
    return not sentence.opens(position) or spelling.is_name(word) or not spelling.is_common(word)


def _is_initial(sentence: Sentence, position: int) -> bool:
    """Whether a letter is that of "C. S. Lewis" or of "Appendix C", and not the language C."""
    after = sentence.words[position].end
    if sentence.text[after : after + 1] == ".":
        return True
    if not position or sentence.gap(position) != " ":
        return False
    before = sentence.words[position - 1].text
    return before[0].isupper() and before.casefold() not in STOP_WORDS
