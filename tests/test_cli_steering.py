"""The commands by which a person steers, against a server on each loop."""

from __future__ import annotations

import pytest

from .cli_server import SampleServer
from .test_cli_tasks import Said, served, server

__all__ = ["served", "server"]  # the fixtures


def test_a_failed_task_is_tried_again(
    server: SampleServer, capsys: pytest.CaptureFixture[str]
) -> None:
    task_id = server.submit("fails")
    said = Said(capsys, "retry", task_id)
    assert said.code == 0
    assert said.out.split()[:2] == [task_id, "pending"]
    assert server.wait(task_id).attempt == 2


def test_of_many_each_is_tried_and_each_refusal_is_told(
    server: SampleServer, capsys: pytest.CaptureFixture[str]
) -> None:
    failed, done = server.submit("fails"), server.submit("echo")
    said = Said(capsys, "retry", done, failed, "task_none", "--json")
    assert said.code == 1
    assert said.json["task_id"] == failed
    assert f"{done!r} cannot be tried again: it is completed" in said.err
    assert "'task_none' not found" in said.err
    assert Said(capsys, "retry", "task_none").code == 4


def test_the_types_are_listed(server: SampleServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.submit("echo")
    said = Said(capsys, "types")
    heading, *lines = said.out.splitlines()
    assert heading.split()[:3] == ["TYPE", "RUNNING", "PENDING"]
    (echo,) = [line.split() for line in lines if line.startswith("echo ")]
    assert int(echo[3]) >= 1
    names = [one["name"] for one in Said(capsys, "types", "--json").json["task_types"]]
    assert names == [line.split()[0] for line in lines]


def test_list_takes_a_search_and_one_that_cannot_be_read_is_a_mistake_of_usage(
    server: SampleServer, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = server.submit("fails")
    said = Said(capsys, "list", "--query", f"status:failed id:{failed} luck", "--json")
    assert [task["task_id"] for task in said.json["tasks"]] == [failed]
    said = Said(capsys, "list", "--query", "colour:red")
    assert said.code == 2
    assert "type:, status:, older:, newer:, id:" in said.err
    for command in ("cancel", "retry"):
        assert Said(capsys, command, "--query", "").code == 2
        assert Said(capsys, command, "--query", "colour:red").code == 2


def test_a_type_is_paused_and_resumed(
    server: SampleServer, capsys: pytest.CaptureFixture[str]
) -> None:
    said = Said(capsys, "pause", "echo")
    assert (said.code, said.out) == (0, "echo  paused  0 running, 0 pending\n")
    assert "paused" in Said(capsys, "types").out
    assert Said(capsys, "resume", "echo", "--json").json["paused"] is False
    assert "paused" not in Said(capsys, "types").out
    assert Said(capsys, "pause", "nowhere").code == 4


def test_all_that_fit_a_search_are_cancelled_or_tried_again(
    server: SampleServer, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = server.submit("gated"), server.submit("gated")
    query = ("--query", f"type:gated id:{one},{other}")
    said = Said(capsys, "cancel", *query, "--dry-run")
    assert (said.code, sorted(said.out.split())) == (0, sorted([one, other]))
    assert "2 tasks fit; would be cancelled" in said.err
    assert server.get(one).status == "running"
    said = Said(capsys, "cancel", *query, "--json")
    assert said.json["affected"] == 2
    assert server.get(one).status == server.get(other).status == "cancelled"
    said = Said(capsys, "retry", *query)
    assert (said.code, "2 of them were tried again" in said.err) == (0, True)
    assert Said(capsys, "cancel", one, other).code == 0


def test_tasks_are_named_in_one_way(
    server: SampleServer, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("cancel", "retry"):
        assert Said(capsys, command).code == 2
        assert Said(capsys, command, "task_x", "--query", "type:echo").code == 2
        assert Said(capsys, command, "task_x", "--dry-run").code == 2
