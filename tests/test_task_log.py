"""ctx.log: what a body writes is kept with its task, the newest of it, whatever becomes of both."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from cortex_tasks.backends.json_backend import JsonBackend
from cortex_tasks.backends.memory import MemoryBackend
from cortex_tasks.engine.context import ChildContext, TaskContext
from cortex_tasks.engine.engine import TaskEngine
from cortex_tasks.engine.errors import TaskFailed, TaskNotFound
from cortex_tasks.engine.registry import TaskType, task_type
from cortex_tasks.engine.retrying import Backoff
from cortex_tasks.engine.settings import Limits
from cortex_tasks.engine.surroundings import offload_inline
from cortex_tasks.engine.task_log import EMPTY_LOG, LogLines
from cortex_tasks.testing.harness import TaskHarness

from .engine_setting import (
    HoldingBackend,
    LoopClock,
    an_engine,
    numbered_surroundings,
    virtual_time,
)
from .http_setting import assert_problem, serving
from .inline_children import InlineChildren


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return virtual_time(request.param)


@asynccontextmanager
async def running(*types: TaskType[Any, Any], **options: Any) -> AsyncIterator[TaskEngine]:
    surroundings = replace(numbered_surroundings(), clock=LoopClock())
    options.setdefault("children", InlineChildren())
    async with an_engine(*types, surroundings=surroundings, drain_grace=0, **options) as engine:
        yield engine


async def said(engine: TaskEngine, task_id: str) -> list[str]:
    return [line.message for line in (await engine.log_lines(task_id)).lines]


@task_type("talker")
async def talker(ctx: TaskContext) -> None:
    ctx.log("begun")
    await anyio.sleep(10)
    ctx.log("half way", level="warning", rows=3, names=["a", "b"])
    ctx.log.info("as a %s does", "logger")


async def test_a_line_is_kept_as_it_was_written() -> None:
    async with running(talker) as engine:
        handle = await engine.submit(talker)
        await handle.wait()
        first, second, third = (await engine.log_lines(handle.id)).lines
        assert (first.level, first.message, first.fields, first.attempt) == ("info", "begun", {}, 1)
        assert (second.level, second.fields) == ("warning", {"rows": 3, "names": ["a", "b"]})
        assert (second.at - first.at).total_seconds() == pytest.approx(10)
        assert third.message == "as a logger does"


async def test_a_line_is_seen_while_the_body_runs() -> None:
    async with running(talker) as engine:
        handle = await engine.submit(talker)
        await anyio.sleep(1)
        assert await said(engine, handle.id) == ["begun"]


async def test_a_task_that_wrote_nothing_has_an_empty_log_and_an_unknown_one_has_none() -> None:
    @task_type("silent")
    async def silent(ctx: TaskContext) -> None:
        pass

    async with running(silent) as engine:
        handle = await engine.submit(silent)
        await handle.wait()
        assert bytes(await engine.log_json(handle.id)) == bytes(EMPTY_LOG)
        with pytest.raises(TaskNotFound):
            await engine.log_lines("task_unknown")


async def test_the_lines_of_all_attempts_are_kept_and_those_before_a_failure_too() -> None:
    @task_type("flaky", retries=2, backoff=Backoff(first=60, factor=1, jitter=0))
    async def flaky(ctx: TaskContext) -> None:
        ctx.log("trying")
        raise OSError("no")

    async with running(flaky) as engine:
        handle = await engine.submit(flaky)
        with pytest.raises(TaskFailed):
            await handle.result()
        lines = (await engine.log_lines(handle.id)).lines
        assert [(line.message, line.attempt) for line in lines] == [
            ("trying", 1),
            ("trying", 2),
            ("trying", 3),
        ]


async def test_a_task_that_is_tried_again_keeps_the_lines_that_it_had() -> None:
    @task_type("broken")
    async def broken(ctx: TaskContext) -> None:
        ctx.log("tried")
        raise OSError("no")

    async with running(broken) as engine:
        handle = await engine.submit(broken)
        await handle.wait()
        await engine.retry(handle.id)
        await engine.wait(handle.id)
        lines = (await engine.log_lines(handle.id)).lines
        assert [(line.message, line.attempt) for line in lines] == [("tried", 1), ("tried", 2)]


async def test_lines_survive_a_crash_and_the_next_attempt_adds_to_them(tmp_path: Path) -> None:
    @task_type("resumes", on_restart="resume")
    async def resumes(ctx: TaskContext) -> None:
        ctx.log("attempt begun")
        if ctx.attempt == 1:
            await anyio.sleep_forever()

    async with TaskHarness(resumes, storage="json") as harness:
        handle = await harness.submit(resumes)
        await anyio.sleep(1)
        await harness.crash()
        await handle.wait()
        lines = await harness.log_lines(handle)
        assert [(line.message, line.attempt) for line in lines] == [
            ("attempt begun", 1),
            ("attempt begun", 2),
        ]


@pytest.mark.parametrize("storage", ["memory", "json"])
async def test_lines_are_there_after_a_restart(storage: str, tmp_path: Path) -> None:
    memory = MemoryBackend()
    for _ in range(2):
        backend = memory
        if storage == "json":
            backend = JsonBackend(tmp_path, offload=offload_inline)  # type: ignore[assignment]
        async with running(talker, backend=backend) as engine:
            if not engine.count():
                await (await engine.submit(talker)).wait()
            assert await said(engine, "task_1") == ["begun", "half way", "as a logger does"]


async def test_the_oldest_lines_go_and_are_counted() -> None:
    @task_type("chatty")
    async def chatty(ctx: TaskContext, count: int) -> None:
        for number in range(count):
            ctx.log(f"line {number}")
            if number % 100 == 99:
                await anyio.sleep(1)

    async with running(chatty, limits=Limits(max_log_lines=50)) as engine:
        handle = await engine.submit(chatty, 1010)
        await handle.wait()
        log = await engine.log_lines(handle.id)
        assert [line.message for line in log.lines] == [f"line {at}" for at in range(960, 1010)]
        assert log.dropped == 960
    async with running(chatty, limits=Limits(max_log_bytes=5_000)) as engine:
        handle = await engine.submit(chatty, 1010)
        await handle.wait()
        log = await engine.log_lines(handle.id)
        assert 4_000 < len(bytes(await engine.log_json(handle.id))) <= 5_000
        assert log.lines[-1].message == "line 1009"
        assert len(log.lines) + log.dropped == 1010


async def test_a_line_is_kept_though_a_later_change_without_one_shares_its_commit() -> None:
    @task_type("told")
    async def told(ctx: TaskContext) -> None:
        ctx.log("said")
        await anyio.sleep_forever()

    backend = HoldingBackend()
    async with running(told, backend=backend) as engine, anyio.create_task_group() as group:
        handle = await engine.submit(told)
        backend.hold()
        group.start_soon(engine.submit, told)  # its commit is held up, and all that comes meanwhile
        await backend.wait_held()
        await anyio.sleep(1)
        group.start_soon(handle.cancel)
        await anyio.sleep(1)
        backend.release()
        await handle.wait()
        assert await said(engine, handle.id) == ["said"]


async def test_nothing_that_a_body_writes_fails_its_task() -> None:
    class Hostile:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    loop: list[Any] = []
    loop.append(loop)

    @task_type("hostile")
    async def hostile(ctx: TaskContext) -> None:
        ctx.log("\udcff lone", value="\udcff", nan=float("nan"))
        ctx.log("object", thing=Hostile(), kind=Hostile)
        ctx.log("cycle", loop=loop)
        ctx.log("large", text="x" * 100_000)
        ctx.log("x" * 100_000)
        ctx.log(Hostile())
        ctx.log.info("%s %s", "too few")  # noqa: PLE1206  that is what is tried
        try:
            raise ValueError("seen")
        except ValueError:
            ctx.log.exception("it failed")
        with pytest.raises(ValueError, match="level must be one of debug, info"):
            ctx.log("no", level="loud")

    logging.raiseExceptions, before = False, logging.raiseExceptions
    try:
        async with running(hostile) as engine:
            handle = await engine.submit(hostile)
            await handle.result()
            lines = (await engine.log_lines(handle.id)).lines
    finally:
        logging.raiseExceptions = before
    assert [line.message[:6] for line in lines] == [
        "\\udcff",
        "object",
        "cycle",
        "large",
        "xxxxxx",
        "(Hosti",
        "%s %s",
        "it fai",
    ]
    assert "left out: 100,011 bytes" in lines[3].fields["fields"]
    assert lines[4].message.endswith("more characters)")
    assert lines[7].fields == {"exception": "ValueError('seen')"}
    assert lines[7].level == "error"


@task_type("in_child", runs="process")
def in_child(ctx: ChildContext) -> int:
    ctx.log("from the child", pid=1, thing=object)
    ctx.progress(current=1, total=2)
    ctx.log("and on", level="error")
    return 1


async def test_a_body_in_a_process_writes_too() -> None:
    async with running(in_child) as engine:
        handle = await engine.submit(in_child)
        await handle.result()
        first, second = (await engine.log_lines(handle.id)).lines
        assert (first.message, first.fields) == (
            "from the child",
            {"pid": 1, "thing": "<class 'object'>"},
        )
        assert (second.message, second.level) == ("and on", "error")


async def test_what_an_earlier_attempt_says_late_holds_up_nothing_of_the_next() -> None:
    contexts: list[TaskContext] = []

    @task_type("tried_twice", retries=1, backoff=Backoff(first=1, factor=1, jitter=0))
    async def tried_twice(ctx: TaskContext) -> None:
        contexts.append(ctx)
        if not ctx.last_attempt:
            raise ValueError("once more")
        ctx.log("mine")
        contexts[0].log("late")
        await contexts[0].progress(percent=99)
        await anyio.sleep(10)
        ctx.log("mine, too")
        await ctx.progress(percent=40)
        contexts[0].log("late again")
        await anyio.sleep(10)

    async with running(tried_twice) as engine:
        handle = await engine.submit("tried_twice")
        await anyio.sleep(15)
        assert (await engine.get(handle.id)).progress_percent == 40
        assert await said(engine, handle.id) == ["mine", "mine, too"]
        await handle.result()
        assert await said(engine, handle.id) == ["mine", "mine, too"]


async def test_each_line_goes_to_the_log_of_the_program_with_its_task(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, "cortex_tasks.task"):
        async with running(talker) as engine:
            await (await engine.submit(talker)).wait()
    found = [one for one in caplog.records if one.name == "cortex_tasks.task.talker"]
    assert [one.getMessage() for one in found] == ["begun", "half way", "as a logger does"]
    for one in found:
        shown = vars(one)
        assert (shown["task_id"], shown["task_type"], shown["attempt"]) == ("task_1", "talker", 1)
    assert vars(found[1])["fields"] == {"rows": 3, "names": ["a", "b"]}
    assert {one.filename for one in found} == {"test_task_log.py"}


async def test_the_log_of_a_task_goes_with_it() -> None:
    backend = MemoryBackend()
    async with running(talker, backend=backend) as engine:
        handle = await engine.submit(talker)
        await handle.wait()
        await anyio.sleep(10)
        await engine.cleanup(max_age=handle.record.created_at - handle.record.created_at)
        with pytest.raises(TaskNotFound):
            await engine.log_lines(handle.id)
        with pytest.raises(TaskNotFound):
            await backend.read(handle.id, "log")


async def test_the_log_is_given_over_http() -> None:
    async with serving(talker) as api:
        task_id = await api.ended("talker")
        log = (await api.get(f"/api/tasks/{task_id}/log")).json()
        assert log["dropped"] == 0
        assert [line["message"] for line in log["lines"]][:2] == ["begun", "half way"]
        assert set(log["lines"][0]) == {"at", "level", "message", "fields", "attempt"}
        assert_problem(await api.get("/api/tasks/task_unknown/log"), 404)


def test_lines_come_after_those_that_are_kept() -> None:
    lines = LogLines(3, 1_000)
    for text in (b"1", b"2"):
        lines.add(text)
    kept = lines.after(None)
    assert msgspec.json.decode(kept) == {"dropped": 0, "lines": [1, 2]}
    more = LogLines(3, 1_000)
    for text in (b"3", b"4", b"5", b"6"):
        more.add(text)
    assert msgspec.json.decode(more.after(kept)) == {"dropped": 3, "lines": [4, 5, 6]}
