"""README.md: what it shows runs as it stands, what it names is there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cortex_tasks.cli.commands import parser

from .documents import LIMIT, ROOT, Block, Place, blocks

README = (ROOT / "README.md").read_text(encoding="utf-8")
START_SERVER = """\
export CORTEX_TASKS_API_KEY="$(cortex-tasks keys create --name reader)"
export CORTEX_TASKS_URL="http://127.0.0.1:$CORTEX_TASKS_PORT"
cortex-tasks serve > data/server.log 2>&1 &
curl -s --retry 30 --retry-delay 1 --retry-connrefused "$CORTEX_TASKS_URL/health" > /dev/null
"""


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_the_example_prints_what_its_comment_says(loop: str, tmp_path: Path) -> None:
    text = blocks("README.md", "python")[0].text
    if loop == "trio":  # as the example's last comment says
        text = text.replace("anyio.run(main) ", 'anyio.run(main, backend="trio") ')
    (tmp_path / "example.py").write_text(text)
    ended = subprocess.run(
        [sys.executable, "-W", "error", "example.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"print(await handle.result())   # {ended.stdout.strip()}" in text
    assert (tmp_path / "data" / "tasks").is_dir()


def test_the_test_that_it_shows_passes(tmp_path: Path) -> None:
    _, shown = blocks("README.md", "python")
    (tmp_path / "test_shown.py").write_text(shown.text)
    for more in ([], ["-p", "no:anyio"]):  # whoever runs async tests
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-W", "error", *more, "test_shown.py"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        assert (ended.returncode, "1 passed" in ended.stdout) == (0, True), ended.stdout


def test_the_make_targets_are_there() -> None:
    [commands] = [block for block in blocks("README.md", "bash") if block.text.startswith("make")]
    named = set(re.findall(r"\bmake (\w+)", commands.text + README))
    targets = set(re.findall(r"^(\w+):.*  ## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"serve", "test", "demo"} <= named <= targets


def test_the_tours_over_http_and_on_the_command_line_run(
    anyio_backend: str, tmp_path: Path
) -> None:
    tours = [block for block in blocks("README.md", "bash") if not block.text.startswith("make")]
    assert [tour.heading for tour in tours] == ["Over HTTP", "On the command line"]
    place = Place(tmp_path, anyio_backend)
    _, over_http, on_command_line = place.run([Block("", "bash", START_SERVER), *tours])
    uploaded = json.JSONDecoder().raw_decode(over_http)[0]
    assert (uploaded["filename"], uploaded["status"]) == ("Unix.md", "pending")
    assert '"task_id": "task_' in over_http
    assert len(re.findall(r"^task_\w+  completed  ", on_command_line, re.MULTILINE)) == 4
    assert "Members: " in on_command_line


def test_every_file_that_the_readme_and_the_quickstart_link_to_is_there() -> None:
    quickstart = (ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8")
    for text, folder in ((README, ROOT), (quickstart, ROOT / "docs")):
        for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", text):
            assert (folder / target).exists(), target


def test_every_command_that_the_documents_name_is_one() -> None:
    shown = parser().format_help()
    for document in ("README.md", "docs/quickstart.md"):
        for command in re.findall(r"\bcortex-tasks ([a-z]+)", (ROOT / document).read_text()):
            assert re.search(rf"^    {command}\b", shown, re.MULTILINE), command
