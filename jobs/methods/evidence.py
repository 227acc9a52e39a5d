"""What a collection says of two entities: the sentence that shows how they are related."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from ..model import Relation
from .linking import Linker, Mention
from .passages import Sentence, Spelling
from .phrases import Reading, read_between
from .relations import is_head, text_between
from .sentences import sentences_of
from .statements import is_statement
from .words import entity_key, stems_of, words_of

CHUNKS_READ = 12  # per pair; more would hardly show anything better
SENTENCES_COMPARED = 6  # per entity, when no sentence names both
LONGEST = 600  # characters of a description
NO_SPELLING = Spelling(())


class _Proof(NamedTuple):
    """A sentence that names both entities; the greater the better."""

    typed: bool
    statement: bool
    confidence: float
    shortness: int
    text: str
    reading: Reading


class Evidence:
    """The chunks of a collection, and which of them mention what."""

    def __init__(
        self,
        chunks: Sequence[str],
        mentions: Mapping[str, Sequence[int]],
        types: Mapping[str, str],
    ) -> None:
        self._chunks = chunks
        self._mentions = mentions
        self._types = types
        self._read: dict[int, list[Sentence]] = {}
        self._naming: dict[str, list[str]] = {}

    def relation(self, source: str, target: str, score: float) -> Relation:
        """Tell how the pair, whose candidate score is 0-1, is related.

        The type and direction are those that the best sentence naming both gives. Where there is
        none, they are RELATED_TO, and the description puts side by side the two sentences, one
        for each, that have most in common.
        """
        proof = self._proof(source, target)
        if proof is None:
            return _cross(source, target, "RELATED_TO", self._side_by_side(source, target), score)
        if proof.reading.reversed:
            source, target = target, source
        confidence = max(score, proof.confidence)
        return _cross(source, target, proof.reading.type, proof.text, score, confidence)

    def _proof(self, source: str, target: str) -> _Proof | None:
        shared = sorted(set(self._mentions[source]) & set(self._mentions[target]))[:CHUNKS_READ]
        linker = Linker()
        for name in (source, target):
            linker.add(name, cased=name.isupper())
        ends = {entity_key(name): self._types.get(name, "Concept") for name in (source, target)}
        proofs = [
            proof
            for chunk in shared
            for sentence in self._sentences(chunk)
            for proof in _proofs(sentence, linker.mentions(sentence, NO_SPELLING), ends)
        ]
        return max(proofs, default=None)

    def _side_by_side(self, source: str, target: str) -> str:
        """The two sentences, one naming each, that share most of their words."""
        best = max(
            (
                (len(set(stems_of(a)) & set(stems_of(b))), -len(a) - len(b), a, b)
                for a in self._sentences_naming(source)
                for b in self._sentences_naming(target)
            ),
            default=None,
        )
        if best is None:
            return f"{source} and {target} appear in similar contexts."
        _, _, a, b = best
        return a if a == b else f"{a} {b}"

    def _sentences_naming(self, name: str) -> list[str]:
        if name not in self._naming:
            linker = Linker()
            linker.add(name, cased=name.isupper())
            naming = [
                sentence.text
                for chunk in sorted(set(self._mentions[name]))[:CHUNKS_READ]
                for sentence in self._sentences(chunk)
                if len(sentence.text) <= LONGEST // 2 and linker.mentions(sentence, NO_SPELLING)
            ]
            naming.sort(key=lambda text: not is_statement(text))  # stable: reading order otherwise
            self._naming[name] = naming[:SENTENCES_COMPARED]
        return self._naming[name]

    def _sentences(self, chunk: int) -> list[Sentence]:
        if chunk not in self._read:
            self._read[chunk] = [
                Sentence(text, words_of(text), chunk) for text in sentences_of(self._chunks[chunk])
            ]
        return self._read[chunk]


def _proofs(sentence: Sentence, found: list[Mention], ends: Mapping[str, str]) -> Iterator[_Proof]:
    """How a sentence relates the two entities whose keys and types are `ends`, source first."""
    if len(sentence.text) > LONGEST:
        return
    source = next(iter(ends))
    for left, right in pairwise(found):
        if left.key == right.key:
            continue
        between, head = text_between(sentence, left, right), is_head(sentence, right)
        reading = read_between(between, ends[left.key], ends[right.key], head=head)
        if left.key != source:
            reading = reading._replace(reversed=not reading.reversed)
        statement = is_statement(sentence.text)
        named = reading.type != "RELATED_TO"
        shortness = -len(sentence.text)
        yield _Proof(named, statement, reading.confidence, shortness, sentence.text, reading)


def _cross(
    source: str, target: str, type_: str, description: str, score: float, confidence: float = 0.0
) -> Relation:
    named = 2.0 if type_ != "RELATED_TO" else 0.0
    return Relation(
        source=source,
        target=target,
        type=type_,
        description=description,
        weight=round(min(10.0, 10.0 * score + named), 2),
        confidence=round(min(1.0, max(confidence, 0.8 * score)), 3),
        extraction_method="cross_collection",
    )
