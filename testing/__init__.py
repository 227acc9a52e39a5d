"""A deterministic harness for tests of tasks: virtual time, one seed. See docs/testing.md."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .errors import (
        DeterminismUnavailable,
        HarnessError,
        LeftRunning,
        NotDeterministic,
        PowerLost,
        PromiseBroken,
        ScenarioFailed,
        Stuck,
    )
    from .event_log import EventLog, LoggedEvent
    from .exploring import Exploration, explore, explore_crashes, replay, run_harness
    from .faults import NO_FAULTS, Faults
    from .harness import TaskHarness

__all__ = [
    "NO_FAULTS",
    "DeterminismUnavailable",
    "EventLog",
    "Exploration",
    "Faults",
    "HarnessError",
    "LeftRunning",
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

# Where each name is to be found. It is looked up when it is first asked for, as in the face of the
# package: the pytest plugin beside it is loaded in every run of pytest.
_PUBLIC = {
    "errors": (
        "DeterminismUnavailable",
        "HarnessError",
        "LeftRunning",
        "NotDeterministic",
        "PowerLost",
        "PromiseBroken",
        "ScenarioFailed",
        "Stuck",
    ),
    "event_log": ("EventLog", "LoggedEvent"),
    "exploring": ("Exploration", "explore", "explore_crashes", "replay", "run_harness"),
    "faults": ("NO_FAULTS", "Faults"),
    "harness": ("TaskHarness",),
}
_HOME = {name: home for home, names in _PUBLIC.items() for name in names}


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(f".{home}", __name__), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
