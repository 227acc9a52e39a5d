"""The commands about documents and what is found in them, against a real server on each loop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from cortex_tasks.cli import main
from cortex_tasks.cli.keys import key_store

from .cli_process import LIMIT, command, serving
from .documents import ROOT

SAMPLE = ROOT / "docs" / "sample" / "jargon"


@pytest.fixture(scope="module")
def served(
    anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    data = tmp_path_factory.mktemp("data")
    key = key_store(str(data)).create("laws")
    with serving(data, "--loop", anyio_backend) as (url, _, _):
        yield url, key


@pytest.fixture(autouse=True)
def connection(served: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORTEX_TASKS_URL", served[0])
    monkeypatch.setenv("CORTEX_TASKS_API_KEY", served[1])


def processes_that_name(folder: Path) -> list[str]:
    """The command lines of all processes in which the folder stands."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it ended meanwhile
            found.append(file.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return [line for line in found if str(folder) in line]


def test_a_folder_is_uploaded_with_all_that_the_library_takes_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    (tmp_path / "deep" / "round").symlink_to(tmp_path)
    for name in ("one.txt", "deep/two.MD", "deep/er/three.html", "deep/er/four.rst"):
        (tmp_path / name).write_text(f"{name} is about Unix.")
    for name in (".hidden.txt", ".git/notes.txt", "photo.jpg", "deep/none"):
        (tmp_path / name).write_text("never sent")
    assert main(["upload", "--no-process", "--json", str(tmp_path)]) == 0
    said = json.loads(capsys.readouterr().out)
    sent = [Path(file["path"]).relative_to(tmp_path).as_posix() for file in said["files"]]
    assert sent == ["one.txt", "deep/two.MD", "deep/er/four.rst", "deep/er/three.html"]
    assert {file["outcome"] for file in said["files"]} == {"uploaded"}
    assert said["processing"] is None


def test_each_file_is_reported_and_one_that_is_refused_makes_the_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, empty, odd = tmp_path / "good.txt", tmp_path / "empty.txt", tmp_path / "odd.exe"
    good.write_text("VAX machines ran VMS.")
    empty.touch()
    odd.write_text("MZ")
    assert main(["upload", "--no-process", str(good)]) == 0
    assert capsys.readouterr().err.endswith("1 uploaded\n")
    assert main(["upload", "--no-process", str(good), str(empty), str(odd)]) == 1
    said = capsys.readouterr().err
    assert f"skipped: {good}: A document named 'good.txt' with the same content" in said
    assert f"failed: {empty}: 'empty.txt' is empty" in said
    assert f"failed: {odd}: Unsupported file type '.exe'" in said
    assert said.endswith("1 skipped, 2 failed\n")


def test_a_name_that_is_not_unicode_can_be_sent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = os.fsencode(tmp_path) + b"/caf\xe9.txt"
    Path(os.fsdecode(named)).write_text("Coffee at the MIT AI Lab.")
    assert main(["upload", "--no-process", str(tmp_path)]) == 0
    assert capsys.readouterr().err.endswith("1 uploaded\n")


def test_nothing_to_upload_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["upload", str(tmp_path)]) == 1
    assert "there is nothing to upload" in capsys.readouterr().err
    assert main(["upload", str(tmp_path / "none")]) == 2
    assert f"there is no file or folder {tmp_path / 'none'}" in capsys.readouterr().err


def test_the_four_jobs_one_by_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["upload", "--no-process", "--collection", "jargon", str(SAMPLE)]) == 0
    for words in (
        ["process", "--concurrency", "4"],
        ["analyze", "--mode", "rebuild"],
        ["detect", "--min-size", "4"],
        ["summarize", "--force"],
    ):
        capsys.readouterr()
        assert main([*words, "--wait"]) == 0
        out, err = capsys.readouterr()
        task_id, status, _ = out.split("  ", 2)
        assert task_id.startswith("task_")
        assert status == "completed"
        assert "100%  completed" in err

    assert main(["process", "--wait"]) == 0
    assert capsys.readouterr() == ("", "No pending documents to process\n")

    assert main(["communities", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["communities"]
    assert len(found) > 2
    assert main(["summarize", str(found[0]["id"]), found[1]["community_id"], "--wait"]) == 0
    capsys.readouterr()
    assert main(["communities"]) == 0
    shown = capsys.readouterr().out
    for community in found:
        assert f"{community['name']}  (comm_{community['id']}, " in shown
        assert community["summary"][:40] in shown


def test_upload_with_a_chain_waits_for_every_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "more.txt").write_text("Infocom sold Zork. Zork came from MIT.")
    assert main(["upload", "--chain", "all", "--wait", "--json", str(tmp_path)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [file["outcome"] for file in said["files"]] == ["uploaded"]
    assert [(task["task_type"], task["status"]) for task in said["processing"]] == [
        ("document_processing", "completed"),
        ("relationship_analysis", "completed"),
        ("community_detection", "completed"),
        ("community_summarization", "completed"),
    ]


def test_without_wait_an_operation_prints_the_id_of_its_task_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["analyze"]) == 0
    task_id = capsys.readouterr().out.split()[0]
    assert main(["wait", task_id]) == 0
    assert capsys.readouterr().out.startswith(f"{task_id}  completed")


def test_the_demo_shows_communities_and_leaves_nothing_behind(
    anyio_backend: str, tmp_path: Path
) -> None:
    ended = subprocess.run(
        command("demo"),
        env={**os.environ, "TMPDIR": str(tmp_path), "CORTEX_TASKS_LOOP": anyio_backend},
        capture_output=True,
        text=True,
        timeout=2 * LIMIT,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("Members: ") > 2
    assert "No summary yet" not in ended.stdout
    for job in ("upload", "document_processing", "community_summarization"):
        assert f"{job}  100%  completed" in ended.stderr
    assert ended.stderr.endswith("The server is stopped and its folder is removed.\n")
    assert list(tmp_path.iterdir()) == []


def test_the_demo_without_documents_starts_no_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--documents", str(tmp_path / "none")]) == 2
    assert main(["demo", "--documents", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "there is no file or folder" in err
    assert "there is nothing to upload" in err
    assert "server" not in err


def test_an_interrupted_demo_stops_its_server_and_removes_its_folder(tmp_path: Path) -> None:
    with subprocess.Popen(
        command("demo"),
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        try:
            assert "A server for this demo runs at" in process.stderr.readline()
            assert len(processes_that_name(tmp_path)) == 1
            process.send_signal(signal.SIGTERM)
            said = process.stderr.read()
            assert process.wait(LIMIT) == 130
        finally:
            process.kill()
    assert said.endswith("Interrupted. The server is stopped and its folder is removed.\n")
    assert list(tmp_path.iterdir()) == []
    assert processes_that_name(tmp_path) == []
