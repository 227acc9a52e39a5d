"""A document as the rules read it: sentences with their words, and how words are spelled in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from .words import Word, fold, words_of

# A word that follows one of these may owe its capital to its place.
OPENING_MARKS = frozenset("“”\"‘'([{:;—–…*•.?!/>")


class Sentence(NamedTuple):
    """A sentence, its words, and the chunk that it is in."""

    text: str
    words: list[Word]
    chunk: int

    def gap(self, position: int) -> str:
        """What stands between the word before `position` and the word at it."""
        start = self.words[position - 1].end if position else 0
        return self.text[start : self.words[position].start]

    def opens(self, position: int) -> bool:
        """Whether the word would be capitalised even if it were no name."""
        return position == 0 or self.gap(position).rstrip()[-1:] in OPENING_MARKS


class Spelling:
    """How often the document writes a word in lower case, and capitalised without need."""

    def __init__(self, sentences: Iterable[Sentence]) -> None:
        self._lower: Counter[str] = Counter()
        self._capitalised: Counter[str] = Counter()
        for sentence in sentences:
            shouted = is_shouted(sentence)
            for position, word in enumerate(sentence.words):
                if word.text[0].islower():
                    self._lower[fold(word.text)] += 1
                elif not shouted and word.text[0].isupper() and not sentence.opens(position):
                    self._capitalised[fold(word.text)] += 1

    def is_name(self, word: str) -> bool:
        """Whether the word's capital is its own, by its shape or by how it is written elsewhere."""
        folded = fold(word)
        if is_identifier(word):
            return self._lower[folded] <= 2 * self._capitalised[folded] + 1
        return self._capitalised[folded] > self._lower[folded]

    def is_common(self, word: str) -> bool:
        """Whether the document also uses the word without a capital, and not rarely."""
        folded = fold(word)
        return self._lower[folded] > 2 * self._capitalised[folded]

    def is_unseen(self, word: str) -> bool:
        """Whether nothing but this place tells how the word is written."""
        folded = fold(word)
        return not self._lower[folded] and not self._capitalised[folded]


def read_sentences(chunks: Iterable[list[str]]) -> list[Sentence]:
    return [
        Sentence(text, words_of(text), position)
        for position, chunk in enumerate(chunks)
        for text in chunk
    ]


def is_identifier(word: str) -> bool:
    """Whether the word has the shape of an acronym or of a name in a program."""
    capitals = sum(letter.isupper() for letter in word)
    if len(word) < 2 or len(word) > 50:
        return False
    has_lower = any(letter.islower() for letter in word)
    mixed = capitals > 0 and word[0].islower()
    return capitals > 1 or mixed or "_" in word or (capitals > 0 and not has_lower)


def is_shouted(sentence: Sentence) -> bool:
    """Whether the sentence is in capitals, which then tell nothing."""
    letters = [word for word in sentence.words if word.text[0].isalpha()]
    return len(letters) > 3 and sum(word.text.isupper() for word in letters) > 0.7 * len(letters)


def definition_start(sentence: Sentence) -> int:
    """The first word after what a dictionary puts first in brackets: "[from Latin] A tool …"."""
    start = 0
    while start < len(sentence.words):
        gap = sentence.gap(start).lstrip(" “‘")
        if gap[-1:] not in ("[", "("):
            break
        close = sentence.text.find("])"["[(".index(gap[-1])], sentence.words[start].end)
        if close < 0:
            break
        after = (at for at, word in enumerate(sentence.words) if word.start > close)
        start = next(after, len(sentence.words))
    return start
