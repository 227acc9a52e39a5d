"""The data folder: made for its owner alone, and where the keys in it are."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from cortex_tasks.cli import main
from cortex_tasks.jobs.library import Library
from cortex_tasks.jobs.library.checking import problems_of
from tests.cli_process import serving

ROOT = Path(__file__).parent.parent


def make_a_key(folder: Path) -> None:
    assert main(["keys", "create", "--name", "me", "--data", str(folder)]) == 0


def run_a_server(folder: Path) -> None:
    with serving(folder):
        pass


def open_a_library(folder: Path) -> None:
    async def open_and_close() -> None:
        async with Library(folder / "library.sqlite"):
            pass

    anyio.run(open_and_close)


EACH = pytest.mark.parametrize("use", [make_a_key, run_a_server, open_a_library])


@EACH
def test_a_folder_that_is_made_is_for_its_owner_alone(
    tmp_path: Path, use: Callable[[Path], None]
) -> None:
    folder = tmp_path / "data"
    use(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@EACH
def test_a_folder_that_was_there_stays_as_it_is(
    tmp_path: Path, use: Callable[[Path], None]
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(0o755)
    use(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


def test_a_key_that_the_command_line_makes_opens_the_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_a_key(tmp_path)
    monkeypatch.setenv("CORTEX_TASKS_API_KEY", capsys.readouterr().out.strip())
    with serving(tmp_path) as (url, _, _):
        assert main(["list", "--url", url]) == 0


def test_one_place_says_what_the_file_of_keys_is_called() -> None:
    sources = [*(ROOT / "http").glob("*.py"), *(ROOT / "cortex_tasks" / "cli").glob("*.py")]
    assert [file.name for file in sources if "keys.json" in file.read_text()] == ["keys.py"]


def test_a_library_that_is_gone_is_missed(tmp_path: Path) -> None:
    def log_of_a_start() -> str:
        with (tmp_path / "log").open("w+") as log:
            with serving(tmp_path / "data", log=log):
                pass
            log.seek(0)
            return log.read()

    missed = "an empty library is made"
    assert missed not in log_of_a_start()  # there was nothing to be had
    assert missed not in log_of_a_start()
    library = tmp_path / "data" / "library.sqlite"
    library.unlink()
    said = log_of_a_start()
    assert missed in said
    assert str(library) in said
    library.write_bytes(b"")
    assert problems_of(library) == [
        f"{library} is empty: what was in it is gone. Put a copy of it there, or remove it"
    ]
    assert missed in log_of_a_start()
    assert problems_of(library) == []
