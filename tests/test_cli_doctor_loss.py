"""`cortex-tasks doctor --repair --accept-loss`: what a person asks for, and is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from cortex_tasks import TaskContext, TaskEngine, TaskStatus, task_type
from cortex_tasks.backends.json_backend import JsonBackend
from cortex_tasks.cli import main
from cortex_tasks.engine.errors import StorageCorrupt, TaskNotFound

from .damage_setting import files_of
from .journal_setting import complete, submit

JOURNAL = "journal-00000001.jsonl"
LARGE = b'"' + b"x" * 20_000 + b'"'


def data_of(tasks: Path) -> Path:
    return tasks.parent


@pytest.fixture
async def tasks(tmp_path: Path) -> Path:
    """One that has completed, one that waits since before the damage, one since after it."""
    backend = JsonBackend(tmp_path / "data" / "tasks", reserve=0)
    await backend.open()
    await backend.commit([submit("task_a", 1), submit("task_b", 2)])
    await backend.commit([complete("task_a", 3, LARGE)])
    await backend.commit([submit("task_lost", 4)])
    await backend.commit([submit("task_c", 5)])
    await backend.close()
    return tmp_path / "data" / "tasks"


def damage_line(tasks: Path) -> bytes:
    """Damage the one in the middle; give what it is now."""
    path = tasks / JOURNAL
    path.write_bytes(path.read_bytes().replace(b"task_lost", b"task_lest"))
    return path.read_bytes().splitlines(keepends=True)[3]


def run(tasks: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    code = main(["doctor", str(tasks.parent), *options])
    out, err = capsys.readouterr()
    return code, out + err


@pytest.mark.anyio
async def test_without_leave_to_lose_anything_it_says_what_would_be_lost(
    tasks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage_line(tasks)
    before = files_of(tasks)
    code, said = run(tasks, capsys, "--repair")
    assert code == 1
    assert "--repair --accept-loss" in said
    assert "line 4: " in said
    assert "task_b becomes failed, for its newest state was damaged." in said
    assert "task_c" not in said
    assert "3 tasks can be read" in said
    assert files_of(tasks) == before


@pytest.mark.anyio
async def test_damaged_lines_are_set_aside_byte_for_byte_and_the_rest_opens(
    tasks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = damage_line(tasks)
    before = files_of(tasks)
    with pytest.raises(StorageCorrupt):
        await JsonBackend(tasks).open()
    code, said = run(tasks, capsys, "--repair", "--accept-loss")
    assert code == 0
    assert "All of it is sound." in said
    [copy] = data_of(tasks).glob("tasks.before-repair-*")
    assert str(copy / f"{JOURNAL}.damaged") in said
    assert (copy / f"{JOURNAL}.damaged").read_bytes() == line
    assert (copy / JOURNAL).read_bytes() == before[JOURNAL]
    backend = JsonBackend(tasks)
    found = {record.id: record for record in (await backend.open()).records}
    assert bytes(await backend.read("task_a", "result")) == LARGE
    await backend.close()
    assert {one: record.status for one, record in found.items()} == {
        "task_a": TaskStatus.COMPLETED,
        "task_b": TaskStatus.FAILED,
        "task_c": TaskStatus.PENDING,
    }
    assert (found["task_b"].error or "").startswith(
        "its newest state was damaged on disk; set aside by doctor on 20"
    )
    code, said = run(tasks, capsys, "--repair", "--accept-loss")
    assert (code, "Nothing to mend." in said) == (0, True)


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["missing", "changed"])
async def test_a_completed_task_whose_result_cannot_be_read_says_so(
    tasks: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    result = tasks / "results" / "task_a.3.json"
    result.unlink() if kind == "missing" else result.write_bytes(LARGE.replace(b"x", b"y"))
    code, said = run(tasks, capsys, "--repair")
    assert code == 1
    assert str(result) in said
    assert "task_a becomes failed, for its result was damaged." in said
    assert run(tasks, capsys, "--repair", "--accept-loss")[0] == 0
    backend = JsonBackend(tasks)
    found = {record.id: record for record in (await backend.open()).records}
    assert found["task_a"].status is TaskStatus.FAILED
    assert (found["task_a"].error or "").startswith("its result was damaged on disk")
    assert found["task_b"].status is TaskStatus.PENDING
    with pytest.raises(TaskNotFound):
        await backend.read("task_a", "result")
    await backend.close()
    copies = list(data_of(tasks).glob("tasks.before-repair-*/results/task_a.3.json"))
    assert len(copies) == (kind == "changed")


@pytest.mark.anyio
async def test_beside_a_server_nothing_is_set_aside(
    tasks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backend = JsonBackend(tasks)
    await backend.open()
    (tasks / "results" / "task_a.3.json").write_bytes(b"1")
    before = files_of(tasks)
    try:
        code, said = run(tasks, capsys, "--repair", "--accept-loss")
        assert (code, "already open" in said) == (1, True)
        assert files_of(tasks) == before
    finally:
        await backend.close()


@pytest.mark.anyio
async def test_a_loss_is_accepted_for_a_repair_alone(
    tasks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = run(tasks, capsys, "--accept-loss")
    assert (code, "--repair" in said) == (2, True)


@pytest.mark.anyio
async def test_files_of_a_newer_program_are_not_taken_for_damage(
    tasks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage_line(tasks)
    path = tasks / JOURNAL
    path.write_bytes(path.read_bytes().replace(b'"version":1', b'"version":9', 1))
    before = files_of(tasks)
    code, said = run(tasks, capsys, "--repair", "--accept-loss")
    assert (code, "Use the newer program" in said) == (1, True)
    assert files_of(tasks) == before


@pytest.mark.anyio
async def test_the_reserve_is_known_and_stays(
    tasks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tasks / "reserve").write_bytes(bytes(5000))
    damage_line(tasks)
    assert run(tasks, capsys, "--repair", "--accept-loss")[0] == 0
    assert "unknown" not in run(tasks, capsys)[1]
    assert (tasks / "reserve").stat().st_size == 5000


@pytest.mark.anyio
async def test_no_task_whose_newest_state_may_be_lost_runs_again(tmp_path: Path) -> None:
    """Its completion is the line that is damaged; the ones before say that it is to run."""
    runs: list[str] = []

    @task_type("once", on_restart="resume")
    async def once(ctx: TaskContext, name: str) -> str:
        runs.append(name)
        return name

    def engine() -> TaskEngine:
        return TaskEngine([once], backend=JsonBackend(tmp_path / "tasks", reserve=0))

    async with engine() as running:
        first = await running.submit(once, "first")
        await first.wait()
        second = await running.submit(once, "second")
        await second.wait()
    path = tmp_path / "tasks" / JOURNAL
    path.write_bytes(path.read_bytes().replace(b'"result":"first"', b'"result":"worst"'))
    assert main(["doctor", str(tmp_path), "--repair", "--accept-loss"]) == 0
    async with engine() as running:
        record = await running.wait(first.id)
        assert record.status is TaskStatus.FAILED
        assert "its newest state was damaged on disk" in (record.error or "")
        assert await running.result(second.id) == "second"
    assert runs == ["first", "second"]
