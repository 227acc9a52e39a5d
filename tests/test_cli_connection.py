"""What a command says when the server is not there, or is another one."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cortex_tasks.cli import main


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """Listen, give every connection this answer, and hang up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
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
