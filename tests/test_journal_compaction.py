from __future__ import annotations

import errno
import logging
import os
import threading
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from cortex_tasks.backends.compaction import CompactionRule
from cortex_tasks.backends.journal import Journal
from cortex_tasks.backends.json_backend import JsonBackend
from cortex_tasks.engine.storage import Change, Drop
from cortex_tasks.engine.surroundings import offload_inline
from tests.journal_setting import (
    ALWAYS,
    RefusingFiles,
    Stopped,
    StoppingFiles,
    UnsyncedFiles,
    abandon,
    commit,
    complete,
    kept_after,
    kept_by,
    open_at,
    same,
    submit,
)


def story(rounds: int) -> list[list[Change]]:
    """Commits with puts, results small and large, and drops: half of it is soon stale."""
    commits: list[list[Change]] = []
    for number in range(rounds):
        task, seq = f"task_{number}", 4 * number + 1
        large = b'"' + b"x" * 150 + b'"' if number % 2 else b"{}"
        commits.append([submit(task, seq, large), complete(task, seq + 1, b"[%d]" % number)])
        commits.append([complete(task, seq + 2, large), Drop(f"task_{number - 2}", seq + 3)])
    return commits


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def run_compaction(journal: Journal) -> None:
    """Compact all there is."""
    journal.compact()
    while journal._compaction is not None and not journal._compaction.ended:
        journal._compaction.step()


@pytest.mark.parametrize("lost", [None, "", "new names", "removals", "new names and removals"])
def test_a_crash_after_any_operation_loses_nothing_acknowledged(
    tmp_path: Path, lost: str | None
) -> None:
    commits = story(4)
    snapshots = stopped_after = 0
    finished = False
    while not finished:
        folder = tmp_path / str(stopped_after)
        folder.mkdir()
        files = StoppingFiles(stopped_after, folder, tmp_path / "stash" / str(stopped_after))
        acknowledged, finished = _tell(story(4), folder, files)
        if lost is not None:  # else only the process ended, and the power stayed on
            files.cut_power(new_names="new names" in lost, removals="removals" in lost)
        snapshots += bool(list(folder.glob("snapshot-*.jsonl")))
        journal = open_at(folder, compaction=ALWAYS)
        found = kept_by(journal)
        # The commit that the crash came into may be kept or not, but never in part.
        expected = [kept_after(commits[: acknowledged + more]) for more in (0, 1)]
        begun = next((more for more in (1, 0) if same(found, expected[more])), None)
        assert begun is not None, stopped_after
        for changes in commits[acknowledged + begun :]:
            commit(journal, changes)
        assert same(kept_by(journal), kept_after(commits)), stopped_after
        journal.close()
        journal = open_at(folder)
        assert same(kept_by(journal), kept_after(commits)), stopped_after
        journal.close()
        stopped_after += 1
    assert snapshots > 10


def _tell(commits: list[list[Change]], folder: Path, files: StoppingFiles) -> tuple[int, bool]:
    """Commit until the files stop; give how many commits were acknowledged, and whether all."""
    acknowledged = 0
    journal = None
    try:
        journal = open_at(folder, files, compaction=ALWAYS)
        for changes in commits:
            commit(journal, changes)
            acknowledged += 1
    except Stopped:
        return acknowledged, False
    finally:
        if journal is not None:
            abandon(journal)
    return acknowledged, True


def test_compaction_leaves_one_snapshot_and_an_empty_journal_of_the_same_tasks(
    tmp_path: Path,
) -> None:
    journal = open_at(tmp_path)
    for changes in story(20):
        commit(journal, changes)
    before = kept_by(journal)
    size = (tmp_path / "journal-00000001.jsonl").stat().st_size
    run_compaction(journal)
    journal.close()
    kept = [
        "journal-00000002.jsonl",
        "lock",
        "logs",
        "params",
        "results",
        "snapshot-00000001.jsonl",
    ]
    assert names(tmp_path) == ["checkpoints", *kept]
    assert (tmp_path / "snapshot-00000001.jsonl").stat().st_size < size / 5
    journal = open_at(tmp_path)
    assert same(kept_by(journal), before)
    journal.close()


def test_a_snapshot_of_no_tasks_still_knows_the_last_number(tmp_path: Path) -> None:
    journal = open_at(tmp_path)
    commit(journal, [submit("task_1", 1)])
    commit(journal, [Drop("task_1", 2)])
    run_compaction(journal)
    journal.close()
    journal = open_at(tmp_path)
    assert kept_by(journal) == ({}, 2)
    commit(journal, [submit("task_2", 3)])
    journal.close()
    journal = open_at(tmp_path)
    assert kept_by(journal) == kept_after([[submit("task_2", 3)]])
    journal.close()


