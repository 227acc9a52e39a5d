"""What a server does with tasks whose values a repair could not keep: shows them, and says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from cortex_tasks import Retention, TaskContext, TaskEngine, TaskStatus, task_type
from cortex_tasks.backends.json_backend import JsonBackend
from cortex_tasks.backends.memory import MemoryBackend
from cortex_tasks.cli import main
from cortex_tasks.engine.errors import TaskNotRevivable
from cortex_tasks.engine.storage import Put, Recovered

from .http_setting import assert_problem, serving
from .journal_setting import BEGIN, pending, submit

JOURNAL = "journal-00000001.jsonl"
LARGE = b'"' + b"x" * 20_000 + b'"'
LINE = b'{"at":"2026-03-15T10:30:00Z","level":"info","message":"%b","fields":{},"attempt":1}'
LOG = b'{"lines":[' + LINE % b"seen" + b'],"dropped":0}'
LARGE_LOG = b'{"lines":[' + LINE % (b"x" * 20_000) + b'],"dropped":0}'

_replace = msgspec.structs.replace


@task_type("word_count", on_restart="resume")
async def word_count(ctx: TaskContext, params: Any = None) -> str:
    return "counted"


def failed(task_id: str, seq: int, log: bytes = LOG) -> Put:
    record = _replace(
        pending(task_id, seq), status=TaskStatus.FAILED, error="of itself", completed_at=BEGIN
    )
    return Put(record, log=msgspec.Raw(log))


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """Tasks that have failed: one lost the file of its parameters, one the line, one its log."""
    tasks = tmp_path / "data" / "tasks"
    backend = JsonBackend(tasks, reserve=0)
    await backend.open()
    await backend.commit([submit("in_line", 1)])
    await backend.commit([submit("in_file", 2, LARGE), submit("no_log", 3)])
    await backend.commit([failed("in_line", 4), failed("in_file", 5)])
    await backend.commit([failed("no_log", 6, LARGE_LOG)])
    await backend.close()
    (tasks / "params" / "in_file.2.json").write_bytes(b"1")
    (tasks / "logs" / "no_log.6.json").unlink()
    path = tasks / JOURNAL
    path.write_bytes(path.read_bytes().replace(b"in_line", b"in_lone", 1))
    assert main(["doctor", str(tasks.parent), "--repair", "--accept-loss"]) == 0
    return tasks.parent


def engine_on(data: Path) -> TaskEngine:
    backend = JsonBackend(data / "tasks", reserve=0)
    return TaskEngine([word_count], backend=backend, retention=Retention(max_age=None))


@pytest.mark.anyio
@pytest.mark.parametrize("task_id", ["in_line", "in_file"])
async def test_a_task_without_its_parameters_is_shown_and_refuses_a_retry_in_words(
    data: Path, task_id: str
) -> None:
    async with serving(engine=engine_on(data)) as api:
        shown = await api.get(f"/api/tasks/{task_id}")
        assert shown.status_code == 200
        assert (shown.json()["params"], shown.json()["error"]) == (None, "of itself")
        assert (await api.get(f"/api/tasks/{task_id}/log")).content == LOG
        refused = await api.post(f"/api/tasks/{task_id}/retry")
        assert_problem(
            refused,
            400,
            f"Task {task_id!r} cannot be tried again: its parameters are lost: the storage was "
            "damaged. Submit a new task in its place.",
        )
        with pytest.raises(TaskNotRevivable):
            await api.engine.retry(task_id)
        assert (await api.get(f"/api/tasks/{task_id}")).json()["status"] == "failed"


@pytest.mark.anyio
async def test_a_task_without_its_log_has_an_empty_one_and_can_be_tried_again(data: Path) -> None:
    async with serving(engine=engine_on(data)) as api:
        assert (await api.get("/api/tasks/no_log")).json()["params"] == {}
        assert (await api.get("/api/tasks/no_log/log")).json() == {"lines": [], "dropped": 0}
        assert (await api.post("/api/tasks/no_log/retry")).status_code == 200
        assert (await api.engine.wait("no_log")).status is TaskStatus.COMPLETED


@pytest.mark.anyio
@pytest.mark.parametrize("status", [TaskStatus.PENDING, TaskStatus.RUNNING])
async def test_a_task_that_is_not_over_and_has_no_parameters_fails_at_the_start(
    status: TaskStatus,
) -> None:
    """And never runs with others than it was given."""

    class Forgetful(MemoryBackend):
        async def open(self) -> Recovered:
            recovered = await super().open()
            recovered.params.pop("without", None)
            return recovered

    backend = Forgetful()
    await backend.open()
    records = [
        _replace(pending(name, seq), status=status, attempt=int(status is TaskStatus.RUNNING))
        for seq, name in enumerate(("without", "with"), 1)
    ]
    await backend.commit([Put(record, params=msgspec.Raw(b"{}")) for record in records])
    await backend.close()
    async with TaskEngine([word_count], backend=backend) as engine:
        record = await engine.wait("without")
        assert record.status is TaskStatus.FAILED
        assert record.error == "its parameters are lost: the storage was damaged"
        assert record.found_over == (status is TaskStatus.RUNNING)
        assert (await engine.wait("with")).status is TaskStatus.COMPLETED
