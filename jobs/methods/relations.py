"""Relationships of one document: what its sentences say of entities that stand side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

from ..model import ExtractedEntity, Relation
from .kinds import is_topic
from .lexicon import STOP_WORDS
from .linking import Mention
from .passages import Sentence, definition_start
from .phrases import RELATIONSHIP_TYPES, Reading, read_between

__all__ = ["RELATIONSHIP_TYPES", "is_head", "relations_in", "text_between"]

# Of a document's subject and something that it mentions, with no sentence naming both.
UNLINKED = 0.2
# A document with more chunks has more subjects than its title's.
ONE_SUBJECT = 30
POSSESSIVES = ("'s", "’s")


def relations_in(
    sentences: list[Sentence],
    mentions: list[list[Mention]],
    entities: Mapping[str, ExtractedEntity],
    subject: str = "",
) -> list[Relation]:
    """Give the relationships between entities that stand side by side in some sentence.

    `subject`, the key of what the document is about, is understood where a sentence leaves it
    out. One relationship per ordered pair and type, strongest evidence as its description; two that
    are related in some named way are not also RELATED_TO.
    """
    subject = subject if subject in entities else ""
    evidence: dict[tuple[str, str, str], list[tuple[float, str]]] = {}
    for sentence, found in zip(sentences, mentions, strict=True):
        named = found
        if subject:
            named = with_subject(sentence, found, subject, defines=sentence is sentences[0])
        for source, target, reading in _readings(sentence, named, entities):
            ends = (source, target)
            if reading.type == "RELATED_TO" and (target, source, "RELATED_TO") in evidence:
                ends = (target, source)
            seen = evidence.setdefault((*ends, reading.type), [])
            seen.append((reading.confidence, sentence.text))
    for source, target, text in _unlinked(sentences, mentions, subject):
        evidence.setdefault((source, target, "RELATED_TO"), []).append((UNLINKED, text))
    typed = {frozenset(pair) for *pair, type_ in evidence if type_ != "RELATED_TO"}
    return [
        _relation(entities[source].name, entities[target].name, type_, seen)
        for (source, target, type_), seen in evidence.items()
        if type_ != "RELATED_TO" or frozenset((source, target)) not in typed
    ]


def with_subject(
    sentence: Sentence, found: list[Mention], subject: str, *, defines: bool
) -> list[Mention]:
    """The mentions, and before them the subject of "It was written by …".

    Where the sentence `defines` the subject, also that of "A tool that …": a mention of no words.
    """
    start = definition_start(sentence)
    opening = sentence.words[start].text.casefold() if start < len(sentence.words) else ""
    if opening == "it":
        implied = Mention(subject, start, start + 1)
    elif defines and opening in ("a", "an", "the"):
        implied = Mention(subject, start, start)
    else:
        return found
    before = [mention for mention in found if mention.last <= start]
    after = [mention for mention in found if mention.first >= implied.last]
    named = any(mention.key == subject for mention in after)
    return found if named else [*before, implied, *after]


def _unlinked(
    sentences: list[Sentence], mentions: list[list[Mention]], subject: str
) -> Iterator[tuple[str, str, str]]:
    """For each chunk that never names the subject, the subject and what the chunk names first."""
    chunks: dict[int, list[tuple[Mention, str]]] = {}
    for sentence, found in zip(sentences, mentions, strict=True):
        chunks.setdefault(sentence.chunk, []).extend((each, sentence.text) for each in found)
    if not subject or len(chunks) > ONE_SUBJECT:
        return
    for found_there in chunks.values():
        if found_there and all(mention.key != subject for mention, _ in found_there):
            mention, text = found_there[0]
            yield subject, mention.key, text


def _readings(
    sentence: Sentence, found: list[Mention], entities: Mapping[str, ExtractedEntity]
) -> Iterator[tuple[str, str, Reading]]:
    """The relationships of adjacent mentions, as source, target and what was read."""
    said: tuple[str, Reading] | None = None  # the last key of which something was said, and what
    for left, right in pairwise(found):
        if left.key == right.key:
            continue
        between, head = text_between(sentence, left, right), is_head(sentence, right)
        types = entities[left.key].type, entities[right.key].type
        reading = read_between(between, *types, head=head)
        if said and said[0] != right.key:
            subject, before = said
            alike = before if types[0] == types[1] else None
            more = _read_on(between, alike, reading, (entities[subject].type, types[1]), head=head)
            if more is not None:
                yield subject, right.key, more
                continue
        if reading.reversed:
            said = None
            yield right.key, left.key, reading
        else:
            said = (left.key, reading) if reading.type != "RELATED_TO" else None
            yield left.key, right.key, reading


def _read_on(
    between: str, alike: Reading | None, reading: Reading, types: tuple[str, str], *, head: bool
) -> Reading | None:
    """What is said of an earlier subject too: "uses Alpha, Beta and Gamma and runs on Delta".

    `alike` is what was said before, where this mention may be one more of the same.
    """
    rest = between.strip().removeprefix(",").strip()
    if rest in ("", "and", "or"):
        return alike and alike._replace(confidence=round(alike.confidence - 0.1, 3))
    if rest.startswith("and ") and reading.type == "RELATED_TO":
        more = read_between(rest.removeprefix("and"), *types, head=head)
        if more.type != "RELATED_TO" and not more.reversed:
            return more
    return None


def text_between(sentence: Sentence, left: Mention, right: Mention) -> str:
    """What stands between two mentions; a possessive of the first belongs to it.

    A mere "…" where the first only opens the sentence: "Unlike a worm, a virus …" says nothing of
    a worm.
    """
    if left.first == left.last:  # the headword of a dictionary: what it is follows
        opening = sentence.words[left.first].start
        return f"is {sentence.text[opening : sentence.words[right.first].start]}"
    last = sentence.words[left.last - 1]
    start = last.end - 2 if last.text.endswith(POSSESSIVES) else last.end
    between = sentence.text[start : sentence.words[right.first].start]
    return "…" if between.startswith(",") and is_topic(sentence, left) else between


def is_head(sentence: Sentence, mention: Mention) -> bool:
    """Whether no noun follows that the mention only qualifies."""
    words = sentence.words
    if words[mention.last - 1].text.endswith((*POSSESSIVES, "'", "’")):
        return False
    if mention.last >= len(words) or sentence.gap(mention.last) not in (" ", "-", "/"):
        return True
    return words[mention.last].text.casefold() in STOP_WORDS


def _relation(source: str, target: str, type_: str, seen: list[tuple[float, str]]) -> Relation:
    confidence, description = max(seen, key=lambda each: (each[0], -len(each[1])))
    repeated = len(seen) - 1
    return Relation(
        source=source,
        target=target,
        type=type_,
        description=description,
        weight=weigh(type_, confidence, repeated),
        confidence=round(min(0.99, confidence + 0.05 * repeated), 3),
        extraction_method="per_chunk",
    )


def weigh(type_: str, confidence: float, repeated: int) -> float:
    """A weight of 0-10: what is named weighs more, and what is said again more still."""
    start = 1.0 if type_ == "RELATED_TO" else 3.0
    return round(min(10.0, start + 3.0 * confidence + 1.0 * repeated), 2)
