"""Folders whose names are not UTF-8: looked at, repaired and served like any other."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cortex_tasks.cli import main
from cortex_tasks.jobs.library import Library
from cortex_tasks.jobs.library.checking import LIBRARY_FILE

from .cli_process import serving
from .journal_setting import commit, complete, open_at, submit

JOURNAL = "journal-00000001.jsonl"


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    data = tmp_path / os.fsdecode(b"caf\xe9")
    try:
        data.mkdir()
    except OSError:
        pytest.skip("this file system has no names but UTF-8")
    journal = open_at(data / "tasks")
    commit(journal, [submit("task_a", 1), complete("task_b", 2)])
    journal.close()
    async with Library(data / LIBRARY_FILE) as library:
        await library.documents.add(b"Some words.", filename="a.txt")
    return data


@pytest.mark.anyio
@pytest.mark.parametrize("options", [(), ("--repair", "--accept-loss")])
@pytest.mark.parametrize("damaged", [False, True])
async def test_a_folder_whose_name_is_not_utf_8_is_checked_and_named(
    data: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], *, damaged: bool
) -> None:
    if damaged:
        path = data / "tasks" / JOURNAL
        path.write_bytes(path.read_bytes().replace(b"task_b", b"task_x"))
    sound = bool(options) or not damaged
    assert main(["doctor", str(data), *options, "--json"]) == (0 if sound else 1)
    found = json.loads(capsys.readouterr().out)
    assert (found["sound"], found["folder"]) == (sound, str(data.parent / r"caf\xe9" / "tasks"))
    assert main(["doctor", str(data), *options]) == (0 if sound else 1)
    assert str(data.parent / r"caf\xe9" / "tasks") in capsys.readouterr().out


@pytest.mark.anyio
async def test_a_folder_whose_name_is_not_utf_8_is_served(anyio_backend: str, data: Path) -> None:
    with serving(data, CORTEX_TASKS_LOOP=anyio_backend) as (_, said, _):
        assert r"caf\xe9" in said
