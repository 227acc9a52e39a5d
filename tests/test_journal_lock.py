from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cortex_tasks.engine.errors import StorageInUse
from tests.journal_setting import commit, kept_after, kept_by, open_at, submit

HOLDER = """
import sys
from pathlib import Path
from tests.journal_setting import commit, open_at, submit
journal = open_at(Path(sys.argv[1]))
commit(journal, [submit("task_1", 1)])
print("open", flush=True)
sys.stdin.read()
"""

ROOT = Path(__file__).parent.parent


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the folder open until its input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_folder_held_by_another_process_is_refused_with_its_id(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    with pytest.raises(StorageInUse) as refused:
        open_at(tmp_path)
    assert str(tmp_path) in str(refused.value)
    assert re.search(rf"process {holder.pid}, since \d{{4}}-", str(refused.value))


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_folder_is_free_the_moment_its_holder_is_dead(
    holder: subprocess.Popen[str], tmp_path: Path, end: signal.Signals
) -> None:
    holder.send_signal(end)
    holder.wait()
    journal = open_at(tmp_path)
    assert kept_by(journal) == kept_after([[submit("task_1", 1)]])
    with pytest.raises(StorageInUse, match=f"process.*{os.getpid()}"):
        open_at(tmp_path)  # the file names the new holder, not the dead one
    journal.close()


def test_the_same_process_is_refused_a_second_hold(tmp_path: Path) -> None:
    journal = open_at(tmp_path)
    for _ in range(2):  # a refusal does not free the first hold
        with pytest.raises(StorageInUse, match="already open in this process"):
            open_at(tmp_path)
    commit(journal, [submit("task_1", 1)])
    journal.close()
    open_at(tmp_path).close()


def test_a_program_that_the_holder_started_does_not_hold_the_folder(tmp_path: Path) -> None:
    journal = open_at(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"],
        stdin=subprocess.PIPE,
        close_fds=False,
    ) as child:
        journal.close()
        open_at(tmp_path).close()
        child.kill()


def test_a_lock_that_was_not_signed_yet_is_still_a_lock(tmp_path: Path) -> None:
    journal = open_at(tmp_path)
    (tmp_path / "lock").write_bytes(b"")
    with pytest.raises(StorageInUse, match="another process"):
        open_at(tmp_path)
    journal.close()


def test_the_lock_file_stays_when_it_is_let_go(tmp_path: Path) -> None:
    open_at(tmp_path).close()
    inode = (tmp_path / "lock").stat().st_ino
    open_at(tmp_path).close()
    assert (tmp_path / "lock").stat().st_ino == inode
