"""Entities of one document: capitalised spans, identifiers, repeated terms, and linked titles."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from ..model import ExtractedEntity
from .kinds import (
    ENTITY_TYPES,
    choose_type,
    looks_like_person,
    votes_of_context,
    votes_of_definition,
    votes_of_name,
)
from .linking import Linker, Mention
from .passages import Sentence, Spelling
from .spans import named_spans
from .statements import is_statement
from .terms import repeated_terms
from .titles import heading_names_subject, names_subject
from .words import entity_key, fold, in_singular, single_key, without_possessive, words_of

__all__ = ["ENTITY_TYPES", "Census", "entity_key", "take_census"]

CUES_READ = 40  # mentions whose surroundings vote on the type; more change nothing


class Census(NamedTuple):
    """The entities of a document by key, and where its sentences mention them."""

    entities: dict[str, ExtractedEntity]  # in the order of their first mention
    mentions: list[list[Mention]]  # one list per sentence, left to right


def take_census(
    sentences: list[Sentence], *, title: str, headings: Iterable[str], known_titles: Iterable[str]
) -> Census:
    """Find the entities of a document.

    `title` and `known_titles` (titles of this and other documents) are linked wherever the text
    mentions them, in any case; a heading is linked when it names a subject. The title is an entity
    of the document even when no sentence repeats it: the document is about it.
    """
    spelling = Spelling(sentences)
    linker, titles = _names_to_find(sentences, spelling, [title, *known_titles], headings)
    mentions = [linker.mentions(sentence, spelling) for sentence in sentences]
    dossiers: dict[str, _Dossier] = {}
    for sentence, found in zip(sentences, mentions, strict=True):
        for mention in found:
            dossier = dossiers.setdefault(mention.key, _Dossier(mention.key))
            dossier.file(sentence, mention)
    subject = entity_key(title) if names_subject(title) else ""
    if subject and sentences:
        dossiers.setdefault(subject, _Dossier(subject)).introduce(title, sentences)
    entities = {key: dossier.entity(titles.get(key, "")) for key, dossier in dossiers.items()}
    return Census(entities, mentions)


def _names_to_find(
    sentences: list[Sentence],
    spelling: Spelling,
    titles: Iterable[str],
    headings: Iterable[str],
) -> tuple[Linker, dict[str, str]]:
    """What to look for, and the titles among it by their keys."""
    linker = Linker()
    _add_spans(linker, sentences, spelling)
    for term in repeated_terms(sentences):
        linker.add(" ".join(term), cased=False)
    linked: dict[str, str] = {}
    for title in filter(names_subject, titles):
        linked.setdefault(linker.add(title, cased=_is_cased(title)), title)
    for heading in filter(heading_names_subject, headings):
        linker.add(heading, cased=True)
    return linker, linked


def _add_spans(linker: Linker, sentences: list[Sentence], spelling: Spelling) -> None:
    """Look for every capitalised span, and for the surnames that only one person has."""
    people: dict[str, set[str]] = {}
    for sentence in sentences:
        for first, last in named_spans(sentence, spelling):
            name = _surface(sentence, first, last)
            key = linker.add(name, cased=True)
            if looks_like_person(name):
                people.setdefault(single_key(sentence.words[last - 1].text), set()).add(key)
    for surname, keys in people.items():
        if len(keys) == 1:
            linker.alias(surname, min(keys))


def _is_cased(title: str) -> bool:
    """Acronyms are found as they are written: "ITS" is not "its"."""
    return title.isupper() and title.isalpha()


def _surface(sentence: Sentence, first: int, last: int) -> str:
    text = sentence.text[sentence.words[first].start : sentence.words[last - 1].end]
    return without_possessive(text)


class _Dossier:
    """What a document's sentences say about one entity."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.mentions: Counter[int] = Counter()
        self.names: Counter[tuple[str, bool]] = Counter()
        self.votes: defaultdict[str, float] = defaultdict(float)
        self.cues = 0
        self.best = (-1.0, "")

    def file(self, sentence: Sentence, mention: Mention) -> None:
        """Take note of a mention."""
        self.mentions[sentence.chunk] += 1
        name = _surface(sentence, mention.first, mention.last)
        by_place = name[0].isupper() and sentence.opens(mention.first)
        self.names[in_singular(name), by_place] += 1
        if self.cues < CUES_READ:
            self.cues += 1
            cues = list(votes_of_context(sentence, mention))
            for kind, weight in cues:
                self.votes[kind] += weight
            worth = _worth(sentence, mention) + 1.0 / (self.cues + 1) + 0.5 * bool(cues)
            if worth > self.best[0]:
                self.best = (worth, sentence.text)

    def introduce(self, title: str, sentences: list[Sentence]) -> None:
        """Take note that the document is about this entity."""
        if not self.mentions:
            self.mentions[0] = 1
        self.names[title, False] += 1
        for kind, weight in votes_of_definition(sentences[0]):
            self.votes[kind] += weight
        if self.best[0] < 1.0:
            opening = next((each.text for each in sentences[:8] if is_statement(each.text)), "")
            self.best = max(self.best, (0.5, opening))

    def entity(self, title: str) -> ExtractedEntity:
        """Sum up, under the document's own spelling of the name, or the title's."""
        name = title if title.islower() else self._name() or title or self.key
        for kind, weight in votes_of_name(name):
            self.votes[kind] += weight
        return ExtractedEntity(
            name=name,
            type=choose_type(self.votes),
            description=self.best[1],
            mentions=dict(sorted(self.mentions.items())),
        )

    def _name(self) -> str:
        """The most frequent spelling; a singular before plurals, and proof before chance."""
        own = {name: count for name, count in self.names.items() if entity_key(name[0]) == self.key}

        def rank(spelled: tuple[str, bool]) -> tuple[bool, bool, int, str]:
            name, opening = spelled
            last = words_of(name)[-1].text if words_of(name) else ""
            return last.casefold() == fold(last), not opening, own[spelled], name

        return max(own, key=rank)[0] if own else ""


def _worth(sentence: Sentence, mention: Mention) -> float:
    """How well a sentence describes what it mentions; below zero when it hardly stands alone."""
    if not is_statement(sentence.text):
        fragment = len(sentence.words) < 6 or len(sentence.text) > 500
        return -2.5 if fragment else -1.5
    worth = 0.3 * (60 <= len(sentence.text) <= 250)
    if mention.first <= 1:
        worth += 1.0
        after = sentence.words[mention.last].text if mention.last < len(sentence.words) else ""
        worth += 2.0 * (after in ("is", "was", "are", "were"))
    return worth
