"""No traceback: whatever is given to a command, whatever answers it, wherever its output leads."""

from __future__ import annotations

import json
import os
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cortex_tasks.cli import main
from cortex_tasks.cli.screen import local_time, short_time

from .cli_process import LIMIT, command
from .test_cli_connection import answering

NO_UNICODE = "\udcff"  # what Python makes of a byte that is no UTF-8
LIST = '{"tasks": [], "total": 0, "note": "ü 😀 …"}'.encode()


def answer(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


def in_shell(redirected: str, url: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `list --json` with its output led elsewhere by a shell."""
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirected}', "sh", *command("list", "--json", "--url", url)],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        env={**os.environ, **variables},
        check=False,
    )


@pytest.mark.parametrize("redirected", [">&-", "2>&-", ">&- 2>&-"])
def test_a_stream_that_is_closed_changes_nothing_but_that(redirected: str) -> None:
    with answering(answer(LIST)) as url:
        ended = in_shell(redirected, url)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_output_without_room_is_a_failure_that_says_so() -> None:
    with answering(answer(LIST)) as url:
        ended = in_shell(">/dev/full", url)
    assert ended.returncode == 1
    assert ended.stderr == "cortex-tasks: the answer cannot be written: No space left on device\n"


def test_json_stays_json_where_the_output_is_not_unicode() -> None:
    with answering(answer(LIST)) as url:
        ended = in_shell("", url, PYTHONIOENCODING="ascii")
    assert ended.returncode == 0
    assert ended.stdout.isascii()
    assert json.loads(ended.stdout) == json.loads(LIST)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 5000])
def test_an_answer_that_is_no_json_is_a_failure_that_says_so(
    capsys: pytest.CaptureFixture[str], body: bytes
) -> None:
    with answering(answer(body)) as url:
        assert main(["list", "--url", url, "--json"]) == 1
        assert main(["list", "--url", url]) == 1
    assert "cortex-tasks: the server's answer is not" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["show", NO_UNICODE],
        ["list", "--type", NO_UNICODE],
        ["analyze", "--collection", NO_UNICODE],
        ["upload", ".", "--collection", NO_UNICODE],
        ["keys", "create", "--name", NO_UNICODE],
    ],
)
def test_words_that_are_not_unicode_are_a_usage_error(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2


@pytest.mark.parametrize("words", [["show", "events"], ["retry", "bulk"], ["cancel", ".."]])
def test_a_word_at_whose_place_there_is_something_else_is_no_id(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--url", "http://127.0.0.1:9"]) == 2
    assert f"'{words[1]}' is no id" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["http://a..b", "http://.", f"http://{'a' * 70}.invalid"])
def test_a_name_that_no_host_can_have_is_a_usage_error(url: str) -> None:
    assert main(["list", "--url", url]) == 2


@pytest.mark.parametrize("words", [["upload"], ["demo", "--documents"]])
def test_a_path_that_no_file_can_have_is_a_usage_error(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str]
) -> None:
    assert main([*words, str(tmp_path / ("a" * 300))]) == 2
    assert "File name too long" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("variable", "value"),
    [("ALL_PROXY", "nonsense://x"), ("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_FILE", __file__)],
)
def test_surroundings_that_cannot_be_used_are_named(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
) -> None:
    monkeypatch.setenv(variable, value)
    assert main(["list", "--url", "https://nowhere.invalid"]) == 2
    assert variable in capsys.readouterr().err


def test_the_certificates_that_are_named_count_on_this_machine_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent")
    assert main(["list", "--url", "https://localhost:9"]) == 2
    assert "SSL_CERT_FILE" in capsys.readouterr().err


@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Kiritimati"])
def test_a_time_at_the_end_of_the_calendar_is_shown_all_the_same(
    zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        for moment in (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, tzinfo=UTC)):
            assert local_time(moment)
            assert short_time(moment)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_no_line_of_a_tasks_log_is_made_by_the_text_of_another(
    capsys: pytest.CaptureFixture[str],
) -> None:
    forged = "read\n2026-03-15 10:30:00 error    all is lost"
    line = {"at": "2026-03-15T10:30:00Z", "level": "info", "message": forged, "attempt": 1}
    found = {"lines": [{**line, "fields": {}}], "dropped": 0}
    with answering(answer(json.dumps(found).encode())) as url:
        assert main(["show", "task_1", "--log", "--url", url]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("info     read")
    assert second == "    2026-03-15 10:30:00 error    all is lost"
