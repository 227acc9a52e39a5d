"""What the command line takes, before anything is done."""

from __future__ import annotations

import argparse
import contextlib
import io
from datetime import timedelta

import pytest

from cortex_tasks.cli import main
from cortex_tasks.cli.bounds import retention_of
from cortex_tasks.cli.commands import parser
from cortex_tasks.cli.uploads import ENDINGS
from cortex_tasks.engine.settings import Limits, Retention
from cortex_tasks.jobs.methods.formats import EXTENSIONS

COMMANDS = {
    "serve": [],
    "upload": ["somewhere"],
    "process": [],
    "analyze": [],
    "detect": [],
    "summarize": [],
    "communities": [],
    "list": [],
    "show": ["task_1"],
    "result": ["task_1"],
    "wait": ["task_1"],
    "cancel": ["task_1"],
    "cleanup": [],
    "keys create": ["--name", "x"],
    "keys list": [],
    "keys revoke": ["x"],
    "demo": [],
}
READING = ("list", "show", "result", "wait", "communities", "keys list")


def read(*words: str) -> argparse.Namespace:
    return parser().parse_args(words)


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), pytest.raises(SystemExit) as ended:
        main([*command.split(), "--help"])
    assert ended.value.code == 0
    assert f"cortex-tasks {command}" in said.getvalue()
    assert callable(read(*command.split(), *COMMANDS[command]).run)


@pytest.mark.parametrize("command", READING)
def test_every_reading_command_has_json(command: str) -> None:
    assert read(*command.split(), *COMMANDS[command], "--json").json is True


def test_usage_errors_end_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert "COMMAND" in refusal(capsys)
    assert "invalid choice" in refusal(capsys, "lst")
    assert "ACTION" in refusal(capsys, "keys")
    assert "ID" in refusal(capsys, "show")
    assert "unrecognized" in refusal(capsys, "list", "--stat", "running")
    assert "invalid choice" in refusal(capsys, "list", "--status", "canceled")
    assert "whole number from 1 to 168" in refusal(capsys, "cleanup", "--max-age-hours", "0")
    assert "whole number from 1 to 50" in refusal(capsys, "process", "--concurrency", "many")
    assert "'guess' is not one of" in refusal(capsys, "process", "--chain", "detect,guess")
    assert "not one of read, manage" in refusal(
        capsys, "keys", "create", "--name", "x", "--permissions", "write"
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("submit nap --priority 5 {}", {"type": "nap", "params": "{}", "priority": 5}),
        ("submit --wait nap {}", {"type": "nap", "params": "{}", "wait": True}),
        ("submit nap --wait", {"type": "nap", "params": None, "wait": True}),
        ("submit nap --delay 1 -- -1", {"type": "nap", "params": "-1", "delay": 1.0}),
        ("cancel a --json b", {"task_ids": ["a", "b"], "json": True}),
        ("retry --url http://x a b", {"task_ids": ["a", "b"], "url": "http://x"}),
        ("upload a --json b", {"paths": ["a", "b"]}),
        ("summarize a --json b", {"ids": ["a", "b"]}),
        ("doctor --json data", {"json": True}),
        ("webhooks add --events all http://x --json", {"target": "http://x", "json": True}),
    ],
)
def test_options_may_stand_anywhere_among_the_words(
    words: str, expected: dict[str, object]
) -> None:
    read_as = vars(read(*words.split()))
    assert {name: read_as[name] for name in expected} == expected


