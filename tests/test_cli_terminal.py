"""Bars on a terminal, plain lines elsewhere; a reader who leaves, and Ctrl-C."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .cli_server import SampleServer, sample_server

COMMAND = (sys.executable, "-m", "cortex_tasks")
LIMIT = 60  # seconds until a law gives up on a process


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SampleServer]:
    folder = tmp_path_factory.mktemp("server")
    with sample_server("asyncio", folder) as server:
        (folder / "key").write_text(server.keys.create("laws"))
        os.environ["CORTEX_TASKS_KEY_FILE"] = str(folder / "key")
        os.environ["CORTEX_TASKS_URL"] = server.url
        yield server
        del os.environ["CORTEX_TASKS_KEY_FILE"], os.environ["CORTEX_TASKS_URL"]


@contextmanager
def on_terminal(*words: str, **variables: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run a command on a terminal of its own, 100 columns wide; give it and our end."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", **variables}
    try:
        with subprocess.Popen(
            [*COMMAND, *words], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
        ) as process:
            os.close(theirs)
            try:
                yield process, ours
            finally:
                process.kill()
    finally:
        os.close(ours)


def read_until(terminal: int, wanted: str | None = None) -> str:
    """Read until this was written, or until the end."""
    seen = b""
    while wanted is None or wanted not in seen.decode(errors="replace"):
        ready, _, _ = select.select([terminal], [], [], LIMIT)
        assert ready, f"nothing more for {LIMIT} s; waited for {wanted!r} after {seen!r}"
        try:
            more = os.read(terminal, 65536)
        except OSError:  # Linux says EIO where the last writer is gone
            more = b""
        if not more:
            assert wanted is None, f"ended without {wanted!r}: {seen!r}"
            break
        seen += more
    return seen.decode(errors="replace")


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)


def test_a_terminal_gets_a_bar_for_each_task_of_the_chain(server: SampleServer) -> None:
    first = server.submit("gated", then=["echo"])
    with on_terminal("wait", first) as (process, terminal):
        seen = read_until(terminal, "Waiting at the gate")
        server.open_gate()
        seen += read_until(terminal)
        assert process.wait(LIMIT) == 0
    assert "━" in seen
    assert "40%" in plain(seen)
    assert re.search(r"gated +━+ +100%", plain(seen))
    assert re.search(r"echo +━+ +100%", plain(seen))
    assert plain(seen).rstrip().splitlines()[-2].startswith(f"{first}  completed")


def test_told_to_end_it_shows_the_cursor_again_and_ends_by_the_signal(server: SampleServer) -> None:
    task_id = server.submit("gated")
    with on_terminal("wait", task_id) as (process, terminal):
        read_until(terminal, "Waiting at the gate")
        process.send_signal(signal.SIGTERM)
        read_until(terminal, "\x1b[?25h")
        assert process.wait(LIMIT) == -signal.SIGTERM
    server.open_gate()


def test_no_color_takes_the_colours_and_leaves_the_bars(server: SampleServer) -> None:
    done = server.submit("echo")
    for variables, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        with on_terminal("wait", done, **variables) as (process, terminal):
            bars = read_until(terminal)
            assert process.wait(LIMIT) == 0
        with on_terminal("show", done, **variables) as (process, terminal):
            shown = read_until(terminal)
            assert process.wait(LIMIT) == 0
        assert "━" in bars
        assert bool(re.search(r"\x1b\[[0-9;]*3[0-9;]*m", bars)) is coloured
        assert ("\x1b[32mcompleted" in shown) is coloured


def test_a_terminal_that_cannot_draw_gets_plain_lines(server: SampleServer) -> None:
    with on_terminal("wait", server.submit("echo"), TERM="dumb") as (process, terminal):
        seen = read_until(terminal)
        assert process.wait(LIMIT) == 0
    assert "\x1b" not in seen
    assert "━" not in seen
    assert "echo  100%  completed" in seen


def test_a_pipe_gets_plain_lines_on_standard_error_and_the_answer_on_standard_output(
    server: SampleServer,
) -> None:
    done = server.submit("echo")
    ended = subprocess.run(
        [*COMMAND, "wait", done], capture_output=True, text=True, timeout=LIMIT, check=True
    )
    assert ended.stderr == "echo  100%  completed  Echoing\n"
    assert ended.stdout == f"{done}  completed  Echoing\n"


def test_a_reader_that_leaves_ends_the_command_without_a_complaint(server: SampleServer) -> None:
    server.submit("echo")
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = subprocess.run(
            [*COMMAND, "list", "--json"],
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, "")


def test_ctrl_c_stops_the_waiting_and_not_the_task(server: SampleServer) -> None:
    running = server.submit("stubborn")
    with on_terminal("wait", running) as (process, terminal):
        read_until(terminal, "40%")
        process.send_signal(signal.SIGINT)
        seen = read_until(terminal)
        assert process.wait(LIMIT) == 130
    assert "interrupted. What was started on the server goes on there." in seen
    assert "Traceback" not in seen
    assert server.get(running).status == "running"


def test_ctrl_c_while_the_commands_are_still_being_imported_is_no_traceback() -> None:
    program = """
import sys
class Interrupts:
    def find_spec(self, name, *_):
        if name == "msgspec":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupts())
from cortex_tasks.cli import main
sys.exit(main(["--version"]))
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert (ended.returncode, ended.stdout) == (130, "")
    assert "interrupted" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_wait_outlives_a_restart_of_the_server(server: SampleServer) -> None:
    running = server.submit("gated")
    with subprocess.Popen(
        [*COMMAND, "wait", running],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            assert " 40%  running" in process.stderr.readline()
            server.hang_up()
            assert "no server at" in process.stderr.readline()
            assert "kept over a restart; trying again" in process.stderr.readline()
            server.listen_again()
            server.open_gate()
            out, _ = process.communicate(timeout=LIMIT)
        finally:
            process.kill()
    assert process.returncode == 0
    assert out.startswith(f"{running}  completed")


def test_the_command_and_the_module_are_the_same(tmp_path: Path) -> None:
    said = subprocess.run(
        [*COMMAND, "--version"], capture_output=True, text=True, timeout=LIMIT, check=True
    )
    assert re.fullmatch(r"cortex-tasks \S+\n", said.stdout)
