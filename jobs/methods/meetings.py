"""Which entities meet in which chunks: every pair of every chunk, in arrays, a batch at a time.

A large library has tens of millions of meetings: too many for a Python object each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]

# An entity in more than this share of the chunks says nothing about any of them ...
COMMON_SHARE = 0.02
# ... but in a small library 2 % is a handful, and the subject itself would go. So nothing counts
# as common below this many chunks: the rule begins to bite at 2,500 chunks.
COMMON_AT_LEAST = 50
RAREST = 40  # entities per chunk that meet each other; a chunk with more is a list
BATCH = 100_000  # mentions; bounds memory, at RAREST meetings each at the most


class Meetings(NamedTuple):
    """Some meetings, each pair of entities once for each chunk; a chunk is in one batch only."""

    first: Numbers  # an entity, by its position in Crowds.names
    second: Numbers  # another, > first
    chunks: Numbers
    sizes: Numbers  # how many entities the chunk has that meet: >= 2


class Crowds:
    """Who may meet whom: for each chunk the rarest entities in it, common ones left out.

    `mentions` gives for every entity the chunks that mention it, in any order.
    """

    def __init__(self, mentions: Mapping[str, Sequence[int]], chunk_count: int) -> None:
        self.names = sorted(mentions)
        found = [np.unique(np.array(mentions[name], dtype=np.int64)) for name in self.names]
        self.chunk_counts: Numbers = np.array([len(each) for each in found], dtype=np.int64)
        telling = np.flatnonzero(self.chunk_counts <= too_common(chunk_count))
        entities = np.repeat(telling, self.chunk_counts[telling])
        chunks = np.concatenate([found[at] for at in telling] or [self.chunk_counts])
        rare_first = np.lexsort((entities, self.chunk_counts[entities], chunks))
        kept = rare_first[_positions(chunks[rare_first]) < RAREST]
        kept = kept[np.lexsort((entities[kept], chunks[kept]))]
        self._entities, self._chunks = entities[kept], chunks[kept]

    def __len__(self) -> int:
        """How many mentions there are to go through."""
        return len(self._chunks)

    def meetings(self) -> Iterator[tuple[int, Meetings]]:
        """Give all meetings, chunk by chunk, and with each batch how many mentions are done."""
        done = 0
        while done < len(self):
            last = self._chunks[min(done + BATCH, len(self)) - 1]
            end = int(np.searchsorted(self._chunks, last, side="right"))
            yield end, _meetings(self._entities[done:end], self._chunks[done:end])
            done = end


def too_common(chunk_count: int) -> float:
    """An entity in more chunks than this meets nobody."""
    return max(COMMON_AT_LEAST, COMMON_SHARE * chunk_count)


def _positions(chunks: Numbers) -> Numbers:
    """For each mention, how many of the same chunk stand before it; equal chunks side by side."""
    at = np.arange(len(chunks))
    begins = np.flatnonzero(np.diff(chunks, prepend=-1))
    return at - np.repeat(begins, np.diff(np.append(begins, len(chunks))))


def _meetings(entities: Numbers, chunks: Numbers) -> Meetings:
    _, sizes = np.unique(chunks, return_counts=True)
    sizes = np.repeat(sizes, sizes)
    apart = [  # the mention at `at`, with the one that stands `distance` after it
        (at, at + distance)
        for distance in range(1, RAREST)
        for at in [np.flatnonzero(chunks[:-distance] == chunks[distance:])]
    ]
    left = np.concatenate([at for at, _ in apart])
    right = np.concatenate([at for _, at in apart])
    return Meetings(entities[left], entities[right], chunks[left], sizes[left])
