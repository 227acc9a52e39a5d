"""What cannot be read is not damaged: it is named, with what to do, and never repaired."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import pytest

from cortex_tasks.backends.index import Held, TaskIndex
from cortex_tasks.backends.journal_format import JOURNAL, ValueFile
from cortex_tasks.backends.judgement import judge
from cortex_tasks.backends.recovery import _FileReader
from cortex_tasks.backends.salvage import Salvage, _Reader
from cortex_tasks.backends.values import OwnFileValue, SourceFile
from cortex_tasks.cli.commands import parser
from cortex_tasks.cli.exits import CommandFailed
from cortex_tasks.http.keys import KeyStore
from cortex_tasks.http.webhooks.outbox import Outbox
from cortex_tasks.http.webhooks.signing import Secrets
from cortex_tasks.jobs.library import Library
from cortex_tasks.jobs.library.checking import LIBRARY_FILE

from .damage_setting import files_of
from .journal_setting import commit, completed, open_at, submit

NOBODY = 65_534
LARGE = b'"' + b"x" * 300 + b'"'
FAILING = Path("/proc/self/mem")  # a file of which the first byte is an input/output error


@contextmanager
def a_user() -> Iterator[None]:
    """Be one who may not do everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def doctor(data: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str, str]:
    """Run it as that user, who may not be able to read our own modules; gives code and output."""
    arguments = parser().parse_args(["doctor", str(data), *options])
    import_module("cortex_tasks.http.webhooks.checking")
    with a_user():
        try:
            code = arguments.run(arguments)
        except CommandFailed as failed:
            return failed.exit_code, capsys.readouterr().out, str(failed)
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
async def data() -> AsyncIterator[Path]:
    """A data folder with all files of a server, in a place that every user can get to."""
    place = Path(tempfile.mkdtemp())
    place.chmod(0o755)
    data = place / "data"
    journal = open_at(data / "tasks")
    commit(journal, [submit("task_a", 1, LARGE), submit("task_b", 2)])
    journal.close()
    async with Library(data / LIBRARY_FILE) as library:
        await library.documents.add(b"Some words.", filename="a.txt")
    outbox = Outbox(data / "webhooks.db")
    await outbox.open()
    await outbox.aclose()
    Secrets.in_folder(data)
    KeyStore.in_folder(data).create("one")
    if os.geteuid() == 0:
        for path in (data, *data.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
    yield data
    shutil.rmtree(place)


FILES = [
    "tasks/journal-00000001.jsonl",
    "tasks/params/task_a.1.json",
    "tasks/params",
    "tasks/lock",
    "keys.json",
    LIBRARY_FILE,
    "webhooks.db",
    "webhooks.secret",
]


@pytest.mark.anyio
@pytest.mark.parametrize("name", FILES)
async def test_a_file_that_this_user_may_not_read_is_not_called_damaged(
    data: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (data / name).chmod(0)
    code, said, _ = doctor(data, capsys)
    assert code == 1
    code, out, _ = doctor(data, capsys, "--json")
    assert code == 1
    found = json.loads(out)
    assert f"cannot be read: {data / name}: Permission denied. Run this as the user of" in said
    assert "damaged" not in said
    assert "Not all of it could be read." in said
    assert (found["sound"], found["problems"], found["lost"]) == (False, [], {})
    [unreadable] = found["unreadable"]
    assert str(data / name) in unreadable


@pytest.mark.anyio
@pytest.mark.parametrize("options", [("--repair",), ("--repair", "--accept-loss")])
@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("tasks/")])
async def test_what_this_user_may_not_read_is_not_repaired(
    data: Path, capsys: pytest.CaptureFixture[str], name: str, options: tuple[str, ...]
) -> None:
    (data / name).chmod(0)
    before = files_of(data)
    code, _, said = doctor(data, capsys, *options)
    assert code == 1
    assert f"cannot be used: {data / name}: Permission denied. Run this as the user of" in said
    assert files_of(data) == before


@pytest.mark.anyio
async def test_a_data_folder_that_this_user_may_not_enter_is_named(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data.chmod(0)
    code, _, said = doctor(data, capsys)
    assert code == 1
    assert f"{data / 'tasks'}: Permission denied. Run this as" in said


READS: dict[str, Callable[[], object]] = {
    "a value of its own": lambda: OwnFileValue(FAILING.parent, ValueFile("mem", 1, "0")).read(),
    "a value in a line": lambda: SourceFile(FAILING).read(0, 10),
    "the lines": lambda: _FileReader(FAILING, JOURNAL, 1, TaskIndex()).read(0),
    "what is left of them": lambda: list(_Reader(FAILING, JOURNAL, 1, Salvage()).lines()),
}


@pytest.mark.parametrize("read", READS)
def test_a_disk_that_fails_is_named_with_the_file(read: str) -> None:
    with pytest.raises(OSError, match=f"error: '{FAILING}'") as failed:
        READS[read]()
    assert (failed.value.errno, failed.value.filename) == (errno.EIO, str(FAILING))


def test_a_value_on_a_disk_that_fails_is_not_given_up() -> None:
    """A repair would go on without it; on another disk, or another day, it can be read."""
    value = OwnFileValue(FAILING.parent, ValueFile("mem", 1, "0"))
    found = Salvage()
    found.index.put(Held(completed("task_a", 1, b"1"), None, value, None, None, 0))
    with pytest.raises(OSError, match=str(FAILING)):
        judge(found, datetime.now(UTC))