def test_nothing_is_compacted_before_enough_was_written_and_enough_is_stale() -> None:
    rule = CompactionRule(min_bytes=1000, garbage_share=0.5)
    assert not rule.is_due(written=999, total=999, live=0)
    assert rule.is_due(written=1000, total=1000, live=500)
    assert not rule.is_due(written=1000, total=1000, live=501)
    assert not rule.is_due(written=1000, total=4000, live=2001)


def test_what_is_live_is_counted_the_same_while_running_and_after_opening(tmp_path: Path) -> None:
    journal = open_at(tmp_path)
    for changes in story(9):
        commit(journal, changes)
    live = journal.index.live_bytes
    journal.close()
    journal = open_at(tmp_path)
    assert journal.index.live_bytes == live
    for number, task in enumerate(list(journal.index.tasks)):
        commit(journal, [Drop(task, 99)])
        assert (journal.index.live_bytes == 0) == (number == 1), "two tasks were left"
    journal.close()


def test_what_is_counted_as_live_is_what_a_snapshot_takes(tmp_path: Path) -> None:
    journal = open_at(tmp_path)
    for changes in story(9):
        commit(journal, changes)
    for n in range(200):
        commit(journal, [submit(f"more_{n}", 100 + 2 * n, b'"%s"' % (b"x" * 60))])
        commit(journal, [complete(f"more_{n}", 101 + 2 * n, b'"%s"' % (b"y" * 60))])
    run_compaction(journal)
    size = (tmp_path / "snapshot-00000001.jsonl").stat().st_size
    assert size == pytest.approx(journal.index.live_bytes, rel=0.1)
    journal.close()


def test_a_value_found_before_a_compaction_can_be_read_after_it(tmp_path: Path) -> None:
    journal = open_at(tmp_path, compaction=ALWAYS)
    commit(journal, [submit("task_1", 1, b'{"a":1}')])
    value = journal.find("task_1").params
    assert value is not None
    place = value.place  # type: ignore[union-attr]  # it is small, so in a line
    run_compaction(journal)
    assert not place.source.path.exists()
    assert place.source.read(place.offset, value.length) == b'{"a":1}'
    assert value.place is not place  # type: ignore[union-attr]
    assert value.read() == b'{"a":1}'
    journal.close()


