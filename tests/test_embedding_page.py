"""docs/embedding.md: each of its programs runs as it stands, and stops while a stream is open."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cortex_tasks.http.keys import KeyStore
from tests.documents import LIMIT, ROOT, blocks

PAGE = "docs/embedding.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for block in blocks(PAGE, "python"):
        named = re.match(r"# (\w+\.py)\n", block.text)
        assert named is not None, block.text
        (tmp_path / named[1]).write_text(block.text)
    return tmp_path


def surroundings(folder: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT}:{folder}"}


def test_its_script_prints_what_it_should(folder: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "error", "script.py"],
        cwd=folder,
        env=surroundings(folder),
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "[0, 1, 4, 9, 16]\n", "")


@contextmanager
def running(folder: Path, app: str, server: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Serve an application of the page as it says; gives the process and the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        os.set_inheritable(listener.fileno(), True)
        number = listener.fileno()
        words = {
            "uvicorn": ("uvicorn", f"{app}:app", "--fd", f"{number}"),
            "hypercorn": ("hypercorn", "--workers", "0", f"{app}:app", "--bind", f"fd://{number}"),
        }
        with subprocess.Popen(
            [sys.executable, "-m", *words[server]],
            cwd=folder,
            env=surroundings(folder),
            stderr=subprocess.PIPE,
            pass_fds=[number],
            text=True,
        ) as process:
            try:
                yield process, listener.getsockname()[1]
            finally:
                process.kill()


@pytest.mark.parametrize(
    ("app", "server"),
    [
        ("fastapi_app", "uvicorn"),
        ("starlette_app", "uvicorn"),
        ("litestar_app", "uvicorn"),
        ("fastapi_app", "hypercorn"),
    ],
)
def test_its_applications_serve_tasks_and_stop_while_a_stream_is_open(
    folder: Path, app: str, server: str
) -> None:
    headers = {"X-API-Key": KeyStore.in_folder(folder / "data").create("me")}

    def ask(method: str, path: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            return json.loads(answer.read())
        finally:
            connection.close()

    with running(folder, app, server) as (process, port):
        task_id = ask("POST", "/reports/ada")["task_id"]
        stream = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
        stream.request("GET", f"/cortex/api/tasks/{task_id}/events", headers=headers)
        followed = stream.getresponse().read().decode()
        assert "event: end" in followed
        assert ask("GET", f"/cortex/api/tasks/{task_id}/result") == {"sent_to": "ada"}

        stream.request("GET", "/cortex/api/tasks/events", headers=headers)
        opened = stream.getresponse()
        assert opened.readline().startswith(b"retry:")
        process.send_signal(signal.SIGTERM)
        # Uvicorn waits for open requests without end, Hypercorn cuts them off: the page promises
        # that it stops, and that the stream has an end.
        assert process.wait(LIMIT) in (0, -signal.SIGTERM)
        opened.read()
        stream.close()
        assert process.stderr is not None
        said = process.stderr.read()
        assert server == "hypercorn" or "Finished server process" in said
