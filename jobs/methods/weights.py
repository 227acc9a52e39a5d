"""How strongly two entities belong together: the weights of the graph that Leiden divides.

A flat count of co-mentions puts nearly everything in one community. What two entities share
counts less in a crowded chunk, and only as far as they meet more often than chance would have it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

from ..model import Relation

Edge = tuple[str, str, float]

# An entity in more than this share of the chunks says nothing about any of them ...
COMMON_SHARE = 0.02
# ... but in a small library 2 % is a handful, and the subject itself would go. So nothing counts
# as common below this many chunks: the rule begins to bite at 2,500 chunks.
COMMON_AT_LEAST = 50
RAREST = 40  # entities per chunk that make edges; a chunk with more is a list
# A relationship of weight 10 and confidence 1 counts as much as this many undisturbed meetings.
RELATION_SHARE = 1.0


def too_common(chunk_count: int) -> float:
    """An entity in more chunks than this makes no co-mention edges."""
    return max(COMMON_AT_LEAST, COMMON_SHARE * chunk_count)


def co_mentions(
    mentions: Mapping[str, Sequence[int]], chunk_count: int
) -> Iterable[tuple[int, list[str]]]:
    """Give each chunk with the entities in it that may make edges: the rarest, sorted by name.

    `mentions` gives for every entity the chunks that mention it. Common entities are left out.
    """
    limit = too_common(chunk_count)
    by_chunk: dict[int, list[str]] = {}
    for name in sorted(mentions):
        chunks = set(mentions[name])
        if len(chunks) <= limit:
            for chunk in chunks:
                by_chunk.setdefault(chunk, []).append(name)
    for chunk in sorted(by_chunk):
        names = by_chunk[chunk]
        if len(names) > RAREST:
            names = sorted(sorted(names, key=lambda name: (len(mentions[name]), name))[:RAREST])
        yield chunk, names


def edge_weights(
    mentions: Mapping[str, Sequence[int]],
    chunk_count: int,
    relations: Iterable[Relation] = (),
) -> list[Edge]:
    """Give the weighted edges of the graph: a < b in every edge, sorted, weights finite and > 0.

    A co-mention in a chunk of k entities weighs 1/(k-1), times the positive normalised pointwise
    mutual information of the pair. A relationship adds its weight times its confidence.
    Relationships whose ends are not in `mentions` are left out.
    """
    met: Counter[tuple[str, str]] = Counter()
    shares: dict[tuple[str, str], list[float]] = {}
    for _, names in co_mentions(mentions, chunk_count):
        for pair in combinations(names, 2):
            met[pair] += 1
            shares.setdefault(pair, []).append(1.0 / (len(names) - 1))
    weights: dict[tuple[str, str], list[float]] = {}
    for pair, together in met.items():
        a, b = (len(set(mentions[name])) for name in pair)
        factor = npmi(together, a, b, chunk_count)
        weights[pair] = [math.fsum(shares[pair]) * factor]
    for relation in relations:
        if relation.source in mentions and relation.target in mentions:
            pair = _pair(relation.source, relation.target)
            share = RELATION_SHARE * relation.weight / 10 * relation.confidence
            weights.setdefault(pair, []).append(share)
    totals = ((pair, math.fsum(sorted(parts))) for pair, parts in sorted(weights.items()))
    return [
        (a, b, round(weight, 9))
        for (a, b), weight in totals
        if a != b and math.isfinite(weight) and weight > 1e-9
    ]


def npmi(together: int, a: int, b: int, total: int) -> float:
    """Positive normalised pointwise mutual information, 0-1, of two things seen in chunks.

    1 when one is never without the other; 0 when they meet as often as chance has it, or less.
    """
    if not together:
        return 0.0
    if together >= total:
        return 1.0
    information = math.log(together * total / (a * b))
    return max(0.0, information / -math.log(together / total))


def _pair(a: str, b: str) -> tuple[str, str]:
    return (a, b) if a < b else (b, a)
