from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import anyio
import msgspec
import pytest

from cortex_tasks.backends.disk import DiskFiles
from cortex_tasks.backends.json_backend import JsonBackend
from cortex_tasks.engine.errors import (
    StorageCorrupt,
    StorageError,
    StorageFull,
    StorageInUse,
    TaskNotFound,
)
from cortex_tasks.engine.records import ChainStep
from cortex_tasks.engine.storage import Drop, Put
from cortex_tasks.engine.surroundings import offload_inline
from tests.journal_setting import (
    RefusingFiles,
    UnsyncedFiles,
    commit,
    complete,
    kept_after,
    kept_by,
    open_at,
    pending,
    submit,
)

T = TypeVar("T")

JOURNAL = "journal-00000001.jsonl"
LARGE = b'"' + b"x" * 20_000 + b'"'


def lines_of(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / JOURNAL).read_bytes().splitlines()[1:]]


class SyncCountingFiles(DiskFiles):
    def __init__(self) -> None:
        self.syncs = 0

    def sync(self, descriptor: int) -> None:
        super().sync(descriptor)
        self.syncs += 1


async def test_a_commit_is_one_line_and_one_sync_before_it_returns(tmp_path: Path) -> None:
    files = SyncCountingFiles()
    backend = JsonBackend(tmp_path, files=files)
    await backend.open()
    before = files.syncs
    for n in range(3):
        await backend.commit([submit(f"task_{n}_{m}", 10 * n + m + 1) for m in range(10)])
        assert files.syncs == before + n + 1
        assert len(lines_of(tmp_path)) == n + 1
    await backend.close()
    assert [line["n"] for line in lines_of(tmp_path)] == [1, 2, 3]


async def test_a_commit_of_thousands_of_changes_is_one_line_too(tmp_path: Path) -> None:
    backend = JsonBackend(tmp_path)
    await backend.open()
    await backend.commit([submit(f"task_{n}", n, b"[%d]" % n) for n in range(1, 2001)])
    assert bytes(await backend.read("task_1999", "params")) == b"[1999]"
    await backend.close()
    assert len(lines_of(tmp_path)) == 1
    assert len((await backend.open()).params) == 2000
    await backend.close()


async def test_only_the_owner_may_look_into_the_folder(tmp_path: Path) -> None:
    backend = JsonBackend(tmp_path / "a" / "b")
    await backend.open()
    await backend.commit([submit("task_1", 1, LARGE), complete("task_2", 2, LARGE)])
    await backend.close()
    for path in (tmp_path / "a").rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700


async def test_values_over_the_limit_get_a_file_of_their_own(tmp_path: Path) -> None:
    backend = JsonBackend(tmp_path, inline_limit=10)
    await backend.open()
    await backend.commit([submit("task_1", 1, b'"12345678"'), submit("task_2", 2, b'"123456789"')])
    await backend.commit([complete("task_1", 3, b'"123456789"')])
    assert [path.name for path in (tmp_path / "params").iterdir()] == ["task_2.2.json"]
    assert (tmp_path / "results" / "task_1.3.json").read_bytes() == b'"123456789"'
    await backend.commit([Drop("task_1", 4), Drop("task_2", 5)])
    assert list((tmp_path / "params").iterdir()) == []
    assert list((tmp_path / "results").iterdir()) == []
    await backend.close()


async def test_a_chain_with_line_breaks_in_its_parameters_still_makes_one_line(
    tmp_path: Path,
) -> None:
    step = ChainStep("next", msgspec.Raw(b'{\n  "a": [1,\n 2]\n}'))
    record = msgspec.structs.replace(pending("task_1", 1), then=(step,))
    backend = JsonBackend(tmp_path)
    await backend.open()
    await backend.commit([Put(record, params=msgspec.Raw(b"{}"))])
    await backend.close()
    assert len(lines_of(tmp_path)) == 1
    [found] = (await backend.open()).records
    assert bytes(found.then[0].params) == b'{"a":[1,2]}'
    await backend.close()


@pytest.mark.parametrize("text", [b"", b"{", b"nope", b'1},{"op":"drop"', b'1,"x":2}'])
async def test_what_is_not_json_is_refused_before_it_is_written(
    tmp_path: Path, text: bytes
) -> None:
    backend = JsonBackend(tmp_path)
    await backend.open()
    with pytest.raises(ValueError):  # noqa: PT011  the words are the decoder's
        await backend.commit([submit("task_1", 1), submit("task_2", 2, text)])
    assert lines_of(tmp_path) == []
    await backend.commit([submit("task_3", 1)])
    await backend.close()
    assert [record.id for record in (await backend.open()).records] == ["task_3"]
    await backend.close()


