"""LexRank: the sentences that most of the others are about."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .words import stems_of

Matrix = NDArray[np.float64]

DAMPING = 0.85
ROUNDS = 50
ALIKE = 0.1  # sentences less alike than this do not vote for each other


def similarities(sentences: Sequence[str]) -> Matrix:
    """How alike each two sentences are: the cosine of their TF-IDF vectors, 0-1.

    Time and memory grow with the square of their number: give it hundreds, not more.
    """
    counted = [Counter(stems_of(sentence)) for sentence in sentences]
    frequency = Counter(term for terms in counted for term in terms)
    columns = {term: column for column, term in enumerate(sorted(frequency))}
    vectors = np.zeros((len(sentences), max(1, len(columns))))
    for row, terms in enumerate(counted):
        for term, count in terms.items():
            rarity = math.log((1 + len(sentences)) / (1 + frequency[term])) + 1.0
            vectors[row, columns[term]] = (1.0 + math.log(count)) * rarity
    lengths = np.linalg.norm(vectors, axis=1)
    vectors /= np.where(lengths > 0.0, lengths, 1.0)[:, None]
    alike: Matrix = np.clip(vectors @ vectors.T, 0.0, 1.0)
    return alike


def centrality(alike: Matrix) -> list[float]:
    """How central each sentence is among the others: 1.0 for the most central."""
    if not len(alike):
        return []
    votes = np.where(alike >= ALIKE, alike, 0.0)
    np.fill_diagonal(votes, 0.0)
    totals = votes.sum(axis=1, keepdims=True)
    # A sentence like no other votes for all alike.
    shares = np.where(totals > 0.0, votes / np.where(totals > 0.0, totals, 1.0), 1.0 / len(votes))
    rank = np.full(len(votes), 1.0 / len(votes))
    for _ in range(ROUNDS):
        rank = (1.0 - DAMPING) / len(votes) + DAMPING * (rank @ shares)
    # Rounded: the last digits depend on the processor, and ties must not.
    return [round(float(each), 6) for each in rank / rank.max()]
