"""A real server, killed at random moments: what it acknowledged is there when it comes back."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from .torture import FULL, count

ROUNDS = 500 if FULL else 11  # on each loop
KEY = "cortex_admin_of-this-test-alone"
PATIENCE = 10  # long polls without a change, after which a task has no owner
FINAL = {"completed", "failed", "cancelled"}
TEXT = (
    "The Unix kernel was written by Ken Thompson at Bell Labs. Dennis Ritchie designed the C "
    "language, and Bell Labs used Unix on the PDP-11. Ken Thompson and Dennis Ritchie built B. "
)


class Server:
    """A server process on a data folder; `url` is where it answers."""

    def __init__(self, loop: str, data: Path) -> None:
        command = [sys.executable, "-m", "cortex_tasks", "serve", "--port", "0"]
        self.process = subprocess.Popen(
            [*command, "--loop", loop, "--data", str(data)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "ADMIN_API_KEY": KEY},
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                self.url = found.group()
                return
        raise AssertionError(f"the server did not start: exit code {self.process.wait()}")

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


class Client:
    """Does what clients do until the server is gone, and remembers what it was told."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.seen: dict[str, dict[str, Any]] = {}  # the newest answer about each task
        self.documents: set[str] = set()

    def work(self, url: str, enough: threading.Event) -> None:
        """Go on until the server is gone; `enough` is set once something was acknowledged."""
        with httpx2.Client(base_url=url, headers={"X-API-Key": KEY}, timeout=30) as http:
            try:
                while True:
                    self._one_step(http)
                    enough.set()
            except httpx2.TransportError:
                enough.set()

    def _one_step(self, http: httpx2.Client) -> None:
        step = self._chance.choice(("upload", "analyze", "detect", "summarize", "cancel", "look"))
        if step == "upload":
            text = TEXT + f"Document {self._chance.random()} is about Unix. " * 20
            taken = http.post("/api/custom-input", json={"content": text, "title": text[-60:]})
            if taken.status_code == 200:
                self.documents.add(taken.json()["document_id"])
                self._note_started(taken.json())
        elif step in ("analyze", "detect", "summarize"):
            path = "relationships/analyze" if step == "analyze" else f"communities/{step}"
            started = http.post(f"/api/graph/{path}")
            assert started.status_code == 200, started.text
            self._note_started(started.json())
        elif step == "cancel" and self.seen:
            task_id = self._chance.choice(sorted(self.seen))
            answer = http.delete(f"/api/tasks/{task_id}")
            if answer.status_code == 200:
                self.seen[task_id]["status"] = "cancelled"
        else:
            self.look(http)

    def _note_started(self, answer: dict[str, Any]) -> None:
        if answer.get("task_id") and answer["task_id"] not in self.seen:
            self.seen[answer["task_id"]] = {"status": "pending"}

    def look(self, http: httpx2.Client) -> None:
        """Read every task, and hold it against what was told before."""
        tasks = {task["task_id"]: task for task in http.get("/api/tasks").json()["tasks"]}
        for task_id, before in self.seen.items():
            assert task_id in tasks, f"{task_id} was acknowledged and is gone"
            if before["status"] in FINAL:
                now = tasks[task_id]["status"]
                assert now == before["status"], f"{task_id} was {before['status']} and is {now}"
        for task_id, task in tasks.items():
            earlier = self.seen.get(task_id, {"status": "pending"})["status"]
            # Back to pending from running: only by a restart, of a type that resumes.
            assert earlier not in FINAL or task["status"] == earlier
            self.seen[task_id] = task


@contextmanager
def killed_after_a_while(server: Server, client: Client, moment: float) -> Iterator[None]:
    """Let the client work; then kill the server under its hands."""
    enough = threading.Event()
    errors: list[BaseException] = []

    def work() -> None:
        try:
            client.work(server.url, enough)
        except BaseException as error:  # noqa: BLE001  told to the test's own thread
            errors.append(error)
            enough.set()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        enough.wait()
        threading.Event().wait(moment)  # when it strikes is chance; nothing is decided by it
        yield
    finally:
        server.kill()
        worker.join()
        assert not errors, errors


@pytest.mark.parametrize("loop", ["trio", "asyncio"])
def test_nothing_acknowledged_is_lost_when_the_server_is_killed(loop: str, tmp_path: Path) -> None:
    chance = random.Random(f"kill nine on {loop}")
    client = Client(chance)
    for _ in range(ROUNDS):
        server = Server(loop, tmp_path / "data")
        with httpx2.Client(base_url=server.url, headers={"X-API-Key": KEY}, timeout=30) as http:
            client.look(http)
            _assert_every_document_is_there(http, client)
        with killed_after_a_while(server, client, chance.uniform(0, 0.8)):
            pass
    server = Server(loop, tmp_path / "data")
    try:
        with httpx2.Client(base_url=server.url, headers={"X-API-Key": KEY}, timeout=90) as http:
            client.look(http)
            _assert_every_document_is_there(http, client)
            _assert_every_task_ends(http, client)
    finally:
        server.kill()
    count("servers killed under the hands of their clients", ROUNDS)


def _assert_every_document_is_there(http: httpx2.Client, client: Client) -> None:
    listed: set[str] = set()
    while page := http.get("/api/documents", params={"limit": 1000, "offset": len(listed)}).json()[
        "documents"
    ]:
        listed |= {document["id"] for document in page}
    assert client.documents <= listed


def _assert_every_task_ends(http: httpx2.Client, client: Client) -> None:
    """No task is left without an owner: each one goes on, and ends, while it is waited for."""
    for task_id in client.seen:
        task: dict[str, Any] = {"status": "pending", "updated_at": None}
        unchanged = 0  # long polls in a row: with hundreds of documents, there are many changes
        while task["status"] not in FINAL and unchanged < PATIENCE:
            before = task["updated_at"]
            task = http.get(f"/api/tasks/{task_id}", params={"wait": 30}).json()
            unchanged = unchanged + 1 if task["updated_at"] == before else 0
        assert task["status"] in FINAL, task
        if task["status"] == "completed":
            assert http.get(f"/api/tasks/{task_id}/result").status_code == 200