def test_words_too_many_or_too_few_and_unknown_options_are_refused_wherever_they_stand(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "unrecognized arguments: {}" in refusal(capsys, "submit", "nap", "--wait", "[]", "{}")
    assert "TYPE" in refusal(capsys, "submit", "--wait")
    assert "unrecognized arguments: --bogus" in refusal(capsys, "submit", "nap", "--bogus", "{}")
    assert "PATH" in refusal(capsys, "upload", "--json")


def test_a_chain_is_a_list_of_steps_by_either_name_or_all_of_them() -> None:
    steps = ["relationship_analysis", "community_detection", "community_summarization"]
    assert read("process", "--chain", "analyze,detect,summarize").chain == steps
    assert read("process", "--chain", "all").chain == steps
    assert read("process", "--chain", "community_detection").chain == steps[1:2]
    assert read("process").chain is None


def test_every_option_of_serve_has_a_variable_and_wins_over_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = {
        "host": ("127.0.0.2", "127.0.0.3", "127.0.0.2"),
        "port": ("9000", "9001", 9000),
        "data": ("/one", "/two", "/one"),
        "backend": ("memory", "json", "memory"),
        "loop": ("asyncio", "trio", "asyncio"),
        "grace": ("1.5", "2", 1.5),
        "upload_limit": ("7", "8", 7),
        "log_format": ("json", "text", "json"),
        "log_level": ("error", "debug", "error"),
        "keep_count": ("10", "20", 10),
    }
    for name, (given, _, _) in values.items():
        monkeypatch.setenv(f"CORTEX_TASKS_{name.upper()}", given)
    switches = ("access_log", "trace", "open_metrics", "webhooks_to_private")
    for name in switches:
        monkeypatch.setenv(f"CORTEX_TASKS_{name.upper()}", "1")
    monkeypatch.setenv("CORTEX_TASKS_TYPES", "shop, stall:types,")
    options = vars(read("serve"))
    assert {name: options[name] for name in values} == {
        name: value for name, (_, _, value) in values.items()
    }
    assert all(options[name] is True for name in switches)
    assert options["types"] == ["shop", "stall:types"]
    assert set(options) == {*values, *switches, "keep_days", "limits", "page", "types", "run"}
    assert options["page"] is True
    assert read("serve", "--no-page").page is False
    monkeypatch.setenv("CORTEX_TASKS_PAGE", "off")
    assert read("serve").page is False
    assert read("serve", "--page").page is True

    for name, (_, typed, _) in values.items():
        got = vars(read("serve", f"--{name.replace('_', '-')}", typed))[name]
        assert str(got).removesuffix(".0") == typed
    for name in switches:
        assert vars(read("serve", f"--no-{name.replace('_', '-')}"))[name] is False


def test_serve_is_told_for_how_long_to_keep_tasks_and_its_limits(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = read("serve")
    assert (retention_of(usual), usual.limits) == (Retention(), Limits())
    words = ("--keep-days", "1.5", "--keep-count", "forever")
    some = read("serve", *words, "--limits", "max_log_lines=7, mailbox=9,")
    assert retention_of(some) == Retention(max_age=timedelta(hours=36), max_count=None)
    assert some.limits == Limits(max_log_lines=7, mailbox=9)
    monkeypatch.setenv("CORTEX_TASKS_KEEP_DAYS", "forever")
    assert read("serve").keep_days is None
    for days in ("-1", "nan", "inf", "1e300", "soon", ""):
        assert "not a number of days, or forever" in refusal(capsys, "serve", "--keep-days", days)
    for count in ("-1", "1.5", "many"):
        assert "not a whole number" in refusal(capsys, "serve", "--keep-count", count)
    for limits, said in (
        ("max_things=1", "'max_things' is not one of max_params_bytes, "),
        ("mailbox", "mailbox needs a whole number, as in mailbox=1000"),
        ("mailbox=lots", "mailbox needs a whole number"),
        ("mailbox=0", "Limits.mailbox must be a whole number of 1 or more, not 0"),
    ):
        assert said in refusal(capsys, "serve", "--limits", limits)


def test_a_senseless_variable_is_named_and_disturbs_only_the_commands_that_use_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CORTEX_TASKS_PORT", "eighty")
    monkeypatch.setenv("CORTEX_TASKS_LOOP", "curio")
    said = refusal(capsys, "serve", "--loop", "trio")
    assert "CORTEX_TASKS_PORT=eighty: not a whole number from 0 to 65535" in said
    said = refusal(capsys, "serve", "--port", "1")
    assert "CORTEX_TASKS_LOOP=curio: not one of trio, asyncio" in said
    assert read("list").url == "http://127.0.0.1:8000"


def test_an_empty_variable_is_no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORTEX_TASKS_PORT", "")
    monkeypatch.setenv("CORTEX_TASKS_ACCESS_LOG", "0")
    assert read("serve").port == 8000
    assert read("serve").access_log is False


def test_there_is_no_option_that_takes_a_key_itself() -> None:
    # Command lines can be seen by every user of a machine.
    for command, words in COMMANDS.items():
        assert not {"key_value", "api_key"} & set(vars(read(*command.split(), *words)))
        with contextlib.redirect_stderr(io.StringIO()), pytest.raises(SystemExit):
            read(*command.split(), *words, "--api-key", "x")


def test_folders_give_the_files_that_the_library_takes() -> None:
    assert {f".{ending}" for ending in EXTENSIONS} == ENDINGS
