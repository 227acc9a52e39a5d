"""`cortex-tasks top` and `submit`, against a server on each loop."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from cortex_tasks.cli import main
from cortex_tasks.cli.screens import picture
from cortex_tasks.cli.steering import Percentiles, TypeView
from cortex_tasks.cli.top import Health, Look, Overview, for_people
from cortex_tasks.client.models import TaskDetail

from .cli_process import LIMIT, command
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


def test_one_look_shows_health_counts_types_and_what_runs(
    server: SampleServer, capsys: pytest.CaptureFixture[str]
) -> None:
    task_id = server.submit("gated")
    assert main(["top", "--once"]) == 0
    said = capsys.readouterr().out
    assert "health  healthy" in said
    assert "1 running" in said
    [line] = [line for line in said.splitlines() if line.startswith("gated")]
    assert line.split()[:2] == ["gated", "1/9"]
    assert [line.split() for line in said.splitlines() if task_id in line] == [
        [task_id, "gated", "40%", "Waiting", "at", "the", "gate"]
    ]
    assert main(["top", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["running"] == 1
    server.open_gate()


def read_until(terminal: int, wanted: str, seen: str = "") -> str:
    """Read what is drawn until it has this in it."""
    while wanted not in seen:
        ready, _, _ = select.select([terminal], [], [], LIMIT)
        assert ready, f"{wanted!r} never came: {seen}"
        seen += os.read(terminal, 65536).decode(errors="replace")
    return seen


GIVEN_BACK = "\x1b[?25h\x1b[?1049l"  # the cursor, and what was on the terminal before


@contextmanager
def top_on_terminal() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run it on a terminal of its own; give it and our end."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
    with subprocess.Popen(
        command("top", "--interval", "0.2"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
        start_new_session=True,
    ) as process:
        try:
            yield process, ours
        finally:
            process.kill()
            os.close(ours)
            os.close(theirs)


def test_on_a_terminal_it_is_drawn_live_outlives_the_server_and_ends_at_ctrl_c(
    server: SampleServer,
) -> None:
    with top_on_terminal() as (process, terminal):
        read_until(terminal, "Nothing runs")
        task_id = server.submit("gated")
        read_until(terminal, task_id)
        server.hang_up()
        read_until(terminal, "Connection lost")
        server.listen_again()
        seen = read_until(terminal, "healthy")
        server.open_gate()
        read_until(terminal, "Nothing runs", seen)
        process.send_signal(signal.SIGINT)
        read_until(terminal, GIVEN_BACK)
        assert process.wait(LIMIT) == 0


def test_told_to_end_it_gives_the_terminal_back_and_ends_by_the_signal(
    server: SampleServer,
) -> None:
    with top_on_terminal() as (process, terminal):
        read_until(terminal, "Nothing runs")
        process.send_signal(signal.SIGTERM)
        read_until(terminal, GIVEN_BACK)
        assert process.wait(LIMIT) == -signal.SIGTERM


class Proxy(BaseHTTPRequestHandler):
    """A proxy: its `status` alone is the answer where it has none of the server's to pass on."""

    status = 200

    def do_GET(self) -> None:
        body = b"<html>"
        if self.status == 200 and self.path == "/api/overview":
            now = datetime(2026, 3, 15, 10, 30, tzinfo=UTC)
            body = msgspec.json.encode(Overview(now=now, counts={}, health=Health("healthy")))
        elif self.status == 200:
            body = b'{"task_types": []}'
        elif self.status == 401:
            body = b'{"detail": "Invalid API key"}'
        self.send_response(self.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def proxy() -> Iterator[str]:
    """Run one in a thread; give its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_it_goes_on_trying_where_only_a_proxy_answers(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Proxy, "status", 200)
    with proxy() as url:
        monkeypatch.setenv("CORTEX_TASKS_URL", url)
        with top_on_terminal() as (_, terminal):
            read_until(terminal, "healthy")
            Proxy.status = status
            read_until(terminal, f"trying again: {url} answered HTTP {status}")
            Proxy.status = 200
            read_until(terminal, "healthy")


def test_it_ends_where_its_key_is_not_good_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Proxy, "status", 200)
    with proxy() as url:
        monkeypatch.setenv("CORTEX_TASKS_URL", url)
        with top_on_terminal() as (process, terminal):
            read_until(terminal, "healthy")
            Proxy.status = 401
            read_until(terminal, "Invalid API key")
            assert process.wait(LIMIT) == 1


JOBS = (
    "document_processing",
    "relationship_analysis",
    "community_detection",
    "community_summarization",
)


def drawn(width: int) -> list[str]:
    """What is drawn while the longest of the four jobs runs, a line each."""
    task = TaskDetail(
        task_id="task_" + "0" * 24,
        task_type=JOBS[-1],
        status="running",
        progress_percent=40,
        message="Reading 12 of 30",
    )
    times = Percentiles(p50=70.0, p95=3_599.0)
    types = tuple(TypeView(name=name, concurrency=4, run_seconds=times) for name in JOBS)
    counts = {"pending": 0, "running": 1, "completed": 12_345, "failed": 10, "cancelled": 4}
    now = datetime(2026, 3, 15, 10, 30, tzinfo=UTC)
    overview = Overview(now=now, counts=counts, running=[task], health=Health("healthy"))
    return lines_of(Look(overview, types), width)


def lines_of(look: Look, width: int, height: int = 40) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(picture("http://127.0.0.1:8000", look, width, height))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize("width", [80, 90, 120])
def test_on_every_width_names_are_told_apart_and_each_thing_has_its_line(width: int) -> None:
    lines = drawn(width)
    assert max(map(len, lines)) <= width
    assert len(lines) == 2 + 1 + 5 + 1 + 2
    names = [line.split()[0] for line in lines[4:8]]
    assert len(set(names)) == len(JOBS)
    for name, job in zip(names, JOBS, strict=True):
        start, _, end = name.partition("…")
        assert (job.startswith(start), job.endswith(end)) == (True, True)
        assert name == job if width == 120 else len(name) >= 14
    assert all("1 min 10 s" in line and "59 min 59 s" in line for line in lines[4:8])
    assert lines[-1].startswith("task_" + "0" * 24)
    assert lines[-1].endswith("40% Reading 12 of 30")


def test_the_oldest_that_waits_has_waited_since_it_was_ready() -> None:
    now = datetime(2026, 3, 15, 10, 30, tzinfo=UTC)
    oldest = TaskDetail(
        task_id="task_1",
        task_type="b",
        status="pending",
        created_at=now - timedelta(hours=5),
        updated_at=now - timedelta(minutes=2),
    )
    ready = (("a", 1), ("b", 3))
    types = [TypeView(name=n, oldest_pending_at=now - timedelta(minutes=m)) for n, m in ready]
    health = Health("healthy")
    overview = Overview(now=now, counts={}, running=[], health=health, oldest_pending=oldest)
    look = Look(overview, tuple(types))
    assert "oldest pending: 3 min 0 s" in lines_of(look, width=120)[1]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_how_long_the_oldest_waits_is_told_on_every_width(width: int) -> None:
    now = datetime(2026, 3, 15, 10, 30, tzinfo=UTC)
    oldest = TaskDetail(task_id="task_1", task_type="a", status="pending")
    counts = dict.fromkeys(("pending", "running", "completed", "failed", "cancelled"), 12_345)
    types = (TypeView(name="a", oldest_pending_at=now - timedelta(minutes=3)),)
    health = Health("healthy")
    overview = Overview(now=now, counts=counts, health=health, oldest_pending=oldest)
    told = "\n".join(lines_of(Look(overview, types), width)[1:3])
    assert told.startswith("12,345 pending   12,345 run")
    assert "oldest pending: 3 min 0 s" in told


@pytest.mark.parametrize(("types", "running"), [(200, 1), (2, 200), (200, 200), (30, 0), (3, 5)])
@pytest.mark.parametrize("height", [8, 9, 10, 24, 50])
def test_on_every_height_there_is_room_for_types_and_for_what_runs(
    types: int, running: int, height: int
) -> None:
    shown = tuple(TypeView(name=f"t{n:03}", running=int(n == types - 1)) for n in range(types))
    tasks = [
        TaskDetail(task_id=f"k{n:03}", task_type="t", status="running") for n in range(running)
    ]
    now = datetime(2026, 3, 15, 10, 30, tzinfo=UTC)
    overview = Overview(
        now=now, counts={"running": running}, running=tasks[:50], health=Health("healthy")
    )
    lines = lines_of(Look(overview, shown), 120, height)
    assert len(lines) <= height
    begin = [line.split()[0] for line in lines if line]
    assert height < 10 or f"t{types - 1:03}" in begin  # it runs
    rows = [sum(name.startswith(sign) for name in begin) for sign in "tk"]
    assert ("Nothing" in begin) == (running == 0)
    assert height < 10 or rows[1] >= min(running, 1)
    unseen = [each - row for each, row in zip((types, running), rows, strict=True) if each > row]
    assert [line for line in lines if line.startswith("and ")] == [f"and {n} more" for n in unseen]
    if types + running <= height - 6:
        assert unseen == []


def test_submit_starts_a_task_and_waits_for_it_if_asked_to(
    server: SampleServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["submit", "echo", '{"a": 1}', "--wait", "--json"]) == 0
    task = json.loads(capsys.readouterr().out)
    assert (task["status"], task["result"]) == ("completed", {"a": 1})
    assert main(["submit", "fails", "--wait"]) == 1
    capsys.readouterr()
    assert main(["submit", "echo", "--delay", "3600", "--priority", "7", "--key", "one"]) == 0
    first = capsys.readouterr().out.split()
    assert main(["submit", "echo", "--key", "one"]) == 0
    said = capsys.readouterr()
    assert said.out.split()[0] == first[0]
    assert "Already under way" in said.err
    task_id = said.out.split()[0]
    record = server.get(task_id)
    assert (record.priority, record.dedupe_key) == (7, "one")
    server.cancel(task_id)


def test_parameters_that_the_type_does_not_take_are_told_as_the_server_says_it(
    server: SampleServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["submit", "echo", "7"]) == 1
    assert "bad parameters for 'echo': Expected `object`, got `int`" in capsys.readouterr().err


@pytest.mark.parametrize("params", ["{", "Ada", '{"a":' * 3000])
def test_parameters_that_are_no_json_are_refused_before_anything_is_sent(
    server: SampleServer, capsys: pytest.CaptureFixture[str], params: str
) -> None:
    assert main(["submit", "echo", params]) == 2
    assert "parameters are no JSON: " in capsys.readouterr().err


def test_a_type_that_there_is_not_is_named_with_those_that_there_are(
    server: SampleServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["submit", "unheard"]) == 1
    assert "registered types: echo" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("duration", "said"),
    [
        (0.0, "0 ms"),
        (0.25, "250 ms"),
        (1.26, "1.3 s"),
        (61, "1 min 1 s"),
        (3_600, "1 h 0 min"),
        (90_061, "1 d 1 h"),
    ],
)
def test_a_duration_is_said_in_the_units_that_tell_most(duration: float, said: str) -> None:
    assert for_people(duration) == said


def test_without_a_server_it_says_so_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CORTEX_TASKS_URL", "http://127.0.0.1:1")
    assert main(["top", "--once"]) == 1
    assert "no server at http://127.0.0.1:1" in capsys.readouterr().err
