"""How strongly two entities belong together: the weights of the graph that Leiden divides.

A flat count of co-mentions puts nearly everything in one community. What two entities share
counts less in a crowded chunk, and only as far as they meet more often than chance would have it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..model import Relation
from .meetings import Crowds, Numbers
from .reporting import Report, silent

Edge = tuple[str, str, float]
Weights = NDArray[np.float64]

# A relationship of weight 10 and confidence 1 counts as much as this many undisturbed meetings.
RELATION_SHARE = 1.0
DIGITS = 9  # of a weight; the last ones of a sum depend on its order
LEAST = 1e-9


@dataclass(frozen=True, slots=True)
class Ties:
    """The edges of a graph, each once, sorted; weights are finite and positive."""

    names: list[str]  # of the nodes, sorted; some may have no edge
    first: Numbers  # positions in `names`
    second: Numbers  # > first
    weights: Weights

    def edges(self) -> list[Edge]:
        """The edges by the names of their ends, the lesser first."""
        ends = zip(self.first.tolist(), self.second.tolist(), self.weights.tolist(), strict=True)
        return [(self.names[a], self.names[b], weight) for a, b, weight in ends]


def ties_between(edges: Iterable[Edge]) -> Ties:
    """Give edges as ties. Their order and direction do not matter, and parallel ones add up.

    Loops are left out, and edges whose weight is not finite and positive.
    """
    kept = [(a, b, weight) for a, b, weight in edges if a != b and 0.0 < weight < float("inf")]
    names = sorted({name for a, b, _ in kept for name in (a, b)})
    return _ties(names, *_placed(names, kept))


def edge_weights(
    mentions: Mapping[str, Sequence[int]],
    chunk_count: int,
    relations: Iterable[Relation] = (),
    *,
    report: Report = silent,
) -> Ties:
    """Weigh the ties between the entities of a library.

    A co-mention in a chunk of k entities weighs 1/(k-1), times the positive normalised pointwise
    mutual information of the pair. A relationship adds its weight times its confidence.
    Relationships whose ends are not in `mentions` are left out.
    """
    crowds = Crowds(mentions, chunk_count)
    total = len(crowds) + 1
    met = [_summed(_NONE, _NO_WEIGHTS)]
    for done, found in crowds.meetings():
        pairs = found.first * len(crowds.names) + found.second
        met.append(_summed(pairs, 1.0 / (found.sizes - 1)))
        reached = min(chunk_count, int(found.chunks.max(initial=0)) + 1)
        report(done, total, f"Weighing ties: {reached} of {chunk_count} chunks")
    pairs, times, shares = (np.concatenate(parts) for parts in zip(*met, strict=True))
    pairs, times, shares = _summed(pairs, shares, times)
    first, second = np.divmod(pairs, max(1, len(crowds.names)))
    counts = crowds.chunk_counts
    shares = shares * npmi(times, counts[first], counts[second], chunk_count)
    said = _placed(crowds.names, _shares(relations, mentions))
    both = zip((first, second, shares), said, strict=True)
    ties = _ties(crowds.names, *map(np.concatenate, both))
    report(total, total, f"Weighed {len(ties.weights)} ties")
    return ties


def npmi(together: Numbers, a: Numbers, b: Numbers, total: int) -> Weights:
    """Positive normalised pointwise mutual information, 0-1, of two things seen in chunks.

    1 when one is never without the other; 0 when they meet as often as chance has it, or less.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        information = np.log(together * (total / (a * b))) / -np.log(together / total)
    information = np.where(together >= total, 1.0, information)
    return np.clip(np.where(together > 0, information, 0.0), 0.0, None)


_NONE = np.zeros(0, dtype=np.int64)
_NO_WEIGHTS = np.zeros(0, dtype=np.float64)


def _shares(relations: Iterable[Relation], known: Mapping[str, object]) -> list[Edge]:
    return [
        (each.source, each.target, RELATION_SHARE * each.weight / 10 * each.confidence)
        for each in relations
        if each.source in known and each.target in known and each.source != each.target
    ]


def _placed(names: list[str], edges: list[Edge]) -> tuple[Numbers, Numbers, Weights]:
    """The ends of edges as positions, the lesser first, and their weights; in one order for all."""
    places = {name: at for at, name in enumerate(names)}
    ends = np.array([(places[a], places[b]) for a, b, _ in edges], dtype=np.int64).reshape(-1, 2)
    weights = np.array([weight for _, _, weight in edges], dtype=np.float64)
    first, second = ends.min(axis=1), ends.max(axis=1)
    order = np.lexsort((weights, second, first))
    return first[order], second[order], weights[order]


def _ties(names: list[str], first: Numbers, second: Numbers, weights: Weights) -> Ties:
    pairs, _, totals = _summed(first * len(names) + second, weights)
    totals = np.round(totals, DIGITS)
    kept = np.isfinite(totals) & (totals > LEAST)
    first, second = np.divmod(pairs[kept], max(1, len(names)))
    return Ties(names, first, second, totals[kept])


def _summed(
    pairs: Numbers, weights: Weights, times: Numbers | None = None
) -> tuple[Numbers, Numbers, Weights]:
    """Each pair once, sorted, with how many times it was there and the sum of its weights."""
    order = np.argsort(pairs, kind="stable")
    pairs, weights = pairs[order], weights[order]
    times = np.ones_like(pairs) if times is None else times[order]
    begins = np.flatnonzero(np.diff(pairs, prepend=-1))
    if not len(begins):
        return pairs, times, weights
    return pairs[begins], np.add.reduceat(times, begins), np.add.reduceat(weights, begins)