async def test_a_commit_during_another_is_refused(tmp_path: Path) -> None:
    held: list[anyio.Event] = []

    async def hold(function: Callable[[], T], /) -> T:
        for event in held:
            await event.wait()
        return function()

    backend = JsonBackend(tmp_path, offload=hold)
    await backend.open()
    held.append(anyio.Event())
    async with anyio.create_task_group() as group:
        group.start_soon(backend.commit, [submit("task_1", 1)])
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(RuntimeError, match="under way"):
            await backend.commit([submit("task_2", 2)])
        held[0].set()
    await backend.commit([submit("task_3", 2)])
    assert [line["n"] for line in lines_of(tmp_path)] == [1, 2]
    await backend.close()


class TestNoRoom:
    """The disk is full: refused whole, and usable again as soon as there is room."""

    @pytest.mark.parametrize("room", [0, 1, 100, 20_100, 20_400])
    def test_a_commit_without_room_leaves_no_trace(self, tmp_path: Path, room: int) -> None:
        files = RefusingFiles()
        journal = open_at(tmp_path, files)
        first = [submit("task_1", 1)]
        commit(journal, first)
        before = (tmp_path / JOURNAL).read_bytes()
        files.room = room
        second = [complete("task_1", 2, LARGE), submit("task_2", 3, b'"' + b"y" * 300 + b'"')]
        with pytest.raises(StorageFull, match="no room"):
            commit(journal, second)
        assert (tmp_path / JOURNAL).read_bytes() == before
        assert list((tmp_path / "results").iterdir()) == []
        assert list((tmp_path / "params").iterdir()) == []
        assert kept_by(journal) == kept_after([first])
        files.room = None
        commit(journal, second)
        assert kept_by(journal) == kept_after([first, second])
        journal.close()
        journal = open_at(tmp_path)
        assert kept_by(journal) == kept_after([first, second])
        journal.close()

    def test_a_quota_is_a_lack_of_room_too(self, tmp_path: Path) -> None:
        files = RefusingFiles()
        journal = open_at(tmp_path, files)
        files.refusals["write"] = errno.EDQUOT
        with pytest.raises(StorageFull):
            commit(journal, [submit("task_1", 1)])
        files.refusals.clear()
        commit(journal, [submit("task_1", 1)])
        journal.close()

    def test_when_the_rest_of_a_line_cannot_be_cut_off_it_is_over(self, tmp_path: Path) -> None:
        files = RefusingFiles()
        journal = open_at(tmp_path, files)
        files.room = 50
        files.refusals["truncate"] = errno.EIO
        with pytest.raises(StorageError) as failed:
            commit(journal, [submit("task_1", 1)])
        assert not isinstance(failed.value, StorageFull)
        files.room = None
        files.refusals.clear()
        with pytest.raises(StorageError, match="no more commits"):
            commit(journal, [submit("task_1", 1)])
        journal.close()
        journal = open_at(tmp_path)
        assert kept_by(journal) == ({}, 0)
        journal.close()


@pytest.mark.parametrize(
    ("operation", "number"),
    [("write", errno.EIO), ("sync", errno.EIO), ("sync", errno.ENOSPC)],
)
async def test_after_a_failed_sync_nothing_is_committed_ever_again(
    tmp_path: Path, operation: str, number: int
) -> None:
    files = RefusingFiles()
    backend = JsonBackend(tmp_path, files=files)
    await backend.open()
    await backend.commit([submit("task_1", 1, b"[1]")])
    files.refusals[operation] = number
    with pytest.raises(StorageError, match=os.strerror(number)) as failed:
        await backend.commit([submit("task_2", 2)])
    assert not isinstance(failed.value, StorageFull)
    files.refusals.clear()  # the disk says that all is well again, but data may be gone
    for _ in range(2):
        with pytest.raises(StorageError, match=os.strerror(number)):
            await backend.commit([submit("task_3", 3)])
    assert bytes(await backend.read("task_1", "params")) == b"[1]"
    await backend.close()


class ShortWritingFiles(UnsyncedFiles):
    def write(self, descriptor: int, data: memoryview) -> int:
        return super().write(descriptor, data[:7])


def test_a_system_that_writes_a_few_bytes_at_a_time_gets_all_of_them(tmp_path: Path) -> None:
    journal = open_at(tmp_path, ShortWritingFiles())
    changes = [submit("task_1", 1, LARGE), complete("task_2", 2, b"[2]")]
    commit(journal, changes)
    journal.close()
    journal = open_at(tmp_path)
    assert kept_by(journal) == kept_after([changes])
    journal.close()


@pytest.mark.parametrize("damage", ["missing", "shorter", "longer", "changed"])
async def test_a_large_result_that_is_not_as_written_is_refused_and_named(
    tmp_path: Path, damage: str
) -> None:
    backend = JsonBackend(tmp_path)
    await backend.open()
    await backend.commit([complete("task_1", 1, LARGE), complete("task_2", 2, LARGE)])
    path = tmp_path / "results" / "task_1.1.json"
    if damage == "missing":
        path.unlink()
    else:
        damaged = {"shorter": LARGE[:-1], "longer": LARGE + b" ", "changed": b"[" + LARGE[1:]}
        path.write_bytes(damaged[damage])
    with pytest.raises(StorageCorrupt, match=str(path)):
        await backend.read("task_1", "result")
    assert bytes(await backend.read("task_2", "result")) == LARGE
    await backend.close()


