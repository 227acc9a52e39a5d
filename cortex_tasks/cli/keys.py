"""The commands about API keys. They work on the data folder, beside a running server or without."""

from __future__ import annotations

import argparse

import msgspec

from ..http.keys import ApiKey, KeyStore
from .arguments import Commands, add_command, add_data, add_json, text, words_of
from .exits import Exit
from .screen import local_time, note, print_json, print_table, print_text

PERMISSIONS = ("read", "manage")


def add_to(commands: Commands) -> None:
    """Add `keys create`, `keys list` and `keys revoke`."""
    keys = commands.add_parser(
        "keys",
        help="make, list and revoke API keys",
        description="Make, list and revoke API keys. A running server heeds the change at once.",
    )
    actions = keys.add_subparsers(metavar="ACTION", required=True)

    making = add_command(actions, "create", create, "make a key and print it, this once")
    making.add_argument("--name", type=text, required=True, help="what the key is called")
    making.add_argument(
        "--permissions",
        type=words_of(PERMISSIONS, {}),
        default=list(PERMISSIONS),
        metavar="LIST",
        help="read, manage or both, as a comma list; manage includes read (default: both)",
    )
    add_data(making)

    listing = add_command(actions, "list", list_keys, "list the keys, without their secrets")
    add_data(listing)
    add_json(listing)

    revoking = add_command(actions, "revoke", revoke, "make a key worthless from now on")
    revoking.add_argument("key", type=text, metavar="KEY", help="its name or id")
    add_data(revoking)


def key_store(data: str) -> KeyStore:
    """The keys of a data folder."""
    return KeyStore.in_folder(data)


def create(arguments: argparse.Namespace) -> int:
    """Print the new key alone on standard output, so that a script can catch it."""
    key = key_store(arguments.data).create(arguments.name, arguments.permissions)
    print_text(key)
    note(f"Key {arguments.name!r} made: it is shown only now, and only its hash is kept.")
    return Exit.DONE


def list_keys(arguments: argparse.Namespace) -> int:
    """Print what is kept of each key."""
    keys = key_store(arguments.data).list()
    if arguments.json:
        print_json(msgspec.json.encode([_shown(key) for key in keys]))
        return Exit.DONE
    if keys:
        headings = ("ID", "KEY", "PERMISSIONS", "CREATED", "NAME")
        print_table(headings, [tuple(_row(key)) for key in keys])
    note(f"{len(keys)} keys in {arguments.data}")
    return Exit.DONE


def revoke(arguments: argparse.Namespace) -> int:
    """Forget a key."""
    key = key_store(arguments.data).revoke(arguments.key)
    note(f"Key {key.name!r} ({key.shown}) is revoked.")
    return Exit.DONE


def _row(key: ApiKey) -> tuple[str, ...]:
    return key.id, key.shown, ",".join(key.permissions), local_time(key.created_at), key.name


def _shown(key: ApiKey) -> dict[str, object]:
    return {
        "id": key.id,
        "name": key.name,
        "permissions": key.permissions,
        "created_at": key.created_at,
        "key": key.shown,
    }
