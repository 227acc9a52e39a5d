"""The files beside the tasks: doctor names what is wrong with one, a server refuses it in words."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from cortex_tasks.cli import main
from cortex_tasks.http.keys import KEY_FILE
from cortex_tasks.http.webhooks.continuity import keep_on
from cortex_tasks.http.webhooks.model import Hook, HookEvent
from cortex_tasks.http.webhooks.outbox import OUTBOX_FILE, Outbox
from cortex_tasks.http.webhooks.signing import MASTER_FILE, Secrets
from cortex_tasks.jobs.library import Library
from cortex_tasks.jobs.library.checking import LIBRARY_FILE

from .cli_process import LIMIT, command
from .journal_setting import BEGIN, commit, open_at, submit

NO_DATABASE = b"this is no database, but somebody may need it " * 100


HOOK = Hook(
    id="wh_1",
    url="https://example.org/",
    events=(HookEvent.COMPLETED,),
    created_at=BEGIN,
    since_seq=0,
)


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """A data folder with all files of a server, as a server left them."""
    data = tmp_path / "data"
    journal = open_at(data / "tasks")
    commit(journal, [submit("task_a", 1)])
    journal.close()
    async with Library(data / LIBRARY_FILE) as library:
        await library.documents.add(b"Some words.", filename="a.txt")
    outbox = Outbox(data / OUTBOX_FILE)
    await outbox.open()
    await outbox.put([], position=1)
    await outbox.add_hook(HOOK)
    await keep_on(outbox, Secrets.in_folder(data))
    await outbox.aclose()
    return data


def doctor(data: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = main(["doctor", str(data)])
    out, err = capsys.readouterr()
    return code, out + err


def serve(data: Path, loop: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("serve", "--port", "0", "--data", str(data), "--loop", loop),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


def content(data: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}


def run_sql(statement: str) -> object:
    def harm(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(statement)
            connection.commit()

    return harm


def garbage(path: Path) -> None:
    path.write_bytes(NO_DATABASE)


def torn(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:31])


def another(path: Path) -> None:
    path.write_bytes(bytes(32))


def one_byte_more(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


def folder_instead(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


def pipe_instead(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def link_instead(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/null")


NOT_TO_LOCK = "is no ordinary file, so it cannot be locked: move it out of the folder."
HARMS = [  # to a file: what doctor says of it, what a server says of it (None: it may start)
    (OUTBOX_FILE, garbage, "is not a database", "is not an outbox of webhooks, or it is damaged"),
    (OUTBOX_FILE, torn, "malformed", "is not an outbox of webhooks, or it is damaged"),
    (OUTBOX_FILE, run_sql("DROP TABLE deliveries"), *["the table deliveries is missing"] * 2),
    (
        OUTBOX_FILE,
        run_sql("ALTER TABLE hooks DROP COLUMN url"),
        *["the column url of the table hooks is missing"] * 2,
    ),
    (MASTER_FILE, short, *["is too short for a secret. Remove it"] * 2),
    (MASTER_FILE, another, *["is not the secret that the webhooks were added with."] * 2),
    (MASTER_FILE, one_byte_more, *["is not the secret that the webhooks were added with."] * 2),
    (LIBRARY_FILE, run_sql("DROP TABLE mentions"), *["the table mentions is missing"] * 2),
    (
        LIBRARY_FILE,
        run_sql("ALTER TABLE documents RENAME COLUMN source TO sauce"),
        *["the column source of the table documents is missing"] * 2,
    ),
    (LIBRARY_FILE, garbage, "is not a database", "is not a library, or it is damaged"),
    (f"{LIBRARY_FILE}.lock", folder_instead, *[NOT_TO_LOCK] * 2),
    (f"{LIBRARY_FILE}.lock", link_instead, *[NOT_TO_LOCK] * 2),
    (f"{OUTBOX_FILE}.lock", pipe_instead, *[NOT_TO_LOCK] * 2),
    (f"{KEY_FILE}.lock", folder_instead, *[NOT_TO_LOCK] * 2),
    (f"{KEY_FILE}.lock", link_instead, *[NOT_TO_LOCK] * 2),
]


@pytest.mark.anyio
async def test_files_that_are_sound_are_not_changed(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = content(data)
    code, said = doctor(data, capsys)
    assert (code, "All of it is sound." in said) == (0, True), said
    assert content(data) == before
    outbox = Outbox(data / OUTBOX_FILE)
    await outbox.open()
    await outbox.put([], position=8)
    assert doctor(data, capsys)[0] == 0  # beside the one who writes to it
    assert await outbox.position() == 8
    await outbox.aclose()


@pytest.mark.anyio
@pytest.mark.parametrize(("name", "harm", "said", "refusal"), HARMS)
async def test_a_file_that_no_server_could_use_is_named_and_left_alone(
    anyio_backend: str,
    data: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    harm: object,
    said: str,
    refusal: str,
) -> None:
    assert callable(harm)
    harm(data / name)
    before = content(data)
    code, found = doctor(data, capsys)
    assert code == 1
    [line] = [line for line in found.splitlines() if line.startswith("damaged: ")]
    assert str(data / name) in line
    assert said in line
    assert content(data) == before

    ended = serve(data, anyio_backend)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1), ended.stderr
    assert ended.stderr.startswith(f"cortex-tasks: {data / name}")
    assert refusal in ended.stderr
    assert content(data).get(data / name) == before.get(data / name)
