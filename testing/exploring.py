"""Running scenarios without a test framework: once, under many seeds, and one seed again."""

from __future__ import annotations

import importlib.util
import itertools
import logging
import math
import os
import shlex
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import anyio

from ..engine.errors import EngineNotRunning, StorageError, TaskEnded
from ..engine.registry import TaskType
from .arguments import check_not_given
from .errors import HarnessError, ScenarioFailed
from .event_log import EventLog
from .faults import NO_FAULTS, Faults
from .harness import TaskHarness

T = TypeVar("T")

Scenario = Callable[[TaskHarness], Awaitable[object]]

# Set to a number, it is the only seed that anything runs with: `explore` and the pytest fixture.
SEED_VARIABLE: Final = "CORTEX_TASKS_SEED"
# Set by the pytest plugin: the way from where pytest was started to where names of tests begin.
ROOT_VARIABLE: Final = "CORTEX_TASKS_PYTEST_ROOT"
_LAST_LINES = 60  # of the log, in the text of a failure
_ANOTHER_WAY = (
    "This seed, run once more, went another way: something decides that the harness does not see "
    "(docs/testing.md: what the watch cannot see).\n\n"
)
_EXCUSED = (EngineNotRunning, StorageError, TaskEnded)  # when they come of a fault


def forced_seed() -> int | None:
    """The seed that is to be replayed, if any (CORTEX_TASKS_SEED, `pytest --harness-seed`)."""
    text = os.environ.get(SEED_VARIABLE, "").strip()
    try:
        return int(text) if text else None
    except ValueError:
        raise HarnessError(f"{SEED_VARIABLE} must be a whole number, not {text!r}") from None


def default_loop() -> str:
    """Trio where it is installed, else asyncio."""
    return "trio" if importlib.util.find_spec("trio") else "asyncio"


def run_harness(
    scenario: Callable[[TaskHarness], Awaitable[T]],
    *task_types: TaskType[Any, Any],
    seed: int = 0,
    loop: str | None = None,
    **options: Any,
) -> T:
    """Run `await scenario(harness)` in a harness, in an event loop of its own; give its result.

    loop: "trio" or "asyncio" (None: trio where it is installed). options: as for TaskHarness.
    """

    async def main() -> T:
        async with TaskHarness(*task_types, seed=seed, **options) as harness:
            return await scenario(harness)

    return _run(main, loop)


@dataclass
class Exploration:
    """What an exploration has run through."""

    runs: int = 0
    distinct: int = 0  # how many of the runs had an event log like no other before
    steps: int = 0  # of the engine and its bodies
    jumps: int = 0  # of the virtual time
    crashes: int = 0
    injected: dict[str, int] = field(default_factory=dict)  # how often each fault happened
    _digests: set[str] = field(default_factory=set, repr=False)

    def add(self, harness: TaskHarness) -> None:
        """Count a run that is over."""
        self.runs += 1
        self.steps += harness.steps
        self.jumps += harness.jumps
        self.crashes += sum(event.what == "crash" for event in harness.events)
        for name, count in harness.injected.items():
            self.injected[name] = self.injected.get(name, 0) + count
        self._digests.add(harness.events.digest)
        self.distinct = len(self._digests)


