"""Bodies that run in child processes: a module of their own, which a child imports quickly."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import msgspec

from cortex_tasks.engine.context import ChildContext
from cortex_tasks.engine.registry import task_type


class Text(msgspec.Struct):
    text: str


@task_type("process_count", runs="process")
def process_count(ctx: ChildContext, params: Text) -> dict[str, int]:
    ctx.progress(current=1, total=2, message="Counting")
    return {"words": len(params.text.split()), "attempt": ctx.attempt}


@task_type("process_nothing", runs="process")
def process_nothing(ctx: ChildContext) -> None:
    return None


@task_type("process_spin", runs="process", cancel_grace=30)
def process_spin(ctx: ChildContext) -> None:
    """Starts a process of its own, says both numbers, and never looks up again."""
    grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    ctx.progress(message=f"{os.getpid()} {grandchild.pid}")
    while True:
        pass


@task_type("process_slow", runs="process", timeout=0.5)
def process_slow(ctx: ChildContext) -> None:
    while True:
        pass


@task_type("process_broken", runs="process")
def process_broken(ctx: ChildContext, params: Text) -> object:
    match params.text:
        case "raise":
            raise ValueError("no luck")
        case "exit":
            os._exit(3)
        case "progress":
            ctx.progress(current=math.nan)
            return None
        case _:
            return object()


@task_type("process_odd", runs="process")
def process_odd(ctx: ChildContext) -> object:
    return {"seen": {1}}


class Row(msgspec.Struct):
    number: int
    seen: set[str]


@task_type("process_save", runs="process", on_restart="resume")
def process_save(ctx: ChildContext) -> list[object]:
    """Saves what cannot be kept and is told so, then something, and at first goes no further."""
    refused = []
    for value in ({"seen": {1}}, "x" * 1_000):
        try:
            ctx.checkpoint(value)
        except ValueError as error:
            refused.append(f"{type(error).__name__}: {error}")
    row = ctx.resumed_as(Row)
    if row is None:
        ctx.checkpoint(Row(1, {"a"}))
        ctx.checkpoint(Row(2, {"a", "b"}))
        ctx.progress(message="saved")
        while True:
            pass
    return [ctx.attempt, row.number, sorted(row.seen), ctx.resumed_from["number"], *refused]
