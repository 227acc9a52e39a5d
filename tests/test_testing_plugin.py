"""The pytest plugin: light where it is not used, at home beside anyio's and pytest-trio."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import cortex_tasks
import cortex_tasks.testing

LIMIT = 120
ROOT = Path(__file__).parent.parent

TESTS = """
import anyio
from cortex_tasks import TaskContext, task_type
from cortex_tasks.testing import explore

@task_type("nap")
async def nap(ctx: TaskContext, hours: int) -> int:
    await anyio.sleep(3600 * hours)
    return hours

async def test_naps(task_harness) -> None:
    async with task_harness(nap) as harness:
        handle = await harness.submit(nap, 5)
        await harness.advance(hours=5)
        assert harness.events.statuses(handle.id) == ["pending", "running", "completed"]
        print("ran on", harness.loop, "with seed", harness.seed)
"""
FAILING = """
async def test_fails(task_harness) -> None:
    async with task_harness(nap, seed=7) as harness:
        await harness.submit(nap, 5)
        await harness.advance(hours=1)
        assert harness.seed == "the one"
"""
EXPLORING = """
seen = []

async def scenario(harness) -> None:
    seen.append(harness.seed)
    assert harness.seed != 12

def test_explores() -> None:
    explore(scenario, nap, seeds=range(20))

def test_sees() -> None:
    print("seeds", seen)
"""


IN_A_FIXTURE = """
import pytest

@pytest.fixture
async def harness(task_harness):
    async with task_harness(nap) as entered:
        yield entered

@pytest.fixture
async def hours():
    await anyio.sleep(0)
    yield 3

async def test_waits_for_ever(harness) -> None:
    await anyio.Event().wait()

async def test_naps_for_hours(task_harness, hours) -> None:
    async with task_harness(nap) as harness:
        assert await harness.result(await harness.submit(nap, hours)) == hours
"""


def run_pytest(
    folder: Path, tests: str, *arguments: str, started_in: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run these tests as in a project of somebody else's, warnings being errors."""
    (folder / "test_naps.py").write_text(tests)
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "cortex_tasks.testing.plugin"),
            *("-p", "no:cacheprovider", "-rA", *arguments),
        ],
        cwd=started_in or folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )


@pytest.mark.parametrize(
    ("mode", "loops"),
    [
        ("anyio_mode=strict", ["trio"]),  # then nobody but the plugin runs it
        ("anyio_mode=auto", ["asyncio", "trio"]),
        ("trio_mode=true", ["trio"]),
    ],
)
def test_the_fixture_works_whoever_runs_async_tests(
    tmp_path: Path, mode: str, loops: list[str]
) -> None:
    ended = run_pytest(tmp_path, TESTS, "-o", mode)
    assert ended.returncode == 0, ended.stdout
    said = [line for line in ended.stdout.splitlines() if line.startswith("ran on")]
    assert said == [f"ran on {loop} with seed 0" for loop in loops]


def test_a_failed_test_shows_its_seed_and_all_that_happened(tmp_path: Path) -> None:
    ended = run_pytest(tmp_path, TESTS + FAILING)
    assert ended.returncode == 1
    assert "task harness, seed 7" in ended.stdout
    assert "     0.000  task_000001  running  nap #1 0% 'Running'" in ended.stdout
    assert ended.stdout.count("task_000001  running") == 1  # the test that passed shows nothing


def test_a_fixture_that_enters_it_is_told_to_leave_that_to_the_test(tmp_path: Path) -> None:
    ended = run_pytest(tmp_path, TESTS + IN_A_FIXTURE, "-o", "anyio_mode=auto")
    said = re.findall(
        "^E .*HarnessError: enter the harness in the test itself", ended.stdout, re.MULTILINE
    )
    assert len(said) == 2, ended
    assert "4 passed, 2 errors" in ended.stdout


def test_with_pytest_trio_a_fixture_may_enter_it(tmp_path: Path) -> None:
    ended = run_pytest(tmp_path, TESTS + IN_A_FIXTURE, "-o", "trio_mode=true")
    assert "cortex_tasks.testing.errors.Stuck: everyone waits" in ended.stdout
    assert "1 failed, 2 passed" in ended.stdout


def test_a_seed_can_be_given_for_all(tmp_path: Path) -> None:
    ended = run_pytest(tmp_path, TESTS, "--harness-seed=41")
    assert "ran on trio with seed 41" in ended.stdout


def test_the_line_of_a_failed_exploration_replays_it(tmp_path: Path) -> None:
    first = run_pytest(tmp_path, TESTS + EXPLORING)
    line = "pytest test_naps.py::test_explores --harness-seed=12"
    assert first.returncode == 1
    assert line in first.stdout
    again = run_pytest(tmp_path, TESTS + EXPLORING, "--harness-seed=12")
    assert again.returncode == 1
    assert "seeds [12]" in again.stdout


def test_the_line_is_good_where_pytest_was_started_though_that_is_not_the_root(
    tmp_path: Path,
) -> None:
    within = tmp_path / "within"
    within.mkdir()
    first = run_pytest(tmp_path, TESTS + EXPLORING, "../test_naps.py", started_in=within)
    (line,) = set(re.findall("^E? +pytest (.*)$", first.stdout, re.MULTILINE))
    assert line == "../test_naps.py::test_explores --harness-seed=12"
    again = run_pytest(tmp_path, TESTS + EXPLORING, *line.split(), started_in=within)
    assert "1 failed" in again.stdout, again


def test_where_it_is_not_used_it_loads_nothing_of_ours() -> None:
    program = (
        "import sys, cortex_tasks.testing.plugin\n"
        "print(*sorted(n for n in sys.modules if n.startswith('cortex_tasks')))\n"
        "print(*sorted({'anyio', 'msgspec', 'trio', 'hypothesis'} & sys.modules.keys()))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    ours, libraries = ended.stdout.splitlines()
    assert ours == "cortex_tasks cortex_tasks.testing cortex_tasks.testing.plugin"
    assert libraries == ""


@pytest.mark.parametrize("module", [cortex_tasks, cortex_tasks.testing], ids=["face", "testing"])
def test_every_public_name_is_found_when_it_is_asked_for(module: object) -> None:
    public = module.__all__  # type: ignore[attr-defined]
    assert all(getattr(module, name) is not None for name in public)
    assert set(public) <= set(dir(module))
    assert sorted(module._HOME) == sorted(public)  # type: ignore[attr-defined]
    source = Path(str(module.__file__)).read_text()  # type: ignore[attr-defined]
    shown_to_checkers = {
        alias.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
    }
    assert shown_to_checkers == set(public)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = module.nonsense  # type: ignore[attr-defined]