class HeldFiles(UnsyncedFiles):
    """Holds up the naming of a snapshot until it is let go."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.go_on = threading.Event()

    def rename(self, path: Path, new: Path) -> None:
        if new.name.startswith("snapshot"):
            self.reached.set()
            assert self.go_on.wait(60)
        super().rename(path, new)


async def test_commits_and_reads_go_on_while_a_compaction_is_held_up(tmp_path: Path) -> None:
    files = HeldFiles()
    backend = JsonBackend(tmp_path, compact_after=1, garbage_share=0.0, files=files)
    await backend.open()
    await backend.commit([submit("task_1", 1, b'{"a":1}')])
    await backend.commit([submit("task_2", 2, b'{"a":2}')])  # the compaction begins before this
    await anyio.to_thread.run_sync(files.reached.wait, 60)
    assert files.reached.is_set()
    await backend.commit([complete("task_1", 3, b"[1]"), Drop("task_2", 4)])
    await backend.commit([submit("task_3", 5, b'{"a":3}')])
    assert bytes(await backend.read("task_1", "params")) == b'{"a":1}'
    assert bytes(await backend.read("task_1", "result")) == b"[1]"
    files.go_on.set()
    thread = backend._journal._compaction  # type: ignore[union-attr]
    await anyio.to_thread.run_sync(thread._thread.join)  # type: ignore[union-attr]
    assert not (tmp_path / "journal-00000001.jsonl").exists()
    assert bytes(await backend.read("task_1", "params")) == b'{"a":1}'
    await backend.close()
    again = JsonBackend(tmp_path)
    recovered = await again.open()
    assert [record.id for record in recovered.records] == ["task_1", "task_3"]
    assert recovered.last_seq == 5
    assert bytes(await again.read("task_1", "result")) == b"[1]"
    await again.close()


async def test_closing_gives_up_a_compaction_and_leaves_nothing_half_done(tmp_path: Path) -> None:
    files = HeldFiles()
    backend = JsonBackend(tmp_path, compact_after=1, garbage_share=0.0, files=files)
    await backend.open()
    await backend.commit([submit("task_1", 1)])
    await backend.commit([submit("task_2", 2)])
    await anyio.to_thread.run_sync(files.reached.wait, 60)
    async with anyio.create_task_group() as group:
        group.start_soon(backend.close)
        await anyio.wait_all_tasks_blocked()
        files.go_on.set()
    again = JsonBackend(tmp_path)
    assert [record.id for record in (await again.open()).records] == ["task_1", "task_2"]
    await again.close()


async def test_values_stay_readable_through_many_compactions_in_the_background(
    tmp_path: Path,
) -> None:
    backend = JsonBackend(tmp_path, compact_after=1, garbage_share=0.0, files=UnsyncedFiles())
    await backend.open()
    await backend.commit([submit(f"task_{n}", n + 1, b"[%d]" % n) for n in range(50)])
    done = anyio.Event()

    async def read() -> None:
        while not done.is_set():
            for n in range(50):
                assert bytes(await backend.read(f"task_{n}", "params")) == b"[%d]" % n

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(read)
        for n in range(200):
            await backend.commit([complete("task_50", 51 + n, b"[]")])
        done.set()
    await backend.close()
    assert max(int(path.stem[-8:]) for path in tmp_path.glob("journal-*")) > 2


async def test_what_a_compaction_removed_is_closed_too_though_its_results_were_the_newest(
    tmp_path: Path,
) -> None:
    """Open, it would still take its room on the disk: of every journal there ever was."""
    backend = JsonBackend(tmp_path, offload=offload_inline, compact_after=1, files=UnsyncedFiles())
    await backend.open()
    for seq in range(0, 200, 2):
        await backend.commit([complete(f"task_{seq}", seq + 1), Drop(f"task_{seq - 2}", seq + 2)])
        assert bytes(await backend.read(f"task_{seq}", "result")) == b"{}"
    held = {os.path.realpath(file) for file in Path("/proc/self/fd").iterdir()}
    ours = sorted(name for name in held if name.startswith(str(tmp_path)))
    assert len([name for name in ours if name.endswith("(deleted)")]) < 3, ours
    await backend.close()
    assert max(int(path.stem[-8:]) for path in tmp_path.glob("journal-*")) > 20


@pytest.mark.parametrize(
    ("operation", "only"),
    [
        ("create", "snapshot"),
        ("write", "snapshot"),
        ("sync", "snapshot"),
        ("rename", "snapshot"),
        ("remove", "journal-00000001.jsonl"),
    ],
)
def test_a_compaction_that_fails_is_logged_and_harms_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, operation: str, only: str
) -> None:
    files = RefusingFiles()
    files.refusals[operation] = errno.EIO
    files.only = lambda path: path.name.startswith(only)
    journal = open_at(tmp_path, files, compaction=ALWAYS)
    commits = story(5)
    with caplog.at_level(logging.WARNING):
        for changes in commits:
            commit(journal, changes)
    assert "was not finished" in caplog.text
    assert same(kept_by(journal), kept_after(commits))
    journal.close()
    journal = open_at(tmp_path)
    assert same(kept_by(journal), kept_after(commits))
    journal.close()
    assert not list(tmp_path.glob("*.tmp"))


@pytest.mark.parametrize("operation", ["create", "write", "rename", "sync_folder"])
def test_a_compaction_without_room_to_begin_is_put_off(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, operation: str
) -> None:
    files = RefusingFiles()
    rule = CompactionRule(min_bytes=500, garbage_share=0.0)
    journal = open_at(tmp_path, files, compaction=rule)
    commits = story(5)
    _refuse_new_journals(files, tmp_path, operation)
    with caplog.at_level(logging.WARNING):
        for changes in commits:
            commit(journal, changes)
    assert "is put off" in caplog.text
    assert len(caplog.records) < len(commits) - 2, "it must not be tried at each commit"
    assert list(tmp_path.glob("journal-*")) == [tmp_path / "journal-00000001.jsonl"]
    files.refusals.clear()
    for n in range(20):
        commit(journal, [submit(f"more_{n}", 100 + n)])
    assert list(tmp_path.glob("snapshot-*")), "it must be made up for"
    journal.close()


def _refuse_new_journals(files: RefusingFiles, folder: Path, operation: str) -> None:
    files.refusals[operation] = errno.ENOSPC
    answers = iter([True, False] * 100)  # refuse to sync the new name, not its removal

    def only(path: Path) -> bool:
        if operation == "sync_folder":
            return path == folder and next(answers)
        return path.name.startswith("journal-") and "00000001" not in path.name

    files.only = only


def test_damage_is_not_copied_into_a_snapshot(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = open_at(tmp_path)
    commit(journal, [submit("task_1", 1, b'{"text":"abc"}')])
    path = tmp_path / "journal-00000001.jsonl"
    with path.open("r+b") as file:
        file.seek(path.read_bytes().index(b'"abc"') + 1)
        file.write(b"X")
    with caplog.at_level(logging.WARNING):
        run_compaction(journal)
    assert str(path) in caplog.text
    assert "not what was written" in caplog.text
    journal.close()
    assert path.exists()
    assert not list(tmp_path.glob("snapshot-*"))
