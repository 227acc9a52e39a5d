"""Which entities of a collection are related although no single text says so, and how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec
import numpy as np

from ..model import Relation
from .evidence import Evidence
from .meetings import Crowds, Numbers
from .neighbours import Neighbour, nearest
from .reporting import Report, share_of, silent

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
    mentions: Mapping[str, Sequence[int]],
    document_of: Sequence[int],
    *,
    report: Report = silent,
) -> dict[tuple[str, str], int]:
    """Count for each pair a < b the documents of which a chunk mentions both; at least two.

    `document_of` tells for each chunk its document. Entities that are in too many chunks to mean
    anything are left out, see meetings.too_common.
    """
    crowds = Crowds(mentions, len(document_of))
    documents = np.array(document_of, dtype=np.int64)
    met: list[tuple[Numbers, Numbers]] = []  # pairs, and the documents that they are in
    for done, found in crowds.meetings():
        pairs = found.first * len(crowds.names) + found.second
        met.append(_distinct(pairs, documents[found.chunks]))
        report(done, len(crowds), f"Comparing documents: {done} of {len(crowds)} mentions")
    if not met:
        return {}
    pairs, _ = _distinct(*map(np.concatenate, zip(*met, strict=True)))
    pairs, counts = np.unique(pairs, return_counts=True)
    often = counts >= FEWEST_DOCUMENTS
    first, second = np.divmod(pairs[often], len(crowds.names))
    ends = zip(first.tolist(), second.tolist(), counts[often].tolist(), strict=True)
    return {(crowds.names[a], crowds.names[b]): count for a, b, count in ends}


def _distinct(pairs: Numbers, documents: Numbers) -> tuple[Numbers, Numbers]:
    order = np.lexsort((documents, pairs))
    pairs, documents = pairs[order], documents[order]
    new = (np.diff(pairs, prepend=-1) != 0) | (np.diff(documents, prepend=-1) != 0)
    return pairs[new], documents[new]


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
    neighbours = nearest(chunks, mentions, PER_ENTITY, report=share_of(report, 0, 45))
    shared = shared_documents(mentions, document_of, report=share_of(report, 45, 50))
    candidates = propose(neighbours, shared, focus=focus)
    evidence, tell = Evidence(chunks, mentions, types), share_of(report, 50, 100)
    relations: list[Relation] = []
    for position, candidate in enumerate(candidates):
        if position % 50 == 0:
            read = f"Reading evidence: {position} of {len(candidates)} pairs"
            tell(position, len(candidates), read)
        relations.append(evidence.relation(candidate.source, candidate.target, candidate.score))
    report(100, 100, f"Related {len(relations)} pairs")
    return relations
