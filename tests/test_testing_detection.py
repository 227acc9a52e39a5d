"""What cannot be replayed is named: which call, which task, on which line."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import datetime
import functools
import importlib
import multiprocessing
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime as the_datetime
from pathlib import Path
from time import monotonic as the_monotonic

import anyio
import anyio.to_process
import anyio.to_thread
import pytest
import trio

from cortex_tasks import TaskContext, TaskFailed, task_type
from cortex_tasks.testing import NotDeterministic, TaskHarness, run_harness
from cortex_tasks.testing.injected import START

HERE = Path(__file__).name

Code = Callable[[TaskContext], Awaitable[object]]


class Moment(datetime.datetime):
    """A datetime of somebody's own."""


class Day(datetime.date):
    """A date of somebody's own."""


def clocks() -> dict[str, tuple[str, Callable[[], object]]]:
    return {
        "time.time": ("time.time", time.time),
        "time.time_ns": ("time.time_ns", time.time_ns),
        "a monotonic clock by another name": ("time.monotonic", the_monotonic),
        "time.perf_counter": ("time.perf_counter", time.perf_counter),
        "time.sleep": ("time.sleep", lambda: time.sleep(0)),
        "datetime.now": ("datetime.now", lambda: datetime.datetime.now(datetime.UTC)),
        "datetime by another name": ("datetime.now", lambda: the_datetime.now(datetime.UTC)),
        "date.today": ("date.today", datetime.date.today),
        "a datetime of one's own": ("Moment.now", lambda: Moment.now(datetime.UTC)),
        "a date of one's own": ("Day.today", Day.today),
        "uuid4": ("os.urandom", uuid.uuid4),
        "uuid1": ("uuid.uuid1", uuid.uuid1),
        "os.getrandom": ("os.getrandom", lambda: os.getrandom(4)),
        "os.times": ("os.times", os.times),
        "time.thread_time": ("time.thread_time", time.thread_time),
        "a clock of the system by its number": (
            "time.clock_gettime",
            lambda: time.clock_gettime(time.CLOCK_MONOTONIC),
        ),
    }


def threads() -> dict[str, tuple[str, Code]]:
    """The ways into a thread that are open on either loop."""

    def nothing() -> None:
        pass

    async def anyio_thread(ctx: TaskContext) -> None:
        await anyio.to_thread.run_sync(nothing)

    async def anyio_path(ctx: TaskContext) -> None:
        await anyio.Path("/").exists()

    async def pool(ctx: TaskContext) -> None:
        with concurrent.futures.ThreadPoolExecutor() as executor:
            executor.submit(nothing)

    async def thread(ctx: TaskContext) -> None:
        threading.Thread(target=nothing).start()

    return {
        "anyio.to_thread": ("anyio.to_thread.run_sync", anyio_thread),
        "anyio.Path": ("anyio.to_thread.run_sync", anyio_path),
        "a pool of threads": ("ThreadPoolExecutor.submit", pool),
        "a thread": ("threading.Thread.start", thread),
    }


def threads_of(loop: str) -> list[tuple[str, Code]]:
    """The ways into a thread that only this loop has."""

    def nothing() -> None:
        pass

    async def trio_thread(ctx: TaskContext) -> None:
        await trio.to_thread.run_sync(nothing)

    async def asyncio_thread(ctx: TaskContext) -> None:
        await asyncio.to_thread(nothing)

    async def executor(ctx: TaskContext) -> None:
        await asyncio.get_running_loop().run_in_executor(None, nothing)

    if loop == "trio":
        return [("trio.to_thread.run_sync", trio_thread)]
    return [("asyncio.to_thread", asyncio_thread), ("loop.run_in_executor", executor)]


def processes() -> dict[str, tuple[str, Code]]:
    async def run(ctx: TaskContext) -> None:
        subprocess.run([sys.executable, "--version"], check=True)  # noqa: ASYNC221  the sin

    async def anyio_run(ctx: TaskContext) -> None:
        await anyio.run_process([sys.executable, "--version"])

    async def to_process(ctx: TaskContext) -> None:
        await anyio.to_process.run_sync(os.getpid)

    async def multiprocess(ctx: TaskContext) -> None:
        multiprocessing.get_context("spawn").Process(target=os.getpid).start()

    async def system(ctx: TaskContext) -> None:
        os.system("true")  # noqa: ASYNC221  as above

    async def spawn(ctx: TaskContext) -> None:
        os.spawnv(os.P_WAIT, "/bin/true", ["true"])  # noqa: ASYNC221  as above

    return {
        "os.spawnv": ("os.fork", spawn),
        "subprocess": ("subprocess.Popen", run),
        "anyio.run_process": ("anyio.run_process", anyio_run),
        "anyio.to_process": ("anyio.to_process.run_sync", to_process),
        "multiprocessing": ("multiprocessing.Process.start", multiprocess),
        "os.system": ("os.system", system),
    }


