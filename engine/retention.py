"""Which final tasks are old enough to go."""

from __future__ import annotations

from datetime import datetime, timedelta

from .catalogue import Catalogue


def expired(
    catalogue: Catalogue,
    now: datetime,
    *,
    max_age: timedelta | None,
    max_count: int | None = None,
    at_most: int = 1_000,
) -> tuple[str, ...]:
    """Give ids of final tasks beyond the age or the count, the longest ended first."""
    surplus = 0 if max_count is None else catalogue.ended_count - max_count
    found: list[str] = []
    for number, record in enumerate(catalogue.ended()):
        ended_at = record.completed_at
        too_old = max_age is not None and ended_at is not None and now - ended_at > max_age
        if len(found) == at_most or not (too_old or number < surplus):
            break
        found.append(record.id)
    return tuple(found)
