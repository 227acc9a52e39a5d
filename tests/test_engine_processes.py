"""Where real time and real processes are the point: bodies in children, and blocked event loops."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio

from cortex_tasks.backends.memory import MemoryBackend
from cortex_tasks.engine.context import TaskContext
from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.engine.records import TaskRecord
from cortex_tasks.engine.registry import task_type
from cortex_tasks.engine.settings import Limits

from .engine_process_bodies import (
    Text,
    process_broken,
    process_count,
    process_nothing,
    process_save,
    process_slow,
    process_spin,
)
from .engine_setting import an_engine

PROCESS_TYPES = (process_broken, process_count, process_nothing, process_slow, process_spin)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A process that is dead but that nobody has asked about yet is a zombie.
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:  # noqa: PTH123
        return stat.read().rpartition(")")[2].split()[0] != "Z"


async def wait_numbers(engine: Any, task_id: str) -> tuple[int, int]:
    """The process numbers that process_spin tells of."""
    record: TaskRecord = await engine.get(task_id)
    while not record.message[:1].isdigit():
        assert not record.final, record
        record = await engine.wait_change(task_id, record.seq)
    child, grandchild = map(int, record.message.split())
    return child, grandchild


async def test_a_body_in_a_process_gives_its_result_and_its_progress() -> None:
    async with an_engine(*PROCESS_TYPES) as engine:
        handle = await engine.submit(process_count, Text("a b c"))
        assert await handle.result() == {"words": 3, "attempt": 1}
        record = await handle.wait()
        assert (record.progress_current, record.message) == (1, "Counting")
        nothing = await engine.submit(process_nothing)
        assert (await nothing.wait()).status is TaskStatus.COMPLETED
        assert await engine.result(nothing.id) == {}


async def test_a_body_in_a_process_that_never_looks_up_is_dead_when_its_cancel_is_answered() -> (
    None
):
    async with an_engine(*PROCESS_TYPES) as engine:
        handle = await engine.submit(process_spin)
        child, grandchild = await wait_numbers(engine, handle.id)
        assert is_alive(child)
        assert is_alive(grandchild)
        record = await handle.cancel()
        assert record.status is TaskStatus.CANCELLED
        assert not is_alive(child)
        assert not is_alive(grandchild)


async def test_a_body_in_a_process_is_dead_when_the_engine_has_been_left() -> None:
    async with an_engine(*PROCESS_TYPES, drain_grace=0) as engine:
        handle = await engine.submit(process_spin)
        child, grandchild = await wait_numbers(engine, handle.id)
    assert not is_alive(child)
    assert not is_alive(grandchild)


async def test_a_body_in_a_process_is_held_to_its_time() -> None:
    async with an_engine(*PROCESS_TYPES) as engine:
        record = await (await engine.submit(process_slow)).wait()
        assert (record.status, record.error) == (TaskStatus.FAILED, "timed out after 0.5 s")


async def test_a_body_that_breaks_in_its_process_fails_alone() -> None:
    async with an_engine(*PROCESS_TYPES, limits=Limits(max_result_bytes=100)) as engine:
        errors = {}
        for how in ("raise", "exit", "result", "progress"):
            record = await (await engine.submit(process_broken, Text(how))).wait()
            assert record.status is TaskStatus.FAILED, how
            errors[how] = str(record.error)
        assert errors["raise"] == "ValueError: no luck"
        assert "exit code 3" in errors["exit"]
        assert "object" in errors["result"]
        assert "finite number" in errors["progress"]
        assert await (await engine.submit(process_count, Text("a"))).result()


async def test_a_body_in_a_process_goes_on_from_what_it_saved() -> None:
    backend, limits = MemoryBackend(), Limits(max_checkpoint_bytes=1_000)
    async with an_engine(process_save, backend=backend, limits=limits, drain_grace=0) as engine:
        handle = await engine.submit(process_save)
        record = await engine.get(handle.id)
        while record.message != "saved":
            record = await engine.wait_change(record.id, record.seq)
    async with an_engine(process_save, backend=backend, limits=limits) as engine:
        await engine.wait(handle.id)
        attempt, number, seen, plain, odd, large = await engine.result(handle.id)
    assert (attempt, number, seen, plain) == (2, 2, ["a", "b"], 2)
    assert odd == (
        "NotJson: the checkpoint cannot be written as JSON: $.seen: set would come back as list "
        "([1]): declare the type, or make it a list"
    )
    assert large.startswith("TooLarge: the checkpoint is 1,002 bytes of JSON, over the limit")


# -- the watchdog --------------------------------------------------------------------------------


class Signal(logging.Handler):
    """Sets an event when a text is logged, in whatever thread."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text
        self.logged = threading.Event()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if self._text in message:
            self.messages.append(message)
            self.logged.set()


@contextmanager
def listening_for(text: str) -> Iterator[Signal]:
    handler, logger = Signal(text), logging.getLogger("cortex_tasks.engine")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


async def test_a_body_that_blocks_the_event_loop_is_named_in_the_log() -> None:
    @task_type("blocking")
    async def blocking(ctx: TaskContext) -> bool:
        return named.logged.wait(30)  # the very call that holds up the loop

    with listening_for("of type blocking, at ") as named:
        async with an_engine(blocking, watchdog=0.02) as engine:
            handle = await engine.submit(blocking)
            assert await handle.result() is True
    (message,) = named.messages
    assert "has been held up for " in message
    assert re.search(rf" by {handle.id} of type blocking, at \S+:\d+ in \w+", message)
    assert f'File "{__file__}", line' in message  # and the stack
    assert "return named.logged.wait(30)" in message


async def test_a_hold_up_is_reported_once_however_long_it_lasts() -> None:
    @task_type("blocking")
    async def blocking(ctx: TaskContext) -> int:
        named.logged.wait(30)
        threading.Event().wait(0.2)  # ten times as long as it takes to be noticed
        return len(named.messages)

    with listening_for("of type blocking, at ") as named:
        async with an_engine(blocking, watchdog=0.02) as engine:
            assert await (await engine.submit(blocking)).result() == 1


async def test_a_child_of_a_body_that_blocks_the_event_loop_is_shown_with_its_stack() -> None:
    async def block() -> None:
        shown.logged.wait(30)

    @task_type("parent")
    async def parent(ctx: TaskContext) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(block)

    with listening_for("in block\n") as shown:
        async with an_engine(parent, watchdog=0.02) as engine:
            handle = await engine.submit(parent)
            await handle.result()
    (message,) = shown.messages
    assert "may be a child of one" in message
    assert f"(under way: {handle.id} of type parent)" in message


async def test_a_loop_that_nothing_holds_up_is_not_complained_of() -> None:
    with listening_for("has been held up") as complaints:
        async with an_engine(process_count, watchdog=30.0) as engine:
            await anyio.lowlevel.checkpoint()
            assert engine.accepting
    assert complaints.messages == []
    assert not any(thread.name == "cortex-tasks watchdog" for thread in threading.enumerate())
