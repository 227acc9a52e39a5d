"""What a law of webhooks stands on: an outbox in a file, receivers that answer as they are told,
and time that jumps.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import anyio
import msgspec

from cortex_tasks import Limits, MemoryBackend, TaskContext, TaskEngine, task_type
from cortex_tasks.engine.storage import Backend
from cortex_tasks.engine.surroundings import Surroundings, offload_inline
from cortex_tasks.http.webhooks.dispatch import Webhooks
from cortex_tasks.http.webhooks.model import Delivery, Hook, HookEvent, Outcome
from cortex_tasks.http.webhooks.outbox import Outbox
from cortex_tasks.http.webhooks.signing import Secrets
from cortex_tasks.testing.harness import FOR_EVER
from cortex_tasks.testing.injected import VirtualClock

URL = "https://receiver.example/hook"
ALL = (HookEvent.COMPLETED, HookEvent.FAILED, HookEvent.CANCELLED)
DONE = Outcome(200, None)
BROKEN = Outcome(500, "HTTP 500")


@task_type("good", concurrency=5)
async def good(ctx: TaskContext) -> str:
    return "done"


@task_type("bad")
async def bad(ctx: TaskContext) -> None:
    raise ValueError("no luck")


@task_type("endless")
async def endless(ctx: TaskContext) -> None:
    await anyio.sleep_forever()


class Receiver:
    """The other side: notes what it is told, and answers what it has been given to say."""

    def __init__(self, *answers: Outcome) -> None:
        self.answers = list(answers)
        self.told: list[tuple[Hook, Delivery, datetime]] = []
        self._news = anyio.Event()
        self.open = anyio.Event()  # it answers nothing before
        self.open.set()

    async def post(self, hook: Hook, delivery: Delivery, now: datetime) -> Outcome:
        self.told.append((hook, delivery, now))
        news, self._news = self._news, anyio.Event()
        news.set()
        await self.open.wait()
        await anyio.lowlevel.checkpoint()
        if not self.answers:
            return DONE
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    async def wait_told(self, count: int) -> list[Any]:
        """Wait until it was told so often; gives the bodies."""
        while len(self.told) < count:
            await self._news.wait()
        return [msgspec.json.decode(delivery.body) for _, delivery, _ in self.told]


class Told:
    """An engine whose ends are told to a receiver."""

    def __init__(self, engine: TaskEngine, webhooks: Webhooks, receiver: Receiver) -> None:
        self.engine = engine
        self.webhooks = webhooks
        self.receiver = receiver

    async def ended(self, name: str) -> str:
        """Run a task to its end; gives its id."""
        handle = await self.engine.submit(name)
        await handle.wait()
        return handle.id

    async def settled(self, hook_id: str) -> list[Delivery]:
        """Wait until nothing is owed to the hook; gives all, the oldest first."""
        while True:
            all_of_it = await self.webhooks.deliveries(hook_id, state=None, limit=1000)
            if all_of_it and all(each.due_at is None for each in all_of_it):
                return all_of_it[::-1]
            await anyio.sleep(1800)  # virtual


@asynccontextmanager
async def telling(
    folder: Path,
    *answers: Outcome,
    backend: Backend | None = None,
    receiver: Receiver | None = None,
) -> AsyncIterator[Told]:
    """Run an engine and its webhooks, the outbox in the folder."""
    start = anyio.current_time()
    clock = VirtualClock(lambda: anyio.current_time() - start)
    receiver = receiver or Receiver(*answers)
    webhooks = Webhooks(
        Outbox(folder / "webhooks.db", offload=offload_inline),
        post=receiver.post,
        secrets=Secrets(b"m" * 32),
        clock=clock,
        random=Random(1),
        look_again=math.inf,
    )
    engine = TaskEngine(
        [good, bad, endless],
        backend=backend or MemoryBackend(),
        watchdog=None,
        drain_grace=0,
        retention=FOR_EVER,
        limits=Limits(events_kept=20),
        surroundings=Surroundings(clock=clock, offload=offload_inline, look_again=math.inf),
    )
    with anyio.fail_after(10**9):
        async with engine, webhooks.running(engine):
            yield Told(engine, webhooks, receiver)
