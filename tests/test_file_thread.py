"""The thread that writes files: in order, to the end once begun, and gone when it is not needed."""

from __future__ import annotations

import gc
import os
import signal
import threading
import weakref
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from cortex_tasks.backends.file_thread import FileThread, _Call
from cortex_tasks.backends.json_backend import JsonBackend
from cortex_tasks.engine.errors import StorageError
from cortex_tasks.engine.loop_entry import way_into_this_loop
from tests.journal_setting import submit

NAME = "thread of a test"


def threads_of_tests() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == NAME]


@pytest.fixture
async def thread() -> AsyncIterator[FileThread]:
    thread = FileThread(NAME)
    yield thread
    thread.close()
    assert not threads_of_tests()


async def test_calls_are_made_in_one_thread_in_the_order_in_which_they_were_asked_for(
    thread: FileThread,
) -> None:
    made: list[tuple[int, int]] = []

    def note(n: int) -> Callable[[], None]:
        return lambda: made.append((n, threading.get_ident()))

    async with anyio.create_task_group() as group:
        for n in range(20):
            group.start_soon(thread, note(n))
            await anyio.wait_all_tasks_blocked()
    assert [n for n, _ in made] == list(range(20))
    assert {ident for _, ident in made} == {thread._thread.ident}


async def test_what_a_call_raises_is_raised_where_it_was_asked_for_and_ends_nothing(
    thread: FileThread,
) -> None:
    def stop() -> None:
        raise SystemExit("stopped")

    with pytest.raises(SystemExit, match="stopped"):
        await thread(stop)
    assert await thread(lambda: 7) == 7


async def test_the_event_loop_goes_on_while_a_call_is_made(thread: FileThread) -> None:
    go_on = threading.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(thread, lambda: go_on.wait(60))
        await anyio.wait_all_tasks_blocked()
        go_on.set()


async def test_a_call_once_asked_for_is_waited_for_and_its_outcome_given_although_cancelled(
    thread: FileThread,
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    outcome: list[bool] = []

    def call() -> bool:
        begun.set()
        return go_on.wait(60)

    async def ask() -> None:
        outcome.append(await thread(call))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await anyio.to_thread.run_sync(begun.wait, 60)
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await anyio.wait_all_tasks_blocked()
        assert not outcome
        go_on.set()
    assert outcome == [True]


async def test_a_call_asked_for_by_who_is_cancelled_already_is_not_made(
    thread: FileThread,
) -> None:
    made: list[int] = []
    with anyio.CancelScope() as scope:
        scope.cancel()
        await thread(lambda: made.append(1))
    assert await thread(lambda: made) == []


async def test_after_a_close_nothing_is_left_and_nothing_is_taken() -> None:
    thread = FileThread(NAME)
    assert await thread(lambda: 1) == 1
    thread.close()
    thread.close()
    assert not threads_of_tests()
    with pytest.raises(StorageError, match="has ended"):
        await thread(lambda: 1)


async def test_a_thread_that_nobody_closes_ends_once_nobody_refers_to_it() -> None:
    thread = FileThread(NAME)
    await thread(lambda: 1)
    inner = thread._thread
    del thread
    gc.collect()
    await anyio.to_thread.run_sync(inner.join, 60)
    assert not inner.is_alive()


async def test_a_call_lets_go_of_all_that_it_held(thread: FileThread) -> None:
    class Held:
        pass

    held = Held()
    gone = threading.Event()
    weakref.finalize(held, gone.set)
    function = held.__repr__
    await thread(function)
    del held, function
    gc.collect()
    await anyio.to_thread.run_sync(gone.wait, 60)
    assert gone.is_set()


def test_a_loop_that_has_ended_before_the_call_was_made_does_no_harm(anyio_backend: str) -> None:
    async def make_call() -> _Call[int]:
        return _Call(lambda: 1, way_into_this_loop())

    call = anyio.run(make_call, backend=anyio_backend)
    call.make()
    assert call.outcome() == 1


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # that is what this is about
def test_in_a_forked_copy_a_call_is_refused_instead_of_waited_for(anyio_backend: str) -> None:
    thread = FileThread(NAME)
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # ends a copy that waits after all
        try:
            anyio.run(thread, os.getpid, backend=anyio_backend)
        except StorageError:
            os._exit(0)
        finally:
            os._exit(1)
    thread.close()
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("found", ["a folder", "what it cannot use"])
async def test_a_backend_that_is_not_open_has_no_thread(tmp_path: Path, found: str) -> None:
    def writing() -> list[str]:
        names = [one.name for one in threading.enumerate()]
        return [name for name in names if name == "journal writing"]

    path = tmp_path / "tasks"
    if found != "a folder":
        path.write_text("mine")
    backend = JsonBackend(path)
    if found == "a folder":
        await backend.open()
        await backend.commit([submit("task_1", 1)])
        assert writing()
        await backend.close()
    else:
        with pytest.raises(StorageError):
            await backend.open()
    assert not writing()
