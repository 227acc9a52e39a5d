from __future__ import annotations

import contextlib
import functools
import inspect
import math
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from cortex_tasks.engine.child_functions import name_of
from cortex_tasks.engine.children import ChildFailed, ChildPool
from cortex_tasks.engine.errors import ChildCrashed, NotImportable

from . import child_functions_sample as sample
from . import nested_children_sample as nested

ROOT = Path(__file__).parents[1]
PATIENCE = 60  # for what the system does in its own time; no law depends on how long it takes


@pytest.fixture
async def pool() -> AsyncIterator[ChildPool]:
    """A pool as the engine holds one."""
    async with ChildPool() as pool:
        yield pool


def lives(pid: int) -> bool:
    """Whether the process still runs code. One that nobody has reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state.rpartition(")")[2].split()[0] not in "ZX"


def exists(pid: int) -> bool:
    """Whether the system knows the number at all, be it of a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


async def until(condition: Callable[[], object]) -> None:
    with anyio.fail_after(PATIENCE):
        while not condition():  # noqa: ASYNC110  the system tells nobody
            await anyio.sleep(0.002)


async def pids_of_work(
    run: Callable[[Callable[[dict[str, Any]], None]], Awaitable[Any]],
) -> list[int]:
    """Have `work_for_ever` start; cancel it once it has told its three numbers, and give those."""
    pids: list[int] = []
    with anyio.fail_after(PATIENCE), anyio.CancelScope() as scope:

        def note(frame: dict[str, Any]) -> None:
            pids.append(frame["current"])
            if len(pids) == 3:
                scope.cancel()

        await run(note)
    return pids


# -- what is run ---------------------------------------------------------------------------------


async def test_a_function_runs_in_another_process_and_gives_its_result(pool: ChildPool) -> None:
    given = await pool.run(sample.describe, 1, "two", three=[3.0])
    assert given["args"] == (1, "two")
    assert given["kwargs"] == {"three": [3.0]}
    assert given["pid"] != os.getpid()


async def test_what_is_large_travels_whole_both_ways(pool: ChildPool) -> None:
    large = os.urandom(3_000_000)
    given = await pool.run(sample.describe, large)
    assert given["args"] == (large,)


async def test_built_in_functions_and_class_methods_run_too(pool: ChildPool) -> None:
    assert await pool.run(math.factorial, 5) == 120
    assert await pool.run(sample.Desk.of_class, 7) == ("Desk", 7)


async def test_a_decorated_function_is_found_with_and_without_its_wrapper(pool: ChildPool) -> None:
    assert await pool.run(sample.plus_one, 1) == 4
    assert await pool.run(inspect.unwrap(sample.plus_one), 1) == 2


@pytest.mark.parametrize(
    "function",
    [
        lambda: None,
        functools.partial(sample.pid),
        sample.Desk().of_object,
        sample.Desk(),
        sample.original,
        sample.kept_apart,
    ],
    ids=["lambda", "partial", "method", "object", "replaced", "replacement"],
)
async def test_a_function_that_a_child_would_not_find_is_refused_before_anything_starts(
    function: Callable[[], object], pool: ChildPool
) -> None:
    with pytest.raises(NotImportable, match="at the top level of a module"):
        await pool.run(function)
    assert not pool._children


async def test_an_async_function_is_refused(pool: ChildPool) -> None:
    with pytest.raises(TypeError, match="async"):
        await pool.run(sample.asynchronous)  # type: ignore[unused-coroutine]
    assert not pool._children


async def test_arguments_that_cannot_be_pickled_are_refused_before_anything_starts(
    pool: ChildPool,
) -> None:
    with pytest.raises(TypeError, match=r"arguments of describe cannot be sent .*lock"):
        await pool.run(sample.describe, threading.Lock())
    assert not pool._children


async def test_an_argument_called_report_is_refused_where_progress_is_asked_for(
    pool: ChildPool,
) -> None:
    with pytest.raises(TypeError, match="report"):
        await pool.run(sample.describe, report=1, on_progress=print)


