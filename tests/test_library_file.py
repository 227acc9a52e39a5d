"""The library's file: opened with care, written whole or not at all, let go of when closed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from cortex_tasks.engine.errors import (
    StorageCorrupt,
    StorageError,
    StorageFull,
    StorageInUse,
)
from cortex_tasks.engine.surroundings import offload_inline
from cortex_tasks.jobs.library import Library, LibraryClosed, session
from cortex_tasks.jobs.library.schema import VERSION, create, prepare
from tests.knowledge import learn, relation, saying

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "library.db"


@pytest.fixture
async def library(path: Path) -> AsyncIterator[Library]:
    async with Library(path) as library:
        yield library


async def test_what_was_acknowledged_is_there_after_closing_and_opening(path: Path) -> None:
    async with Library(path) as library:
        document = await learn(
            library, "a.txt", saying("Alpha Beta", relations=[relation("Alpha", "Beta")])
        )
        before = await library.graph.entity("Alpha")
    async with Library(path) as library:
        assert await library.documents.get(document.id) == document
        assert await library.graph.entity("Alpha") == before


async def test_what_was_claimed_when_the_process_died_is_pending_after_opening(path: Path) -> None:
    async with Library(path) as library:
        done = await learn(library, "a.txt", saying("Alpha"))
        document = await library.documents.add(b"x", filename="b.txt")
        await library.processing.claim_pending("task_1", limit=1)
    async with Library(path) as library:
        assert (await library.documents.get(document.id)).status == "pending"
        assert await library.documents.get(done.id) == done
        assert [each.id for each in await library.processing.claim_pending("t", limit=9)] == [
            document.id
        ]


async def test_a_commit_is_synced_to_disk_before_it_is_acknowledged(library: Library) -> None:
    def modes(connection: sqlite3.Connection) -> tuple[object, ...]:
        return tuple(
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("synchronous", "journal_mode", "foreign_keys")
        )

    assert await library._database.write(modes) == (2, "wal", 1)  # 2: FULL


async def test_the_files_are_for_their_owner_alone(library: Library, path: Path) -> None:
    await learn(library, "a.txt", saying("Alpha"))
    modes = {}
    async for file in anyio.Path(path.parent).iterdir():
        modes[file.name] = oct((await file.stat()).st_mode & 0o777)
    assert len(modes) == 4  # the database, its log, the log's index, and the lock
    assert set(modes.values()) == {"0o600"}


async def test_a_second_process_is_refused_and_told_who_has_the_file(
    library: Library, path: Path
) -> None:
    with pytest.raises(StorageInUse, match=rf"{path}.*pid {os.getpid()}"):
        async with Library(path):
            pass
    assert await library.reachable()


async def test_a_file_locked_by_another_program_is_an_error_that_names_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "BUSY_TIMEOUT", 0.0)
    async with Library(path):
        pass
    other = sqlite3.connect(path, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageInUse, match=f"{path} is locked by another program"):
            async with Library(path):
                pass
    finally:
        other.close()
    async with Library(path) as library:  # the failed attempt holds nothing
        assert await library.reachable()


async def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path) -> None:
    before = b"this is no database, but somebody may need it " * 100
    await write(path, before)
    with pytest.raises(StorageCorrupt, match=f"{path} is not a library"):
        async with Library(path):
            pass
    assert await anyio.Path(path).read_bytes() == before


async def test_a_database_of_another_program_is_refused_and_left_alone(path: Path) -> None:
    await write(path, b"")
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE customers (name)")
    other.close()
    with pytest.raises(StorageError, match="database of some other program"):
        async with Library(path):
            pass
    other = sqlite3.connect(path)
    assert other.execute("SELECT name FROM sqlite_schema").fetchall() == [("customers",)]
    other.close()


async def test_a_library_of_a_newer_version_is_refused_with_both_versions(path: Path) -> None:
    async with Library(path):
        pass
    newer = sqlite3.connect(path)
    newer.execute(f"PRAGMA user_version = {VERSION + 1}")
    newer.close()
    with pytest.raises(StorageError, match=f"format {VERSION + 1}.*reads format {VERSION}"):
        async with Library(path):
            pass


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("PRAGMA application_id = 1", "is a database of some other program"),
        ("PRAGMA user_version = 9", "has format 9"),
        ("DROP TABLE chunks", "is damaged: the table chunks is missing"),
    ],
)
def test_a_library_in_memory_is_called_so_by_whatever_refuses_it(damage: str, said: str) -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        create(connection)
        connection.execute(damage)
        with pytest.raises(StorageError, match=f"^the library in memory {said}"):
            prepare(connection)


async def test_a_path_that_cannot_be_opened_is_an_error_that_names_it(tmp_path: Path) -> None:
    await write(tmp_path / "folder" / "file", b"x")
    for path in (tmp_path / "folder" / "file" / "library.db", tmp_path / "folder"):
        with pytest.raises(StorageError, match=f"{path} cannot be opened"):
            async with Library(path):
                pass


async def test_a_library_that_is_not_open_says_so(path: Path) -> None:
    library = Library(path)
    with pytest.raises(LibraryClosed, match="async with"):
        await library.stats()
    assert not await anyio.Path(path).exists()
    async with library:
        await library.stats()
    for ask in (library.stats, library.documents.page, library.communities.delete_all):
        with pytest.raises(LibraryClosed):
            await ask()
    assert not await library.reachable()
    await library.__aexit__(None, None, None)  # closing twice is fine
    async with library:  # and so is opening again
        assert await library.reachable()


async def test_closing_waits_for_what_is_being_written(path: Path) -> None:
    async with anyio.create_task_group() as group, Library(path) as library:
        for number in range(5):
            group.start_soon(learn_alone, library, f"{number}.txt")
        await anyio.wait_all_tasks_blocked()
    async with Library(path) as library:
        stats = await library.stats()
        assert stats.document_count == stats.pending_count  # each is there whole, or not at all


async def learn_alone(library: Library, filename: str) -> None:
    with contextlib.suppress(LibraryClosed):
        await library.documents.add(b"x", filename=filename)


async def test_a_cancelled_reader_does_not_wait_for_an_endless_query(library: Library) -> None:
    with anyio.move_on_after(0.05) as scope:
        await library._database.read(lambda connection: connection.execute(ENDLESS).fetchone())
    assert scope.cancelled_caught
    for _ in range(20):  # and every connection is as good as before
        assert await library.reachable()


async def test_a_cancelled_writer_leaves_nothing_of_its_transaction(library: Library) -> None:
    def half(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE state SET revision = 99")
        connection.execute(ENDLESS).fetchone()

    with anyio.move_on_after(0.05) as scope:
        await library._database.write(half)
    assert scope.cancelled_caught
    assert await revision(library) == 0
    await learn(library, "a.txt", saying("Alpha"))
    assert await revision(library) == 1


async def test_a_writer_cancelled_between_two_statements_leaves_nothing(library: Library) -> None:
    """An interrupt that falls between statements interrupts none: the commit looks once more."""
    scope = anyio.CancelScope()

    def change(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE state SET revision = 99")
        anyio.from_thread.run(cancel_and_let_it_be_heard, scope)

    with scope:
        await library._database.write(change)
    assert scope.cancelled_caught
    assert await revision(library) == 0


async def cancel_and_let_it_be_heard(scope: anyio.CancelScope) -> None:
    scope.cancel()
    with anyio.CancelScope(shield=True):
        await anyio.wait_all_tasks_blocked()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_native_asyncio_cancel_leaves_nothing_and_harms_no_later_writer(
    library: Library, anyio_backend: str
) -> None:
    """It tears the caller out of its wait while the thread works on, in the middle of a change."""
    begun, go_on = threading.Event(), threading.Event()

    def half(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE state SET revision = 99")
        begun.set()
        go_on.wait()

    torn_out = asyncio.create_task(library._database.write(half))
    await anyio.to_thread.run_sync(begun.wait)
    torn_out.cancel()
    with pytest.raises(asyncio.CancelledError):
        await torn_out
    later = asyncio.create_task(learn(library, "a.txt", saying("Alpha")))
    await anyio.wait_all_tasks_blocked()
    go_on.set()
    await later
    assert await revision(library) == 1


async def test_an_error_undoes_the_whole_transaction(library: Library) -> None:
    def half(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE state SET revision = 99")
        raise KeyError("half way")

    with pytest.raises(KeyError, match="half way"):
        await library._database.write(half)
    assert await revision(library) == 0


async def test_a_reader_cannot_write(library: Library) -> None:
    def change(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE state SET revision = 99")

    with pytest.raises(StorageError):
        await library._database.read(change)
    assert await revision(library) == 0


async def test_readers_see_the_state_before_or_after_a_change_never_between(
    library: Library,
) -> None:
    await learn(library, "a.txt", saying("Alpha Beta"))
    seen: set[tuple[int, int]] = set()

    async def read() -> None:
        for _ in range(30):
            stats = await library.stats()
            seen.add((stats.completed_count, stats.entity_count))

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(read)
        for number in range(10):
            await learn(library, f"{number}.txt", saying(f"Entity{number} Other{number}"))
    assert seen <= {(1 + done, 2 + 2 * done) for done in range(11)} | {
        (done, 2 * done) for done in range(1, 12)
    }


async def test_a_full_disk_refuses_one_change_and_harms_nothing(library: Library) -> None:
    def limit(connection: sqlite3.Connection) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 10}")

    await library._database.write(limit)
    with pytest.raises(StorageFull, match=r"No room left for .*library\.db"):
        await library.documents.add(b"x" * 1_000_000, filename="large.txt")
    small = await library.documents.add(b"x", filename="small.txt")
    assert (await library.documents.page()).documents == [small]


async def test_after_the_disk_has_failed_nothing_more_is_written(library: Library) -> None:
    def failing_disk(connection: sqlite3.Connection) -> None:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
        raise error

    with pytest.raises(StorageError, match=r"The disk failed under .*library\.db"):
        await library._database.write(failing_disk)
    with pytest.raises(StorageError, match="Then start again"):
        await library.documents.add(b"x", filename="a.txt")
    assert (await library.documents.page()).total == 0


async def test_a_library_in_memory_touches_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with Library.in_memory(offload=offload_inline) as library:
        await learn(library, "a.txt", saying("Alpha"))
        assert (await library.stats()).disk_free_mb is None
        assert library.path is None
    assert [each async for each in anyio.Path(tmp_path).iterdir()] == []


async def write(path: Path, content: bytes) -> None:
    await anyio.Path(path.parent).mkdir()
    await anyio.Path(path).write_bytes(content)


async def revision(library: Library) -> int:
    def query(connection: sqlite3.Connection) -> int:
        found: int = connection.execute("SELECT revision FROM state").fetchone()[0]
        return found

    return await library._database.read(query)
