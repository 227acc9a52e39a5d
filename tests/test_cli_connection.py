"""What a command says when the server is not there, or is another one."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain, repeat

import pytest

from cortex_tasks.cli import main


@contextmanager
def answering(*answers: bytes) -> Iterator[str]:
    """Listen, give each connection the next answer, the last one to all that follow; hang up."""
    turn = chain(answers, repeat(answers[-1]))
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as connections:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                # Not closed yet: that would be a reset, were there something of the request left.
                connections.enter_context(connection)
                connection.recv(65536)
                with suppress(OSError):  # they have hung up already
                    connection.sendall(next(turn))
                    connection.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def free_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def failure(capsys: pytest.CaptureFixture[str], url: str, *words: str) -> str:
    assert main([*(words or ("list",)), "--url", url]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    return err


def test_no_server_says_how_to_start_one(capsys: pytest.CaptureFixture[str]) -> None:
    url = free_url()
    said = failure(capsys, url)
    assert said.startswith(f"cortex-tasks: no server at {url}: start one with `cortex-tasks serve`")


def test_https_where_http_is_spoken_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as url:
        secure = url.replace("http:", "https:")
        said = failure(capsys, secure)
    assert f"TLS with {secure} failed (" in said
    assert said.endswith("if plain HTTP is spoken there, the URL begins with http://\n")


def test_a_server_of_another_kind_is_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    page = b"HTTP/1.1 %s\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi"
    for status in (b"200 OK", b"302 Found", b"404 Not Found"):
        with answering(page % status) as url:
            assert main(["list", "--url", url]) in (1, 4)
        said = capsys.readouterr().err
        assert f"what answers at {url} is not a Cortex task server" in said


def test_an_answer_that_this_version_does_not_understand_is_no_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    body = b'{"tasks": 7}'
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    with answering(head % len(body) + body) as url:
        assert "not one that this version understands" in failure(capsys, url)


def test_a_connection_that_breaks_says_what_may_have_happened(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with answering(b"") as url:
        said = failure(capsys, url, "cleanup")
    assert "what was asked may have been done" in said


TASK = b'{"task_id": "task_1", "task_type": "t", "status": "%b", "progress_percent": 100}'
OK = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n\r\n%b"
END = OK % (b"text/event-stream", b"event: end\ndata: " + TASK % b"completed" + b"\n\n")
BUSY = b"HTTP/1.1 %d No\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
@pytest.mark.parametrize("command", [["wait", "task_1"], ["submit", "t", "--wait"]])
def test_the_last_question_of_a_wait_outlives_a_restart_too(
    capsys: pytest.CaptureFixture[str], command: list[str], status: int
) -> None:
    submitted = [OK % (b"application/json", TASK % b"pending")] if command[0] == "submit" else []
    task = OK % (b"application/json", TASK % b"completed")
    with answering(*submitted, END, BUSY % status, task) as url:
        assert main([*command, "--url", url]) == 0
    out, err = capsys.readouterr()
    assert out == "task_1  completed  \n"
    assert f"HTTP {status} without a reason" in err


def test_a_server_that_stays_away_as_a_task_ends_is_given_up(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cortex_tasks.cli.connection.PATIENCE", 0)
    with answering(END, BUSY % 502) as url:
        assert "HTTP 502 without a reason" in failure(capsys, url, "wait", "task_1")


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1:8000", "ftp://127.0.0.1", "http://", "nonsense", "http://[::1", "http://a:99999"],
)
def test_what_is_no_url_is_a_usage_error(capsys: pytest.CaptureFixture[str], url: str) -> None:
    assert main(["list", "--url", url]) == 2
    assert f"{url!r} is not the URL of a server" in capsys.readouterr().err


def test_a_missing_extra_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "httpx2", None)
    said = failure(capsys, "http://127.0.0.1:1")
    assert "needs httpx2, which is not installed: pip install 'cortex-tasks[cli]'" in said
