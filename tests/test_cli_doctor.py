"""`cortex-tasks doctor`: says what is in a folder, whatever that is, and mends after a copy."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cortex_tasks.backends.json_backend import JsonBackend
from cortex_tasks.cli import main
from cortex_tasks.http.keys import KeyStore
from cortex_tasks.jobs.library import Library
from cortex_tasks.jobs.library.checking import LIBRARY_FILE
from tests.journal_setting import complete, submit

JOURNAL = "journal-00000001.jsonl"
LARGE = b'"' + b"x" * 20_000 + b'"'


@pytest.fixture
async def tasks(tmp_path: Path) -> Path:
    """Two commits, a result in a file of its own."""
    backend = JsonBackend(tmp_path / "data" / "tasks")
    await backend.open()
    await backend.commit([submit("task_a", 1), submit("task_b", 2)])
    await backend.commit([complete("task_a", 3, LARGE)])
    await backend.close()
    return tmp_path / "data" / "tasks"


def look(tasks: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    code = main(["doctor", str(tasks.parent), *options])
    out, err = capsys.readouterr()
    return code, out + err


def content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.anyio
async def test_a_sound_folder_is_counted_and_not_changed(
    tasks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = content(tasks)
    code, said = look(tasks, capsys)
    assert code == 0
    assert "2 tasks, 2 commits" in said
    assert json.loads(look(tasks, capsys, "--json")[1])["sound"] is True
    assert content(tasks) == before


@pytest.mark.anyio
async def test_a_torn_tail_is_mended_after_a_copy(
    tasks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (tasks / JOURNAL).read_bytes()
    torn = whole + b'{"n":3,"crc'
    (tasks / JOURNAL).write_bytes(torn)
    code, said = look(tasks, capsys)
    assert code == 1
    assert "11 bytes" in said
    assert (tasks / JOURNAL).read_bytes() == torn

    assert look(tasks, capsys, "--repair")[0] == 0
    assert (tasks / JOURNAL).read_bytes() == whole
    [copy] = tasks.parent.glob("tasks.before-repair-*")
    assert (copy / JOURNAL).read_bytes() == torn


@pytest.mark.anyio
async def test_what_is_left_over_is_mended_after_a_copy(
    tasks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    orphan = tasks / "results" / "task_z.9.json"
    orphan.write_bytes(b"1")
    code, said = look(tasks, capsys)
    assert code == 1
    assert str(orphan) in said
    assert look(tasks, capsys, "--repair")[0] == 0
    assert not orphan.exists()
    [copy] = tasks.parent.glob("tasks.before-repair-*")
    assert (copy / "results" / orphan.name).read_bytes() == b"1"


@pytest.mark.anyio
async def test_a_damaged_line_is_named_and_never_repaired(
    tasks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tasks / JOURNAL).write_bytes((tasks / JOURNAL).read_bytes().replace(b"task_b", b"task_c"))
    before = content(tasks)
    assert "tasks: tasks not counted, " in look(tasks, capsys)[1]
    for options in ((), ("--repair",)):
        code, said = look(tasks, capsys, *options)
        assert code == 1
        assert f"{JOURNAL}, line 2" in said
    after = content(tasks)
    assert {path: after[path] for path in before if path.name != "lock"} == {
        path: data for path, data in before.items() if path.name != "lock"
    }


@pytest.mark.anyio
async def test_a_changed_result_is_found(tasks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = tasks / "results" / "task_a.3.json"
    result.write_bytes(LARGE.replace(b"x", b"y"))
    code, said = look(tasks, capsys)
    assert code == 1
    assert str(result) in said


@pytest.mark.anyio
async def test_beside_a_server_it_looks_but_does_not_repair(
    tasks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backend = JsonBackend(tasks)
    await backend.open()
    try:
        code, said = look(tasks, capsys)
        assert code == 0
        assert "A server has it open" in said
        code, said = look(tasks, capsys, "--repair")
        assert code == 1
        assert "already open" in said
    finally:
        await backend.close()


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["pipe", "link", "folder", "junk", "deep"])
async def test_whatever_stands_in_place_of_a_journal_is_told(
    tasks: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    path = tasks / "journal-00000002.jsonl"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_bytes(os.urandom(5000) if kind == "junk" else b"[" * 100_000)
    for options in ((), ("--repair",), ("--repair", "--accept-loss")):
        code, said = look(tasks, capsys, *options)
        # Bytes that say nothing can be set aside. What is no file of bytes nobody touches.
        set_aside = "--accept-loss" in options and kind in {"junk", "deep"}
        assert code == (0 if set_aside else 1)
        assert str(path) in said


def test_what_is_no_data_folder_is_refused_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", str(tmp_path)]) == 1
    assert main(["doctor", str(tmp_path / "missing")]) == 1
    said = capsys.readouterr().err
    assert "holds no tasks" in said
    assert "is not a folder" in said


@pytest.mark.anyio
async def test_a_link_in_place_of_the_lock_is_not_followed(
    tasks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    other.write_text("of somebody else")
    (tasks / "lock").unlink()
    (tasks / "lock").symlink_to(other)
    for options in ((), ("--repair",)):
        code, said = look(tasks, capsys, *options)
        assert code == 1
        assert str(tasks / "lock") in said
    assert other.read_text() == "of somebody else"


@pytest.mark.anyio
async def test_an_unknown_file_is_named_and_does_no_harm(
    tasks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tasks / "notes.txt").write_text("mine")
    code, said = look(tasks, capsys)
    assert code == 0
    assert f"unknown: {tasks / 'notes.txt'}" in said


DAMAGED_KEYS = [b"", b"{", b"[]", b"\xff\xfe", b'{"format": 99, "keys": []}']


@pytest.mark.anyio
@pytest.mark.parametrize("content", DAMAGED_KEYS)
async def test_a_file_of_keys_that_cannot_be_read_is_named(
    tasks: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (tasks.parent / "keys.json").write_bytes(content)
    code, said = look(tasks, capsys)
    assert code == 1
    assert "keys.json" in said
    assert "It is not sound." in said


@pytest.mark.anyio
async def test_keys_and_a_library_that_are_sound_are_not_changed(
    tasks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    KeyStore.in_folder(tasks.parent).create("one")
    async with Library(tasks.parent / LIBRARY_FILE) as library:
        await library.documents.add(b"Some words.", filename="a.txt")
        assert look(tasks, capsys)[0] == 0  # beside the one who writes to it
    before = content(tasks.parent)
    assert look(tasks, capsys)[0] == 0
    assert content(tasks.parent) == before


@pytest.mark.anyio
async def test_a_library_that_is_damaged_or_none_is_named(
    tasks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tasks.parent / LIBRARY_FILE
    async with Library(path) as library:
        for number in range(50):
            text = f"Some words of {number}. " * 200
            await library.documents.add(text.encode(), filename=f"{number}.txt")
    whole = path.read_bytes()
    torn = bytearray(whole)
    torn[len(whole) // 2 : len(whole) // 2 + 20_000] = b"\xa5" * 20_000
    other = tasks.parent / "other.sqlite"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE t (x)")
        connection.commit()
    for damaged in (bytes(torn), whole[: len(whole) // 2], b"no database", other.read_bytes()):
        path.write_bytes(damaged)
        code, said = look(tasks, capsys)
        assert code == 1
        assert LIBRARY_FILE in said
    path.unlink()
    os.mkfifo(path)
    code, said = look(tasks, capsys)
    assert code == 1
    assert "no ordinary file" in said
