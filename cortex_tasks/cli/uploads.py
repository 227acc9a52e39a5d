"""The command that uploads: files and folders, each file reported once, whatever became of it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from .arguments import Commands, add_command, add_connection, text
from .connection import Answer, Connection, Refused, connect
from .exits import CommandFailed, Exit
from .following import all_in_one
from .operations import (
    PROCESS,
    add_chain,
    add_concurrency,
    add_wait,
    carry_out,
    print_tasks,
    processing_params,
)
from .progress import ProgressView, progress_view
from .screen import note, print_json

# What is taken out of folders: the endings that the library knows. A file that is named itself is
# sent whatever its ending, and the server says what it thinks of it.
ENDINGS = frozenset({".txt", ".text", ".md", ".markdown", ".html", ".htm", ".rst"})


class Uploaded(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one file."""

    path: str
    outcome: Literal["uploaded", "skipped", "failed"]
    document_id: str | None = None
    reason: str | None = None


class Taken(msgspec.Struct, frozen=True):
    """The server's answer to an upload."""

    document_id: str


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = add_command(commands, "upload", upload, "upload documents and process them")
    command.add_argument(
        "paths", metavar="PATH", nargs="+", help="a file, or a folder with all that is in it"
    )
    command.add_argument(
        "--collection", type=text, metavar="ID", help="put them into this collection"
    )
    command.add_argument(
        "--process",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="start processing once all are uploaded (default), or leave them pending",
    )
    add_concurrency(command)
    add_chain(command)
    add_wait(command)
    add_connection(command)


def upload(arguments: argparse.Namespace) -> int:
    """Upload every file, then start processing."""
    files = files_in(Path(path) for path in arguments.paths)
    with connect(arguments) as connection:
        with progress_view() as view:
            outcomes = list(upload_all(connection, files, view, collection=arguments.collection))
        _report(outcomes)
        refused = any(one.outcome == "failed" for one in outcomes)
        answers: list[Answer] = []
        code = Exit.DONE
        if arguments.process and not all(one.outcome == "failed" for one in outcomes):
            params = processing_params(arguments)
            answers, code = carry_out(connection, PROCESS, params, wait=arguments.wait)
    if arguments.json:
        print_json(_all_of_it(outcomes, answers))
    else:
        print_tasks(answers)
    return code or (Exit.FAILED if refused else Exit.DONE)


def files_in(paths: Iterable[Path]) -> list[Path]:
    """Give every file to send. Raises CommandFailed where there is none, or no such path."""
    files = [file for path in paths for file in _files_under(path)]
    if not files:
        known = ", ".join(sorted(ENDINGS))
        raise CommandFailed(f"there is nothing to upload: no file ends in {known}")
    return files


def _files_under(path: Path) -> Iterator[Path]:
    """Yield the file itself, or what a folder holds: known endings, in order, nothing hidden.

    Links to folders are not followed: they may lead round in circles.
    """
    try:
        is_file, is_folder = path.is_file(), path.is_dir()
    except OSError as error:  # a name that is too long, for one
        raise CommandFailed(f"cannot look at {path}: {error.strerror}", Exit.USAGE) from None
    if is_file:
        yield path
        return
    if not is_folder:
        raise CommandFailed(f"there is no file or folder {path}", Exit.USAGE)
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = Path(folder, name)
            if not name.startswith(".") and file.suffix.lower() in ENDINGS and file.is_file():
                yield file


def upload_all(
    connection: Connection, files: list[Path], view: ProgressView, *, collection: str | None = None
) -> Iterator[Uploaded]:
    """Upload the files one after the other, and yield what became of each.

    None of them starts processing: that is asked for once, after the last.
    """
    for number, file in enumerate(files, start=1):
        outcome = _upload_one(connection, file, collection)
        percent = 100 * number / len(files)
        state = "completed" if number == len(files) else "running"
        view.show("upload", "upload", percent, state, f"{number} of {len(files)} {file.name}")
        yield outcome


def _upload_one(connection: Connection, file: Path, collection: str | None) -> Uploaded:
    path = str(file)
    params = {"collection_id": collection, "start_processing": "false"}
    try:
        with file.open("rb") as content:
            answer = connection.ask(
                "POST", "/api/upload", params=params, file=(_sendable(file.name), content)
            )
    except OSError as error:
        return Uploaded(path, "failed", reason=error.strerror)
    except Refused as refused:
        if refused.http_status == 409:
            return Uploaded(path, "skipped", reason=str(refused))
        if refused.http_status in (400, 413, 422):
            return Uploaded(path, "failed", reason=str(refused))
        raise  # the key, or the server: the next file would fare no better
    return Uploaded(path, "uploaded", document_id=answer.read(Taken).document_id)


def _report(outcomes: list[Uploaded]) -> None:
    counts = {"uploaded": 0, "skipped": 0, "failed": 0}
    for one in outcomes:
        counts[one.outcome] += 1
        if one.outcome != "uploaded":
            note(f"{one.outcome}: {one.path}: {one.reason}")
    note(", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count))


def _all_of_it(outcomes: list[Uploaded], answers: list[Answer]) -> bytes:
    tasks = msgspec.Raw(all_in_one(answers)) if answers else None
    return msgspec.json.encode({"files": outcomes, "processing": tasks})


def _sendable(name: str) -> str:
    """A file's name need not be Unicode; what goes over the wire must be."""
    return os.fsencode(name).decode(sys.getfilesystemencoding(), "replace")
