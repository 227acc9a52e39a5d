"""The pytest plugin: the `task_harness` fixture, `--harness-seed`, and the seed of what failed.

Loaded in every run of pytest where cortex-tasks is installed, so it imports next to nothing until
the fixture is used. Async tests are run by whichever plugin runs them (anyio's, pytest-trio); those
that use the fixture and that nobody else runs, by this one.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ..engine.registry import TaskType
    from .harness import TaskHarness

# As in exploring.py, which is not to be imported here.
_SEED_VARIABLE = "CORTEX_TASKS_SEED"
_ROOT_VARIABLE = "CORTEX_TASKS_PYTEST_ROOT"
_IN_A_FIXTURE = (
    "enter the harness in the test itself (`async with task_harness(...) as harness:`), or in an "
    "async context manager that the test enters; not in a fixture: the test may run in another "
    "task or event loop than the fixture, and nobody could end it there when it is stuck"
)
_previous = pytest.StashKey[dict[str, str | None]]()
_harnesses = pytest.StashKey[list["TaskHarness"]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The one option."""
    group = parser.getgroup("cortex-tasks", "cortex-tasks: tests of background tasks")
    group.addoption(
        "--harness-seed",
        type=int,
        default=None,
        metavar="SEED",
        help="run every task_harness and every explore() with this one seed, to replay a failure",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Tell `explore` by variables, which child processes see too: the seed, and where the names of
    tests begin, seen from where pytest was started.
    """
    here = config.invocation_params.dir
    told = {_ROOT_VARIABLE: os.path.relpath(config.rootpath, here)}
    seed = config.getoption("--harness-seed")
    if seed is not None:
        told[_SEED_VARIABLE] = str(seed)
    config.stash[_previous] = {name: os.environ.get(name) for name in told}
    os.environ.update(told)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Put the variables back."""
    for name, previous in config.stash[_previous].items():
        if previous is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = previous


class HarnessMaker:
    """What the fixture gives: `async with task_harness(remind) as harness:`."""

    def __init__(self, made: list[TaskHarness]) -> None:
        self._made = made

    def __call__(
        self, *task_types: TaskType[Any, Any], seed: int = 0, **options: Any
    ) -> TaskHarness:
        """Declare a harness, to be entered; see TaskHarness. `--harness-seed` overrules `seed`."""
        from .exploring import forced_seed  # noqa: PLC0415  see above
        from .harness import TaskHarness  # noqa: PLC0415  see above

        forced = forced_seed()
        harness = TaskHarness(*task_types, seed=seed if forced is None else forced, **options)
        harness.before_entering = _refuse_in_a_fixture
        self._made.append(harness)
        return harness


def _refuse_in_a_fixture() -> None:
    from .errors import HarnessError  # noqa: PLC0415  see above

    if os.environ.get("PYTEST_CURRENT_TEST", "").endswith("(setup)"):
        raise HarnessError(_IN_A_FIXTURE)


@pytest.fixture
def task_harness(request: pytest.FixtureRequest) -> HarnessMaker:
    """Makes harnesses: `async with task_harness(remind, seed=7) as harness:`.

    When the test fails, its report shows the seed and all that happened.
    """
    made = request.node.stash.setdefault(_harnesses, [])
    return HarnessMaker(made)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to the report of a failed test what its harnesses saw."""
    report = yield
    if call.when == "call" and report.failed:
        for harness in item.stash.get(_harnesses, []):
            report.sections.append((f"task harness, seed {harness.seed}", str(harness.events)))
    return report


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an async test that uses the fixture, where no other plugin has taken it."""
    test = pyfuncitem.obj
    if "task_harness" not in pyfuncitem.fixturenames or not inspect.iscoroutinefunction(test):
        return None
    import anyio  # noqa: PLC0415  see above

    from .exploring import default_loop  # noqa: PLC0415  see above

    given = {name: pyfuncitem.funcargs[name] for name in inspect.signature(test).parameters}

    async def run() -> None:
        await test(**given)

    anyio.run(run, backend=default_loop())
    return True
