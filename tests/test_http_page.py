"""docs/http.md: what it shows runs as it stands, and its numbers are those of the code."""

from __future__ import annotations

import http.client
import inspect
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from cortex_tasks import Limits
from cortex_tasks.http import bodies, conditions, connections, envelope, listening, server
from cortex_tasks.http.app import create_app
from cortex_tasks.http.keys import KeyStore
from cortex_tasks.http.serving import serve
from cortex_tasks.http.stopping import KILLED_ITSELF

from .cli_process import serving
from .documents import LIMIT, ROOT, Block, Place, blocks

PAGE = "docs/http.md"
TEXT = (ROOT / PAGE).read_text(encoding="utf-8")
KIB, MIB = 2**10, 2**20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A program of somebody else's, with the files of the page."""
    for block in blocks(PAGE, "python"):
        named = re.match(r"# (\w+\.py)\n", block.text)
        assert named is not None, block.text
        (tmp_path / named[1]).write_text(block.text)
    return tmp_path


@contextmanager
def running(folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{folder}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def get(url: str, key: str = "") -> tuple[int, Any]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=LIMIT)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}", headers={"X-API-Key": key})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


@pytest.mark.parametrize("loop", ["trio", "asyncio"])
def test_its_own_application_is_served_and_stops(folder: Path, loop: str) -> None:
    with running(folder, "-W", "error", "served.py", loop) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert get(f"{url}/cortex/health")[1]["status"] == "healthy"
        assert get(f"{url}/cortex/api/tasks") == (200, {"tasks": [], "total": 0, "seq": 0})
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT) == 0
        assert process.stdout.read() == ""


@pytest.mark.parametrize("loop", ["trio", "asyncio"])
def test_its_mounted_application_lives_in_another_server(folder: Path, loop: str) -> None:
    key = KeyStore.in_folder(folder / "data").create("me")
    hypercorn = ("-m", "hypercorn", "--workers", "0", "--worker-class", loop)
    with running(folder, *hypercorn, "--bind", "127.0.0.1:0", "mounted:app") as process:
        assert process.stdout is not None
        found = re.search(r"http://[\d.:]+", process.stdout.readline())
        assert found is not None
        assert get(f"{found[0]}/cortex/health")[1]["status"] == "healthy"
        assert get(f"{found[0]}/cortex/api/tasks")[0] == 401
        assert get(f"{found[0]}/cortex/api/tasks", key) == (
            200,
            {"tasks": [], "total": 0, "seq": 0},
        )
        process.send_signal(signal.SIGTERM)
        # On trio, that server leaves the signal to the system.
        assert process.wait(LIMIT) == (0 if loop == "asyncio" else -signal.SIGTERM)
    assert (folder / "data" / "library.sqlite").exists()


def test_its_loop_ends_with_the_task(tmp_path: Path, anyio_backend: str) -> None:
    data = tmp_path / "data"
    key = KeyStore.in_folder(data).create("me")
    loop = bash("until curl")
    upload = (
        'curl -sf -o /dev/null -H "X-API-Key: $KEY" -F file=@docs/sample/jargon/Unix.md '
        '"$URL/api/upload?start_processing=false"\n'
    )
    with serving(data, "--loop", anyio_backend) as (url, _, _):
        place = Place(tmp_path, anyio_backend)
        place.environment |= {"KEY": key, "URL": url}
        loop.text = upload + loop.text + 'echo "$task"\n'
        [task_id] = place.run([loop])
        status, task = get(f"{url}/api/tasks/{task_id.strip()}", key)
    assert (status, task["status"]) == (200, "completed")


def bash(part: str) -> Block:
    """The one block for a shell that has this in it."""
    [block] = [each for each in blocks(PAGE, "bash") if part in each.text]
    return block


def test_its_repeated_request_makes_one_task(tmp_path: Path, anyio_backend: str) -> None:
    data = tmp_path / "data"
    key = KeyStore.in_folder(data).create("me")
    with serving(data, "--loop", anyio_backend) as (url, _, _):
        place = Place(tmp_path, anyio_backend)
        place.environment |= {"KEY": key, "URL": url}
        [count] = place.run([bash("Idempotency-Key")])
        assert count.strip() == "1"
        assert get(f"{url}/api/tasks", key)[1]["total"] == 1


def test_its_streams_follow_a_task_to_its_end_and_all_tasks_from_a_list(
    tmp_path: Path, anyio_backend: str
) -> None:
    data = tmp_path / "data"
    key = KeyStore.in_folder(data).create("me")
    with serving(data, "--loop", anyio_backend) as (url, _, _):
        place = Place(tmp_path, anyio_backend)
        place.environment |= {"KEY": key, "URL": url}
        one, many = place.run([bash("$task/events"), bash("/api/tasks/events")])
    *before, last = one.splitlines()
    for line in before:  # it is found as far as it has come by then
        assert re.fullmatch(r"\d+ (pending|running|completed) \d+ % .*", line), one
    assert re.fullmatch(r"\d+ completed 100 % .*", last), one
    assert many.startswith("retry: 1000\n\nevent: ready\n"), many


def test_its_limits_are_those_of_the_code() -> None:
    limits = TEXT.partition("## Limits\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", limits, re.MULTILINE)
    at_most = [row[1] for row in rows[1:]]
    assert [[int(number) for number in re.findall(r"\d+", cell)] for cell in at_most] == [
        [envelope.MAX_HEADERS // KIB, envelope.MAX_TARGET // KIB],
        [default(create_app, "json_limit") // MIB, default(create_app, "json_seconds")],
        [
            Limits().max_params_bytes // MIB,
            default(create_app, "json_limit") // MIB,
            default(create_app, "upload_seconds"),
        ],
        [default(create_app, "upload_limit") // MIB, default(create_app, "upload_seconds")],
        [default(serve, "keep_alive")],
        [listening.UNHEARD_MILLISECONDS // 1000],
        [bodies.LINGER],
        [conditions.LONGEST_WAIT],
    ]
    assert bodies.LINGER == connections.LAST_WORDS
    settings = server.ServerSettings()
    assert settings.keep_alive == default(serve, "keep_alive")
    said = " ".join(TEXT.split())
    assert f"other requests get {settings.request_grace:g} seconds to end" in said
    assert f"running tasks get {settings.grace:g} (`--grace`)" in said
    assert f"its own patience {server.MARGIN:g} seconds after all graces" in said
    assert f"(exit code {KILLED_ITSELF})" in said


def default(function: Any, name: str) -> Any:
    return inspect.signature(function).parameters[name].default


def test_every_file_that_it_links_to_is_there() -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", TEXT):
        assert (ROOT / "docs" / target).exists(), target
