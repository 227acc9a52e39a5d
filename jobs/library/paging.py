"""How much a single answer may hold."""

from __future__ import annotations

LARGEST_PAGE = 1000


def bounded(limit: int, offset: int = 0) -> tuple[int, int]:
    """Bring a page into what is served: 0 to LARGEST_PAGE rows, from row 0 to 2**53 on."""
    return max(0, min(limit, LARGEST_PAGE)), max(0, min(offset, 2**53))