async def found_in(code: Code) -> NotDeterministic:
    """Run the code as a body, after a checkpoint, and give what is found."""

    @task_type("guilty")
    async def guilty(ctx: TaskContext) -> None:
        await anyio.sleep(1)
        await code(ctx)

    with pytest.raises(NotDeterministic) as raised:
        async with TaskHarness(guilty) as harness:
            await (await harness.submit(guilty)).wait()
    return raised.value


@pytest.mark.parametrize("name", clocks())
async def test_a_real_clock_is_named_however_it_was_imported(name: str) -> None:
    call, look = clocks()[name]

    async def body(ctx: TaskContext) -> None:
        look()

    error = await found_in(body)
    assert (error.call, error.task_id, error.task_type) == (call, "task_000001", "guilty")
    assert HERE in error.where
    if name == "uuid4":
        assert error.through == "uuid.uuid4"
        assert "Use ctx.random" in str(error)


@pytest.mark.parametrize("name", threads())
async def test_a_thread_is_named(name: str) -> None:
    await named_as_a_thread(*threads()[name])


async def test_a_thread_of_the_loop_is_named(anyio_backend: str) -> None:
    for call, body in threads_of(anyio_backend):
        await named_as_a_thread(call, body)


async def named_as_a_thread(call: str, body: Code) -> None:
    error = await found_in(body)
    assert error.call == call
    assert HERE in error.where
    assert "Use ctx.offload" in str(error)


@pytest.mark.parametrize("name", processes())
async def test_a_process_is_named(name: str) -> None:
    call, body = processes()[name]
    error = await found_in(body)
    assert error.call == call
    assert HERE in error.where
    assert "Use ctx.run_in_child" in str(error)


async def test_it_is_named_before_the_first_checkpoint_too() -> None:
    @task_type("hasty")
    async def hasty(ctx: TaskContext) -> None:
        time.time()

    with pytest.raises(NotDeterministic, match=r"time\.time was called by task_000001"):
        async with TaskHarness(hasty) as harness:
            await (await harness.submit(hasty)).wait()


async def test_it_is_named_in_what_a_body_starts_beside_itself() -> None:
    async def beside() -> None:
        await anyio.sleep(1)
        time.time()

    async def body(ctx: TaskContext) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(beside)

    error = await found_in(body)
    assert "in test_it_is_named_in_what_a_body_starts_beside_itself.<locals>.beside" in error.where


async def test_it_is_named_though_the_body_swallows_the_error() -> None:
    async def body(ctx: TaskContext) -> None:
        with contextlib.suppress(Exception):
            time.time()

    assert (await found_in(body)).call == "time.time"


async def test_it_comes_before_what_the_test_made_of_it() -> None:
    @task_type("guilty")
    async def guilty(ctx: TaskContext) -> None:
        time.time()

    with pytest.raises(NotDeterministic) as raised:
        async with TaskHarness(guilty) as harness:
            await (await harness.submit(guilty)).result()
    assert isinstance(raised.value.__cause__, TaskFailed)


async def test_a_clock_in_retry_on_is_named() -> None:
    def soon(error: Exception) -> bool:
        return time.time() > 0

    @task_type("guilty", retries=1, retry_on=soon)
    async def guilty(ctx: TaskContext) -> None:
        raise ValueError

    with pytest.raises(NotDeterministic, match=r"time\.time was called by retry_on of type 'guil"):
        async with TaskHarness(guilty) as harness:
            await (await harness.submit(guilty)).wait()
    assert guilty.retry_policy.retry_on is soon


def ways_to_be_called() -> dict[str, Callable[[Callable[..., object]], object]]:
    """The ways in which a body can have asyncio's loop call something, now or later."""

    def when_done(call: Callable[..., object]) -> None:
        future = asyncio.get_running_loop().create_future()
        future.add_done_callback(call)
        asyncio.get_running_loop().call_later(5, future.set_result, None)

    return {
        "call_soon": lambda call: asyncio.get_running_loop().call_soon(call),
        "call_later": lambda call: asyncio.get_running_loop().call_later(5, call),
        "add_done_callback": when_done,
    }


@pytest.mark.parametrize("way", ways_to_be_called())
def test_it_is_named_in_what_a_body_has_the_loop_call(way: str) -> None:
    @task_type("guilty")
    async def guilty(ctx: TaskContext) -> None:
        ways_to_be_called()[way](lambda *given: time.time())
        await anyio.sleep(10)

    async def scenario(harness: TaskHarness) -> None:
        await (await harness.submit(guilty)).wait()

    with pytest.raises(NotDeterministic, match=r"time\.time was called by task_000001"):
        run_harness(scenario, guilty, loop="asyncio")


def test_what_a_body_has_the_loop_call_later_is_not_called_after_a_crash() -> None:
    called: list[str] = []

    @task_type("leaving")
    async def leaving(ctx: TaskContext) -> None:
        asyncio.get_running_loop().call_later(5, called.append, "before")
        asyncio.get_running_loop().call_later(3600, called.append, "after")
        await anyio.sleep(86_400)

    async def scenario(harness: TaskHarness) -> None:
        await harness.submit(leaving)
        await harness.advance(minutes=1)
        await harness.crash()
        await harness.advance(days=1)

    run_harness(scenario, leaving, loop="asyncio")
    assert called == ["before"]


