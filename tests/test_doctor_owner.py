"""What root repairs stays the service's: with a file of root in its folder it could not start."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from cortex_tasks.backends.doctor import accept_loss, examine, repair
from cortex_tasks.backends.owner import files_of
from cortex_tasks.backends.reserve import RESERVE_FILE, Reserve
from cortex_tasks.cli import main
from cortex_tasks.engine.errors import StorageCorrupt
from cortex_tasks.http.keys import KeyStore
from cortex_tasks.jobs.library import Library
from cortex_tasks.jobs.library.checking import LIBRARY_FILE

from .journal_setting import commit, complete, open_at, submit

SERVICE = (65_534, 65_533)  # a user and a group
JOURNAL = "journal-00000001.jsonl"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to others")


def give(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, *SERVICE)


def owners(folder: Path) -> dict[str, tuple[int, int]]:
    found = {path: path.lstat() for path in (folder, *folder.rglob("*"))}
    return {str(path): (of.st_uid, of.st_gid) for path, of in found.items()}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder of the service, with a task and large values of it."""
    data = tmp_path / "data"
    journal = open_at(data / "tasks")
    large = b'"' + b"x" * 300 + b'"'
    commit(journal, [submit("task_a", 1, large), submit("task_b", 2)])
    commit(journal, [complete("task_a", 3, large)])
    commit(journal, [submit("task_c", 4)])
    journal.close()
    give(data)
    return data


def tear(tasks: Path) -> None:
    with (tasks / JOURNAL).open("ab") as file:
        file.write(b'{"n":5,"cr')
    (tasks / "logs").rmdir()  # as an older version left it
    orphan = tasks / "results" / "task_z.9.json"
    orphan.write_bytes(b"1")
    os.chown(orphan, *SERVICE)


def damage(tasks: Path) -> None:
    path = tasks / JOURNAL
    path.write_bytes(path.read_bytes().replace(b"task_b", b"task_x"))
    (tasks / "results" / "task_a.3.json").write_bytes(b"1")
    (tasks / "logs").rmdir()


@pytest.mark.parametrize("harm", [tear, damage])
@pytest.mark.parametrize("lock", ["there", "missing", "of root"])
def test_whatever_a_repair_writes_belongs_to_the_owner_of_the_folder(
    data: Path, harm: object, lock: str
) -> None:
    tasks = data / "tasks"
    tear(tasks) if harm is tear else damage(tasks)
    if lock == "missing":
        (tasks / "lock").unlink()
    elif lock == "of root":  # who repaired it with an older version
        os.chown(tasks / "lock", 0, 0)
    assert (repair(tasks) if harm is tear else accept_loss(tasks)[1]) is not None
    assert examine(tasks).sound
    assert (tasks / "lock").exists()
    assert len(list(data.glob("tasks.before-repair-*"))) == 1
    assert set(owners(data).values()) == {SERVICE}
    for path in data.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600)


def test_a_repair_gives_no_file_of_others_away(data: Path, tmp_path: Path) -> None:
    """The service could put a link to one in the place of a file that root is about to write."""
    tasks = data / "tasks"
    damage(tasks)
    secret = tmp_path / "of root"
    secret.write_text("secret")
    (tasks / "snapshot-00000001.jsonl.tmp").hardlink_to(secret)
    accept_loss(tasks)
    (tasks / "lock").unlink()
    (tasks / "lock").hardlink_to(secret)
    with pytest.raises(StorageCorrupt, match="link to another file"):
        repair(tasks)
    assert (secret.stat().st_uid, secret.read_text()) == (0, "secret")


def test_a_reserve_that_root_makes_is_the_services_and_is_written_through_no_link(
    data: Path, tmp_path: Path
) -> None:
    tasks = data / "tasks"
    secret = tmp_path / "of root"
    secret.write_text("secret")
    (tasks / RESERVE_FILE).hardlink_to(secret)
    Reserve(files_of(tasks), tasks, 4096).restore()
    assert (tasks / RESERVE_FILE).stat().st_size == 4096
    assert set(owners(data).values()) == {SERVICE}
    assert (secret.stat().st_uid, secret.read_text()) == (0, "secret")


@pytest.mark.anyio
async def test_looking_makes_no_file_of_roots(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    KeyStore.in_folder(data).create("one")
    async with Library(data / LIBRARY_FILE) as library:
        await library.documents.add(b"Some words.", filename="a.txt")
        wal = (data / f"{LIBRARY_FILE}-wal").read_bytes()
    (data / f"{LIBRARY_FILE}-wal").write_bytes(wal)  # as a kill leaves it
    give(data)
    assert main(["doctor", str(data)]) == 0, capsys.readouterr()
    assert set(owners(data).values()) == {SERVICE}
