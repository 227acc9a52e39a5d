"""A server with something to see on its page: task types that do as a law says, and a library."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import anyio
import msgspec
from anyio.abc import TaskGroup
from anyio.from_thread import BlockingPortal, start_blocking_portal
from starlette.types import ASGIApp

from cortex_tasks.backends.memory import MemoryBackend
from cortex_tasks.engine.context import TaskContext
from cortex_tasks.engine.engine import TaskEngine
from cortex_tasks.engine.errors import TaskAlreadyFinal
from cortex_tasks.engine.registry import TaskType, task_type
from cortex_tasks.engine.retrying import Backoff
from cortex_tasks.engine.surroundings import Surroundings
from cortex_tasks.http.app import create_app
from cortex_tasks.http.keys import KeyStore
from cortex_tasks.http.serving import serve
from cortex_tasks.jobs.builtin import builtin_task_types
from cortex_tasks.jobs.library import Library

T = TypeVar("T")

HOSTILE = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"
LONG = "Ünïcödé-" * 40


class ShiftedClock:
    """The time of day, some time ago: so there can be a past."""

    def __init__(self) -> None:
        self.behind = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) - self.behind


class Wanted(msgspec.Struct):
    """What a task is to do: `seconds` pass on the clock alone."""

    seconds: float = 0.0
    percent: int = 0
    message: str = ""
    result: Any = None
    error: str | None = None
    log: str | None = None  # the lines it writes to its log, one warning each


class World:
    """A running server whose tasks a law steers; everything here is called from its thread."""

    def __init__(
        self, portal: BlockingPortal, keys: KeyStore | None, around: Callable[[ASGIApp], ASGIApp]
    ) -> None:
        self._portal = portal
        self._around = around
        self._gate: anyio.Event
        self._nursery: TaskGroup
        self._draining: anyio.Event
        self._quiet: anyio.Event
        self.keys = keys
        self.clock = ShiftedClock()
        self.ended: list[str] = []  # the tasks whose bodies have been left, in that order
        self.url: str
        self.engine: TaskEngine
        self.library: Library | None = None

    def call(self, function: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """Run something in the server's loop."""
        return self._portal.call(function, *arguments)

    def submit(self, name: str, then: Any = (), **wanted: Any) -> str:
        """Submit a task, and wait until it ended, waits, or says how far it is; gives its id."""

        async def submit() -> str:
            handle = await self.engine.submit(name, wanted, then=then)
            record = handle.record
            while not (record.final or record.progress_percent or record.run_at is not None):
                if record.status == "pending" and name == "queue":
                    break
                record = await self.engine.wait_change(record.id, record.seq)
            return handle.id

        return self.call(submit)

    def open_gate(self) -> None:
        """Let everything go on that waits; what comes later waits anew."""
        self._portal.call(self._open_gate)

    async def _open_gate(self) -> None:
        self._gate.set()
        self._gate = anyio.Event()

    def clear(self) -> None:
        """Stop all that runs or waits."""

        async def clear() -> None:
            while alive := [each for each in (await self.engine.list()).records if not each.final]:
                for record in alive:
                    with suppress(TaskAlreadyFinal):
                        await self.engine.cancel(record.id)
                await self._open_gate()  # for those that do not listen

        self.call(clear)

    def forget(self) -> None:
        """Forget all tasks that have ended."""
        self.call(self.engine.cleanup, timedelta())

    def hang_up(self) -> None:
        """Stop listening; the engine and its tasks go on."""
        self._portal.call(self._hang_up)

    async def _hang_up(self) -> None:
        self._draining.set()
        await self._quiet.wait()

    def listen_again(self) -> None:
        """Listen where we did before."""
        self._portal.call(self._listen, int(self.url.rpartition(":")[2]))

    async def _listen(self, port: int) -> None:
        ready, self._draining, self._quiet = anyio.Event(), anyio.Event(), anyio.Event()
        app = create_app(self.engine, library=self.library, keys=self.keys, draining=self._draining)

        def note_url(url: str) -> None:
            self.url = url
            ready.set()

        async def run() -> None:
            await serve(
                self._around(app), port=port, draining=self._draining, on_ready=note_url, grace=1
            )
            self._quiet.set()

        self._nursery.start_soon(run)
        await ready.wait()

    @asynccontextmanager
    async def serving(self, *, with_library: bool) -> AsyncIterator[None]:
        """Serve on a free port within this block."""
        self._gate = anyio.Event()
        async with Library(None) as library:
            self.library = library if with_library else None
            types = [*self._types(), *(builtin_task_types(library) if with_library else ())]
            async with (
                TaskEngine(
                    types,
                    backend=MemoryBackend(),
                    drain_grace=0,
                    surroundings=Surroundings(clock=self.clock),
                ) as self.engine,
                anyio.create_task_group() as self._nursery,
            ):
                await self._listen(0)
                yield
                self._gate.set()
                await self._hang_up()

    def _types(self) -> list[TaskType[Any, Any]]:
        async def body(ctx: TaskContext, wanted: Wanted) -> Any:
            await _begin(ctx, wanted)
            self.clock.behind -= timedelta(seconds=wanted.seconds)
            if wanted.error is not None:
                raise RuntimeError(wanted.error)
            return wanted.result

        async def wait(ctx: TaskContext, wanted: Wanted) -> Any:
            try:
                await _begin(ctx, wanted)
                await self._gate.wait()
                return wanted.result
            finally:
                self.ended.append(ctx.task_id)

        @task_type("report")
        async def report(ctx: TaskContext, wanted: Wanted) -> Any:
            return await body(ctx, wanted)

        @task_type("newsletter", retries=1, backoff=Backoff(first=3600))
        async def newsletter(ctx: TaskContext, wanted: Wanted) -> Any:
            return await body(ctx, wanted)

        @task_type("export", concurrency=9)
        async def export(ctx: TaskContext, wanted: Wanted) -> Any:
            return await wait(ctx, wanted)

        @task_type("queue")
        async def queue(ctx: TaskContext, wanted: Wanted) -> Any:
            return await wait(ctx, wanted)

        @task_type("stubborn", cancel_grace=0)
        async def stubborn(ctx: TaskContext, wanted: Wanted) -> Any:
            with anyio.CancelScope(shield=True):
                return await wait(ctx, wanted)

        return [report, newsletter, export, queue, stubborn]


async def _begin(ctx: TaskContext, wanted: Wanted) -> None:
    for line in (wanted.log or "").splitlines():
        ctx.log(line, level="warning", number=7)
    await ctx.progress(percent=max(1, wanted.percent), message=wanted.message)


@contextmanager
def a_world(
    *,
    loop: str = "trio",
    keys: Path | None = None,
    with_library: bool = False,
    around: Callable[[ASGIApp], ASGIApp] = lambda app: app,
) -> Iterator[World]:
    """Run a server in a thread; keys: the folder of those that it asks for, if it does.

    around: makes what is served of the application, for one that is mounted in another.
    """
    with start_blocking_portal(loop) as portal:
        world = World(portal, None if keys is None else KeyStore.in_folder(keys), around)
        serving = portal.wrap_async_context_manager(world.serving(with_library=with_library))
        serving.__enter__()
        try:
            yield world
        finally:  # told of no error: a law's own is not to come out wrapped in groups
            serving.__exit__(None, None, None)
