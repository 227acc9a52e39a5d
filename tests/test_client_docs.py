"""docs/client.md: its programs run as they stand, and it names all that there is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cortex_tasks import client as package
from cortex_tasks.client import AsyncClient, ClientError, errors
from cortex_tasks.http.keys import KeyStore
from tests.cli_process import LIMIT, serving
from tests.documents import ROOT, blocks

PAGE = "docs/client.md"
TEXT = (ROOT / PAGE).read_text(encoding="utf-8")


def run(folder: Path, program: str, *words: str, url: str = "", key: str = "") -> str:
    (text,) = [each.text for each in blocks(PAGE, "python") if each.text.startswith(f"# {program}")]
    (folder / program).write_text(text)
    done = subprocess.run(
        [sys.executable, "-W", "error", str(folder / program), *words],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "CORTEX_TASKS_URL": url, "CORTEX_TASKS_API_KEY": key},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("loop", ["trio", "asyncio"])
def test_its_programs_run_against_a_server(tmp_path: Path, loop: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    key = KeyStore.in_folder(data).create("me")
    with serving(data, "--loop", loop) as (url, _, _):
        said = run(tmp_path, "blocking.py", url=url, key=key)
        assert "completed" in said
        assert re.search(r"^\d+ communities of 5 documents$", said, re.MULTILINE)
        said = run(tmp_path, "awaiting.py", loop, url=url, key=key)
        assert said.startswith("completed ")
        assert "document_processing" in said
        assert "cleaned up" in said


def test_its_test_without_a_network_gives_what_it_says(tmp_path: Path) -> None:
    assert run(tmp_path, "in_process.py") == "42\n"


def test_it_names_every_method_and_every_error() -> None:
    methods = {name for name in vars(AsyncClient) if not name.startswith("_")}
    named = set(re.findall(r"`(\w+)`", TEXT))
    assert methods - {"aclose", "url"} <= named
    kinds = {
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, ClientError)
    }
    assert kinds - {"Refused"} <= named
    assert kinds <= set(package.__all__)


def test_every_file_that_it_links_to_is_there() -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", TEXT):
        assert (ROOT / "docs" / target).exists(), target
