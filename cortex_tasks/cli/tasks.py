"""The commands about tasks: list, show, result, wait, cleanup."""

from __future__ import annotations

import argparse

import msgspec

from ..client.models import Attempt, TaskDetail, TaskLog, TaskPage
from ..engine.logs import word
from .arguments import Commands, add_command, add_connection, text, whole_number
from .connection import Answer, Connection, Refused, connect, path_of_task, search_as_usage
from .exits import CommandFailed, Exit
from .following import EXIT_BY_STATUS, all_in_one, exit_of, wait_for
from .operations import print_tasks
from .screen import (
    local_time,
    note,
    print_fields,
    print_json,
    print_table,
    print_text,
    short_time,
)

STATUSES = ("pending", "running", "completed", "failed", "cancelled")


class Said(msgspec.Struct, frozen=True):
    """The sentence in an answer."""

    message: str = ""


def add_to(commands: Commands) -> None:
    """Add the commands about tasks."""
    listing = add_command(commands, "list", list_tasks, "list tasks, newest first")
    listing.add_argument("--status", choices=STATUSES, help="only those with this status")
    listing.add_argument("--type", type=text, metavar="TYPE", help="only those of this task type")
    listing.add_argument(
        "--query",
        type=text,
        metavar="SEARCH",
        help="only those that fit, as in 'type:report status:failed older:1h disk full'",
    )
    listing.add_argument(
        "--limit", type=whole_number(1, 10**9), metavar="N", help="at most so many (default: all)"
    )
    listing.add_argument(
        "--cursor",
        type=text,
        metavar="CURSOR",
        help="turn pages of --limit that do not move meanwhile: 'start', then what each names",
    )
    add_connection(listing)
    for name, run, help in (
        ("show", show, "show one task"),
        ("result", result, "print the result of a completed task as JSON"),
        ("wait", wait, "wait until a task and its chain have ended, with a progress bar"),
    ):
        command = add_command(commands, name, run, help)
        command.add_argument("task_id", type=text, metavar="ID", help="the task's id")
        if run is show:
            command.add_argument("--log", action="store_true", help="print the lines of its log")
        add_connection(command)
    tidy = add_command(commands, "cleanup", clean_up, "remove tasks that ended long ago")
    tidy.add_argument(
        "--max-age-hours",
        type=whole_number(1, 168),
        metavar="HOURS",
        help="keep what ended within so many hours (1 to 168, default 24)",
    )
    add_connection(tidy)


def list_tasks(arguments: argparse.Namespace) -> int:
    """Print the tasks."""
    wanted = {
        "q": arguments.query,
        "status": arguments.status,
        "task_type": arguments.type,
        "limit": arguments.limit,
        "cursor": arguments.cursor,
    }
    with connect(arguments) as connection, search_as_usage():
        answer = connection.ask("GET", "/api/tasks", params=wanted)
    if arguments.json:
        print_json(answer.body)
        return Exit.DONE
    found = answer.read(TaskPage)
    rows = [
        (
            task.task_id,
            task.task_type,
            task.status,
            f"{task.progress_percent:3.0f}%",
            short_time(task.created_at),
            task.message,
        )
        for task in found.tasks
    ]
    if rows:
        print_table(("ID", "TYPE", "STATUS", "DONE", "CREATED", "MESSAGE"), rows)
    note(f"{len(rows)} of {found.total} tasks")
    if found.next is not None:
        note(f"go on with --cursor {found.next}")
    return Exit.DONE


def show(arguments: argparse.Namespace) -> int:
    """Print one task."""
    with connect(arguments) as connection:
        if arguments.log:
            path = path_of_task(arguments.task_id, "/log")
            _print_log(connection.ask("GET", path), as_json=arguments.json)
        else:
            _print_task(_task(connection, arguments.task_id), as_json=arguments.json)
    return Exit.DONE


def _print_log(answer: Answer, *, as_json: bool) -> None:
    if as_json:
        print_json(answer.body)
        return
    found = answer.read(TaskLog)
    for line in found.lines:
        fields = " ".join(f"{name}={word(value)}" for name, value in line.fields.items())
        attempt = f" (attempt {line.attempt})" if line.attempt > 1 else ""
        said = f"{line.message} {fields}" if fields else line.message
        text = f"{local_time(line.at)} {line.level:<8} {said}{attempt}"
        print_text("\n    ".join(text.splitlines()))  # what is said makes no line of its own
    if found.dropped:
        note(f"{found.dropped} earlier lines are kept no longer")
    if not found.lines:
        note("nothing was written")


def result(arguments: argparse.Namespace) -> int:
    """Print the result of a task, or say why there is none."""
    path = path_of_task(arguments.task_id, "/result")
    with connect(arguments) as connection:
        try:
            answer = connection.ask("GET", path)
        except Refused as refused:
            if refused.http_status != 400:
                raise
            # Failed or cancelled: final, so asking which of them cannot come too late.
            status = _task(connection, arguments.task_id).read(TaskDetail).status
            raise CommandFailed(str(refused), EXIT_BY_STATUS.get(status, Exit.FAILED)) from None
    if answer.http_status == 202:
        task = answer.read(TaskDetail)
        raise CommandFailed(
            f"{task.task_id} is {task.status} ({task.progress_percent:.0f}%): no result yet. "
            f"Wait for it with `cortex-tasks wait {task.task_id}`"
        )
    print_json(answer.body)
    return Exit.DONE


def wait(arguments: argparse.Namespace) -> int:
    """Follow a task and its chain to the end."""
    with connect(arguments) as connection:
        ended = wait_for(connection, arguments.task_id)
    if arguments.json:
        print_json(all_in_one(ended))
    else:
        print_tasks(ended)
    return exit_of(ended)


def clean_up(arguments: argparse.Namespace) -> int:
    """Remove old final tasks."""
    with connect(arguments) as connection:
        answer = connection.ask(
            "POST", "/api/tasks/cleanup", params={"max_age_hours": arguments.max_age_hours}
        )
    _print_said(answer, as_json=arguments.json)
    return Exit.DONE


def _task(connection: Connection, task_id: str) -> Answer:
    return connection.ask("GET", path_of_task(task_id))


def _print_task(answer: Answer, *, as_json: bool) -> None:
    if as_json:
        print_json(answer.body)
        return
    task = answer.read(TaskDetail)
    steps = ""
    if task.progress_total is not None:
        steps = f" ({task.progress_current or 0:g} of {task.progress_total:g})"
    print_fields(
        (
            ("id", task.task_id),
            ("type", task.task_type),
            ("status", task.status),
            ("progress", f"{task.progress_percent:.0f}%{steps}"),
            ("message", task.message),
            ("error", task.error or ""),
            ("priority", str(task.priority or "")),
            ("attempt", str(task.attempt) if task.attempts else ""),
            ("before", "\n".join(_in_words(attempt) for attempt in task.attempts)),
            ("created", local_time(task.created_at)),
            ("not before", local_time(task.run_at)),
            ("started", local_time(task.started_at)),
            ("updated", local_time(task.updated_at)),
            ("ended", local_time(task.completed_at)),
            ("next", task.next_task_id or ""),
        )
    )


def _in_words(attempt: Attempt) -> str:
    return f"{attempt.number}: until {local_time(attempt.ended_at)}, {attempt.error}"


def _print_said(answer: Answer, *, as_json: bool) -> None:
    if as_json:
        print_json(answer.body)
    else:
        print_text(answer.read(Said).message)
