"""The command that looks at a data folder and says in plain words what is in it."""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec

from ..backends.doctor import Findings, examine, repair
from ..engine.errors import StorageError
from .arguments import Commands, add_command, add_json
from .exits import CommandFailed, Exit
from .screen import note, print_json, print_text
from .serving import TASKS_FOLDER


def add_to(commands: Commands) -> None:
    """Add `doctor`."""
    doctor = add_command(commands, "doctor", run, "check the tasks in a data folder")
    doctor.add_argument("data", metavar="DATA", help="the data folder of a server")
    doctor.add_argument(
        "--repair",
        action="store_true",
        help="mend what a crash left, after a copy; refused while a server runs",
    )
    add_json(doctor)


def run(arguments: argparse.Namespace) -> int:
    """Say what was found; 0 if the folder is sound, 1 if it is not."""
    try:
        folder = _tasks_folder(Path(arguments.data).absolute())
        if arguments.repair:
            copy = repair(folder)
            note(f"Mended; what was changed is copied to {copy}." if copy else "Nothing to mend.")
    except (OSError, StorageError, ValueError, MemoryError, RecursionError) as error:
        raise CommandFailed(f"{error}" or type(error).__name__) from None
    findings = examine(folder)
    if arguments.json:
        print_json(msgspec.json.encode({"sound": findings.sound} | msgspec.to_builtins(findings)))
    else:
        _tell(findings)
    return Exit.DONE if findings.sound else Exit.FAILED


def _tasks_folder(data: Path) -> Path:
    if not data.is_dir():
        raise CommandFailed(f"{data} is not a folder.")
    folder = data / TASKS_FOLDER
    if folder.is_dir():
        return folder
    if any(data.glob("journal-*.jsonl")) or any(data.glob("snapshot-*.jsonl")):
        return data
    raise CommandFailed(f"{data} holds no tasks: there is no folder {TASKS_FOLDER} in it.")


def _tell(findings: Findings) -> None:
    print_text(
        f"{findings.folder}: {findings.tasks} tasks, {findings.commits} commits, "
        f"{findings.bytes} bytes"
    )
    if findings.in_use:
        print_text("A server has it open: the newest tasks may be missing here.")
    for problem in findings.problems:
        print_text(f"damaged: {problem}")
    for mendable in findings.mendable:
        print_text(f"mendable with --repair: {mendable}")
    for path in findings.unknown:
        print_text(f"unknown: {path}")
    print_text("The tasks are sound." if findings.sound else "The tasks are not sound.")