async def test_what_cannot_be_pickled_or_read_on_the_way_says_so_and_costs_no_child(
    pool: ChildPool,
) -> None:
    before = await pool.run(sample.pid)
    with pytest.raises(TypeError, match=r"result of unpicklable cannot be sent .*lock"):
        await pool.run(sample.unpicklable)
    with pytest.raises(TypeError, match="result of a child process cannot be read: cannot be reb"):
        await pool.run(sample.unreadable)
    with pytest.raises(TypeError, match="arguments of describe cannot be read in the child"):
        await pool.run(sample.describe, sample.Unreadable())
    assert await pool.run(sample.pid) == before


async def test_a_child_has_the_interpreter_path_and_environment_of_its_parent(
    pool: ChildPool,
) -> None:
    await pool.run(sample.spoil_path)
    child = await pool.run(sample.surroundings)
    assert child["executable"] == sys.executable
    assert child["path"] == sys.path
    assert child["argv"] == sys.argv
    # More only where a C library has added to the parent's: readline does, unseen by os.environ.
    assert child["environment"].items() >= os.environ.items()
    assert child["folder"] == str(Path.cwd())
    assert child["optimize"] == sys.flags.optimize


async def test_a_child_inherits_no_open_file(pool: ChildPool, tmp_path: Path) -> None:
    with (tmp_path / "journal.lock").open("w") as lock:
        os.set_inheritable(lock.fileno(), True)
        assert lock.name in sample.open_files()
        assert lock.name not in await pool.run(sample.open_files)


# -- how a function fails ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        KeyError("k", 1),
        OSError(2, "gone", "file"),
        ExceptionGroup("two", [ValueError(1), KeyError(2)]),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_an_exception_comes_back_as_itself_with_the_traceback_of_the_child(
    error: Exception, pool: ChildPool
) -> None:
    with pytest.raises(type(error)) as raised:
        await pool.run(sample.fail, error)
    assert str(raised.value) == str(error)
    [note] = raised.value.__notes__
    assert "in fail" in note
    assert "child_main" not in note


@pytest.mark.parametrize(
    ("function", "args", "type_name", "message"),
    [
        (sample.fail, (sample.Picky, "this", "that"), "Picky", "this and that"),
        (sample.fail_with_baggage, (), "ValueError", "has a lock with it"),
        (sample.fail, (SystemExit(3),), "SystemExit", "3"),
        (sample.fail, (KeyboardInterrupt(),), "KeyboardInterrupt", ""),
        (sample.fail, (sample.Panic("at line 7"),), "Panic", "at line 7"),
        (sample.fail, (StopIteration(1),), "StopIteration", "1"),
        (sample.fail, (BaseExceptionGroup("g", [SystemExit(1)]),), "BaseExceptionGroup", "g"),
    ],
)
async def test_what_cannot_be_raised_here_comes_as_child_failed_and_costs_no_child(
    function: Callable[..., object],
    args: tuple[object, ...],
    type_name: str,
    message: str,
    pool: ChildPool,
) -> None:
    before = await pool.run(sample.pid)
    with pytest.raises(ChildFailed) as raised:
        await pool.run(function, *args)
    assert raised.value.type_name.rpartition(".")[2] == type_name
    assert raised.value.message.startswith(message)
    assert function.__name__ in raised.value.traceback
    assert await pool.run(sample.pid) == before


async def test_endless_recursion_is_an_error_like_any_other(pool: ChildPool) -> None:
    with pytest.raises(RecursionError):
        await pool.run(sample.recurse)


@pytest.mark.parametrize(
    ("function", "argument", "cause"),
    [
        (sample.exit_at_once, 3, "exit code 3.*raise an exception instead"),
        (sample.exit_at_once, 0, "exit code 0"),
        (sample.die_of, signal.SIGSEGV, "SIGSEGV.*native code"),
        (sample.die_of, signal.SIGKILL, "SIGKILL.*memory"),
        (sample.die_of, signal.SIGRTMIN + 1, f"signal {signal.SIGRTMIN + 1}"),
    ],
)
async def test_a_child_that_dies_says_how_and_is_replaced(
    function: Callable[[int], None], argument: int, cause: str, pool: ChildPool
) -> None:
    before = await pool.run(sample.pid)
    with pytest.raises(ChildCrashed, match=cause):
        await pool.run(function, argument)
    assert not exists(before)
    assert await pool.run(sample.pid) != before


async def test_a_function_that_closes_the_wire_does_not_hang_its_caller(pool: ChildPool) -> None:
    with anyio.fail_after(PATIENCE), pytest.raises(ChildCrashed, match="closed its connection"):
        await pool.run(sample.close_everything)
    assert not pool._children


