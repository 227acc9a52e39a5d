"""A process with an engine whose tasks may end it: says what it finds, and leaves when all is done.

python -m tests.poison_process LOOP FOLDER [submit]
"""

from __future__ import annotations

import json
import os
import sys

import anyio
import anyio.lowlevel

from cortex_tasks import JsonBackend, TaskContext, TaskEngine, task_type


@task_type("poison", on_restart="resume", max_interruptions=3)
async def poison(ctx: TaskContext) -> None:
    """Saves where it is, and then brings down the process."""
    before = ctx.resumed_from or []
    await ctx.checkpoint([*before, ctx.attempt])
    os._exit(86)


@task_type("walk", on_restart="resume")
async def walk(ctx: TaskContext) -> list[int]:
    """Takes a step in each attempt and waits for the next one; the fourth is the last."""
    steps = [*(ctx.resumed_from or []), ctx.attempt]
    await ctx.checkpoint(steps)
    if len(steps) < 4:
        await anyio.sleep_forever()
    return steps


async def run(folder: str, *, submit: bool) -> None:
    async with TaskEngine([poison, walk], backend=JsonBackend(folder), watchdog=None) as engine:
        if submit:
            await engine.submit(walk)
            await anyio.lowlevel.checkpoint()
            await engine.submit(poison)
        found = {}
        for record in (await engine.list()).records:
            ended = await engine.wait(record.id)
            result = await engine.result(record.id) if record.type == "walk" else None
            found[record.type] = [ended.status, ended.error, ended.interruptions, result]
        sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    anyio.run(lambda: run(sys.argv[2], submit="submit" in sys.argv[3:]), backend=sys.argv[1])
