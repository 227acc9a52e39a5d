"""The commands about tasks, against a server on each loop."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cortex_tasks.cli import main
from cortex_tasks.cli.exits import Exit

from .cli_server import SampleServer, sample_server


@pytest.fixture(scope="module")
def served(
    anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[SampleServer, str]]:
    with sample_server(anyio_backend, tmp_path_factory.mktemp("server")) as server:
        yield server, server.keys.create("laws")


@pytest.fixture
def server(served: tuple[SampleServer, str], monkeypatch: pytest.MonkeyPatch) -> SampleServer:
    monkeypatch.setenv("CORTEX_TASKS_URL", served[0].url)
    monkeypatch.setenv("CORTEX_TASKS_API_KEY", served[1])
    return served[0]


class Said:
    """What a command printed, and how it ended."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *words: str) -> None:
        capsys.readouterr()
        self.code = main(words)
        self.out, self.err = capsys.readouterr()

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def fields_of(shown: str) -> dict[str, str]:
    """What `show` printed, by name."""
    lines = [line for line in shown.splitlines() if "  " in line]
    return dict(re.split(" {2,}", line, maxsplit=1) for line in lines)


def test_list_prints_tasks_newest_first_and_takes_filters(
    server: SampleServer, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = server.submit("echo"), server.submit("echo")
    said = Said(capsys, "list", "--type", "echo", "--status", "completed", "--limit", "2")
    assert said.code == 0
    heading, *lines = said.out.splitlines()
    assert heading.split() == ["ID", "TYPE", "STATUS", "DONE", "CREATED", "MESSAGE"]
    assert [line.split()[:4] for line in lines] == [
        [second, "echo", "completed", "100%"],
        [first, "echo", "completed", "100%"],
    ]
    assert said.err.startswith("2 of ")


def test_list_turns_pages_that_do_not_move_while_tasks_are_submitted(
    server: SampleServer, capsys: pytest.CaptureFixture[str]
) -> None:
    made = [server.submit("echo") for _ in range(3)]
    said = Said(capsys, "list", "--type", "echo", "--limit", "2", "--cursor", "start")
    assert [line.split()[0] for line in said.out.splitlines()[1:]] == made[:0:-1]
    cursor = said.err.rpartition("go on with --cursor ")[2].strip()
    server.submit("echo")
    further = Said(capsys, "list", "--type", "echo", "--limit", "1", "--cursor", cursor, "--json")
    assert [task["task_id"] for task in further.json["tasks"]] == made[:1]
    assert Said(capsys, "list", "--cursor", "nonsense").code == Exit.USAGE


def test_json_prints_the_whole_answer_and_nothing_else(
    server: SampleServer, capsys: pytest.CaptureFixture[str]
) -> None:
    task_id = server.submit("echo", {"a": 1})
    listed = Said(capsys, "list", "--type", "echo", "--json").json
    assert task_id in [task["task_id"] for task in listed["tasks"]]
    shown = Said(capsys, "show", task_id, "--json").json
    assert (shown["id"], shown["result"]) == (task_id, {"a": 1})


def test_show_tells_what_there_is_to_know(
    server: SampleServer, capsys: pytest.CaptureFixture[str]
) -> None:
    said = Said(capsys, "show", server.submit("gated"))
    fields = fields_of(said.out)
    assert fields["status"] == "running"
    assert fields["progress"] == "40% (2 of 5)"
    assert fields["message"] == "Waiting at the gate"
    assert not {"error", "not before", "priority", "attempt", "before"} & fields.keys()


def test_show_tells_how_earlier_attempts_ended(
    server: SampleServer, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = fields_of(Said(capsys, "show", server.submit("flaky")).out)
    assert (fields["status"], fields["attempt"]) == ("completed", "2")
    assert re.fullmatch(r"1: until [-0-9]+ [:0-9]+, ConnectionError: refused", fields["before"])


def test_show_tells_what_a_task_waits_for(
    server: SampleServer, capsys: pytest.CaptureFixture[str]
) -> None:
    run_at = datetime(2100, 3, 15, 10, 30, tzinfo=UTC)
    said = Said(capsys, "show", server.submit("echo", run_at=run_at, priority=7))
    fields = fields_of(said.out)
    assert fields["status"] == "pending"
    assert fields["not before"] == run_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    assert fields["priority"] == "7"


@pytest.mark.parametrize("command", ["show", "result", "wait", "cancel"])
def test_an_unknown_task_is_exit_code_4(
    server: SampleServer, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    said = Said(capsys, command, "task_none/../..?x")
    assert (said.code, said.out) == (4, "")
    assert "task_none" in said.err or "nothing at this path" in said.err


def test_a_result_is_printed_as_json(
    server: SampleServer, capsys: pytest.CaptureFixture[str]
) -> None:
    said = Said(capsys, "result", server.submit("echo", {"word": "naïve"}))
    assert (said.code, said.json) == (0, {"word": "naïve"})


def test_a_missing_result_says_why_in_its_exit_code(
    server: SampleServer, capsys: pytest.CaptureFixture[str]
) -> None:
    running = server.submit("gated")
    said = Said(capsys, "result", running)
    assert (said.code, said.out) == (1, "")
    assert f"cortex-tasks wait {running}" in said.err
    server.cancel(running)
    assert Said(capsys, "result", running).code == 3
    said = Said(capsys, "result", server.submit("fails"))
    assert said.code == 1
    assert "no luck" in said.err


def test_wait_ends_with_the_code_of_how_the_task_ended(
    server: SampleServer, capsys: pytest.CaptureFixture[str]
) -> None:
    cancelled = server.submit("gated")
    server.cancel(cancelled)
    assert Said(capsys, "wait", server.submit("echo")).code == 0
    assert Said(capsys, "wait", server.submit("fails")).code == 1
    assert Said(capsys, "wait", cancelled).code == 3


def test_wait_follows_the_chain_and_its_code_is_that_of_the_last_task(
    server: SampleServer, capsys: pytest.CaptureFixture[str]
) -> None:
    first = server.submit("echo", then=["echo", "fails"])
    said = Said(capsys, "wait", first)
    assert said.code == 1
    assert [line.split()[1] for line in said.out.splitlines()] == [
        "completed",
        "completed",
        "failed",
    ]
    tasks = Said(capsys, "wait", first, "--json").json
    assert [task["task_type"] for task in tasks] == ["echo", "echo", "fails"]


def test_cancel_is_done_only_when_the_task_has_stopped(
    server: SampleServer, capsys: pytest.CaptureFixture[str]
) -> None:
    running = server.submit("gated")
    said = Said(capsys, "cancel", running)
    assert (said.code, said.out) == (0, "Task cancelled\n")
    assert server.get(running).status == "cancelled"
    stubborn = server.submit("stubborn")
    said = Said(capsys, "cancel", stubborn)
    assert said.code == 1
    assert server.get(stubborn).status == "running"
    said = Said(capsys, "cancel", server.submit("echo"))
    assert said.code == 1
    assert "already completed" in said.err


def test_cleanup_says_what_it_removed(
    server: SampleServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.submit("echo")
    said = Said(capsys, "cleanup", "--max-age-hours", "1")
    assert (said.code, said.out) == (0, "Cleaned up 0 old tasks\n")
    assert Said(capsys, "cleanup", "--json").json["removed"] == 0


def test_nothing_that_a_task_says_can_steer_the_terminal(
    server: SampleServer, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = server.submit("fails")
    for words in (["list"], ["show", failed], ["show", failed, "--json"], ["wait", failed]):
        said = Said(capsys, *words)
        assert "no luck" in said.out
        assert not set("\x1b\u202e\u2066") & set(said.out + said.err)


def test_the_key_may_come_from_a_file_and_then_wins_over_the_variable(
    server: SampleServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    file = tmp_path / "key"
    file.write_text(server.keys.create("from a file") + "\n")
    monkeypatch.setenv("CORTEX_TASKS_API_KEY", "cortex_rw_wrong")
    assert Said(capsys, "list").code == 1
    assert Said(capsys, "list", "--key-file", str(file)).code == 0
    said = Said(capsys, "list", "--key-file", str(tmp_path / "none"))
    assert (said.code, said.out) == (2, "")
    assert "No such file" in said.err


def test_a_key_that_does_not_open_is_explained_and_never_shown(
    server: SampleServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = server.keys.create("reader", ["read"])
    for key in ("", "cortex_rw_wrong", reader, "two words"):
        monkeypatch.setenv("CORTEX_TASKS_API_KEY", key)
        said = Said(capsys, "cleanup")
        assert said.code == (2 if " " in key else 1)
        assert "key" in said.err
        assert " " in key or "cortex-tasks keys create" in said.err
        assert not key or key not in said.out + said.err
