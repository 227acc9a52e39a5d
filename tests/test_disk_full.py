"""A full disk is no disaster: what is new is refused, what ends is written down, and it goes on."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from cortex_tasks import Backoff, TaskContext, TaskEngine, TaskStatus, task_type
from cortex_tasks.backends.json_backend import JsonBackend
from cortex_tasks.backends.reserve import RESERVE_FILE
from cortex_tasks.engine.errors import StorageFull, TaskFailed
from cortex_tasks.engine.journal import LOOK_FOR_ROOM
from cortex_tasks.engine.registry import TaskType
from cortex_tasks.engine.surroundings import offload_inline
from cortex_tasks.testing.power_cuts import Thoroughness
from cortex_tasks.testing.simulated_disk import SimulatedDisk, folder_in_memory

from .engine_setting import an_engine, virtual_time

RESERVE = 20_000
HOW = Thoroughness(subsets=2, chosen=2, prefixes=1)


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return virtual_time(request.param)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    with folder_in_memory(otherwise=tmp_path) as folder:
        yield Path(folder)


@pytest.fixture
def disk(place: Path) -> SimulatedDisk:
    return SimulatedDisk(place / "disk")


def fill(disk: SimulatedDisk, free: int = 0) -> None:
    """Somebody else takes all the room but so much."""
    disk.capacity = disk.used + free


def backend_on(disk: SimulatedDisk, **options: Any) -> JsonBackend:
    options.setdefault("reserve", RESERVE)
    return JsonBackend(
        disk.root / "tasks", offload=offload_inline, inline_limit=2_000, files=disk, **options
    )


@asynccontextmanager
async def running_on(
    disk: SimulatedDisk, *task_types: TaskType[Any, Any], **options: Any
) -> AsyncIterator[TaskEngine]:
    with anyio.fail_after(3600):
        async with an_engine(*task_types, backend=backend_on(disk), **options) as engine:
            yield engine


class Gate:
    """Bodies that wait until they are let go, and then give what they are told to."""

    def __init__(self) -> None:
        self.open = anyio.Event()
        self.result: Any = "done"

        @task_type("gated", concurrency=2, cancel_grace=1)
        async def gated(ctx: TaskContext, number: int) -> Any:
            await self.open.wait()
            if number < 0:
                raise ValueError("below zero")
            return self.result

        self.gated = gated


@task_type("quick")
async def quick(ctx: TaskContext, text: str) -> int:
    return len(text)


async def until_full(engine: TaskEngine) -> StorageFull:
    """Submit until it is refused."""
    while True:
        try:
            await engine.submit(quick, "x" * 200)
        except StorageFull as refused:
            return refused


async def test_on_a_full_disk_a_submit_is_refused_and_what_ends_is_written_down(
    disk: SimulatedDisk,
) -> None:
    gate = Gate()
    async with running_on(disk, gate.gated, quick) as engine:
        one = await engine.submit(gate.gated, 1)
        other = await engine.submit(gate.gated, -1)
        waiting = [await engine.submit(gate.gated, n) for n in range(2)]
        fill(disk, 1000)
        refused = await until_full(engine)
        assert "free 8" in str(refused) or "no room left" in str(refused)
        assert (engine.accepting, engine.trouble) == (False, None)
        assert engine.no_room is not None
        with pytest.raises(StorageFull):
            await engine.submit_many(quick, ["", ""])
        gate.open.set()
        assert await one.result() == "done"
        with pytest.raises(TaskFailed, match="below zero"):
            await other.result()
        assert (await waiting[0].cancel()).status is TaskStatus.CANCELLED
        await anyio.sleep(60)
        # Nothing new is started.
        assert (await engine.get(waiting[1].id)).status is TaskStatus.PENDING
    disk.capacity = None
    async with running_on(disk, gate.gated, quick) as engine:
        found = {record.id: record.status for record in (await engine.list()).records}
        assert found[one.id] is TaskStatus.COMPLETED
        assert found[other.id] is TaskStatus.FAILED
        assert found[waiting[0].id] is TaskStatus.CANCELLED
        assert await engine.wait(waiting[1].id) is not None


async def test_once_there_is_room_again_it_goes_on_by_itself(disk: SimulatedDisk) -> None:
    gate = Gate()
    async with running_on(disk, gate.gated, quick) as engine:
        running = await engine.submit(gate.gated, 0)
        await engine.submit(gate.gated, 0)
        waiting = await engine.submit(gate.gated, 0)
        fill(disk)
        await until_full(engine)
        gate.open.set()
        await running.wait()
        disk.capacity = None
        record = await waiting.wait()  # it was not even asked
        assert record.status is TaskStatus.COMPLETED
        assert (engine.accepting, engine.no_room) == (True, None)
        assert (disk.root / "tasks" / RESERVE_FILE).stat().st_size == RESERVE
        assert await (await engine.submit(quick, "four")).result() == 4


async def test_room_for_less_than_the_reserve_is_not_enough_to_go_on(disk: SimulatedDisk) -> None:
    async with running_on(disk, quick) as engine:
        fill(disk)
        await until_full(engine)
        fill(disk, RESERVE + 1000)
        await anyio.sleep(3 * LOOK_FOR_ROOM)
        with pytest.raises(StorageFull):
            await engine.submit(quick, "")
        assert not (disk.root / "tasks" / RESERVE_FILE).exists()


async def test_it_does_not_look_for_room_all_the_time(disk: SimulatedDisk) -> None:
    async with running_on(disk, quick) as engine:
        fill(disk)
        await until_full(engine)
        before = len(disk.operations)
        for _ in range(50):
            with pytest.raises(StorageFull):
                await engine.submit(quick, "")
        assert len(disk.operations) == before
        await anyio.sleep(10 * LOOK_FOR_ROOM + 1)
        looks = [kind for kind, _ in disk.operations[before:] if kind == "allocate"]
        assert len(looks) == 10


@pytest.mark.parametrize("size", [5_000, 100_000])
async def test_a_result_that_finds_no_room_fails_its_task_and_no_other(
    disk: SimulatedDisk, size: int
) -> None:
    gate = Gate()

    @task_type("small")
    async def small(ctx: TaskContext) -> str:
        await gate.open.wait()
        return "small"

    async with running_on(disk, gate.gated, small, quick) as engine:
        large = [await engine.submit(gate.gated, 0), await engine.submit(gate.gated, 0)]
        others = [await engine.submit(small) for _ in range(1)]
        gate.result = "x" * size
        fill(disk)
        gate.open.set()
        records = [await handle.wait() for handle in large]
        assert await others[0].result() == "small"
        if size > RESERVE:
            for record in records:
                assert record.error is not None
                assert record.error.startswith(f"StorageFull: the result of {size + 2:,} bytes")
                assert record.next_id is None
        assert engine.trouble is None
        disk.capacity = None
        await anyio.sleep(LOOK_FOR_ROOM + 1)
        assert await (await engine.submit(quick, "four")).result() == 4


async def test_what_finds_no_room_even_in_the_reserve_waits_for_room(disk: SimulatedDisk) -> None:
    gate = Gate()
    async with running_on(disk, gate.gated, quick) as engine:
        handle = await engine.submit(gate.gated, -1)
        (disk.root / "tasks" / RESERVE_FILE).unlink()  # and somebody else has its room
        fill(disk)
        gate.open.set()
        await anyio.sleep(60)
        assert (await engine.get(handle.id)).status is TaskStatus.RUNNING
        with pytest.raises(StorageFull):
            await engine.submit(quick, "")
        disk.capacity = None
        assert (await handle.wait()).error == "ValueError: below zero"
        await anyio.sleep(LOOK_FOR_ROOM + 1)
        await engine.submit(quick, "")


async def test_an_engine_that_waits_for_room_can_be_left(disk: SimulatedDisk) -> None:
    gate = Gate()
    with pytest.raises(StorageFull):
        async with running_on(disk, gate.gated, quick) as engine:
            handle = await engine.submit(gate.gated, -1)
            fill(disk)
            (disk.root / "tasks" / RESERVE_FILE).write_bytes(b"")
            disk.capacity = disk.used
            gate.open.set()
            await anyio.sleep(60)
    disk.capacity = None
    async with running_on(disk, gate.gated, quick) as engine:
        assert (await engine.get(handle.id)).error == "interrupted by server restart"


async def test_progress_waits_and_a_checkpoint_is_refused_while_there_is_no_room(
    disk: SimulatedDisk,
) -> None:
    full, go, room = anyio.Event(), anyio.Event(), anyio.Event()
    refused: list[StorageFull] = []

    @task_type("long")
    async def long(ctx: TaskContext) -> str:
        await ctx.checkpoint(1)
        await full.wait()
        await ctx.progress(percent=30, message="at thirty")
        try:
            await ctx.checkpoint(2)
        except StorageFull as error:
            refused.append(error)
        go.set()
        await room.wait()
        await ctx.checkpoint(3)
        return "done"

    async with running_on(disk, long, quick) as engine:
        handle = await engine.submit(long)
        await anyio.wait_all_tasks_blocked()
        fill(disk)
        await until_full(engine)
        full.set()
        await go.wait()
        await anyio.sleep(1)
        assert (await engine.get(handle.id)).progress_percent == 0
        assert len(refused) == 1
        disk.capacity = None
        await anyio.sleep(LOOK_FOR_ROOM + 1)
        record = await engine.get(handle.id)
        assert (record.progress_percent, record.message) == (30, "at thirty")
        room.set()
        record = await handle.wait()
        assert (record.status, record.message) == (TaskStatus.COMPLETED, "at thirty")


async def test_the_last_report_of_a_body_that_ends_on_a_full_disk_is_kept(
    disk: SimulatedDisk,
) -> None:
    full = anyio.Event()

    @task_type("long")
    async def long(ctx: TaskContext) -> None:
        await full.wait()
        await ctx.progress(current=1, total=2)
        await anyio.sleep(1)
        await ctx.progress(message="the last word")

    async with running_on(disk, long, quick) as engine:
        handle = await engine.submit(long)
        fill(disk)
        await until_full(engine)
        full.set()
        record = await handle.wait()
        assert (record.message, record.progress_total) == ("the last word", 2)


async def test_chains_and_retries_go_on_once_there_is_room(disk: SimulatedDisk) -> None:
    gate = Gate()

    @task_type("again", retries=1, backoff=Backoff(first=1, longest=1))
    async def again(ctx: TaskContext) -> int:
        await gate.open.wait()
        if ctx.attempt == 1:
            raise ValueError("at first")
        return ctx.attempt

    async with running_on(disk, gate.gated, again, quick) as engine:
        first = await engine.submit(gate.gated, 0, then=[(quick, "four")])
        second = await engine.submit(again)
        fill(disk)
        await until_full(engine)
        gate.open.set()
        step = (await first.wait()).next_id
        assert step is not None
        await anyio.sleep(60)
        assert (await engine.get(step)).status is TaskStatus.PENDING
        assert (await engine.get(second.id)).status is TaskStatus.PENDING
        disk.capacity = None
        assert await second.result() == 2
        assert (await engine.wait(step)).status is TaskStatus.COMPLETED
        assert await engine.result(step) == 4


async def test_a_request_that_needs_no_room_is_answered_on_a_full_disk(
    disk: SimulatedDisk,
) -> None:
    gate = Gate()
    async with running_on(disk, gate.gated, quick) as engine:
        keyed = await engine.submit(gate.gated, 0, dedupe_key="k", idempotency_key="once")
        fill(disk)
        await until_full(engine)
        again = await engine.submit(gate.gated, 0, dedupe_key="k", idempotency_key="once")
        assert again.id == keyed.id
        assert (await engine.submit(gate.gated, 0, dedupe_key="k")).id == keyed.id
        with pytest.raises(StorageFull):
            await engine.submit(gate.gated, 0, idempotency_key="other")
        disk.capacity = None
        await anyio.sleep(LOOK_FOR_ROOM + 1)
        # The one that was refused has left no trace.
        other = await engine.submit(gate.gated, 0, idempotency_key="other")
        assert other.id != keyed.id
        gate.open.set()


async def test_a_task_that_is_over_is_not_tried_again_while_there_is_no_room(
    disk: SimulatedDisk,
) -> None:
    gate = Gate()
    gate.open.set()
    async with running_on(disk, gate.gated, quick) as engine:
        handle = await engine.submit(gate.gated, -1)
        ended = await handle.wait()
        fill(disk)
        with pytest.raises(StorageFull):
            await engine.retry(handle.id)  # the first that finds no room: it was decided already
        with pytest.raises(StorageFull):
            await engine.retry(handle.id)
        assert await engine.get(handle.id) == ended
        disk.capacity = None
        await anyio.sleep(LOOK_FOR_ROOM + 1)
        assert (await engine.retry(handle.id)).revivals == 1


async def test_on_a_full_disk_no_type_is_paused_or_resumed_and_each_stays_as_it_was(
    disk: SimulatedDisk,
) -> None:
    gate = Gate()
    async with running_on(disk, gate.gated, quick) as engine:
        await engine.pause(quick)
        waiting = await engine.submit(quick, "x")
        fill(disk)
        for _ in range(2):  # of these the first is what finds no room: it was decided already
            with pytest.raises(StorageFull):
                await engine.pause(gate.gated)
            with pytest.raises(StorageFull):
                await engine.resume(quick)
        assert [state.paused for state in engine.overview.types()] == [False, True]
        disk.capacity = None
        gate.open.set()
        await anyio.sleep(LOOK_FOR_ROOM + 1)
        assert await (await engine.submit(gate.gated, 1)).result() == "done"
        assert (await engine.get(waiting.id)).status is TaskStatus.PENDING
        await engine.resume(quick)
        assert await waiting.result() == 1


async def test_a_task_that_others_were_given_keeps_its_place_where_a_commit_finds_no_room(
    disk: SimulatedDisk,
) -> None:
    begun: list[str] = []

    @task_type("one_by_one", concurrency=1)
    async def one_by_one(ctx: TaskContext, name: str) -> None:
        begun.append(name)

    async with running_on(disk, one_by_one, quick) as engine:
        await engine.pause(one_by_one)
        first = await engine.submit(one_by_one, "first", dedupe_key="one")
        second = await engine.submit(one_by_one, "second")
        await engine.submit(one_by_one, "first", dedupe_key="one", idempotency_key="another")
        assert (await engine.get(first.id)).updated_at > second.record.updated_at
        fill(disk)
        await until_full(engine)
        disk.capacity = None
        await anyio.sleep(LOOK_FOR_ROOM + 1)
        await engine.resume(one_by_one)
        await second.wait()
    assert begun == ["first", "second"]


async def test_cleaning_up_makes_room(disk: SimulatedDisk) -> None:
    gate = Gate()
    gate.result = "x" * 100_000
    gate.open.set()
    async with running_on(disk, gate.gated, quick) as engine:
        await (await engine.submit(gate.gated, 0)).wait()
        fill(disk)
        await until_full(engine)
        assert await engine.cleanup(timedelta(0)) > 0
        await anyio.sleep(LOOK_FOR_ROOM + 1)
        await engine.submit(quick, "")


async def test_an_engine_starts_on_a_full_disk_with_the_help_of_its_reserve(
    disk: SimulatedDisk,
) -> None:
    gate = Gate()
    engine = an_engine(gate.gated, quick, backend=backend_on(disk))
    async with engine:
        running = await engine.submit(gate.gated, 0)
        fill(disk)
        after_crash = SimulatedDisk(disk.root.parent / "again", disk.top)
    fill(after_crash, 10)
    async with running_on(after_crash, gate.gated, quick) as engine:
        assert (await engine.get(running.id)).error == "interrupted by server restart"
        with pytest.raises(StorageFull):
            await engine.submit(quick, "")
        after_crash.capacity = None
        await anyio.sleep(LOOK_FOR_ROOM + 1)
        await engine.submit(quick, "")


async def test_a_new_folder_on_a_full_disk_takes_nothing_until_there_is_room(
    disk: SimulatedDisk,
) -> None:
    fill(disk, 1000)
    async with running_on(disk, quick) as engine:
        with pytest.raises(StorageFull, match=r"free .* bytes, then it goes on by itself"):
            await engine.submit(quick, "")
        disk.capacity = None
        await anyio.sleep(LOOK_FOR_ROOM + 1)
        await engine.submit(quick, "")


async def test_without_a_reserve_a_full_disk_still_costs_nothing(disk: SimulatedDisk) -> None:
    gate = Gate()
    with anyio.fail_after(3600):
        backend = backend_on(disk, reserve=0)
        async with an_engine(gate.gated, quick, backend=backend) as engine:
            handle = await engine.submit(gate.gated, 0)
            fill(disk)
            await until_full(engine)
            gate.open.set()
            await anyio.sleep(60)
            assert (await engine.get(handle.id)).status is TaskStatus.RUNNING
            disk.capacity = None
            assert await handle.result() == "done"
            await anyio.sleep(LOOK_FOR_ROOM + 1)
            await engine.submit(quick, "")
            assert not (disk.root / "tasks" / RESERVE_FILE).exists()


async def test_a_power_cut_on_a_full_disk_takes_nothing_that_was_answered(
    disk: SimulatedDisk, place: Path
) -> None:
    gate = Gate()
    states = []
    async with running_on(disk, gate.gated, quick) as engine:
        handles = [await engine.submit(gate.gated, n) for n in (0, -1)]
        fill(disk, 300)
        await until_full(engine)
        gate.open.set()
        for handle in handles:
            await handle.wait()
        kept = {record.id: record for record in (await engine.list()).records}
        states += disk.states(HOW, random.Random(7))
        disk.capacity = None
        await anyio.sleep(LOOK_FOR_ROOM + 1)
        states += disk.states(HOW, random.Random(7))
    for number, state in enumerate(states):
        after = SimulatedDisk.holding(place / str(number), state)
        backend = backend_on(after)
        found = {record.id: record for record in (await backend.open()).records}
        await backend.close()
        assert {one: found[one] for one in kept if kept[one].final} == {
            one: record for one, record in kept.items() if record.final
        }
