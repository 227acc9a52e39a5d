"""Communities by the Leiden algorithm, the same ones in every process."""

from __future__ import annotations

import math

import msgspec
import numpy as np
from graspologic_native import leiden_csr
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from .reporting import Report, silent
from .weights import Ties

ALGORITHM = "leiden"
SEED = 20031229
ITERATIONS = 3
TRIALS = 5  # of which the best counts; a graph of more than LARGE edges gets one
LARGE = 200_000
STEPS = 3
# Modularity cuts a small graph into crumbs and cannot see small communities in a large one, so the
# resolution grows from 0.5 for a few hundred entities to 1.0 for some thousands. (Seen on 60 and on
# 2,300 articles: eight and forty communities that a reader would have made.)
COARSE, FINE = 0.5, 1.0
FEW, MANY = 500, 5000
# A community of fewer members than DETAIL, and SMALLER times fewer than the one that it is tied to
# most, is a detail of that one: often a single chunk whose entities appear nowhere else.
DETAIL, SMALLER = 10, 5


Labels = NDArray[np.int64]


class Partition(msgspec.Struct, frozen=True, kw_only=True):
    """Entities in disjoint communities."""

    communities: list[list[str]]  # largest first; in each the strongest member first
    modularity: float  # of the whole partition, before small communities are dropped
    algorithm: str


def detect(
    ties: Ties,
    *,
    min_size: int,
    seed: int = SEED,
    resolution: float | None = None,
    report: Report = silent,
) -> Partition:
    """Divide a weighted graph into communities of at least `min_size` members.

    A member's strength is the weight of its ties within its community. Without a `resolution` one
    is chosen to fit the size of the graph; higher gives more and smaller communities.
    """
    report(0, STEPS, "Building the graph")
    names, matrix = _matrix(ties)
    if not names:
        return Partition(communities=[], modularity=0.0, algorithm=ALGORITHM)
    report(1, STEPS, f"Dividing {len(names)} entities into communities")
    _, found = leiden_csr(
        matrix.indptr.astype(np.int64),
        matrix.indices.astype(np.int32),
        matrix.data.astype(np.float64),
        len(names),
        resolution=resolution or resolution_for(len(names)),
        iterations=ITERATIONS,
        seed=seed,
        trials=TRIALS if matrix.nnz <= 2 * LARGE else 1,
    )
    labels = np.array([found[node] for node in range(len(names))], dtype=np.int64)
    labels = _absorb_details(labels, matrix)
    report(2, STEPS, "Ranking members")
    communities = _ranked(names, labels, matrix)
    report(STEPS, STEPS, "Communities detected")
    return Partition(
        communities=[members for members in communities if len(members) >= min_size],
        modularity=round(_modularity(labels, matrix), 6),
        algorithm=ALGORITHM,
    )


def resolution_for(node_count: int) -> float:
    """The resolution that suits a graph of this size."""
    growth = math.log(max(node_count, FEW) / FEW) / math.log(MANY / FEW)
    return COARSE + (FINE - COARSE) * min(1.0, growth)


def _absorb_details(labels: Labels, matrix: csr_array) -> Labels:
    """Give tiny communities to the large ones that they hang on."""
    count = int(labels.max()) + 1
    sizes = np.bincount(labels, minlength=count)
    entries = matrix.tocoo()
    ties = coo_array(
        (entries.data, (labels[entries.row], labels[entries.col])), shape=(count, count)
    )
    ties = ties.tocsr()
    absorbed = np.arange(count)
    for small in range(count):
        row = slice(ties.indptr[small], ties.indptr[small + 1])
        others = [
            (-round(float(weight), 9), int(other))
            for other, weight in zip(ties.indices[row], ties.data[row], strict=True)
            if other != small
        ]
        if others:
            _, host = min(others)
            if sizes[small] < DETAIL and sizes[small] * SMALLER <= sizes[host]:
                absorbed[small] = host
    # A host is larger than what it absorbs, so following hosts meets no circle.
    for _ in range(3):
        absorbed = absorbed[absorbed]
    return absorbed[labels]


def _matrix(ties: Ties) -> tuple[list[str], csr_array]:
    """The nodes with an edge, sorted, and the symmetric matrix of their weights, rows sorted."""
    nodes = np.unique(np.concatenate((ties.first, ties.second)))
    first, second = np.searchsorted(nodes, ties.first), np.searchsorted(nodes, ties.second)
    rows, columns = np.concatenate((first, second)), np.concatenate((second, first))
    weights = np.concatenate((ties.weights, ties.weights))
    matrix = coo_array((weights, (rows, columns)), shape=(len(nodes), len(nodes))).tocsr()
    matrix.sort_indices()
    return [ties.names[node] for node in nodes.tolist()], matrix


def _ranked(names: list[str], labels: Labels, matrix: csr_array) -> list[list[str]]:
    """Members by strength in each community; communities by size, then by strongest member."""
    inside = matrix.tocoo()
    within = labels[inside.row] == labels[inside.col]
    strength = np.bincount(inside.row[within], weights=inside.data[within], minlength=len(names))
    members: dict[int, list[int]] = {}
    for node in range(len(names)):
        members.setdefault(int(labels[node]), []).append(node)
    ranked = [
        [
            names[node]
            for node in sorted(nodes, key=lambda node: (-round(float(strength[node]), 9), node))
        ]
        for nodes in members.values()
    ]
    return sorted(ranked, key=lambda group: (-len(group), group[0]))


def _modularity(labels: Labels, matrix: csr_array) -> float:
    """Newman's modularity at resolution 1, so that it compares across resolutions."""
    entries = matrix.tocoo()
    total = entries.data.sum()
    within = labels[entries.row] == labels[entries.col]
    degrees = np.bincount(labels[entries.row], weights=entries.data)
    return float(entries.data[within].sum() / total - ((degrees / total) ** 2).sum())
