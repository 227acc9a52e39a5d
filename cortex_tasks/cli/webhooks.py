"""The commands about webhooks, which a running server keeps."""

from __future__ import annotations

import argparse
from typing import get_args

from ..client.webhook_models import (
    DeliveryList,
    DeliveryState,
    HookEvent,
    NewWebhook,
    Tested,
    Webhook,
    WebhookList,
)
from .arguments import Commands, add_command, add_connection, text, words_of
from .connection import connect, in_path
from .exits import CommandFailed, Exit
from .screen import local_time, note, print_json, print_table, print_text

HOOKS = "/api/admin/webhooks"
EVENTS: tuple[str, ...] = get_args(HookEvent)


def add_to(commands: Commands) -> None:
    """Add `webhooks add`, `list`, `remove`, `test`, `deliveries` and `retry`."""
    webhooks = commands.add_parser(
        "webhooks",
        help="tell other programs when tasks end",
        description="Tell other programs, by a signed HTTP request, when tasks end.",
    )
    actions = webhooks.add_subparsers(metavar="ACTION", required=True)

    adding = add_command(actions, "add", add, "tell a URL; prints its secret, this once")
    adding.add_argument("target", metavar="URL", type=text, help="where to post")
    adding.add_argument(
        "--events",
        type=words_of(EVENTS, {}),
        metavar="LIST",
        help=f"a comma list of {', '.join(EVENTS)} (default: all)",
    )
    add_connection(adding)
    add_connection(add_command(actions, "list", list_hooks, "list the webhooks"))
    for name, run, help in (
        ("remove", remove, "forget a webhook and what it is owed"),
        ("test", test, "tell a webhook something of no meaning; 0 if it was taken"),
        ("deliveries", deliveries, "list what a webhook was and is to be told"),
        ("retry", retry, "tell a webhook again what was given up"),
    ):
        command = add_command(actions, name, run, help)
        command.add_argument("hook", metavar="ID", type=text, help="the webhook's id")
        add_connection(command)
        if name == "deliveries":
            command.add_argument("--state", choices=get_args(DeliveryState), help="only those")
        if name == "retry":
            command.add_argument("delivery", metavar="DELIVERY", type=text, help="what to tell")


def add(arguments: argparse.Namespace) -> int:
    """Print the secret alone on standard output, so that a script can catch it."""
    wanted = {"url": arguments.target, "events": list(arguments.events or EVENTS)}
    with connect(arguments) as connection:
        # In the body: its path may be a secret, and what stands in an address is written into logs.
        answer = connection.ask("POST", HOOKS, json=wanted)
    if arguments.json:
        print_json(answer.body)
        return Exit.DONE
    hook = answer.read(NewWebhook)
    print_text(hook.secret)
    note(f"Webhook {hook.id} made. Its secret is shown only now: check signatures with it.")
    return Exit.DONE


def list_hooks(arguments: argparse.Namespace) -> int:
    """Print the webhooks."""
    with connect(arguments) as connection:
        answer = connection.ask("GET", HOOKS)
    if arguments.json:
        print_json(answer.body)
        return Exit.DONE
    rows = [
        (
            *(each.id, str(each.waiting), str(each.dead), _last_attempt(each)),
            *(",".join(each.events), each.url),
        )
        for each in answer.read(WebhookList).webhooks
    ]
    if rows:
        print_table(("ID", "WAITING", "DEAD", "LAST ATTEMPT", "EVENTS", "URL"), rows)
    note(f"{len(rows)} webhooks")
    return Exit.DONE


def _last_attempt(hook: Webhook) -> str:
    if hook.last_attempt_at is None:
        return "-"
    if hook.last_error is None:
        return f"taken (HTTP {hook.last_status})"
    return hook.last_error


def remove(arguments: argparse.Namespace) -> int:
    """Forget a webhook."""
    with connect(arguments) as connection:
        answer = connection.ask("DELETE", _path(arguments))
    if arguments.json:
        print_json(answer.body)
    else:
        print_text(f"Webhook {arguments.hook} removed")
    return Exit.DONE


def test(arguments: argparse.Namespace) -> int:
    """Try a webhook out."""
    with connect(arguments) as connection:
        answer = connection.ask("POST", f"{_path(arguments)}/test")
    tested = answer.read(Tested)
    if arguments.json:
        print_json(answer.body)
    elif tested.delivered:
        print_text(f"Taken (HTTP {tested.status})")
    if not tested.delivered:
        raise CommandFailed(f"the webhook was not told: {tested.error}")
    return Exit.DONE


def deliveries(arguments: argparse.Namespace) -> int:
    """Print what a webhook was and is to be told."""
    with connect(arguments) as connection:
        answer = connection.ask(
            "GET", f"{_path(arguments)}/deliveries", params={"state": arguments.state}
        )
    if arguments.json:
        print_json(answer.body)
        return Exit.DONE
    rows = [
        (
            each.id,
            each.state,
            str(each.attempts),
            local_time(each.created_at),
            each.event,
            each.task_id,
            each.last_error or "",
        )
        for each in answer.read(DeliveryList).deliveries
    ]
    if rows:
        print_table(("ID", "STATE", "TRIES", "ENDED", "EVENT", "TASK", "ERROR"), rows)
    note(f"{len(rows)} deliveries")
    return Exit.DONE


def retry(arguments: argparse.Namespace) -> int:
    """Tell a webhook again."""
    path = f"{_path(arguments)}/deliveries/{in_path(arguments.delivery)}/retry"
    with connect(arguments) as connection:
        answer = connection.ask("POST", path)
    if arguments.json:
        print_json(answer.body)
    else:
        print_text(f"{arguments.delivery} will be told again now")
    return Exit.DONE


def _path(arguments: argparse.Namespace) -> str:
    return f"{HOOKS}/{in_path(arguments.hook)}"