def half_of(number: int) -> float:
    return number / 2


def clock_in_a_child() -> float:
    return time.time()


async def test_a_function_for_a_child_is_watched_as_well() -> None:
    async def body(ctx: TaskContext) -> None:
        await ctx.run_in_child(clock_in_a_child)

    assert "in clock_in_a_child" in (await found_in(body)).where


def handed_over() -> dict[str, tuple[str, Code]]:
    """What has no line of Python of its own, given to the context to be called."""
    asleep = functools.partial(functools.partial(time.sleep), 0)
    return {
        "a clock": ("time.time", lambda ctx: ctx.offload(time.time)),
        "a partial of a sleep": ("time.sleep", lambda ctx: ctx.offload(asleep)),
        "a partial of a process": (
            "os.system",
            lambda ctx: ctx.offload(functools.partial(os.system, "true")),
        ),
        "a clock for a child": ("time.time", lambda ctx: ctx.run_in_child(time.time)),
    }


@pytest.mark.parametrize("what", handed_over())
async def test_what_a_body_hands_over_to_be_called_is_its_own_call(what: str) -> None:
    call, body = handed_over()[what]
    error = await found_in(body)
    assert error.call == call
    assert HERE in error.where


async def test_what_is_handed_over_is_called_with_all_that_a_partial_has() -> None:
    def told(*given: int, **named: int) -> list[object]:
        return [given, named]

    @task_type("partly")
    async def partly(ctx: TaskContext) -> list[object]:
        inner = functools.partial(told, 1, a=1, b=1)
        return await ctx.offload(functools.partial(inner, 2, b=2))

    async with TaskHarness(partly) as harness:
        assert await (await harness.submit(partly)).result() == [[1, 2], {"a": 1, "b": 2}]


async def test_the_ways_of_the_context_are_free() -> None:
    @task_type("innocent")
    async def innocent(ctx: TaskContext) -> list[object]:
        assert ctx.clock.now() == START
        await anyio.sleep(5)
        ctx.log.info("logging looks at a clock of its own")
        half = await ctx.run_in_child(half_of, 7)
        read = await ctx.offload(lambda: len(Path(__file__).read_bytes()) > 0)
        return [half, read, ctx.random.random(), anyio.current_time()]

    results = []
    for _ in range(2):
        async with TaskHarness(innocent, seed=3) as harness:
            results.append(await (await harness.submit(innocent)).result())
    assert results[0] == results[1]
    assert results[0][:2] == [3.5, True]


CURIOUS = """
import subprocess, sys, threading, time, uuid

def now():
    return time.time()

loaded_at, name = now(), uuid.uuid4()
thread = threading.Thread(target=now)
thread.start()
thread.join()
subprocess.run([sys.executable, "--version"], capture_output=True, check=True)
"""


@pytest.fixture
def curious(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module that asks the world outside while it is imported, and a package's."""
    package = tmp_path / "inquisitive"
    package.mkdir()
    (package / "__init__.py").write_text("from . import curious")
    (package / "curious.py").write_text(CURIOUS)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("inquisitive", "inquisitive.curious"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return "inquisitive"


async def test_what_a_module_asks_while_it_is_imported_is_no_sin_of_the_body(curious: str) -> None:
    @task_type("lazy")
    async def lazy(ctx: TaskContext) -> str:
        await anyio.sleep(1)
        return str(importlib.import_module(curious).curious.name)

    async with TaskHarness(lazy) as harness:
        assert await (await harness.submit(lazy)).result()


async def test_what_an_imported_function_asks_later_is_named(curious: str) -> None:
    async def body(ctx: TaskContext) -> None:
        importlib.import_module(curious).curious.now()

    assert "curious.py" in (await found_in(body)).where


HARNESS_WHILE_IMPORTED = """
import time
from cortex_tasks import TaskContext, task_type
from cortex_tasks.testing import run_harness

@task_type("guilty")
async def guilty(ctx: TaskContext) -> float:
    return time.time()

async def scenario(harness):
    return await (await harness.submit(guilty)).result()

run_harness(scenario, guilty, loop={loop!r})
"""


@pytest.mark.parametrize("loop", ["trio", "asyncio"])
def test_a_harness_that_runs_while_a_module_is_imported_watches_its_bodies(
    loop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"harness_while_imported_{loop}"
    (tmp_path / f"{name}.py").write_text(HARNESS_WHILE_IMPORTED.format(loop=loop))
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(NotDeterministic, match=r"time\.time was called by task_000001"):
        importlib.import_module(name)


async def test_only_bodies_are_watched_and_only_if_wanted() -> None:
    @task_type("guilty")
    async def guilty(ctx: TaskContext) -> bool:
        return time.time() > 0

    async with TaskHarness(guilty, watch=False) as harness:
        assert time.time() > 0
        assert await (await harness.submit(guilty)).result()
    assert sys.getprofile() is None
