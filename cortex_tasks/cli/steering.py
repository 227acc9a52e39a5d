"""The commands by which a person steers: cancel, retry, types, pause, resume."""

from __future__ import annotations

import argparse
from datetime import datetime

import msgspec

from .arguments import Commands, add_command, add_connection, text
from .connection import Answer, Refused, connect, in_path, path_of_task, search_as_usage
from .exits import CommandFailed, Exit
from .following import all_in_one
from .operations import print_tasks
from .screen import note, print_json, print_table, print_text, short_time
from .tasks import Said


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


class RefusalView(msgspec.Struct, frozen=True):
    """A task about which nothing could be done."""

    task_id: str
    detail: str = ""


class BulkView(msgspec.Struct, frozen=True):
    """What came of steering many."""

    matched: int
    affected: int = 0
    dry_run: bool = False
    task_ids: list[str] = []
    refused: list[RefusalView] = []


class TypeList(msgspec.Struct, frozen=True):
    """The task types."""

    task_types: list[TypeView]


def add_to(commands: Commands) -> None:
    """Add the commands that steer."""
    for name, run, help, which in (
        ("cancel", cancel, "cancel tasks; answers once they have stopped", "pending and running"),
        ("retry", retry, "try failed or cancelled tasks again", "failed and cancelled"),
    ):
        command = add_command(commands, name, run, help)
        command.add_argument("task_ids", type=text, nargs="*", metavar="ID", help="a task's id")
        command.add_argument(
            "--query",
            type=text,
            metavar="SEARCH",
            help=f"instead of ids: all {which} ones that fit, as in 'type:report older:1h'",
        )
        command.add_argument(
            "--dry-run", action="store_true", help="with --query: only say which would be"
        )
        add_connection(command)
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


def cancel(arguments: argparse.Namespace) -> int:
    """Cancel tasks; 0 only if all of them have really stopped."""
    if _by_query(arguments):
        return _steer_many(arguments, "cancel")
    answers, code = _each(arguments, "DELETE")
    if not arguments.json:
        for answer in answers:
            print_text(answer.read(Said).message)
    elif answers:
        print_json(all_in_one(answers))
    if any(answer.http_status == 202 for answer in answers):
        return Exit.FAILED
    return code


def retry(arguments: argparse.Namespace) -> int:
    """Have tasks tried again; 0 only if all of them are."""
    if _by_query(arguments):
        return _steer_many(arguments, "retry")
    answers, code = _each(arguments, "POST", "/retry")
    if not arguments.json:
        print_tasks(answers)
    elif answers:
        print_json(all_in_one(answers))
    return code


def _by_query(arguments: argparse.Namespace) -> bool:
    """Whether tasks are meant that fit a search, and not those with these ids."""
    by_query = arguments.query is not None
    if by_query is bool(arguments.task_ids):
        raise CommandFailed("name tasks by their ids, or by --query", Exit.USAGE)
    if arguments.dry_run and not by_query:
        raise CommandFailed("--dry-run goes with --query", Exit.USAGE)
    return by_query


def _each(arguments: argparse.Namespace, method: str, more: str = "") -> tuple[list[Answer], Exit]:
    """Ask about each task; gives the answers, and what the refusals make of the exit code."""
    answers: list[Answer] = []
    code = Exit.DONE
    with connect(arguments) as connection:
        for task_id in arguments.task_ids:
            try:
                answers.append(connection.ask(method, path_of_task(task_id, more)))
            except Refused as refused:  # the others are tried all the same
                note(f"cortex-tasks: {refused}")
                code = refused.exit_code if code in (Exit.DONE, refused.exit_code) else Exit.FAILED
    return answers, code


def _steer_many(arguments: argparse.Namespace, verb: str) -> int:
    wanted = {"q": arguments.query, "dry_run": arguments.dry_run}
    with connect(arguments) as connection, search_as_usage():
        answer = connection.ask("POST", f"/api/tasks/bulk/{verb}", params=wanted)
    done = answer.read(BulkView)
    if arguments.json:
        print_json(answer.body)
    else:
        for task_id in done.task_ids:
            print_text(task_id)
        for refusal in done.refused:
            note(f"cortex-tasks: {refusal.task_id}: {refusal.detail}")
        count = "would be" if done.dry_run else "of them were"
        number = "" if done.dry_run else f"{done.affected} "
        past = "cancelled" if verb == "cancel" else "tried again"
        note(f"{done.matched} tasks fit; {number}{count} {past}")
    return Exit.FAILED if done.refused else Exit.DONE


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
