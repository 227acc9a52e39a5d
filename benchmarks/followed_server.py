"""A server process for the benchmark of followers: a task that changes as often as it is told."""

from __future__ import annotations

import sys

import anyio
import msgspec

from cortex_tasks import MemoryBackend, TaskContext, TaskEngine, task_type
from cortex_tasks.http.app import create_app
from cortex_tasks.http.serving import serve
from cortex_tasks.http.stopping import StopSignals


class Changes(msgspec.Struct):
    """How often the task is to change."""

    count: int


class Gate:
    """Holds a task up until another one opens it."""

    def __init__(self) -> None:
        self._opened = anyio.Event()

    async def pass_through(self) -> None:
        """Wait until it is opened, and shut it again."""
        await self._opened.wait()
        self._opened = anyio.Event()

    def open(self) -> None:
        """Let the one pass that waits."""
        self._opened.set()


async def _run() -> None:
    gate, draining = Gate(), anyio.Event()

    @task_type("changing")
    async def changing(ctx: TaskContext, params: Changes) -> None:
        await gate.pass_through()
        for number in range(params.count):
            await ctx.checkpoint(number)  # a change each, that is kept before it goes on

    @task_type("opening")
    async def opening(ctx: TaskContext) -> None:
        gate.open()

    with anyio.CancelScope() as everything, StopSignals(draining, everything.cancel, patience=60):
        async with TaskEngine([changing, opening], backend=MemoryBackend()) as engine:
            await serve(
                create_app(engine, draining=draining),
                port=0,
                draining=draining,
                on_ready=lambda url: print(url, flush=True),
            )


if __name__ == "__main__":
    anyio.run(_run, backend=sys.argv[1])
