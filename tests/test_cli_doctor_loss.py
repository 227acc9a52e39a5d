"""`cortex-tasks doctor --repair --accept-loss`: what a person asks for, and is told."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from cortex_tasks import TaskContext, TaskEngine, TaskStatus, task_type
from cortex_tasks.backends.json_backend import JsonBackend
from cortex_tasks.cli import main
from cortex_tasks.engine.errors import StorageCorrupt, TaskNotFound
from cortex_tasks.engine.storage import Put

from .damage_setting import files_of
from .journal_setting import BEGIN, complete, pending, submit

JOURNAL = "journal-00000001.jsonl"
LARGE = b'"' + b"x" * 20_000 + b'"'


LOST = {  # of each task, in the folder below
    "logged": {"lost": [], "perhaps": ["log"], "fails": False},
    "ended": {"lost": ["params"], "perhaps": ["log"], "fails": False},
    "waits": {"lost": ["state", "params"], "perhaps": ["checkpoint", "log"], "fails": True},
    "filed": {"lost": ["params", "result"], "perhaps": ["log"], "fails": True},
}


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
    assert (code, "Nothing to mend in the tasks." in said) == (0, True)


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
async def test_a_journal_that_was_removed_is_missed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = tmp_path / "data" / "tasks"
    backend = JsonBackend(tasks, reserve=5000)
    await backend.open()
    await backend.restore_reserve()
    await backend.commit([submit("task_a", 1)])
    await backend.close()
    (tasks / JOURNAL).unlink()
    code, said = run(tasks, capsys)
    assert (code, f"{JOURNAL} is missing" in said) == (1, True)
    with pytest.raises(StorageCorrupt, match="is missing"):
        await JsonBackend(tasks).open()
    assert run(tasks, capsys, "--repair", "--accept-loss")[0] == 0
    backend = JsonBackend(tasks)
    assert (await backend.open()).records == []
    await backend.close()


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


@pytest.fixture
async def losses(tmp_path: Path) -> Path:
    """One line lost, that brought parameters of two tasks and a log of one; and value files."""
    backend = JsonBackend(tmp_path / "data" / "tasks", reserve=0)
    await backend.open()
    ran = msgspec.structs.replace(
        pending("logged", 1), status=TaskStatus.FAILED, attempt=1, completed_at=BEGIN
    )
    await backend.commit([submit("logged", 1), submit("filed", 2, LARGE), submit("whole", 3)])
    running = msgspec.structs.replace(ran, seq=4, status=TaskStatus.RUNNING, completed_at=None)
    lost = [submit("ended", 5), submit("waits", 6)]
    await backend.commit([Put(running, log=msgspec.Raw(b'"lines"')), *lost])
    await backend.commit([complete("ended", 7), complete("filed", 8, LARGE)])
    raised = msgspec.structs.replace(pending("waits", 9), message="moved", attempt=1)
    await backend.commit([Put(msgspec.structs.replace(ran, seq=10)), Put(raised)])
    await backend.commit([complete("whole", 11)])
    await backend.close()
    tasks = tmp_path / "data" / "tasks"
    path = tasks / JOURNAL
    path.write_bytes(path.read_bytes().replace(b'"log":"lines"', b'"log":"limes"', 1))
    for name in ("params/filed.2.json", "results/filed.8.json"):
        (tasks / name).write_bytes(b"1")
    return tasks


@pytest.mark.anyio
@pytest.mark.parametrize("options", [(), ("--repair", "--accept-loss")])
async def test_each_task_is_named_with_what_of_it_is_lost(
    losses: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    said = capsys.readouterr()
    assert main(["doctor", str(losses.parent), *options, "--json"]) == (0 if options else 1)
    said = capsys.readouterr()
    named = json.loads(said.out)["lost"]
    assert {task: loss for task, loss in named.items() if task != "whole"} == LOST


@pytest.mark.anyio
@pytest.mark.parametrize("options", [(), ("--repair",), ("--repair", "--accept-loss")])
async def test_what_is_lost_of_a_task_is_said_in_words(
    losses: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    _, said = run(losses, capsys, *options)
    for words in (
        "logged stays as it is. Lines of its log may be lost.",
        "ended stays as it is, but its parameters cannot be read. Lines of its log may be lost.",
        "waits becomes failed, for its newest state and its parameters were damaged. "
        "Its newest checkpoint and lines of its log may be lost.",
        "filed becomes failed, for its parameters and its result were damaged.",
    ):
        assert words in said


@pytest.mark.anyio
async def test_what_a_repair_could_not_keep_is_named_ever_after_and_is_no_damage(
    losses: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(losses, capsys, "--repair", "--accept-loss")
    code, said = run(losses, capsys)
    assert (code, "All of it is sound." in said) == (0, True)
    for task_id in ("ended", "waits", "filed"):
        assert f"lost: {task_id} stays as it is, but its parameters cannot be read." in said
