"""What a body saves is there for the attempt that goes on from it, and for nobody else."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from cortex_tasks import JsonBackend, Limits, MemoryBackend, TaskContext, TaskStatus, task_type
from cortex_tasks.engine.errors import (
    AttemptOver,
    EngineNotRunning,
    NotJson,
    StorageError,
    TooLarge,
)
from cortex_tasks.engine.journal import _latest
from cortex_tasks.engine.messages import Cancel, Halt, Save, Stopped
from cortex_tasks.engine.storage import Put
from cortex_tasks.engine.surroundings import offload_inline

from .engine_setting import (
    EMPTY,
    Desk,
    FailingBackend,
    HoldingBackend,
    ListedReply,
    a_record,
    running,
    virtual_time,
)


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return virtual_time(request.param)


Act = Callable[[TaskContext], Awaitable[Any]]
ACT: dict[str, Act] = {}  # what the body is to do, set by each law


@task_type("work", on_restart="resume", concurrency=20)
async def work(ctx: TaskContext) -> Any:
    return await ACT["now"](ctx)


@task_type("brittle")
async def brittle(ctx: TaskContext) -> Any:
    return await ACT["now"](ctx)


class Shelf(msgspec.Struct):
    books: set[str]
    cover: bytes = b""


@dataclasses.dataclass
class Place:
    page: int
    marks: tuple[int, ...] = ()


def saving_then_waiting(*values: Any) -> Act:
    async def act(ctx: TaskContext) -> Any:
        if ctx.attempt > 1:
            return ctx.resumed_from
        for value in values:
            await ctx.checkpoint(value)
        return await anyio.sleep_forever()

    return act


async def saved_by_now(backend: MemoryBackend) -> dict[str, bytes]:
    return {task_id: bytes(value) for task_id, value in backend._checkpoints.items()}


async def test_an_attempt_after_an_orderly_restart_goes_on_from_the_newest_checkpoint() -> None:
    backend = MemoryBackend()
    for values, found in (((1, [2], {"at": 3}), {"at": 3}), ((), None), ((None,), None)):
        ACT["now"] = saving_then_waiting(*values)
        async with running(work, backend=backend, drain_grace=0) as engine:
            handle = await engine.submit(work)
            await anyio.wait_all_tasks_blocked()
        async with running(work, backend=backend) as engine:
            record = await engine.wait(handle.id)
            assert record.interruptions == 0
            assert record.attempt == 2
            assert await engine.result(handle.id) == ({} if found is None else found)


async def test_an_attempt_after_a_crash_goes_on_from_the_newest_checkpoint() -> None:
    backend = MemoryBackend()
    await backend.open()
    record = a_record(1, TaskStatus.RUNNING)
    await backend.commit([Put(record, params=EMPTY, checkpoint=msgspec.Raw(b'{"at":7}'))])
    await backend.close()
    ACT["now"] = saving_then_waiting()
    async with running(work, backend=backend) as engine:
        assert await engine.result((await engine.wait("old_1")).id) == {"at": 7}


async def test_a_checkpoint_that_was_saved_before_a_restart_outlasts_the_next_one() -> None:
    backend = MemoryBackend()
    ACT["now"] = saving_then_waiting("first")
    async with running(work, backend=backend, drain_grace=0) as engine:
        handle = await engine.submit(work)
        await anyio.wait_all_tasks_blocked()

    async def wait_again(ctx: TaskContext) -> Any:
        assert ctx.resumed_from == "first"
        await anyio.sleep_forever()

    ACT["now"] = wait_again
    async with running(work, backend=backend, drain_grace=0):
        await anyio.wait_all_tasks_blocked()
    ACT["now"] = saving_then_waiting()
    async with running(work, backend=backend) as engine:
        await engine.wait(handle.id)
        assert await engine.result(handle.id) == "first"


async def test_a_checkpoint_has_been_kept_when_it_returns() -> None:
    backend = HoldingBackend()
    returned = anyio.Event()

    async def act(ctx: TaskContext) -> None:
        await ctx.checkpoint("here")
        returned.set()

    ACT["now"] = act
    async with running(work, backend=backend) as engine:
        begun = anyio.Event()

        async def held(ctx: TaskContext) -> None:
            backend.hold()
            begun.set()
            await act(ctx)

        ACT["now"] = held
        handle = await engine.submit(work)
        await begun.wait()
        await backend.wait_held()
        assert not returned.is_set()
        assert await saved_by_now(backend) == {}
        backend.release()
        await returned.wait()
        puts = [put for commit in backend.commits for put in commit if isinstance(put, Put)]
        assert msgspec.Raw(b'"here"') in [put.checkpoint for put in puts]
        await handle.wait()


async def test_checkpoints_of_many_bodies_share_a_commit() -> None:
    backend = HoldingBackend()
    go = anyio.Event()

    async def act(ctx: TaskContext) -> None:
        await go.wait()
        for number in range(3):
            await ctx.checkpoint(number)

    ACT["now"] = act
    async with running(work, backend=backend) as engine:
        handles = await engine.submit_many(work, [None] * 20)
        before = len(backend.commits)
        go.set()
        for handle in handles:
            await handle.wait()
        assert len(backend.commits) - before < 20


async def test_a_checkpoint_is_a_change_that_whoever_follows_sees() -> None:
    ACT["now"] = saving_then_waiting("one", "two")
    async with running(work) as engine:
        handle = await engine.submit(work)
        await anyio.wait_all_tasks_blocked()
        record = await engine.get(handle.id)
        assert record.seq == handle.record.seq + 3 == engine.seq  # it began, and saved twice
        assert record.updated_at > handle.record.updated_at
        assert "checkpoint" not in msgspec.json.encode(record).decode()
        await handle.cancel()


@pytest.mark.parametrize("how", ["completed", "failed", "cancelled"])
async def test_nothing_is_left_of_a_checkpoint_once_its_task_is_final(how: str) -> None:
    backend = MemoryBackend()

    async def act(ctx: TaskContext) -> None:
        await ctx.checkpoint({"at": 1})
        assert await saved_by_now(backend) == {ctx.task_id: b'{"at":1}'}
        if how == "failed":
            raise ValueError
        if how == "cancelled":
            await anyio.sleep_forever()

    ACT["now"] = act
    async with running(work, backend=backend) as engine:
        handle = await engine.submit(work)
        await anyio.wait_all_tasks_blocked()
        if how == "cancelled":
            await handle.cancel()
        assert (await handle.wait()).status == how
        assert await saved_by_now(backend) == {}


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (Shelf({"a", "b"}, b"\xff"), Shelf),
        (Place(3, (1, 2)), Place),
        ({"a": [1, -0.0, "é"]}, dict[str, list[Any]]),
    ],
)
async def test_a_checkpoint_comes_back_as_the_type_that_it_was(value: Any, wanted: Any) -> None:
    async def act(ctx: TaskContext) -> bool:
        if ctx.attempt == 1:
            assert ctx.resumed_as(wanted) is None
            await ctx.checkpoint(value)
            await anyio.sleep_forever()
        first: Any = ctx.resumed_from
        first.clear()
        assert ctx.resumed_from  # fresh at each look
        return bool(ctx.resumed_as(wanted) == value)

    backend = MemoryBackend()
    ACT["now"] = act
    async with running(work, backend=backend, drain_grace=0) as engine:
        handle = await engine.submit(work)
        await anyio.wait_all_tasks_blocked()
    async with running(work, backend=backend) as engine:
        await engine.wait(handle.id)
        assert await engine.result(handle.id) is True


async def test_what_cannot_be_a_checkpoint_is_refused_in_the_body_which_may_go_on() -> None:
    found: list[Any] = []

    async def act(ctx: TaskContext) -> None:
        await ctx.checkpoint("good")
        for value in ({"a": [math.nan]}, {"b": {1, 2}}, "x" * 100, ["x" * 100_000, b""]):
            try:
                await ctx.checkpoint(value)
            except (NotJson, TooLarge) as error:
                found.append(str(error))
        await anyio.sleep_forever()

    backend = MemoryBackend()
    ACT["now"] = act
    async with running(work, backend=backend, limits=Limits(max_checkpoint_bytes=100)) as engine:
        handle = await engine.submit(work)
        await anyio.wait_all_tasks_blocked()
        assert "the checkpoint cannot be written as JSON: $.a[0]: NaN is not JSON" in found[0]
        assert "$.b: set would come back as list" in found[1]
        assert found[2] == (
            "the checkpoint is 102 bytes of JSON, over the limit of 100 "
            "(Limits.max_checkpoint_bytes)"
        )
        assert "$[1]: bytes would come back as str" in found[3]
        assert await saved_by_now(backend) == {handle.id: b'"good"'}
        await handle.cancel()


async def test_a_body_that_is_stopped_may_save_where_it_is_in_its_last_words() -> None:
    async def act(ctx: TaskContext) -> Any:
        if ctx.attempt > 1:
            return ctx.resumed_from
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await ctx.checkpoint("last words")

    backend = MemoryBackend()
    ACT["now"] = act
    async with running(work, backend=backend, drain_grace=0) as engine:
        handle = await engine.submit(work)
        await anyio.wait_all_tasks_blocked()
    async with running(work, backend=backend) as engine:
        await engine.wait(handle.id)
        assert await engine.result(handle.id) == "last words"


async def test_a_context_that_outlives_its_attempt_saves_nothing() -> None:
    kept: list[TaskContext] = []

    async def act(ctx: TaskContext) -> None:
        kept.append(ctx)

    backend = MemoryBackend()
    ACT["now"] = act
    async with running(work, backend=backend) as engine:
        handle = await engine.submit(work)
        await handle.wait()
        before = engine.seq
        with pytest.raises(AttemptOver, match=f"Attempt 1 of task {handle.id!r} is over"):
            await kept[0].checkpoint("late")
        assert engine.seq == before
        assert await saved_by_now(backend) == {}
    with pytest.raises(EngineNotRunning):
        await kept[0].checkpoint("later still")


def test_a_late_checkpoint_of_an_earlier_attempt_changes_nothing() -> None:
    desk = Desk(work)
    record = desk.submit_one("work")
    desk.hear(Halt())
    desk.hear(Stopped(record.id, 1, None, None))
    assert desk.kept[record.id].attempt == 2
    before = desk.kept[record.id]
    reply = ListedReply()
    desk.hear(Save(record.id, 1, msgspec.Raw(b'"late"'), reply))
    assert isinstance(reply.answer, AttemptOver)
    assert desk.kept[record.id] == before
    assert desk.runs[-1].checkpoint is None


def test_another_attempt_in_the_same_process_goes_on_from_the_checkpoint_too() -> None:
    desk = Desk(work)
    record = desk.submit_one("work")
    desk.hear(Save(record.id, 1, msgspec.Raw(b'"here"'), ListedReply()))
    desk.hear(Halt())
    desk.hear(Stopped(record.id, 1, None, None))
    assert [run.checkpoint for run in desk.runs] == [None, msgspec.Raw(b'"here"')]


def test_a_checkpoint_that_shares_a_commit_with_later_changes_is_kept_until_the_end() -> None:
    first = a_record(1, TaskStatus.RUNNING)
    later, ended = a_record(2, TaskStatus.RUNNING), a_record(3, TaskStatus.COMPLETED)
    later, ended = (msgspec.structs.replace(one, id=first.id) for one in (later, ended))
    begun, saved = Put(first, params=EMPTY), Put(later, checkpoint=msgspec.Raw(b"1"))
    assert _latest([begun, saved, Put(later)]) == [Put(later, EMPTY, None, saved.checkpoint)]
    assert _latest([saved, Put(later)]) == [Put(later, None, None, saved.checkpoint)]
    again = Put(later, checkpoint=msgspec.Raw(b"2"))
    assert _latest([saved, again]) == [Put(later, None, None, again.checkpoint)]
    result = msgspec.Raw(b"[]")
    assert _latest([begun, saved, Put(ended, result=result)]) == [Put(ended, EMPTY, result)]


def test_a_checkpoint_saved_with_the_end_in_one_batch_changes_nothing_either() -> None:
    desk = Desk(work)
    record = desk.submit_one("work")
    reply, cancel = ListedReply(), ListedReply()
    desk.hear(
        Save(record.id, 1, msgspec.Raw(b"1"), reply),
        Cancel(record.id, cancel),
        Stopped(record.id, 1, None, None),
    )
    assert reply.answer is None
    assert desk.status(record.id) is TaskStatus.CANCELLED


async def test_a_checkpoint_that_cannot_be_kept_is_never_said_to_be() -> None:
    found: list[BaseException] = []
    backend = FailingBackend()

    async def act(ctx: TaskContext) -> None:
        backend.failure = StorageError("gone")
        try:
            await ctx.checkpoint(1)
        except BaseException as error:
            found.append(error)
            raise

    ACT["now"] = act
    with pytest.raises(StorageError, match="gone"):
        async with running(work, backend=backend) as engine:
            handle = await engine.submit(work)
            with pytest.raises(StorageError, match="gone"):
                await handle.wait()
    (error,) = found  # it is told of the failure, or stopped because of it
    assert isinstance(error, StorageError | anyio.get_cancelled_exc_class())


async def test_a_large_checkpoint_has_a_file_of_its_own_and_takes_the_place_of_the_last(
    tmp_path: Path,
) -> None:
    backend = JsonBackend(tmp_path, offload=offload_inline)
    files: list[list[str]] = []

    def look() -> None:
        files.append(sorted(path.name for path in (tmp_path / "checkpoints").iterdir()))

    async def act(ctx: TaskContext) -> None:
        for size in (20_000, 30_000, 10, 40_000):
            await ctx.checkpoint("x" * size)
            look()

    ACT["now"] = act
    async with running(work, backend=backend) as engine:
        await (await engine.submit(work)).wait()
        look()
    assert [len(names) for names in files] == [1, 1, 0, 1, 0]
    assert len({name for names in files for name in names}) == 3


async def test_a_type_that_does_not_resume_may_save_too() -> None:
    ACT["now"] = saving_then_waiting(1)
    async with running(brittle, drain_grace=0) as engine:
        handle = await engine.submit(brittle)
        await anyio.wait_all_tasks_blocked()
        assert (await engine.get(handle.id)).status is TaskStatus.RUNNING
        await handle.cancel()