def explore(
    scenario: Scenario,
    *task_types: TaskType[Any, Any],
    seeds: Iterable[int] = range(1000),
    faults: Faults = NO_FAULTS,
    check: Scenario | None = None,
    finish: bool = True,
    loop: str | None = None,
    **options: Any,
) -> Exploration:
    """Run `await scenario(harness)` once for each seed, and hold the engine to its promises.

    Each run goes through four phases: the scenario, with faults; then calm: no more faults, an
    engine that a fault has left useless is started again, and after a fault paused types are
    resumed, because the scenario's own resume may have been refused; with `finish`, time passes
    until no task is pending or running; then `check(harness)`, and all promises. After a fault, a
    crash or a restart a scenario may end by EngineNotRunning, StorageError, TaskFailed or
    TaskCancelled: its caller was a victim, and the run goes on.

    Raises ScenarioFailed for the first seed that fails, with the fewest kinds of faults with which
    it still fails, and with one line that replays it. That seed is run once more, to say so if it
    does not repeat itself (not if it is the one that was asked for). Starts event loops of its own:
    call it from a plain function. Logging is off meanwhile; `replay` has it on.

    Raises ValueError if nothing came to be tried: there is no seed, or no run came to `crash_at`.
    """
    check_not_given(options, "seed", "explore(..., seeds=[3]), or replay(..., seed=3)")
    forced = forced_seed()
    exploration = Exploration()
    with _no_logging():
        for seed in seeds if forced is None else [forced]:
            run = _Run(scenario, task_types, seed, faults, check, finish, loop, options)
            error = run.go()
            if error is not None:
                smallest = run.smallest(error)
                raise smallest.failure(again=forced is None) from error
            exploration.add(run.harness)
    _check_tried(exploration, options.get("crash_at", 0))
    return exploration


def _check_tried(exploration: Exploration, crash_at: int) -> None:
    """Raise ValueError if what was asked for did not happen once."""
    if not exploration.runs:
        raise ValueError(
            "seeds= holds no seed, so nothing was run and nothing is shown: give some, as "
            "seeds=range(1000) (a generator gives its seeds only once)"
        )
    if crash_at and "crash" not in exploration.injected:
        raise ValueError(
            f"crash_at={crash_at} comes too late: no run had so many steps, so the power never "
            "failed (explore_crashes has it fail after each step that there is)"
        )


def explore_crashes(
    scenario: Scenario,
    *task_types: TaskType[Any, Any],
    seed: int = 0,
    check: Scenario | None = None,
    finish: bool = True,
    loop: str | None = None,
    **options: Any,
) -> Exploration:
    """Run the scenario again and again under one seed: the power fails after the engine's first
    step, after its second, … until a run comes to its end before. As `explore` in all else.
    """
    for name in ("seeds", "faults", "crash_at"):
        check_not_given(options, name, "explore_crashes has one seed, and a crash at every step")
    exploration = Exploration()
    with _no_logging():
        for crash_at in itertools.count(1):
            given = {**options, "crash_at": crash_at}
            run = _Run(scenario, task_types, seed, NO_FAULTS, check, finish, loop, given)
            error = run.go()
            if error is not None:
                raise run.failure(again=True) from error
            exploration.add(run.harness)
            if "crash" not in run.harness.injected:
                break
    return exploration


def replay(
    scenario: Scenario,
    *task_types: TaskType[Any, Any],
    seed: int,
    faults: Faults = NO_FAULTS,
    check: Scenario | None = None,
    finish: bool = True,
    loop: str | None = None,
    **options: Any,
) -> EventLog:
    """Run one seed exactly as `explore` did; raises what failed, as it was. Gives the log."""
    run = _Run(scenario, task_types, seed, faults, check, finish, loop, options)
    error = run.go()
    if error is not None:
        raise error
    return run.harness.events