async def test_a_small_result_that_is_not_as_written_is_refused(tmp_path: Path) -> None:
    backend = JsonBackend(tmp_path, memory=0)
    await backend.open()
    await backend.commit([complete("task_1", 1, b'"abc"')])
    path = tmp_path / JOURNAL
    path.write_bytes(path.read_bytes().replace(b'"abc"', b'"xbc"'))
    with pytest.raises(StorageCorrupt, match=JOURNAL):
        await backend.read("task_1", "result")
    await backend.close()


class ReadCountingOffload:
    """Runs inline, and counts the calls."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, function: Callable[[], T], /) -> T:
        self.calls += 1
        return await offload_inline(function)


async def test_the_newest_results_are_read_from_memory_and_the_others_from_disk(
    tmp_path: Path,
) -> None:
    offload = ReadCountingOffload()
    backend = JsonBackend(tmp_path, offload=offload, memory=4_000)
    await backend.open()
    results = {f"task_{n}": b'"%d%b"' % (n, b"x" * 1_000) for n in range(10)}
    for n, (task_id, result) in enumerate(results.items(), 1):
        await backend.commit([complete(task_id, n, result)])
    offload.calls = 0
    from_memory = []
    for task_id, result in results.items():
        calls = offload.calls
        assert bytes(await backend.read(task_id, "result")) == result
        if offload.calls == calls:
            from_memory.append(task_id)
    assert from_memory == ["task_7", "task_8", "task_9"]  # as many as there is room for
    await backend.close()


async def test_a_result_in_memory_is_gone_with_its_task_and_replaced_with_it(
    tmp_path: Path,
) -> None:
    backend = JsonBackend(tmp_path)
    await backend.open()
    await backend.commit([complete("task_1", 1, b'"old"'), complete("task_2", 2, b'"mine"')])
    await backend.commit([complete("task_1", 3, b'"new"'), Drop("task_2", 4)])
    assert bytes(await backend.read("task_1", "result")) == b'"new"'
    with pytest.raises(TaskNotFound):
        await backend.read("task_2", "result")
    await backend.close()


async def test_a_task_dropped_while_its_result_is_being_read_is_not_found(tmp_path: Path) -> None:
    async def drop_first(function: Callable[[], T], /) -> T:
        if reading:
            reading.clear()
            await backend.commit([Drop("task_1", 2)])
        return await offload_inline(function)

    reading: list[bool] = []
    backend = JsonBackend(tmp_path, offload=drop_first)
    await backend.open()
    await backend.commit([complete("task_1", 1, LARGE)])
    reading.append(True)
    with pytest.raises(TaskNotFound):
        await backend.read("task_1", "result")
    await backend.close()


async def test_a_commit_that_is_cancelled_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    backend = JsonBackend(tmp_path)
    await backend.open()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await backend.commit([submit("task_1", 1)])
    await backend.commit([submit("task_2", 2)])
    with anyio.CancelScope() as scope:
        scope.cancel()
        await backend.close()
    recovered = await backend.open()  # so the close was carried out
    assert [record.id for record in recovered.records] == ["task_2"]
    await backend.close()


class TestRefusals:
    """What cannot be used is refused with the path and what to do."""

    async def test_a_path_that_is_a_file(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_text("mine")
        for attempt in (path, path / "below"):
            with pytest.raises(StorageError, match=f"{path} is a file"):
                await JsonBackend(attempt).open()
        assert path.read_text() == "mine"

    @pytest.mark.parametrize(
        ("number", "words"),
        [
            (errno.EACCES, "Permission denied.*choose another folder"),
            (errno.EROFS, "read-only file system.*choose another folder"),
            (errno.ENOSPC, "no room.*free some"),
            (errno.EIO, "Input/output error"),
        ],
    )
    @pytest.mark.parametrize("operation", ["make_folder", "create", "reopen", "sync_folder"])
    async def test_a_folder_that_the_system_refuses(
        self, tmp_path: Path, operation: str, number: int, words: str
    ) -> None:
        files = RefusingFiles()
        files.refusals[operation] = number
        with pytest.raises(StorageError, match=words) as refused:
            await JsonBackend(tmp_path / "tasks", files=files).open()
        assert str(tmp_path) in str(refused.value)
        backend = JsonBackend(tmp_path / "tasks")  # and nothing is left in the way
        assert (await backend.open()).records == []
        await backend.close()

    async def test_the_same_backend_opened_twice(self, tmp_path: Path) -> None:
        backend = JsonBackend(tmp_path)
        await backend.open()
        with pytest.raises(StorageInUse):
            await backend.open()
        await backend.commit([submit("task_1", 1)])
        await backend.close()


async def test_a_relative_path_means_the_folder_of_its_making(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    backend = JsonBackend("tasks")
    monkeypatch.chdir("/")
    await backend.open()
    await backend.close()
    assert (tmp_path / "tasks" / JOURNAL).exists()
