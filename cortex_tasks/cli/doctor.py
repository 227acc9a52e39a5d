"""The command that looks at a data folder and says in plain words what is in it."""

from __future__ import annotations

import argparse
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from ..backends.doctor import Findings, accept_loss, estimate_loss, examine, repair
from ..backends.loss import TaskLoss, words_of
from ..backends.unreadable import cannot_read, naming
from ..engine.errors import StorageCorrupt, StorageError
from ..http.keys import KEY_FILE, KeyStore
from ..jobs.library.lock_files import lock_beside, problem_of_lock
from .arguments import Commands, add_command, add_json
from .exits import CommandFailed, Exit
from .screen import note, print_json, print_text, unicode_of
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
    doctor.add_argument(
        "--accept-loss",
        action="store_true",
        help="with --repair: also set aside what is damaged, after a copy, and keep the rest",
    )
    add_json(doctor)


def run(arguments: argparse.Namespace) -> int:
    """Say what was found; 0 if the folder is sound, 1 if it is not."""
    lost: dict[str, TaskLoss] = {}
    data = folder = Path(arguments.data).absolute()
    try:
        folder = _tasks_folder(data)
        if arguments.repair:
            lost = _repair(folder, accept=arguments.accept_loss)
        elif arguments.accept_loss:
            raise CommandFailed("--accept-loss is of use with --repair alone.", Exit.USAGE)
    except OSError as error:
        raise CommandFailed(f"cannot be used: {cannot_read(error, folder)}") from None
    except (StorageError, ValueError, MemoryError, RecursionError) as error:
        raise CommandFailed(f"{error}" or type(error).__name__) from None
    findings = examine(folder)
    findings.lost = lost or findings.lost
    for problems_of in (_problems_of_keys, _problems_of_library, *_of_webhooks()):
        try:
            findings.problems += problems_of(data)
        except OSError as error:
            findings.unreadable.append(cannot_read(error, data))
    if arguments.json:
        found = {"sound": findings.sound} | msgspec.to_builtins(findings)
        print_json(msgspec.json.encode(_in_unicode(found)))
    else:
        _tell(findings, said=bool(lost))
    return Exit.DONE if findings.sound else Exit.FAILED


def _repair(folder: Path, *, accept: bool) -> dict[str, TaskLoss]:
    """Do it, say so, and give what is lost by it."""
    if accept:
        copy, rescued = accept_loss(folder)
    else:
        try:
            copy, rescued = repair(folder), None
        except StorageCorrupt:
            _tell_what_would_be_lost(folder)
            raise
        _tell_what_would_be_lost(folder)
    if rescued is not None:
        for said in rescued.loss.words():
            note(said)
        for path in rescued.set_aside:
            note(f"Set aside, byte for byte: {path}")
        note(f"The folder opens again. What was changed is copied to {rescued.copy}.")
    if copy is not None:
        note(f"Mended; what was changed is copied to {copy}.")
    if rescued is None and copy is None:
        note("Nothing to mend in the tasks.")
    return {} if rescued is None else rescued.loss.tasks


def _tell_what_would_be_lost(folder: Path) -> None:
    loss = estimate_loss(folder)
    if loss.any:
        note("What is damaged is not mended. With --repair --accept-loss, after a copy:")
        for said in loss.words():
            note(said)


def _tasks_folder(data: Path) -> Path:
    if not data.is_dir():
        raise CommandFailed(f"{data} is not a folder.")
    folder = data / TASKS_FOLDER
    if folder.is_dir():
        return folder
    if any(data.glob("journal-*.jsonl")) or any(data.glob("snapshot-*.jsonl")):
        return data
    raise CommandFailed(f"{data} holds no tasks: there is no folder {TASKS_FOLDER} in it.")


def _problems_of_keys(data: Path) -> list[str]:
    path = data / KEY_FILE
    try:
        if problem := problem_of_lock(lock_beside(path)):
            return [problem]
        if not stat.S_ISREG(path.lstat().st_mode):
            return [f"{path} is no ordinary file"]
        with naming(path):
            path.read_bytes()
        KeyStore(path).list()
    except FileNotFoundError:
        pass
    except StorageError as error:
        return [str(error)]
    return []


def _problems_of_library(data: Path) -> list[str]:
    try:
        from ..jobs.library.checking import (  # noqa: PLC0415 - of an extra
            LIBRARY_FILE,
            problems_of,
        )
    except ModuleNotFoundError as error:
        note(f"The library is not checked: {error.name} is not installed.")
        return []
    return problems_of(data / LIBRARY_FILE)


def _of_webhooks() -> tuple[Callable[[Path], list[str]], ...]:
    try:
        from ..http.webhooks.checking import (  # noqa: PLC0415 - of an extra
            problems_of_outbox,
            problems_of_secret,
        )
    except ModuleNotFoundError as error:
        note(f"The webhooks are not checked: {error.name} is not installed.")
        return ()
    return problems_of_outbox, problems_of_secret


def _in_unicode(found: Any) -> Any:
    """Give it with names of files that JSON can hold."""
    if isinstance(found, dict):
        return {unicode_of(name): _in_unicode(value) for name, value in found.items()}
    if isinstance(found, list):
        return [_in_unicode(value) for value in found]
    return unicode_of(found) if isinstance(found, str) else found


def _tell(findings: Findings, *, said: bool) -> None:
    """Say what was found; `said`: what is lost has been."""
    counted = "tasks not counted"
    if findings.tasks is not None:
        counted = f"{findings.tasks} tasks, {findings.commits} commits"
    print_text(f"{findings.folder}: {counted}, {findings.bytes} bytes")
    if findings.in_use:
        print_text("A server has it open: the newest tasks may be missing here.")
    for task_type in findings.paused:
        print_text(f"paused: {task_type} (cortex-tasks resume starts its tasks again)")
    for problem in findings.problems:
        print_text(f"damaged: {problem}")
    for unreadable in findings.unreadable:
        print_text(f"cannot be read: {unreadable}")
    for mendable in findings.mendable:
        print_text(f"mendable with --repair: {mendable}")
    named = "by --repair --accept-loss" if findings.problems else "lost"
    for loss in words_of(findings.lost) if not said else ():
        print_text(f"{named}: {loss}")
    for path in findings.unknown:
        print_text(f"unknown: {path}")
    if findings.unreadable:
        print_text("Not all of it could be read.")
    else:
        print_text("All of it is sound." if findings.sound else "It is not sound.")
