"""docs/testing.md: what it shows is run as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .documents import LIMIT, ROOT, blocks

PAGE = "docs/testing.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of somebody else's, with the files of the page."""
    place = tmp_path_factory.mktemp("project")
    (place / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    for block in blocks(PAGE, "python"):
        named = re.match(r"# (\w+\.py)\n", block.text)
        assert named is not None, block.text
        (place / named[1]).write_text(block.text)
    return place


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{folder}"},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


@pytest.mark.parametrize("mode", ["anyio_mode=auto", "trio_mode=true", "anyio_mode=strict"])
def test_its_tests_pass_whoever_runs_them(folder: Path, mode: str) -> None:
    tests = re.findall(r"^(async )?def (test_\w+)", (ROOT / PAGE).read_text(), re.MULTILINE)
    asynchronous = [name for keyword, name in tests if keyword]
    plugin = ("-p", "cortex_tasks.testing.plugin", "-p", "no:cacheprovider")
    if mode == "anyio_mode=auto":  # which runs the async ones on each loop
        chosen, number = "", len(tests) + len(asynchronous)
    else:  # the others take seconds, and do not depend on it
        chosen, number = " or ".join(asynchronous), len(asynchronous)
    ended = run(folder, "-m", "pytest", "-q", "-o", mode, "-k", chosen, *plugin)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"{number} passed" in ended.stdout


def test_its_program_without_pytest_prints_the_same_twice(folder: Path) -> None:
    ended = run(folder, "-W", "error", "walk.py")
    assert (ended.stdout, ended.stderr) == ("sent at 15:30\n" * 2, "")


def test_its_exploration_fails_with_the_words_on_the_page(folder: Path) -> None:
    [shown] = [block.text for block in blocks(PAGE, "text") if "ScenarioFailed" in block.text]
    environment = {name: text for name, text in os.environ.items() if "PYTEST" not in name}
    ended = subprocess.run(
        [sys.executable, "find.py"],
        cwd=folder,
        env={**environment, "PYTHONPATH": f"{ROOT}:{folder}"},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert f"cortex_tasks.testing.errors.{shown}" in ended.stderr


def test_the_line_that_it_prints_shows_the_failure_again(folder: Path) -> None:
    [shown] = [block.text for block in blocks(PAGE, "text") if "ScenarioFailed" in block.text]
    line = shown.strip().splitlines()[-1].strip()
    program = f"from bank import *\nfrom cortex_tasks.testing import replay\n{line}"
    ended = run(folder, "-c", program)
    assert ended.returncode == 1
    assert "AssertionError: a deposit is lost" in ended.stderr
