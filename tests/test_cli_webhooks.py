"""`cortex-tasks webhooks`, against a real server that tells a real receiver in this process."""

from __future__ import annotations

import json
import queue
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cortex_tasks.cli import main
from cortex_tasks.http.keys import KeyStore

from .cli_process import LIMIT, serving

PAGE = Path(__file__).parent.parent / "docs" / "webhooks.md"


@contextmanager
def receiver() -> Iterator[tuple[str, queue.Queue[tuple[dict[str, str], bytes]]]]:
    """Take requests on the loopback; gives the URL and what came."""
    came: queue.Queue[tuple[dict[str, str], bytes]] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            came.put((headers | {":path": self.path}, body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/hook", came
        finally:
            server.shutdown()
            thread.join()


def test_a_hook_that_the_command_line_adds_is_told_with_a_signature_that_the_page_can_check(
    anyio_backend: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def said(*words: str, code: int = 0) -> str:
        capsys.readouterr()
        assert main(words) == code
        return capsys.readouterr().out

    [code] = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    page: dict[str, Any] = {}
    exec(code, page)

    data = tmp_path / "data"
    monkeypatch.setenv("CORTEX_TASKS_API_KEY", KeyStore.in_folder(data).create("laws"))
    with receiver() as (hook_url, came):
        with serving(data, "--webhooks-to-private", CORTEX_TASKS_LOOP=anyio_backend) as (url, _, _):
            monkeypatch.setenv("CORTEX_TASKS_URL", url)
            secret = said("webhooks", "add", hook_url).strip()
            [[hook_id]] = [re.findall(r"wh_\w+", said("webhooks", "list"))]
            assert "Taken (HTTP 204)" in said("webhooks", "test", hook_id)
            came.get(timeout=LIMIT)
            task = json.loads(said("detect", "--json"))
            headers, body = came.get(timeout=LIMIT)
            assert json.loads(body)["data"]["task_id"] == task["task_id"]
            assert page["genuine"](secret, body, headers["x-cortex-signature"])
            assert not page["genuine"]("whsec_other", body, headers["x-cortex-signature"])
            for forged in ("", "t=1,v1=", "v1=00", "t=1,v1=\xe9", "t=\xb2,v1=00", "t=\udce9"):
                assert not page["genuine"](secret, body, forged)
            [delivery] = set(re.findall(r"evt_\w+", said("webhooks", "deliveries", hook_id)))
            said("webhooks", "retry", hook_id, delivery)
            assert came.get(timeout=LIMIT)[1] == body
            while "taken (HTTP 204)" not in said("webhooks", "list"):
                pass  # until it has written down that it was
        stored = b"".join(file.read_bytes() for file in data.rglob("*") if file.is_file())
        assert secret.encode() not in stored
        with serving(data, CORTEX_TASKS_LOOP=anyio_backend) as (url, _, _):
            monkeypatch.setenv("CORTEX_TASKS_URL", url)
            said("webhooks", "test", hook_id, code=1)  # it may not tell this machine any more
            said("webhooks", "remove", hook_id)
            assert said("webhooks", "list") == ""
            said("webhooks", "remove", hook_id, code=4)
        assert came.empty()


def test_a_url_that_is_none_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CORTEX_TASKS_API_KEY", KeyStore.in_folder(tmp_path).create("laws"))
    with serving(tmp_path) as (url, _, _):
        monkeypatch.setenv("CORTEX_TASKS_URL", url)
        assert main(["webhooks", "add", "nonsense"]) == 1
    assert "'nonsense' is no URL of the form https://host/path" in capsys.readouterr().err


def test_the_url_of_a_hook_is_sent_where_no_log_on_the_way_keeps_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = "http://receiver.example/hook/of-nobody-else"
    with receiver() as (url, came):
        monkeypatch.setenv("CORTEX_TASKS_URL", url.removesuffix("/hook"))
        monkeypatch.setenv("CORTEX_TASKS_API_KEY", "any")
        main(["webhooks", "add", secret, "--events", "task.failed"])  # it is not answered as ours
        headers, body = came.get(timeout=LIMIT)
        assert json.loads(body) == {"url": secret, "events": ["task.failed"]}
        assert headers[":path"] == "/api/admin/webhooks"
