from __future__ import annotations

import json
import logging
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from cortex_tasks.backends.journal_format import make_line
from cortex_tasks.engine.errors import StorageCorrupt, StorageError
from cortex_tasks.engine.storage import Change, Drop
from tests.journal_setting import (
    ALWAYS,
    Stopped,
    StoppingFiles,
    abandon,
    commit,
    complete,
    kept_after,
    kept_by,
    open_at,
    same,
    submit,
)

COMMITS: list[list[Change]] = [
    [submit("task_1", 1, b'{"text":"a b c"}'), submit("task_2", 2, b"[2]")],
    [complete("task_1", 3, b'"' + b"x" * 200 + b'"')],
    [Drop("task_2", 4), submit("task_3", 5, '{"text":"é"}'.encode())],
]
JOURNAL = "journal-00000001.jsonl"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A journal that took COMMITS."""
    folder = tmp_path / "tasks"
    journal = open_at(folder)
    for changes in COMMITS:
        commit(journal, changes)
    journal.close()
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but the lock, which names its holder."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "lock"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def refusal(folder: Path) -> str:
    """The words of the refusal to open; nothing may have changed."""
    before = contents(folder)
    with pytest.raises(StorageCorrupt) as refused:
        open_at(folder)
    assert contents(folder) == before
    return str(refused.value)


def test_a_last_line_cut_at_any_byte_leaves_exactly_the_commits_before_it(folder: Path) -> None:
    whole = (folder / JOURNAL).read_bytes()
    last_line = whole.rindex(b"\n", 0, -1) + 1
    for length in range(last_line, len(whole)):
        (folder / JOURNAL).write_bytes(whole[:length])
        journal = open_at(folder)
        assert same(kept_by(journal), kept_after(COMMITS[:-1])), length
        commit(journal, COMMITS[-1])
        assert same(kept_by(journal), kept_after(COMMITS)), length
        journal.close()
        assert (folder / JOURNAL).read_bytes() == whole, length


@pytest.mark.parametrize("keep", [0, 1, 40, -1])
@pytest.mark.parametrize("zeros", [1, 5_000])
def test_a_hole_of_zeros_after_the_last_sync_is_cut(folder: Path, keep: int, zeros: int) -> None:
    whole = (folder / JOURNAL).read_bytes()
    last_line = whole.rindex(b"\n", 0, -1) + 1
    (folder / JOURNAL).write_bytes(whole[:last_line] + whole[last_line:][:keep] + b"\0" * zeros)
    journal = open_at(folder)
    assert same(kept_by(journal), kept_after(COMMITS[:-1]))
    journal.close()
    assert (folder / JOURNAL).read_bytes() == whole[:last_line]


def test_a_last_line_with_its_end_but_a_hole_in_its_middle_is_cut(folder: Path) -> None:
    whole = bytearray((folder / JOURNAL).read_bytes())
    whole[-60:-20] = b"\0" * 40
    (folder / JOURNAL).write_bytes(whole)
    journal = open_at(folder)
    assert same(kept_by(journal), kept_after(COMMITS[:-1]))
    journal.close()


def test_a_cut_is_logged_with_its_size_and_why_nothing_is_lost(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = folder / JOURNAL
    path.write_bytes(path.read_bytes()[:-9])
    last_line = path.read_bytes().rsplit(b"\n", 1)[1]
    with caplog.at_level(logging.WARNING):
        open_at(folder).close()
    [message] = [record.getMessage() for record in caplog.records]
    assert str(path) in message
    assert f"{len(last_line)} bytes" in message
    assert "nothing is lost" in message


def test_the_large_values_of_a_line_that_was_cut_are_removed(folder: Path) -> None:
    journal = open_at(folder)
    commit(journal, [complete("task_3", 6, b"[" + b"1," * 200 + b"1]")])
    journal.close()
    assert len(list((folder / "results").iterdir())) == 2
    path = folder / JOURNAL
    path.write_bytes(path.read_bytes()[:-1])
    (folder / "results" / "half.7.json.tmp").write_bytes(b"[1")
    (folder / "results" / "notes of somebody").write_bytes(b"?")
    journal = open_at(folder)
    assert same(kept_by(journal), kept_after(COMMITS))
    journal.close()
    names = {path.name for path in (folder / "results").iterdir()}
    assert names == {"task_1.3.json", "notes of somebody"}


@pytest.mark.parametrize("mask", [0x01, 0x80])
def test_a_flipped_bit_anywhere_is_refused(folder: Path, mask: int) -> None:
    whole = (folder / JOURNAL).read_bytes()
    for at in range(len(whole) - 1):
        flipped = bytearray(whole)
        flipped[at] ^= mask
        (folder / JOURNAL).write_bytes(flipped)
        with pytest.raises(StorageError):  # a flipped version number reads as a newer version
            open_at(folder)
        assert (folder / JOURNAL).read_bytes() == flipped
    # Of the very last byte the journal cannot tell whether a crash kept it from being written.
    (folder / JOURNAL).write_bytes(whole[:-1] + bytes([whole[-1] ^ mask]))
    journal = open_at(folder)
    assert same(kept_by(journal), kept_after(COMMITS[:-1]))
    journal.close()


@pytest.mark.parametrize("row", [2, 3, 4])
def test_a_damaged_line_is_named_with_its_row_and_byte(folder: Path, row: int) -> None:
    lines = (folder / JOURNAL).read_bytes().splitlines(keepends=True)
    lines[row - 1] = lines[row - 1].replace(b"word_count", b"word_coun!", 1)
    (folder / JOURNAL).write_bytes(b"".join(lines))
    words = refusal(folder)
    assert str(folder / JOURNAL) in words
    assert f"line {row} (byte {sum(map(len, lines[: row - 1]))})" in words
    assert "nothing was changed" in words


@pytest.mark.parametrize("row", [2, 3, 4])
def test_the_command_that_a_refusal_names_keeps_what_came_before_the_damage(
    folder: Path, row: int
) -> None:
    lines = (folder / JOURNAL).read_bytes().splitlines(keepends=True)
    lines[row - 1] = lines[row - 1].replace(b"word_count", b"word_coun!", 1)
    (folder / JOURNAL).write_bytes(b"".join(lines))
    command = re.search(r"head -n .*$", refusal(folder))
    assert command
    subprocess.run(command[0], shell=True, check=True)
    journal = open_at(folder)
    assert same(kept_by(journal), kept_after(COMMITS[: row - 2]))
    journal.close()


@pytest.mark.parametrize("change", ["a line missing", "a line twice", "two lines exchanged"])
def test_lines_that_do_not_follow_one_another_are_refused(folder: Path, change: str) -> None:
    header, one, two, three = (folder / JOURNAL).read_bytes().splitlines(keepends=True)
    lines = {
        "a line missing": [header, one, three],
        "a line twice": [header, one, one, two, three],
        "two lines exchanged": [header, two, one, three],
    }
    (folder / JOURNAL).write_bytes(b"".join(lines[change]))
    assert "of the history" in refusal(folder)


def test_a_whole_line_that_says_nothing_known_is_refused(folder: Path) -> None:
    journal = open_at(folder)
    batch = journal.prepare([submit("task_4", 6)])
    journal.close()
    line = json.loads(batch.line)
    line["changes"][0]["record"]["status"] = "dreaming"
    changes = json.dumps(line["changes"], separators=(",", ":")).encode()
    with (folder / JOURNAL).open("ab") as file:
        file.write(make_line(4, changes))
    assert "dreaming" in refusal(folder)


def compacted(folder: Path) -> tuple[Path, Path]:
    """Make the journal start with a snapshot; give that and the journal file after it."""
    journal = open_at(folder, compaction=ALWAYS)
    number = 6
    while not list(folder.glob("snapshot-*.jsonl")):
        commit(journal, [submit(f"task_{number}", number)])
        number += 1
    journal.close()
    journals = sorted(folder.glob("journal-*.jsonl"))
    return max(folder.glob("snapshot-*.jsonl")), journals[-1]


def test_a_damaged_snapshot_is_refused(folder: Path) -> None:
    snapshot, _ = compacted(folder)
    whole = snapshot.read_bytes()
    lines = whole.splitlines(keepends=True)
    for damaged in (
        whole[:-1],
        whole + b"\0",
        b"".join(lines[:-1]),
        b"".join(lines[:1]),
        whole.replace(b'"tasks":', b'"tasky":'),
        whole.replace(b"word_count", b"word_coun!", 1),
        b"",
    ):
        snapshot.write_bytes(damaged)
        assert str(snapshot) in refusal(folder)


def test_a_missing_file_is_refused_and_named(folder: Path, tmp_path: Path) -> None:
    _, newest = compacted(folder)
    newest.rename(tmp_path / "aside")
    assert str(newest) in refusal(folder)


def test_large_values_without_any_journal_are_never_taken_for_leftovers(folder: Path) -> None:
    assert [path.name for path in (folder / "results").iterdir()] == ["task_1.3.json"]
    (folder / JOURNAL).unlink()
    assert JOURNAL in refusal(folder)


def test_a_reserve_without_any_journal_is_proof_that_one_is_missing(folder: Path) -> None:
    (folder / JOURNAL).unlink()
    (folder / "results" / "task_1.3.json").unlink()
    open_at(folder.with_name("new")).close()  # a folder without either is one that was never used
    (folder / "reserve").write_bytes(b"")
    before = contents(folder)
    assert JOURNAL in refusal(folder)
    assert contents(folder) == before


def test_a_gap_between_journal_files_is_refused(folder: Path) -> None:
    shutil.copy(folder / JOURNAL, folder / "journal-00000003.jsonl")
    assert "journal-00000002.jsonl is missing" in refusal(folder)


@pytest.mark.parametrize("kind", ["journal", "snapshot"])
def test_a_file_of_a_future_version_is_refused_with_both_versions(folder: Path, kind: str) -> None:
    snapshot, journal = compacted(folder)
    path = {"journal": journal, "snapshot": snapshot}[kind]
    path.write_bytes(path.read_bytes().replace(b'"version":1,', b'"version":2,"more":[],', 1))
    before = contents(folder)
    with pytest.raises(StorageError, match=r"newer cortex-tasks.*version 2.*up to 1") as refused:
        open_at(folder)
    assert str(path) in str(refused.value)
    assert not isinstance(refused.value, StorageCorrupt)
    assert contents(folder) == before


@pytest.mark.parametrize("new_names", [False, True])
@pytest.mark.parametrize("removals", [False, True])
def test_a_crash_at_any_operation_of_an_opening_that_mends_does_no_harm(
    folder: Path, tmp_path: Path, new_names: bool, removals: bool
) -> None:
    path = folder / JOURNAL
    path.write_bytes(path.read_bytes()[:-9])
    (folder / "results" / "orphan.7.json").write_bytes(b"[]")
    (folder / "snapshot-00000001.jsonl.tmp").write_bytes(b"{")
    operations = 0
    while True:
        copy = tmp_path / f"copy {operations}"
        shutil.copytree(folder, copy)
        files = StoppingFiles(operations, copy, tmp_path / "stash" / str(operations))
        try:
            journal = open_at(copy, files)
        except Stopped:
            pass
        else:
            abandon(journal)
            break
        files.cut_power(new_names=new_names, removals=removals)
        journal = open_at(copy)
        assert same(kept_by(journal), kept_after(COMMITS[:-1])), operations
        journal.close()
        operations += 1
    assert operations > 3
