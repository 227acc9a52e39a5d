"""A busy engine on which everything is tried at once, and what its clients and bodies remember.

Each run has its own world. The harness holds the engine to its promises (docs/testing.md); here
stands what only the bodies and the clients can know: what they saved, and what they were told.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

import anyio
import anyio.lowlevel

from cortex_tasks import (
    Backoff,
    QueueFull,
    RetryLater,
    TaskAlreadyFinal,
    TaskContext,
    TaskNotFound,
    TaskNotRevivable,
    TaskRecord,
    TaskStatus,
    task_type,
)
from cortex_tasks.engine.errors import EngineNotRunning, StorageError
from cortex_tasks.testing import Faults, TaskHarness

FAULTS: Final = Faults(
    commit_slow=0.05,
    commit_refused=0.01,
    disk_full=0.005,
    commit_torn=0.01,
    power_cut=0.02,
    crash=0.4,
    cancel=0.08,
    body_raises=0.08,
    body_hangs=0.04,
    body_lingers=0.1,
)
CLIENTS = 3
REQUESTS = (2, 3)  # of a client
LARGE = "x" * 400  # a result with it gets a file of its own


Life = tuple[str, int]  # of a task: its id, and how often it has been revived


class World:
    """What the bodies and the clients of one run remember."""

    def __init__(self) -> None:
        self.told: dict[str, TaskRecord] = {}  # the newest answer about each task
        self.saved: dict[Life, int] = {}  # the checkpoint that was acknowledged
        self.tried: dict[Life, int] = {}  # the newest that a body tried to save
        self.wrong: list[str] = []
        self.kept: Callable[[], Mapping[str, TaskRecord]] = dict

    def life(self, task_id: str) -> Life:
        """In which of its lives a task is: each begins without a checkpoint."""
        return task_id, self.kept()[task_id].revivals

    def hear(self, record: TaskRecord) -> None:
        """Hold an answer against the one before; who asked earlier may hear an older one later."""
        before = self.told.get(record.id)
        if (
            before is not None
            and before.final
            and record != before
            and record.seq >= before.seq
            and record.revivals <= before.revivals
        ):
            self.wrong.append(f"{record.id} was answered as {before.status}, then otherwise")
        if before is None or record.seq > before.seq:
            self.told[record.id] = record


world = World()


# -- the task types ------------------------------------------------------------------------------


@task_type("errand", concurrency=2, retries=2, backoff=Backoff(first=1, longest=3))
async def errand(ctx: TaskContext, trouble: str) -> dict[str, Any]:
    """Fails as it is told to, most often only at first."""
    await anyio.sleep(ctx.random.random())
    if trouble == "later" and ctx.attempt == 1:
        raise RetryLater(2, "not yet")
    if trouble == "always" or (trouble == "once" and ctx.attempt == 1):
        raise ValueError("an errand that fails")
    return {"text": LARGE if trouble == "large" else "done", "attempt": ctx.attempt}


@task_type("climb", concurrency=2, on_restart="resume", max_interruptions=50, retries=1, timeout=90)
async def climb(ctx: TaskContext, steps: int) -> list[int]:
    """Saves each step, and goes on from the newest that was saved."""
    begun = ctx.resumed_as(list[int]) or []
    reached = len(begun)
    life = world.life(ctx.task_id)
    if not world.saved.get(life, 0) <= reached <= world.tried.get(life, 0):
        world.wrong.append(f"{ctx.task_id} had saved {world.saved}, and goes on from {reached}")
    for step in range(reached, steps):
        await anyio.sleep(ctx.random.random())
        await ctx.progress(current=step, total=steps)
        begun.append(step)
        world.tried[life] = step + 1
        await ctx.checkpoint(begun)
        world.saved[life] = step + 1
    return begun


@task_type("deaf", timeout=3, cancel_grace=1, max_pending=3)
async def deaf(ctx: TaskContext, seconds: float) -> str:
    """Does not hear that it is stopped before it has done its part."""
    with anyio.CancelScope(shield=True):
        await anyio.sleep(seconds)
    await anyio.sleep(1)
    return "heard nothing"


TYPES: Final = (errand, climb, deaf)


# -- what its clients do -------------------------------------------------------------------------


async def busy(harness: TaskHarness) -> None:
    """Clients submit, cancel, look and clean up, while the engine is restarted and crashes."""
    global world  # noqa: PLW0603  the bodies are told nothing else by the engine
    world = World()
    world.kept = lambda: harness.kept
    async with anyio.create_task_group() as clients:
        for _ in range(CLIENTS):
            clients.start_soon(_client, harness)
    for name in sorted(harness.paused):  # a crash came between a pause and its end
        await _resume(harness, name)


async def _client(harness: TaskHarness) -> None:
    chance = harness.random
    for _ in range(chance.choice(REQUESTS)):
        await anyio.sleep(chance.choice((0, 0, chance.random(), 4 * chance.random())))
        request = chance.choices(_REQUESTS, _WEIGHTS)[0]
        with contextlib.suppress(
            EngineNotRunning, StorageError, QueueFull, TaskAlreadyFinal, TaskNotFound
        ):
            await request(harness)


_WEIGHTS: Final = (8, 3, 4, 3, 1, 4, 1)


async def _submit(harness: TaskHarness) -> None:
    chance = harness.random
    task, params = _work(harness)
    handle = await harness.submit(
        task,
        params,
        dedupe_key=chance.choice((None, None, "a key")),
        delay=chance.choice((None, None, 0, 3 * chance.random())),
        priority=chance.choice((0, 0, 0, 5, -5)),
        then=[(*_work(harness), None, chance.choice((None, 2)))] * chance.choice((0, 0, 1, 2)),
    )
    world.hear(handle.record)
    if chance.random() < 0.4:
        world.hear(await harness.wait(handle))


async def _submit_many(harness: TaskHarness) -> None:
    many = [_trouble(harness) for _ in range(harness.random.choice((0, 2, 3)))]
    handles = await harness.engine.submit_many(errand, many, priority=harness.random.choice((0, 3)))
    for handle in handles:
        world.hear(handle.record)


def _work(harness: TaskHarness) -> tuple[Any, Any]:
    chance = harness.random
    match chance.choice("eeccd"):
        case "e":
            return errand, _trouble(harness)
        case "c":
            return climb, chance.randrange(4)
        case _:
            return deaf, chance.choice((0.5, 2.5, 6.0))


def _trouble(harness: TaskHarness) -> str:
    return harness.random.choice(("none", "none", "large", "once", "later", "always"))


async def _cancel(harness: TaskHarness) -> None:
    if world.told:
        task_id = harness.random.choice(sorted(world.told))
        world.hear(await harness.cancel(task_id))


async def _retry(harness: TaskHarness) -> None:
    if world.told:
        task_id = harness.random.choice(sorted(world.told))
        with contextlib.suppress(TaskNotRevivable):
            world.hear(await harness.retry(task_id))


async def _pause(harness: TaskHarness) -> None:
    """Pause a type for a while; over crash and restart it stays so until somebody resumes it."""
    chance = harness.random
    task = chance.choice(TYPES)
    try:
        await harness.pause(task)
        await anyio.sleep(chance.random())
    finally:  # others wait for tasks of this type, and have no patience of their own
        await _resume(harness, task.name)


async def _resume(harness: TaskHarness, name: str) -> None:
    """Whatever fails: a pause that failed may have been kept."""
    while name in harness.paused:
        with contextlib.suppress(EngineNotRunning, StorageError):
            await harness.resume(name)
        await harness.recover()


async def _look(harness: TaskHarness) -> None:
    """All ways to ask agree about one moment; nothing is awaited between the questions."""
    engine = harness.engine
    before = {record.id: record for record in (await engine.list()).records}
    begin = engine.seq
    await anyio.sleep(harness.random.random())
    if harness.random.random() < 0.3:
        await engine.cleanup(timedelta(seconds=harness.random.choice((0, 2))))
    if engine is not harness.engine or engine.trouble is not None:
        return
    after = {record.id: record for record in (await engine.list()).records}
    for change in engine.events_until_now(after=begin):
        before.pop(change.task_id, None)
        if change.record is not None:
            before[change.task_id] = change.record
    if before != after:
        world.wrong.append(f"list and events disagree at change {engine.seq}")
    for record in after.values():
        world.hear(record)
        if await engine.get(record.id) != record:
            world.wrong.append(f"get and list disagree about {record.id} at change {engine.seq}")
    _count(engine.count(status=TaskStatus.RUNNING), after)


def _count(running: int, listed: dict[str, TaskRecord]) -> None:
    found = sum(record.status is TaskStatus.RUNNING for record in listed.values())
    if running != found:
        world.wrong.append(f"{running} are counted as running, and {found} listed")


async def _end_a_life(harness: TaskHarness) -> None:
    await (harness.crash() if harness.random.random() < 0.5 else harness.restart())


_REQUESTS: Final = (_submit, _submit_many, _cancel, _retry, _pause, _look, _end_a_life)


# -- what must hold when all is over -------------------------------------------------------------


async def all_ended(harness: TaskHarness) -> None:
    """Nothing that was acknowledged is lost, and everything has come to its one end."""
    assert world.wrong == []
    removed = {event.task_id for event in harness.events if event.what == "removed"}
    for task_id, told in world.told.items():
        if task_id in removed:
            continue
        record = await harness.get(task_id)
        assert record.final, f"{task_id} is {record.status} when all is over"
        revived = record.revivals > told.revivals  # the answer to that may have been lost
        assert record == told or not told.final or revived, f"{task_id} was {told.status}"
        if record.status is TaskStatus.COMPLETED and record.type == "climb":
            result = await harness.result(task_id)
            assert result == list(range(len(result)))
    assert harness.engine.count(status=TaskStatus.RUNNING) == 0
    assert harness.engine.count(status=TaskStatus.PENDING) == 0
