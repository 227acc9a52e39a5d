"""`cortex-tasks serve`, as real processes on both loops: what it says, and what it refuses."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from cortex_tasks.http.keys import KeyStore

from .cli_process import LIMIT, command, serving


def refused(*words: str) -> str:
    """Run a server that must not start, and give what it says."""
    ended = subprocess.run(
        command("serve", *words), capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "Traceback" not in ended.stderr
    return ended.stderr


def text_of(url: str, key: str) -> str:
    with urllib.request.urlopen(urllib.request.Request(url, headers={"X-API-Key": key})) as answer:
        return str(answer.read(), "utf-8")


def status_of(url: str, key: str | None = None) -> int:
    headers = {} if key is None else {"X-API-Key": key}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
        return int(answer.status)


def detect(url: str, key: str) -> tuple[int, bytes]:
    """Submit a detection; gives the status and the body of the answer."""
    asked = urllib.request.Request(f"{url}/api/graph/communities/detect", method="POST")
    asked.add_header("X-API-Key", key)
    try:
        with urllib.request.urlopen(asked) as answer:
            return int(answer.status), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def first_events(url: str, key: str, *, after: int) -> list[tuple[str, int]]:
    """Follow all tasks from a change on, until two events came; gives what each was."""
    query = f"?last_event_id={after}"
    asked = urllib.request.Request(f"{url}/api/tasks/events{query}", headers={"X-API-Key": key})
    told: list[tuple[str, int]] = []
    with urllib.request.urlopen(asked, timeout=LIMIT) as answer:
        kind = ""
        while len(told) < 2:
            line = answer.readline().decode()
            if line.startswith("event: "):
                kind = line.removeprefix("event: ").strip()
            elif line.startswith("data: "):
                told.append((kind, json.loads(line.removeprefix("data: "))["seq"]))
    return told


def test_the_first_start_makes_a_key_and_later_ones_do_not(
    anyio_backend: str, tmp_path: Path
) -> None:
    with serving(tmp_path / "data", CORTEX_TASKS_LOOP=anyio_backend) as (url, said, _):
        [key] = set(re.findall(r"cortex_admin_\S+", said))
        assert f"export CORTEX_TASKS_API_KEY={key}" in said
        assert str(tmp_path / "data") in said
        assert f"tasks in JSON files; on {anyio_backend}" in said
        assert status_of(f"{url}/api/tasks", key) == 200
    with serving(tmp_path / "data", CORTEX_TASKS_LOOP=anyio_backend) as (url, said, _):
        assert "cortex_admin_" not in said
        assert (
            f"cortex-tasks keys create --name NAME --permissions read,manage --data {tmp_path}"
            in said
        )
        assert status_of(f"{url}/api/tasks", key) == 200


def test_a_first_key_that_nobody_could_see_is_made_anew_at_the_next_start(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            command("serve", "--port", "0", "--data", str(tmp_path)),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    assert ended.returncode == 1
    assert "cannot be written" in ended.stderr
    assert "Traceback" not in ended.stderr
    with serving(tmp_path) as (url, said, _):
        [key] = set(re.findall(r"cortex_admin_\S+", said))
        assert status_of(f"{url}/api/tasks", key) == 200


def test_a_key_made_or_revoked_beside_a_running_server_counts_at_once(tmp_path: Path) -> None:
    data = ["--data", str(tmp_path)]
    with serving(tmp_path) as (url, _, _):
        made = subprocess.run(
            command("keys", "create", "--name", "late", *data),
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=True,
        )
        key = made.stdout.strip()
        assert status_of(f"{url}/api/tasks", key) == 200
        subprocess.run(
            command("keys", "revoke", "late", *data), check=True, timeout=LIMIT, capture_output=True
        )
        with pytest.raises(urllib.error.HTTPError) as answer:
            status_of(f"{url}/api/tasks", key)
        answer.value.close()
        assert answer.value.code == 401


def test_with_the_memory_backend_no_task_touches_the_disk(tmp_path: Path) -> None:
    with serving(tmp_path, "--backend", "memory") as (_, said, _):
        assert "tasks in memory: they end with this server" in said
        assert not (tmp_path / "tasks").exists()


def test_who_follows_over_a_restart_of_the_memory_backend_is_told_that_all_is_new(
    tmp_path: Path,
) -> None:
    key = KeyStore.in_folder(tmp_path).create("laws")
    with serving(tmp_path, "--backend", "memory") as (url, _, _):
        detect(url, key)
        [_, (kind, known)] = first_events(url, key, after=0)
        assert kind == "reset"  # it forgets nothing, and has not begun with 1
    with serving(tmp_path, "--backend", "memory") as (url, _, _):
        for _ in range(3):
            detect(url, key)
        [(_, first), (kind, seq)] = first_events(url, key, after=known)
        assert (kind, seq) == ("reset", first)
        assert seq > known


def test_what_it_is_told_of_keeping_and_limits_reaches_its_engine(tmp_path: Path) -> None:
    with serving(tmp_path) as (url, said, _):
        [key] = set(re.findall(r"cortex_admin_\S+", said))
        status, answer = detect(url, key)
        assert status == 200, answer
        path = f"{url}/api/tasks/{json.loads(answer)['task_id']}"
        while json.loads(text_of(path + "?wait=30", key))["status"] != "completed":
            pass
    limited = ("--limits", "max_params_bytes=2", "--keep-count", "0")
    with serving(tmp_path, *limited) as (url, _, _):
        status, answer = detect(url, key)
        assert (status, b"over the limit of 2 " in answer) == (422, True), answer
        while json.loads(text_of(f"{url}/api/tasks?wait=30", key))["total"]:
            pass


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused("--port", str(port), "--data", str(tmp_path))
    assert f"Port {port} of 127.0.0.1 is in use" in said


def test_a_data_folder_in_use_names_the_process_that_has_it(tmp_path: Path) -> None:
    for backend in ("json", "memory"):
        folder = tmp_path / backend
        with serving(folder, "--backend", backend) as (_, _, pid):
            said = refused("--port", "0", "--data", str(folder), "--backend", backend)
            assert "in use" in said
            assert str(pid) in said


@pytest.mark.parametrize("folder", ["/proc/data", "file", "file/data"])
def test_a_data_folder_that_cannot_be_written_to_is_named(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").touch()
    wanted = str(tmp_path / folder)
    said = refused("--port", "0", "--data", wanted)
    assert f"data folder {wanted}" in said


def test_an_address_that_is_not_ours_is_named(tmp_path: Path) -> None:
    said = refused("--port", "0", "--host", "192.0.2.1", "--data", str(tmp_path))
    assert "192.0.2.1 is not an address of this machine" in said


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    without_starlette = (
        "import sys; sys.modules['starlette'] = None; "
        "from cortex_tasks.cli import main; sys.exit(main())"
    )
    ended = subprocess.run(
        [sys.executable, "-c", without_starlette, "serve", "--data", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert ended.returncode == 1
    assert "starlette" in ended.stderr
    assert "pip install 'cortex-tasks[server" in ended.stderr
    assert "Traceback" not in ended.stderr


ACCESS = "cortex_tasks.access"
CHATTY = """
import logging