async def test_what_a_crashed_child_had_started_dies_too(pool: ChildPool, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    # The forked one has copies of the child's descriptors: they must not hide that it is dead.
    with anyio.fail_after(PATIENCE), pytest.raises(ChildCrashed):
        await pool.run(sample.crash_with_grandchildren, str(pids))
    for pid in map(int, pids.read_text().split()):
        await until(lambda pid=pid: not lives(pid))  # type: ignore[misc]


async def test_prints_of_a_function_go_to_stderr_and_cannot_break_the_wire(
    pool: ChildPool, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert await pool.run(sample.chatter) == "whole"
    assert await pool.run(sample.chatter) == "whole"
    out, err = capfdbinary.readouterr()
    assert out == b""
    assert err.count(b"printed in the child\n") == 2
    assert err.count(b"written to descriptor 1\n") == 2


# -- progress ------------------------------------------------------------------------------------


async def test_progress_arrives_in_order_and_the_last_of_it_before_the_result(
    pool: ChildPool,
) -> None:
    frames: list[dict[str, Any]] = []
    number = 100_000
    assert await pool.run(sample.count, number, on_progress=frames.append) == number
    assert frames == sorted(frames, key=lambda frame: frame["current"])
    assert frames[0]["current"] == 1  # at once
    assert frames[-1] == {"current": number, "total": number}
    assert len(frames) < number / 100


async def test_a_held_back_report_arrives_though_the_function_says_nothing_more(
    pool: ChildPool, tmp_path: Path
) -> None:
    frames: list[dict[str, Any]] = []
    seen = tmp_path / "seen"

    def note(frame: dict[str, Any]) -> None:
        frames.append(frame)
        if frame.get("message") == "second":
            seen.touch()

    with anyio.fail_after(PATIENCE):
        assert await pool.run(sample.report_once_too_few, str(seen), on_progress=note) == "seen"
    assert functools.reduce(dict.__or__, frames) == {"current": 2, "message": "second"}


async def test_a_report_kept_beyond_its_call_changes_nothing(pool: ChildPool) -> None:
    frames: list[dict[str, Any]] = []
    await pool.run(sample.keep_report, on_progress=frames.append)
    await pool.run(sample.use_kept_report, on_progress=frames.append)
    assert frames == [{"message": "own"}]


async def test_a_bad_report_is_an_error_of_the_function(pool: ChildPool) -> None:
    with pytest.raises(TypeError):
        await pool.run(sample.count, "many", on_progress=print)


async def test_an_error_of_the_listener_ends_the_call_and_the_child(pool: ChildPool) -> None:
    with pytest.raises(ZeroDivisionError):
        await pool.run(sample.work_for_ever, sample.spin, on_progress=lambda frame: 1 / 0)  # type: ignore[arg-type]
    assert not pool._children


# -- how a child ends ----------------------------------------------------------------------------


@pytest.mark.parametrize("how", [sample.spin, sample.hold_gil, signal.pause])
async def test_a_cancelled_run_returns_once_the_child_is_dead_and_reaped(
    how: Callable[[], object], pool: ChildPool
) -> None:
    async def run(note: Callable[[dict[str, Any]], None]) -> None:
        await pool.run(sample.work_for_ever, how, on_progress=note)

    started, forked, child = await pids_of_work(run)
    assert not exists(child)
    assert not pool._children
    await until(lambda: not lives(started) and not lives(forked))


async def test_a_run_cancelled_at_any_moment_leaves_no_process_and_no_descriptor() -> None:
    async with ChildPool(max_idle=0) as pool:
        await pool.run(sample.pid)  # the event loop has opened by now what it needs for itself
        before = descriptors()
        argument = bytes(10_000_000)
        for step in range(24):
            with anyio.move_on_after(step * 0.003):
                await pool.run(sample.describe, argument)
            assert not pool._children
            assert descriptors() == before
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)  # noqa: ASYNC222  does not wait


async def test_a_run_cancelled_before_it_begins_starts_nothing(pool: ChildPool) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await pool.run(sample.pid)
    assert scope.cancelled_caught
    assert not pool._started.is_set()


async def test_a_function_in_a_child_can_have_children_of_its_own_which_end_with_it(
    pool: ChildPool, anyio_backend_name: str
) -> None:
    assert await pool.run(nested.ask_own_child) not in (os.getpid(), await pool.run(sample.pid))

    async def run(note: Callable[[dict[str, Any]], None]) -> None:
        await pool.run(nested.wait_for_own_child, anyio_backend_name, on_progress=note)

    for pid in await pids_of_work(run):
        await until(lambda pid=pid: not lives(pid))  # type: ignore[misc]


async def test_signals_meant_for_the_service_leave_its_children_at_work(pool: ChildPool) -> None:
    child = await pool.run(sample.surroundings)
    assert child["session"] == child["pid"]  # no terminal reaches it
    assert await pool.run(sample.signal_itself) == "still here"
    assert await pool.run(sample.end_own_children) == (signal.SIGTERM, signal.SIGTERM)


# -- how children are kept -----------------------------------------------------------------------


async def test_an_idle_child_takes_the_next_call(pool: ChildPool) -> None:
    assert await pool.run(sample.pid) == await pool.run(sample.pid)


async def test_no_more_than_max_idle_children_are_kept() -> None:
    async with ChildPool(max_idle=1) as pool:
        pids: list[int] = []

        async def run() -> None:
            pids.append(await pool.run(sample.pid))

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(run)
        assert len(set(pids)) == 3
        assert sum(map(exists, pids)) == 1
        assert await pool.run(sample.pid) in pids


async def test_an_idle_child_is_ended_when_its_time_is_over() -> None:
    async with ChildPool(idle_timeout=0.01) as pool:
        for _ in range(2):
            pid = await pool.run(sample.pid)
            await until(lambda pid=pid: not exists(pid))  # type: ignore[misc]
            assert not pool._children


async def test_without_a_block_the_next_run_ends_what_is_overdue() -> None:
    pool = ChildPool(idle_timeout=1e-9)
    pids = [await pool.run(sample.pid) for _ in range(3)]
    assert len(set(pids)) == 3
    assert not any(map(exists, pids[:2]))
    await pool.aclose()
    assert not exists(pids[2])


async def test_an_idle_child_that_died_is_replaced_without_a_word(pool: ChildPool) -> None:
    pid = await pool.run(sample.pid)
    os.kill(pid, signal.SIGKILL)
    await until(lambda: os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT))
    assert await pool.run(sample.pid) != pid
    assert not exists(pid)


