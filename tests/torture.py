"""How much of what could go on for ever is done: CORTEX_TASKS_TORTURE is a factor, or `full`."""

from __future__ import annotations

import os
import sys

from cortex_tasks.testing.power_cuts import Thoroughness

_ASKED = os.environ.get("CORTEX_TASKS_TORTURE", "1")
FULL = _ASKED == "full"

# Where the attacks on ourselves are: what `make torture` runs, with FULL.
ATTACKS = (
    "tests/test_simulation.py",
    "tests/test_exhaustive_core.py",
    "tests/test_kill_nine.py",
    "tests/test_kill_nine_engine.py",
    "tests/test_engine_random_decisions.py",
    "tests/test_testing_promises.py",
    "tests/test_http_hostile.py",
    "tests/test_wire_fuzz.py",
    "tests/test_http_crowds.py",
    "tests/test_soak.py",
    "tests/test_doctor_loss.py",
    "tests/test_journal_damage.py",
    "tests/test_journal_faults.py",
    "tests/test_journal_kill.py",
    "tests/test_journal_power_cuts.py",
)
FACTOR = 1_000_000.0 if FULL else float(_ASKED)

THOROUGHNESS = (
    Thoroughness(subsets=10, chosen=100, prefixes=60)
    if FULL
    else Thoroughness(subsets=6, chosen=round(2 * FACTOR), prefixes=round(2 * FACTOR))
)


def every(usual: int) -> int:
    """Of many cases, take each one whose number can be divided by this; in full, all."""
    return max(1, round(usual / FACTOR))


counted: dict[str, int] = {}  # what has been tried in this run; conftest.py says it at the end


def count(what: str, number: int) -> None:
    """Say that so many of these have been tried."""
    counted[what] = counted.get(what, 0) + number


if __name__ == "__main__":
    sys.stdout.write(" ".join(ATTACKS))
