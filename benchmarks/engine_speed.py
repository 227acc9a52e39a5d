"""The engine, submitted to completed: many at a time, one at a time, and how fast a cancel is."""

from __future__ import annotations

import os
import sqlite3
import statistics
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import anyio
import msgspec

from cortex_tasks import JsonBackend, MemoryBackend, TaskContext, TaskEngine, task_type
from cortex_tasks.engine.storage import Backend

from .bare_actors import BareActors, bare_actors
from .measuring import Figure, Measure, Stopwatch, at_least, in_turn, under

REQUESTERS = 100
ROUNDS = 5


class Text(msgspec.Struct):
    """What the tasks are given."""

    text: str


@task_type("word_count", concurrency=REQUESTERS)
async def word_count(ctx: TaskContext, params: Text) -> dict[str, int]:
    """As little as a task can do."""
    return {"words": len(params.text.split())}


@task_type("sleeper", concurrency=REQUESTERS)
async def sleeper(ctx: TaskContext) -> None:
    """Waits to be cancelled."""
    await anyio.sleep_forever()


async def tasks_per_second(engine: TaskEngine, submitters: int, total: int) -> float:
    """Each submitter submits a task, waits for its end, and submits the next."""

    async def submit(count: int) -> None:
        for _ in range(count):
            await (await engine.submit(word_count, Text("a b c"))).wait()

    watch = Stopwatch()
    async with anyio.create_task_group() as group:
        for _ in range(submitters):
            group.start_soon(submit, total // submitters)
    return total / watch.seconds


async def seconds_to_result(engine: TaskEngine, total: int) -> float:
    """The median time from a submit to its result in hand, one at a time."""
    times = []
    for _ in range(total):
        watch = Stopwatch()
        await (await engine.submit(word_count, Text("a b c"))).result()
        times.append(watch.seconds)
    return statistics.median(times)


async def seconds_to_cancel(engine: TaskEngine, total: int) -> float:
    """The median time from asking for a cancel to the answer that the body has stopped."""
    times = []
    for _ in range(total):
        handle = await engine.submit(sleeper)
        while not (await engine.get(handle.id)).started_at:
            await engine.wait_change(handle.id, handle.record.seq)
        watch = Stopwatch()
        await handle.cancel()
        times.append(watch.seconds)
    return statistics.median(times)


async def sqlite_commits_per_second(path: Path, total: int) -> float:
    """The peer for durable work: SQLite in WAL mode, synchronous=FULL, a commit for each row."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE IF NOT EXISTS task (id INTEGER PRIMARY KEY, record TEXT)")
        watch = Stopwatch()
        for _ in range(total):
            connection.execute("INSERT INTO task (record) VALUES (?)", ("x" * 300,))
        return total / watch.seconds
    finally:
        connection.close()


async def seconds_to_fsync(path: Path, total: int) -> float:
    """The median time of a bare append with fdatasync."""
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    times = []
    try:
        for _ in range(total):
            watch = Stopwatch()
            os.write(descriptor, b"x" * 300)
            os.fdatasync(descriptor)
            times.append(watch.seconds)
    finally:
        os.close(descriptor)
    return statistics.median(times)


async def group_commits_per_second(path: Path, committers: int, total: int) -> float:
    """The limit for durable work: a bare append and fdatasync for `committers` lines at a time."""
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    batch = (b"x" * 299 + b"\n") * committers
    try:
        watch = Stopwatch()
        for _ in range(total // committers):
            os.write(descriptor, batch)
            os.fdatasync(descriptor)
        return total / watch.seconds
    finally:
        os.close(descriptor)


Measured = Callable[[TaskEngine], Awaitable[float]]


def on_new_engine(measured: Measured, make_backend: Callable[[], Backend]) -> Measure:
    """Measure on an engine of its own, so that nothing of it is at work when its peer's turn is."""

    async def measure_once() -> float:
        async with TaskEngine([word_count, sleeper], backend=make_backend()) as engine:
            await tasks_per_second(engine, REQUESTERS, 1_000)  # places and threads are there now
            return await measured(engine)

    return measure_once


async def measure(loop: str) -> AsyncIterator[Figure]:
    """Every figure about the engine on this loop."""
    with tempfile.TemporaryDirectory(prefix="cortex-tasks-bench-") as folder:
        data = Path(folder)
        async with bare_actors(REQUESTERS) as bare:
            for figure in await _throughput(loop, bare, data):
                yield figure
            for figure in await _latency(loop, bare, data):
                yield figure


def _json_in(data: Path) -> Callable[[], Backend]:
    return lambda: JsonBackend(tempfile.mkdtemp(dir=data))


async def _throughput(loop: str, bare: BareActors, data: Path) -> list[Figure]:
    limit, in_memory, on_disk, sqlite, grouped = await in_turn(
        [
            lambda: bare.round_trips(REQUESTERS, 10_000),
            on_new_engine(lambda one: tasks_per_second(one, REQUESTERS, 10_000), MemoryBackend),
            on_new_engine(lambda one: tasks_per_second(one, REQUESTERS, 10_000), _json_in(data)),
            lambda: sqlite_commits_per_second(data / "peer.sqlite", 1_000),
            lambda: group_commits_per_second(data / "peer.group", REQUESTERS, 10_000),
        ],
        ROUNDS,
    )
    with_many = f"{REQUESTERS} submitters"
    return [
        Figure(f"{loop}: bare round trips, {REQUESTERS} requesters", limit, "/s"),
        at_least(f"{loop}: tasks, memory, {with_many}", in_memory, limit, "bare", 0.6),
        at_least(f"{loop}: tasks, JSON, {with_many}", on_disk, in_memory, "memory", 0.4),
        Figure(f"bare group commit, {REQUESTERS} lines an fsync", grouped, "/s"),
        Figure("SQLite, a row a commit, synchronous=FULL", sqlite, "/s"),
        at_least(f"{loop}: tasks, JSON, {with_many}", on_disk, sqlite, "SQLite", 5),
        # A task is answered for twice: when it was submitted, and when it has completed.
        Figure(
            f"{loop}: acknowledged commits, JSON", 2 * on_disk, "/s", "SQLite", 2 * on_disk / sqlite
        ),
    ]


async def _latency(loop: str, bare: BareActors, data: Path) -> list[Figure]:
    async def one_round_trip() -> float:
        return 1 / await bare.round_trips(1, 1_000)

    trip, in_memory, fsync, on_disk, cancel, cancel_on_disk = await in_turn(
        [
            one_round_trip,
            on_new_engine(lambda one: seconds_to_result(one, 500), MemoryBackend),
            lambda: seconds_to_fsync(data / "peer.journal", 200),
            on_new_engine(lambda one: seconds_to_result(one, 200), _json_in(data)),
            on_new_engine(lambda one: seconds_to_cancel(one, 200), MemoryBackend),
            on_new_engine(lambda one: seconds_to_cancel(one, 100), _json_in(data)),
        ],
        ROUNDS,
    )
    return [
        Figure(f"{loop}: one bare round trip", trip * 1e6, "us"),
        under(f"{loop}: submit to result, memory", in_memory, 3 * trip, "3 round trips"),
        Figure("one bare append and fdatasync", fsync * 1e6, "us"),
        under(f"{loop}: submit to result, JSON", on_disk, 2 * fsync, "2 fsyncs", 500e-6),
        Figure(f"{loop}: cancel of a running body, memory", cancel * 1e6, "us"),
        Figure(f"{loop}: cancel of a running body, JSON", cancel_on_disk * 1e6, "us"),
    ]
