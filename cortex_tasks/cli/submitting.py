"""The command `submit`: a task of any type that the server runs."""

from __future__ import annotations

import argparse
from typing import Any

import msgspec

from ..client.library_models import Started
from .arguments import Commands, add_command, add_connection, seconds, text, whole_number
from .connection import connect
from .exits import CommandFailed, Exit
from .following import all_in_one, exit_of, wait_for
from .operations import add_wait, print_tasks
from .screen import note, print_json


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = add_command(commands, "submit", submit, "submit a task of a type of your own")
    command.add_argument("type", metavar="TYPE", type=text, help="the task type")
    command.add_argument(
        "params", metavar="JSON", type=text, nargs="?", help="its parameters, as JSON"
    )
    command.add_argument(
        "--delay", type=seconds, metavar="SECONDS", help="start it no earlier than this"
    )
    command.add_argument(
        "--priority", type=whole_number(-1000, 1000), metavar="N", help="higher ones start first"
    )
    command.add_argument(
        "--key", type=text, metavar="KEY", help="one at a time: while one has it, it is that one"
    )
    add_wait(command)
    add_connection(command)


def submit(arguments: argparse.Namespace) -> int:
    """Submit the task, print it and, if asked to, wait for its end."""
    wanted = {
        "task_type": arguments.type,
        "params": _json(arguments.params),
        "delay": arguments.delay,
        "priority": arguments.priority,
        "dedupe_key": arguments.key,
    }
    with connect(arguments) as connection:
        answer = connection.ask("POST", "/api/tasks", json=wanted)
        started = answer.read(Started)
        if started.deduplicated:
            note(f"Already under way as {started.task_id}")
        answers, code = [answer], Exit.DONE
        if arguments.wait and started.task_id is not None:
            answers = wait_for(connection, started.task_id)
            code = exit_of(answers)
    if arguments.json:
        print_json(all_in_one(answers))
    else:
        print_tasks(answers)
    return code


def _json(given: str | None) -> Any:
    if given is None:
        return None
    try:
        return msgspec.json.decode(given)
    except (msgspec.DecodeError, RecursionError) as error:
        raise CommandFailed(f"the parameters are no JSON: {error}", Exit.USAGE) from None
