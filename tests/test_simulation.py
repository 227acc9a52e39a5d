"""Thousands of different days of a busy engine, all of its troubles included."""

from __future__ import annotations

from typing import Literal

import pytest

from cortex_tasks.testing import explore

from .simulation import FAULTS, TYPES, all_ended, busy
from .torture import FULL, count

SEEDS = 25_000 if FULL else 750  # on each loop and each storage


@pytest.mark.parametrize("storage", ["memory", "json"])
@pytest.mark.parametrize("loop", ["trio", "asyncio"])
def test_a_busy_engine_keeps_every_promise_whatever_goes_wrong(
    loop: str, storage: Literal["memory", "json"]
) -> None:
    found = explore(
        busy,
        *TYPES,
        seeds=range(SEEDS),
        faults=FAULTS,
        check=all_ended,
        loop=loop,
        storage=storage,
        watch=False,  # these bodies ask nobody; it would take a third of the time
    )
    count("seeds of the simulation", found.runs)
    count("faults in the simulation", sum(found.injected.values()))
    count("lives of an engine in the simulation", found.runs + found.crashes)
    if found.runs == SEEDS:  # not one that is replayed
        assert set(found.injected) == set(FAULTS.names)
        # With a disk that is full at first, all that any client asks for is refused.
        assert found.distinct > 0.96 * found.runs
        assert found.crashes > found.runs / 3