from cortex_tasks import TaskContext, task_type


@task_type("chatty")
async def chatty(ctx: TaskContext) -> None:
    logging.getLogger("some.library").info("POST https://example.com/secret")
    logging.getLogger("some.library").warning("odd")
    ctx.log("one page", level="debug")
    ctx.log("a page without a date", page=7)
"""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), [("some.library", "odd"), ("cortex_tasks.task.chatty", "a page without a date")]),
        (("--log-level", "warning"), [("some.library", "odd")]),
        (("--log-level", "error", "--access-log"), []),
        (
            ("--log-level", "debug", "--access-log"),
            [
                ("some.library", "odd"),
                ("cortex_tasks.task.chatty", "one page"),
                ("cortex_tasks.task.chatty", "a page without a date"),
            ],
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_the_log_has_what_tasks_write_and_what_was_asked_for_but_no_gossip_of_libraries(
    tmp_path: Path, words: tuple[str, ...], expected: list[tuple[str, str]]
) -> None:
    (tmp_path / "chatty.py").write_text(CHATTY)
    file = tmp_path / "log"
    types = ("--types", "chatty:chatty")
    variables = {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    with (
        file.open("w") as log,
        serving(tmp_path / "data", *types, *words, log=log, **variables) as (url, said, _),
    ):
        [key] = set(re.findall(r"cortex_admin_\S+", said))
        body = json.dumps({"type": "chatty"}).encode()
        asked = urllib.request.Request(
            f"{url}/api/tasks", body, {"Content-Type": "application/json"}
        )
        asked.add_header("X-API-Key", key)
        with urllib.request.urlopen(asked) as answer:
            task_id = json.loads(answer.read())["task_id"]
        while "completed" not in text_of(f"{url}/api/tasks/{task_id}?wait=30", key):
            pass
        assert status_of(f"{url}/health") == 200
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    written = [(line["logger"], line["message"]) for line in lines]
    assert all("request_id" in line for line in lines if line["logger"] == ACCESS)
    assert [each for each in written if each[0] != ACCESS] == expected
    asked_for = any('"GET /health HTTP/1.1" 200' in message for _, message in written)
    assert asked_for is ("--access-log" in words)
