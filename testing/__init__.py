"""A deterministic harness for tests of tasks: virtual time, one seed. See docs/testing.md."""

from __future__ import annotations

from .errors import (
    DeterminismUnavailable,
    HarnessError,
    NotDeterministic,
    PowerLost,
    PromiseBroken,
    ScenarioFailed,
    Stuck,
)
from .event_log import EventLog, LoggedEvent
from .explore import Exploration, explore, explore_crashes, replay, run_harness
from .faults import NO_FAULTS, Faults
from .harness import TaskHarness

__all__ = [
    "NO_FAULTS",
    "DeterminismUnavailable",
    "EventLog",
    "Exploration",
    "Faults",
    "HarnessError",
    "LoggedEvent",
    "NotDeterministic",
    "PowerLost",
    "PromiseBroken",
    "ScenarioFailed",
    "Stuck",
    "TaskHarness",
    "explore",
    "explore_crashes",
    "replay",
    "run_harness",
]
