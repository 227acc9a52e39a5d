"""The command `top`: how a server stands, live on a terminal; once where nothing can be drawn."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from datetime import datetime

import msgspec

from ..client.models import TaskDetail
from .arguments import Commands, add_command, add_connection, seconds
from .connection import Connection, Refused, Unreachable, connect
from .exits import Exit, ExtraMissing
from .screen import draws, print_fields, print_json, print_table
from .steering import TypeList, TypeView

LEAST_PAUSE = 0.2  # seconds, for the server's sake


class Health(msgspec.Struct, frozen=True):
    """Whether the server can do its work."""

    status: str
    reason: str | None = None


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """What a first look should show."""

    version: str = ""
    now: datetime
    counts: dict[str, int]
    running: list[TaskDetail] = []
    oldest_pending: TaskDetail | None = None
    health: Health
    loop_lag_seconds: float | None = None
    uptime_seconds: float = 0


class Look(msgspec.Struct, frozen=True):
    """What was seen at one moment; `trouble` is why it is not newer."""

    overview: Overview
    types: tuple[TypeView, ...]
    trouble: str = ""


Show = Callable[[Look], None]


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = add_command(commands, "top", top, "watch a server: what runs, waits and has ended")
    command.add_argument(
        "--interval",
        type=seconds,
        default=1.0,
        metavar="SECONDS",
        help="between two looks (default 1)",
    )
    command.add_argument("--once", action="store_true", help="look once, and print it")
    add_connection(command)


def top(arguments: argparse.Namespace) -> int:
    """Watch until Ctrl-C, or look once."""
    with connect(arguments) as connection:
        if arguments.json:
            print_json(connection.ask("GET", "/api/overview").body)
        elif arguments.once or not draws(sys.stdout):
            _print_once(_look(connection))
        else:
            _watch(connection, max(LEAST_PAUSE, arguments.interval))
    return Exit.DONE


def _look(connection: Connection) -> Look:
    overview = connection.ask("GET", "/api/overview").read(Overview)
    types = connection.ask("GET", "/api/task-types").read(TypeList).task_types
    return Look(overview, tuple(types))


def _watch(connection: Connection, interval: float) -> None:
    try:
        from .screens import drawn_screen  # noqa: PLC0415 - of an extra, and slow to import
    except ModuleNotFoundError as error:
        raise ExtraMissing(error.name, "cli") from None
    look = _look(connection)
    with drawn_screen(connection.url) as show:
        try:
            while True:
                show(look)
                time.sleep(interval)
                look = _next(connection, look)
        except KeyboardInterrupt:  # how it is meant to end
            return


def _next(connection: Connection, before: Look) -> Look:
    try:
        return _look(connection)
    except Unreachable as gone:
        trouble = f"Connection lost, trying again: {gone}"
    except Refused as refused:
        if not refused.may_pass:
            raise
        trouble = f"No answer to show, trying again: {refused}"
    return msgspec.structs.replace(before, trouble=trouble)


def _print_once(look: Look) -> None:
    overview = look.overview
    health = overview.health.status
    print_fields(
        (
            ("server", f"{overview.version}, up {for_people(overview.uptime_seconds)}"),
            ("health", f"{health}: {overview.health.reason}" if overview.health.reason else health),
            ("tasks", ", ".join(f"{count:,} {name}" for name, count in overview.counts.items())),
        )
    )
    print_table(TYPE_HEADINGS, [type_row(each) for each in look.types])
    if overview.running:
        rows = [running_row(task) for task in overview.running]
        print_table(("RUNNING", "TYPE", "DONE", "MESSAGE"), rows)


TYPE_HEADINGS = ("TYPE", "RUNNING", "PENDING", "COMPLETED", "FAILED", "CANCELLED", "MEDIAN", "95 %")


def type_row(shown: TypeView) -> tuple[str, ...]:
    """Give the cells of a task type."""
    state = "paused" if shown.paused else f"{shown.running}/{shown.concurrency}"
    numbers = (shown.pending, shown.completed, shown.failed, shown.cancelled)
    times = (shown.run_seconds.p50, shown.run_seconds.p95)
    return (
        shown.name,
        state,
        *(f"{number:,}" for number in numbers),
        *("–" if each is None else for_people(each) for each in times),
    )


def running_row(task: TaskDetail) -> tuple[str, ...]:
    """Give the cells of a running task."""
    return task.task_id, task.task_type, f"{task.progress_percent:.0f}%", task.message


def for_people(duration: float) -> str:
    """Write a duration in the two units that tell most."""
    if duration < 0.9995:
        return f"{duration * 1000:.0f} ms"
    if duration < 59.95:
        return f"{duration:.1f} s"
    units: tuple[tuple[str, int], ...] = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
    rest, said = round(duration), list[str]()
    for name, size in units:
        count, rest = divmod(rest, size)
        if count or said:
            said.append(f"{count} {name}")
    return " ".join(said[:2])