@dataclass
class _Run:
    """One seed of an exploration."""

    scenario: Scenario
    task_types: tuple[TaskType[Any, Any], ...]
    seed: int
    faults: Faults
    check: Scenario | None
    finish: bool
    loop: str | None
    options: dict[str, Any]
    error: Exception | None = None

    def go(self) -> Exception | None:
        """Run it; gives what failed."""
        self.harness = TaskHarness(
            *self.task_types, seed=self.seed, faults=self.faults, **self.options
        )
        try:
            _run(self._main, self.loop)
        except Exception as error:  # noqa: BLE001  what failed is what this is about
            self.error = error
        return self.error

    async def _main(self) -> None:
        async with self.harness as harness:
            try:
                await self.scenario(harness)
            except Exception as error:
                if not (harness.disturbed and _is_excused(error)):
                    raise
            harness.calm()
            await harness.recover()
            if harness.disturbed:
                for name in sorted(harness.paused):
                    await harness.resume(name)
            if self.finish:
                await harness.run_until_idle()
            if self.check is not None:
                await self.check(harness)

    def smallest(self, error: Exception) -> _Run:
        """Leave out kinds of faults, one after the other, as long as it fails in the same way."""
        smallest = self
        for name in self.faults.names:
            fewer = smallest.faults.only(*(set(smallest.faults.names) - {name}))
            trial = _Run(**{**_fields(self), "faults": fewer})
            if type(trial.go()) is type(error):
                smallest = trial
        return smallest

    def failure(self, *, again: bool) -> ScenarioFailed:
        """Say it all: the seed, what failed, what had happened, and how to see it again.

        again: run it once more, and say so if it then goes another way.
        """
        events = self.harness.events
        shown = events[-_LAST_LINES:]
        left_out = (
            f"({len(events) - len(shown)} lines before)\n" if len(shown) < len(events) else ""
        )
        faults = f" and {self.faults!r}" if self.faults.names else ""
        what = "; ".join(_said_by(self.error)) if self.error else "nothing failed"
        text = (
            f"seed {self.seed}{faults}: {what}\n\n"
            f"{left_out}{shown}\n\n{_ANOTHER_WAY if again and not self._repeats() else ''}"
            f"Replay it with:\n    {self._line()}"
        )
        return ScenarioFailed(text, seed=self.seed, replay=self._line(), events=str(events))

    def _repeats(self) -> bool:
        again = _Run(**_fields(self))
        failed = type(again.go()) is type(self.error)
        return failed and again.harness.events == self.harness.events

    def _line(self) -> str:
        test = os.environ.get("PYTEST_CURRENT_TEST")
        if test is not None and "crash_at" not in self.options:
            hashes = os.environ.get("PYTHONHASHSEED", "random")
            fixed = "" if hashes == "random" else f"PYTHONHASHSEED={hashes} "
            asked = shlex.quote(_from_here(test.rpartition(" ")[0]))
            return f"{fixed}pytest {asked} --harness-seed={self.seed}"
        given = [_name(self.scenario), *map(_name, self.task_types), f"seed={self.seed}"]
        given += [f"faults={self.faults!r}"] if self.faults.names else []
        given += [f"check={_name(self.check)}"] if self.check else []
        given += [] if self.finish else ["finish=False"]
        given += [f"loop={self.loop!r}"] if self.loop else []
        given += [f"{name}={_shown(value)}" for name, value in self.options.items()]
        line = f"replay({', '.join(given)})"
        return f"import datetime; {line}" if "datetime." in line else line


def _from_here(test: str) -> str:
    """The name of a test for who starts pytest in the same folder once more."""
    file, colons, inside = test.partition("::")
    root = os.environ.get(ROOT_VARIABLE, "")
    return os.path.normpath(Path(root, file)) + colons + inside


def _is_excused(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_excused, error.exceptions))
    return isinstance(error, _EXCUSED)


def _said_by(error: BaseException) -> Iterator[str]:
    """The errors, without the groups that they come in."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _said_by(inner)
    else:
        yield f"{type(error).__name__}: {error}"


def _fields(run: _Run) -> dict[str, Any]:
    names = "scenario task_types seed faults check finish loop options".split()
    return {name: getattr(run, name) for name in names}


def _name(named: Any) -> str:
    return str(getattr(named, "__qualname__", named)).rpartition(".")[2]


def _shown(value: Any) -> str:
    """An option as it is written in Python."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"float('{value}')"
    return _name(value) if callable(value) else repr(value)


def _run(main: Callable[[], Awaitable[T]], loop: str | None) -> T:
    try:
        return anyio.run(main, backend=loop or default_loop())
    except RuntimeError as error:
        if "lready running" in str(error):
            raise HarnessError(
                "this starts an event loop of its own: call it from a plain function, or use "
                "`async with TaskHarness(...)`"
            ) from error
        raise


@contextmanager
def _no_logging() -> Iterator[None]:
    disabled = logging.root.manager.disable
    logging.disable()
    try:
        yield
    finally:
        logging.disable(disabled)
