"""Which entities of a collection are related although no single text says so, and how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import combinations

import msgspec

from ..model import Relation
from .evidence import Evidence
from .neighbours import Neighbour, nearest
from .reporting import Report, silent
from .weights import co_mentions

# The score of a pair, 0-1: how alike their contexts are, and in how many documents they meet.
SIMILARITY_SHARE, DOCUMENTS_SHARE = 0.6, 0.4
MANY_DOCUMENTS = 4  # more meetings add nothing
FEWEST_DOCUMENTS = 2
LEAST_SIMILARITY = 0.25
PER_ENTITY = 10


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """Two entities that are probably related."""

    source: str  # < target
    target: str
    score: float  # 0-1
    similarity: float  # of their contexts: 0-1
    documents: int  # in which one chunk mentions both; 0 when fewer than FEWEST_DOCUMENTS


def shared_documents(
    mentions: Mapping[str, Sequence[int]], document_of: Sequence[int]
) -> dict[tuple[str, str], int]:
    """Count for each pair a < b the documents of which a chunk mentions both; at least two.

    `document_of` tells for each chunk its document. Entities that are in too many chunks to mean
    anything are left out, see weights.too_common.
    """
    met: dict[tuple[str, str], set[int]] = {}
    for chunk, names in co_mentions(mentions, len(document_of)):
        for pair in combinations(names, 2):
            met.setdefault(pair, set()).add(document_of[chunk])
    return {
        pair: len(documents)
        for pair, documents in sorted(met.items())
        if len(documents) >= FEWEST_DOCUMENTS
    }


def propose(
    neighbours: Iterable[Neighbour],
    shared: Mapping[tuple[str, str], int],
    *,
    per_entity: int = PER_ENTITY,
    focus: Collection[str] | None = None,
) -> list[Candidate]:
    """Give the best pairs, best first, with no entity in more than `per_entity` of them.

    With a `focus`, only pairs of which one end at least is in it.
    """
    similar = {(a, b): similarity for a, b, similarity in neighbours}
    scored = [
        _candidate(pair, similar.get(pair, 0.0), shared.get(pair, 0))
        for pair in similar.keys() | shared.keys()
        if pair in shared or similar[pair] >= LEAST_SIMILARITY
    ]
    used: Counter[str] = Counter()
    chosen: list[Candidate] = []
    for each in sorted(scored, key=lambda each: (-each.score, each.source, each.target)):
        ends = (each.source, each.target)
        if focus is not None and not any(end in focus for end in ends):
            continue
        if all(used[end] < per_entity for end in ends):
            chosen.append(each)
            used.update(ends)
    return chosen


def _candidate(pair: tuple[str, str], similarity: float, documents: int) -> Candidate:
    meeting = min(1.0, documents / MANY_DOCUMENTS)
    score = SIMILARITY_SHARE * similarity + DOCUMENTS_SHARE * meeting
    return Candidate(
        source=pair[0],
        target=pair[1],
        score=round(score, 6),
        similarity=similarity,
        documents=documents,
    )


def discover(
    chunks: Sequence[str],
    document_of: Sequence[int],
    mentions: Mapping[str, Sequence[int]],
    types: Mapping[str, str],
    *,
    focus: Collection[str] | None = None,
    report: Report = silent,
) -> list[Relation]:
    """Give the relationships of a whole collection that its texts support, best first.

    `document_of[i]` is the document of `chunks[i]`; `mentions` gives for each entity the chunks
    that mention it, `types` its type. One relationship per candidate pair. With a `focus` (the
    entities that are new or changed) only relationships of these. Pure and deterministic.
    """
    steps = 2 * (len(chunks) + len(mentions))

    def halfway(current: int, total: int, message: str) -> None:
        report(steps // 2 * current // max(1, total), steps, message)

    neighbours = nearest(chunks, mentions, PER_ENTITY, report=halfway)
    candidates = propose(neighbours, shared_documents(mentions, document_of), focus=focus)
    evidence = Evidence(chunks, mentions, types)
    relations: list[Relation] = []
    for position, candidate in enumerate(candidates):
        if position % 50 == 0:
            done = steps // 2 + steps // 2 * position // len(candidates)
            report(done, steps, f"Reading evidence: {position} of {len(candidates)} pairs")
        relations.append(evidence.relation(candidate.source, candidate.target, candidate.score))
    report(steps, steps, f"Related {len(relations)} pairs")
    return relations