async def test_closing_a_pool_kills_its_children_also_those_at_work() -> None:
    pool = ChildPool()
    idle = await pool.run(sample.pid)
    pids: list[int] = []
    refused: list[Exception] = []

    async def work() -> None:
        try:
            await pool.run(
                sample.work_for_ever,
                sample.spin,
                on_progress=lambda frame: pids.append(frame["current"]),
            )
        except anyio.ClosedResourceError as error:
            refused.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(work)
        group.start_soon(work)
        await until(lambda: len(pids) == 6)
        await pool.aclose()
    assert len(refused) == 2
    assert not exists(idle)
    await until(lambda: not any(map(lives, pids)))


async def test_a_pool_may_be_closed_twice_or_unused_and_then_refuses() -> None:
    pool = ChildPool()
    await pool.aclose()
    await pool.aclose()
    with pytest.raises(anyio.ClosedResourceError):
        await pool.run(sample.pid)


async def test_an_error_in_the_block_of_a_pool_leaves_it_as_it_is() -> None:
    pool = ChildPool()

    async def fail() -> None:
        async with pool:
            await pool.run(sample.pid)
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await fail()
    assert not pool._children


def test_a_pool_that_would_keep_children_for_no_time_is_refused() -> None:
    with pytest.raises(ValueError, match="max_idle=0"):
        ChildPool(idle_timeout=0)


