"""A server whose tasks a law steers, for laws about the commands that talk to one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import TaskGroup
from anyio.from_thread import BlockingPortal, start_blocking_portal

from cortex_tasks import (
    Backoff,
    MemoryBackend,
    TaskContext,
    TaskEngine,
    TaskRecord,
    TaskType,
    task_type,
)
from cortex_tasks.http.app import create_app
from cortex_tasks.http.keys import KeyStore
from cortex_tasks.http.serving import serve


class SampleServer:
    """A running server with task types that end when, and how, a law wants them to.

    echo completes with its parameters; fails fails; flaky fails once; gated runs at 40 % until
    `open_gate`; stubborn does the same and ignores a cancel.
    """

    def __init__(self, portal: BlockingPortal, keys: KeyStore) -> None:
        self._portal = portal
        self._gate: anyio.Event
        self._draining: anyio.Event
        self._quiet: anyio.Event
        self._nursery: TaskGroup
        self.keys = keys
        self.url: str
        self.engine: TaskEngine

    def submit(
        self, task: str, params: dict[str, Any] | None = None, then: Any = (), **options: Any
    ) -> str:
        """Submit a task, and wait until it runs, waits for its time, or is final."""

        async def submit() -> str:
            handle = await self.engine.submit(task, params or {}, then=then, **options)
            record = handle.record
            while not record.final and record.progress_percent == 0 and record.run_at is None:
                record = await self.engine.wait_change(record.id, record.seq)
            return handle.id

        return self._portal.call(submit)

    def cancel(self, task_id: str) -> TaskRecord:
        """Cancel a task in the engine itself."""
        return self._portal.call(self.engine.cancel, task_id)

    def get(self, task_id: str) -> TaskRecord:
        """Give a task's record."""
        return self._portal.call(self.engine.get, task_id)

    def wait(self, task_id: str) -> TaskRecord:
        """Wait for a task's end in the engine itself."""
        return self._portal.call(self.engine.wait, task_id)

    def open_gate(self) -> None:
        """Let what waits go on; what comes later waits anew."""
        self._portal.call(self._open_gate)

    async def _open_gate(self) -> None:
        self._gate.set()
        self._gate = anyio.Event()

    def hang_up(self) -> None:
        """Stop listening; the engine and its tasks go on."""
        self._portal.call(self._hang_up)

    def listen_again(self) -> None:
        """Listen where we did before."""
        self._portal.call(self._listen, int(self.url.rpartition(":")[2]))

    async def _listen(self, port: int) -> None:
        ready, self._draining, self._quiet = anyio.Event(), anyio.Event(), anyio.Event()
        app = create_app(self.engine, keys=self.keys, draining=self._draining)

        def note_url(url: str) -> None:
            self.url = url
            ready.set()

        async def run() -> None:
            await serve(app, port=port, draining=self._draining, on_ready=note_url, grace=1)
            self._quiet.set()

        self._nursery.start_soon(run)
        await ready.wait()

    async def _hang_up(self) -> None:
        self._draining.set()
        await self._quiet.wait()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve on a free port within this block."""
        self._gate = anyio.Event()
        async with (
            TaskEngine(self._types(), backend=MemoryBackend(), drain_grace=0) as self.engine,
            anyio.create_task_group() as self._nursery,
        ):
            await self._listen(0)
            yield
            self._gate.set()
            await self._hang_up()

    def _types(self) -> list[TaskType[Any, Any]]:
        @task_type("echo", params=dict[str, Any])
        async def echo(ctx: TaskContext, params: dict[str, Any]) -> dict[str, Any]:
            await ctx.progress(current=1, total=2, message="Echoing")
            return params

        @task_type("fails")
        async def fails(ctx: TaskContext) -> None:
            raise ValueError("no luck\x1b[2J\u202eevil\u2066")

        @task_type("flaky", retries=1, backoff=Backoff(first=0))
        async def flaky(ctx: TaskContext) -> int:
            if not ctx.last_attempt:
                raise ConnectionError("refused\nonce")
            return ctx.attempt

        @task_type("gated", concurrency=9)
        async def gated(ctx: TaskContext) -> dict[str, bool]:
            await ctx.progress(current=2, total=5, message="Waiting at the gate")
            await self._gate.wait()
            return {"passed": True}

        @task_type("stubborn", cancel_grace=0)
        async def stubborn(ctx: TaskContext) -> None:
            await ctx.progress(percent=40)
            with anyio.CancelScope(shield=True):
                await self._gate.wait()

        return [echo, fails, flaky, gated, stubborn]


@contextmanager
def sample_server(loop: str, folder: Path) -> Iterator[SampleServer]:
    """Run a server in a thread; `keys` of it are in the folder."""
    with start_blocking_portal(loop) as portal:
        sample = SampleServer(portal, KeyStore(folder / "keys.json"))
        with portal.wrap_async_context_manager(sample.serving()):
            yield sample
