"""Entities that are spoken of in the same words: nearest neighbours over TF-IDF of their contexts.

An entity's context is the chunks that mention it, without the words of its own name: two entities
are near because of what is said of them, not because they are called alike.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.sparse import csr_array, diags_array

from .reporting import Report, silent
from .words import stems_of

Neighbour = tuple[str, str, float]  # a < b, and how near they are: 0-1

# A block of this many entities is compared with all at once; bounds memory.
BLOCK = 256
# A stem in more than this share of the chunks parts nothing from anything.
FREQUENT_SHARE = 0.3
FREQUENT_AT_LEAST = 20
LEAST = 0.05  # less is chance


def nearest(
    chunks: Sequence[str],
    mentions: Mapping[str, Sequence[int]],
    k: int,
    *,
    report: Report = silent,
) -> list[Neighbour]:
    """Give the pairs in which one entity is among the `k` nearest of the other.

    An entity that is never mentioned without the other is not near it: their contexts are not
    alike, they are the same.

    `mentions` gives for every entity the positions in `chunks` that mention it. Nearest first,
    each pair once; the order of `mentions` does not matter. Memory is bounded by the block size,
    time grows with the square of the number of entities.
    """
    names = sorted(name for name in mentions if mentions[name])
    total = len(chunks) + len(names)
    if not names or k < 1:
        return []
    places = _places(names, mentions, len(chunks))
    vectors = _vectors(names, *_terms(chunks, total, report), places)
    pairs: dict[tuple[str, str], float] = {}
    transposed, other_places = vectors.T.tocsc(), places.T.tocsc()
    counts = np.diff(places.indptr)
    for start in range(0, len(names), BLOCK):
        report(len(chunks) + start, total, f"Comparing entities: {start} of {len(names)}")
        block = (vectors[start : start + BLOCK] @ transposed).toarray()
        shared = (places[start : start + BLOCK] @ other_places).toarray()
        smaller = np.minimum(counts[start : start + BLOCK, None], counts[None, :])
        block[shared >= smaller] = 0.0  # also every entity with itself
        for row, name in enumerate(names[start : start + BLOCK]):
            for other, similarity in _best(block[row], k):
                pair = (name, names[other]) if name < names[other] else (names[other], name)
                pairs[pair] = similarity
    report(total, total, f"Compared {len(names)} entities")
    return sorted(
        ((a, b, similarity) for (a, b), similarity in pairs.items()),
        key=lambda each: (-each[2], each[0], each[1]),
    )


def _best(similarities: np.ndarray, k: int) -> list[tuple[int, float]]:
    """The `k` largest, equals by position. Rounded: the last digits depend on the block."""
    rounded = np.minimum(np.round(similarities, 6), 1.0)
    order = np.argsort(-rounded, kind="stable")[:k]
    return [(int(at), float(rounded[at])) for at in order if rounded[at] >= LEAST]


def _terms(chunks: Sequence[str], total: int, report: Report) -> tuple[csr_array, dict[str, int]]:
    """The stems of every chunk as rows of counts, and the columns of the stems."""
    columns: dict[str, int] = {}
    starts: list[int] = [0]
    indices: list[int] = []
    counts: list[int] = []
    for position, chunk in enumerate(chunks):
        if position % 200 == 0:
            report(position, total, f"Reading chunks: {position} of {len(chunks)}")
        for term, count in sorted(Counter(stems_of(chunk)).items()):
            indices.append(columns.setdefault(term, len(columns)))
            counts.append(count)
        starts.append(len(indices))
    shape = (len(chunks), len(columns))
    return csr_array((np.array(counts, dtype=np.float64), indices, starts), shape=shape), columns


def _places(names: list[str], mentions: Mapping[str, Sequence[int]], chunk_count: int) -> csr_array:
    """For each entity a row with a 1 for each chunk that mentions it."""
    starts: list[int] = [0]
    indices: list[int] = []
    for name in names:
        indices += sorted(set(mentions[name]))
        starts.append(len(indices))
    ones = np.ones(len(indices), dtype=np.float64)
    return csr_array((ones, indices, starts), shape=(len(names), chunk_count))


def _vectors(
    names: list[str], terms: csr_array, columns: dict[str, int], places: csr_array
) -> csr_array:
    """Each entity's context as a row of TF-IDF weights of length 1."""
    contexts = (places @ terms).tocsr()
    contexts.sort_indices()
    for row, name in enumerate(names):
        own = {columns[stem] for stem in stems_of(name) if stem in columns}
        cells = slice(contexts.indptr[row], contexts.indptr[row + 1])
        contexts.data[cells][np.isin(contexts.indices[cells], list(own))] = 0.0
    contexts.data = np.log1p(contexts.data)
    weighted = (contexts @ diags_array(_rarity(terms))).tocsr()
    lengths = np.sqrt((weighted.multiply(weighted)).sum(axis=1))
    lengths[lengths == 0.0] = 1.0
    return (diags_array(1.0 / lengths) @ weighted).tocsr()


def _rarity(terms: csr_array) -> np.ndarray:
    """The inverse document frequency of each stem; 0 for stems that are nearly everywhere."""
    chunk_count = terms.shape[0]
    frequency = np.bincount(terms.indices, minlength=terms.shape[1])
    rarity = np.array([math.log((1 + chunk_count) / (1 + count)) + 1.0 for count in frequency])
    rarity[frequency > max(FREQUENT_AT_LEAST, FREQUENT_SHARE * chunk_count)] = 0.0
    return rarity