async def test_a_system_without_room_for_a_process_is_named(
    monkeypatch: pytest.MonkeyPatch, pool: ChildPool
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(ChildCrashed, match="no child process could be started"):
        await pool.run(sample.pid)


# -- programs: what only a process of its own can show -------------------------------------------


@pytest.fixture
def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def program(folder: Path, text: str, name: str = "program.py") -> Path:
    path = folder / name
    path.write_text(textwrap.dedent(text))
    return path


COMPLETE = """
    import sys
    from dataclasses import dataclass
    import anyio
    from cortex_tasks.engine.children import ChildPool

    @dataclass
    class Point:
        x: int

    class Refused(Exception): ...

    def mirror(point):
        if point.x < 0:
            raise Refused(point.x)
        return Point(-point.x)

    def spin(report):
        report(current=1)
        while True: pass

    async def main():
        async with ChildPool() as pool:
            assert await pool.run(mirror, Point(3)) == Point(-3)
            assert await pool.run(abs, -3) == 3
            try:
                await pool.run(mirror, Point(-3))
            except Refused as error:
                assert "in mirror" in error.__notes__[0]
            with anyio.CancelScope() as scope:
                await pool.run(spin, on_progress=lambda frame: scope.cancel())
            assert scope.cancelled_caught
            await pool.run(mirror, Point(1))
        print("done")

    if __name__ == "__main__":
        anyio.run(main, backend=sys.argv[1])
"""


@pytest.mark.parametrize("how", ["program.py", "-mprogram"])
def test_functions_and_classes_of_a_script_work_and_nothing_warns_at_its_end(
    how: str, anyio_backend_name: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    program(tmp_path, COMPLETE)
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", how, anyio_backend_name],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    # asyncio's debug mode tells of callbacks that took long: on a busy machine that says nothing.
    told = [line for line in ended.stderr.splitlines() if not line.startswith("Executing <")]
    assert (ended.stdout, told, ended.returncode) == ("done\n", [], 0)


UNGUARDED = """
    import anyio
    from cortex_tasks.engine.children import ChildPool

    def work(): ...

    async def main():
        async with ChildPool() as pool:
            await pool.run(work)

    anyio.run(main)
"""


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["program.py"], 'put what it runs under `if __name__ == "__main__":`'),
        (["-c", textwrap.dedent(UNGUARDED)], "move it to a module"),
        (["."], "move it to a module"),
    ],
    ids=["unguarded", "-c", "package"],
)
def test_a_script_that_a_child_cannot_load_is_told_what_to_do(
    arguments: list[str], advice: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    program(tmp_path, UNGUARDED)
    program(tmp_path, UNGUARDED, "__main__.py")
    ended = subprocess.run(
        [sys.executable, *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == 1
    assert advice in ended.stderr
    assert "NotImportable" in ended.stderr


PARENT = """
    import os, signal, sys
    import anyio
    from cortex_tasks.engine.children import ChildPool
    from tests import child_functions_sample as sample

    function, *args = [getattr(sample, name) for name in sys.argv[2].split(",")]
    pids = []

    def note(frame):
        pids.append(frame["current"])
        if len(pids) == 3:
            if sys.argv[3] == "fork" and not os.fork():
                while True: signal.pause()
            print(*pids, flush=True)
            if sys.argv[3] == "leave":
                os._exit(0)

    async def main():
        async with ChildPool() as pool:
            await pool.run(function, *args, on_progress=note)

    anyio.run(main, backend=sys.argv[1])
"""


@pytest.mark.parametrize(
    ("work", "end"),
    [
        ("work_for_ever,spin", "kill"),
        ("work_for_ever,hold_gil", "kill"),
        ("spin_without_the_kernel", "kill"),
        ("work_for_ever,spin", "leave"),
        ("work_for_ever,spin", "fork"),
    ],
)
async def test_a_child_and_what_it_started_die_with_their_parent(
    work: str, end: str, anyio_backend_name: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    script = str(program(tmp_path, PARENT))
    parent = subprocess.Popen(  # noqa: ASYNC220  a test may wait a millisecond
        [sys.executable, script, anyio_backend_name, work, end],
        env=environment,
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    assert parent.stdout is not None
    with parent.stdout:
        # A copy of the parent that it has forked lives on, and must not keep the child alive.
        pids = [
            int(pid) for pid in (await anyio.to_thread.run_sync(parent.stdout.readline)).split()
        ]
        assert len(pids) == 3
        if end != "leave":
            parent.kill()
        parent.wait()
        await until(lambda: not any(map(lives, pids)))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(parent.pid, signal.SIGKILL)


def test_a_name_says_how_many_wrappers_to_take_off() -> None:
    module = sample.__name__
    assert name_of(sample.plus_one) == (module, "plus_one", 0)
    assert name_of(inspect.unwrap(sample.plus_one)) == (module, "plus_one", 1)
