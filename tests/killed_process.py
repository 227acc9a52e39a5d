"""A program with an engine on a folder, made to be killed: says what it was told, line by line.

    python -m tests.killed_process LOOP FOLDER SEED [finish]

It submits and cancels tasks for ever, or with `finish` waits until all have ended. Each line is
written by one call, right after what it tells of was acknowledged, so no kill takes it back.
"""

from __future__ import annotations

import os
import random
import sys
from typing import Any

import anyio
import msgspec

from cortex_tasks import (
    Backoff,
    JsonBackend,
    RetryLater,
    TaskAlreadyFinal,
    TaskContext,
    TaskEngine,
    TaskRecord,
    task_type,
)


def say(what: str, **fields: Any) -> None:
    """Write a line, whole."""
    os.write(1, msgspec.json.encode({"what": what, **fields}) + b"\n")


@task_type("climb", concurrency=3, on_restart="resume", max_interruptions=10_000)
async def climb(ctx: TaskContext, steps: int) -> list[int]:
    """Saves every step."""
    done = ctx.resumed_as(list[int]) or []
    say("resumed", task_id=ctx.task_id, steps=len(done))
    for step in range(len(done), steps):
        await anyio.sleep(0.01)
        done.append(step)
        await ctx.checkpoint(done)
        say("saved", task_id=ctx.task_id, steps=len(done))
    return done


@task_type(
    "stumble",
    concurrency=3,
    on_restart="resume",
    max_interruptions=10_000,
    retries=2,
    backoff=Backoff(first=0.05),
)
async def stumble(ctx: TaskContext, how: str) -> str:
    """Fails at first, one way or the other."""
    saved = ctx.resumed_from or 0
    await ctx.checkpoint(saved + 1)
    if saved == 0 and how == "later":
        raise RetryLater(0.1)
    if saved == 0 or how == "always":
        raise ValueError("stumbled")
    return how * 10_000  # large enough for a file of its own


def _told(what: str, record: TaskRecord, **more: Any) -> None:
    status, run_at = str(record.status), record.run_at and record.run_at.timestamp()
    say(what, task_id=record.id, status=status, run_at=run_at, **more)


async def _say_all(engine: TaskEngine) -> None:
    """Each task that is there, and of the completed ones how large a result can be read."""
    for record in (await engine.list()).records:
        started = record.started_at and record.started_at.timestamp()
        length = len(await engine.result_json(record.id)) if record.result_size else 0
        whole = length == (record.result_size or 0)
        _told("there", record, type=record.type, started=started, whole=whole)
    say("all")


async def _work(engine: TaskEngine, chance: random.Random) -> None:
    known: list[str] = []
    while True:
        delay = chance.choice((None, 0.2, 0.6))
        if chance.random() < 0.5:
            handle: Any = await engine.submit(climb, chance.randrange(1, 20), delay=delay)
        else:
            how = chance.choice(("once", "later", "always"))
            handle = await engine.submit(stumble, how, delay=delay, priority=chance.choice((0, 1)))
        _told("told", handle.record)
        known.append(handle.id)
        if chance.random() < 0.2:
            try:
                _told("told", await engine.cancel(chance.choice(known)))
            except TaskAlreadyFinal as error:
                say("told", task_id=error.task_id, status=str(error.status), run_at=None)
        await anyio.sleep(0.01)


async def main(folder: str, seed: str, finish: bool) -> None:
    """Say what is there; then work until killed, or wait until all is over."""
    async with TaskEngine((climb, stumble), backend=JsonBackend(folder)) as engine:
        await _say_all(engine)
        if not finish:
            await _work(engine, random.Random(seed))
        for record in (await engine.list()).records:
            await engine.wait(record.id)
        await _say_all(engine)


if __name__ == "__main__":
    loop, folder, seed, *rest = sys.argv[1:]
    anyio.run(main, folder, seed, bool(rest), backend=loop)
