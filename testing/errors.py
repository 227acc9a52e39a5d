"""What the harness raises, named by whose fault it is.

HarnessError
├── DeterminismUnavailable     this interpreter or event loop cannot be made to replay a run
├── NotDeterministic           a body took time, chance or threads from elsewhere than its context
├── LeftRunning                a body has ended, and a task that it gave to asyncio runs on
├── Stuck                      everyone waits or somebody spins, and no time will ever pass again
├── PromiseBroken              the engine did not keep one of its promises
└── ScenarioFailed             `explore` found a seed with which the scenario fails
PowerLost (an EngineNotRunning)   the engine was gone before it could answer
"""

from __future__ import annotations

from ..engine.errors import EngineNotRunning


class HarnessError(Exception):
    """Root of the harness's own errors; the text is for a person to act on."""


class DeterminismUnavailable(HarnessError):
    """What the harness must take hold of is not there (any more); the text names it."""


class NotDeterministic(HarnessError):
    """A task's own code asked the world outside: which call, which task, where.

    `call` is what was called, `through` the library's function that did it for the task (or ""),
    `task_id` and `task_type` whose code it was, `where` the file and the line.
    """

    def __init__(
        self, call: str, *, through: str, task_id: str, task_type: str, where: str, instead: str
    ) -> None:
        by_way = f" (through {through})" if through else ""
        super().__init__(
            f"{call}{by_way} was called by {task_id} of type {task_type!r} at {where}: "
            f"a run with it cannot be replayed. Use {instead}."
        )
        self.call = call
        self.through = through
        self.task_id = task_id
        self.task_type = task_type
        self.where = where


class LeftRunning(HarnessError):
    """A body has ended, and what it had asyncio run without a group goes on: a task
    (create_task), or the end of an async generator that the body left before its end.

    No engine can wait for that, or stop it. `task_id` is whose it is.
    """

    def __init__(
        self, task_id: str, *, attempt: int, status: str, what: str, is_generator: bool
    ) -> None:
        if is_generator:
            said = (
                f"the async generator {what}, which attempt {attempt} of its body left before its "
                "end, is still being closed: nobody waits for that or stops it. Close it where it "
                f"is used: async with contextlib.aclosing({what.rpartition('.')[2]}(…)) as …"
            )
        else:
            said = (
                f"{what}, which attempt {attempt} of its body gave to asyncio (create_task, "
                "ensure_future), still runs: nobody waits for it or stops it. Start it in a task "
                "group (anyio.create_task_group, asyncio.TaskGroup)."
            )
        super().__init__(f"{task_id} is {status}, but {said}")
        self.task_id = task_id


class Stuck(HarnessError):
    """Everyone waits, or somebody spins, and no timer is set; or virtual time is over its limit."""


class PromiseBroken(HarnessError, AssertionError):
    """The engine did not keep a promise: a bug in cortex-tasks or in the backend, not in a task."""


class ScenarioFailed(HarnessError, AssertionError):
    """A scenario failed under one seed; the text ends with the line that replays it.

    `seed` is that seed, `replay` the line, `events` what had happened; the cause is the failure.
    """

    def __init__(self, text: str, *, seed: int, replay: str, events: str) -> None:
        super().__init__(text)
        self.seed = seed
        self.replay = replay
        self.events = events


class PowerLost(EngineNotRunning):
    """The power failed before the engine answered: what was asked may have been kept or not."""
