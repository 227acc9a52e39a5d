"""The commands by which a person steers: retry, types, pause, resume."""

from __future__ import annotations

import argparse
from datetime import datetime

import msgspec

from .arguments import Commands, add_command, add_connection, text
from .connection import Answer, Refused, connect, in_path
from .exits import Exit
from .following import all_in_one
from .operations import print_tasks
from .screen import note, print_json, print_table, print_text, short_time


class Percentiles(msgspec.Struct, frozen=True):
    """Of some durations, in seconds."""

    p50: float | None = None
    p95: float | None = None


class TypeView(msgspec.Struct, frozen=True, kw_only=True):
    """A task type as the list shows it."""

    name: str
    concurrency: int = 0
    paused: bool = False
    running: int = 0
    pending: int = 0
    delayed: int = 0
    oldest_pending_at: datetime | None = None
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    run_seconds: Percentiles = Percentiles()


class TypeList(msgspec.Struct, frozen=True):
    """The task types."""

    task_types: list[TypeView]


def add_to(commands: Commands) -> None:
    """Add the commands that steer."""
    again = add_command(commands, "retry", retry, "try failed or cancelled tasks again")
    again.add_argument("task_ids", type=text, nargs="+", metavar="ID", help="a task's id")
    add_connection(again)
    types = add_command(
        commands, "types", list_types, "list the task types: what runs, what waits, for how long"
    )
    add_connection(types)
    for name, run, help in (
        ("pause", pause, "start no more tasks of a type; what runs goes on, submits are taken"),
        ("resume", resume, "start tasks of a type again"),
    ):
        command = add_command(commands, name, run, help)
        command.add_argument("task_type", type=text, metavar="TYPE", help="the task type")
        add_connection(command)


def retry(arguments: argparse.Namespace) -> int:
    """Have each of the tasks tried again; 0 only if all of them are."""
    revived: list[Answer] = []
    code = Exit.DONE
    with connect(arguments) as connection:
        for task_id in arguments.task_ids:
            try:
                answer = connection.ask("POST", f"/api/tasks/{in_path(task_id)}/retry")
            except Refused as refused:  # the others are tried all the same
                note(f"cortex-tasks: {refused}")
                code = refused.exit_code if code in (Exit.DONE, refused.exit_code) else Exit.FAILED
            else:
                revived.append(answer)
    if not arguments.json:
        print_tasks(revived)
    elif revived:
        print_json(all_in_one(revived))
    return code


def pause(arguments: argparse.Namespace) -> int:
    """Start no more tasks of a type."""
    return _set_paused(arguments, "pause")


def resume(arguments: argparse.Namespace) -> int:
    """Start tasks of a type again."""
    return _set_paused(arguments, "resume")


def _set_paused(arguments: argparse.Namespace, verb: str) -> int:
    path = f"/api/task-types/{in_path(arguments.task_type)}/{verb}"
    with connect(arguments) as connection:
        answer = connection.ask("POST", path)
    if arguments.json:
        print_json(answer.body)
        return Exit.DONE
    state = answer.read(TypeView)
    how = "paused" if state.paused else "not paused"
    print_text(f"{state.name}  {how}  {state.running} running, {state.pending} pending")
    return Exit.DONE


def list_types(arguments: argparse.Namespace) -> int:
    """Print the task types."""
    with connect(arguments) as connection:
        answer = connection.ask("GET", "/api/task-types")
    if arguments.json:
        print_json(answer.body)
        return Exit.DONE
    rows = [
        (
            one.name,
            f"{one.running}/{one.concurrency}" + (" paused" if one.paused else ""),
            f"{one.pending}" + (f" ({one.delayed} delayed)" if one.delayed else ""),
            short_time(one.oldest_pending_at),
            f"{one.completed}",
            f"{one.failed}",
            f"{one.cancelled}",
            _seconds(one.run_seconds.p50),
            _seconds(one.run_seconds.p95),
        )
        for one in answer.read(TypeList).task_types
    ]
    headings = ("TYPE", "RUNNING", "PENDING", "OLDEST", "COMPLETED", "FAILED", "CANCELLED")
    print_table((*headings, "P50", "P95"), rows)
    return Exit.DONE


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.3g} s"
