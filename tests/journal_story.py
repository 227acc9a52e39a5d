"""A story for a journal: tasks that come, report, end, and go, with values small and large.

`Teller` tells it to a backend and remembers what the backend has promised; `check` holds what
is left on a disk against that.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from cortex_tasks.backends.disk import DiskFiles
from cortex_tasks.backends.json_backend import JsonBackend
from cortex_tasks.engine.errors import TaskNotFound
from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.engine.storage import Change, Drop, Put, Recovered, ValueName
from cortex_tasks.testing.power_cuts import State, write_state
from tests.journal_setting import (
    Kept,
    UnsyncedFiles,
    complete,
    kept_after,
    pending,
    same,
    submit,
)

T = TypeVar("T")

VALUES: tuple[ValueName, ...] = ("params", "result", "log")

_LARGE = b'{"text":"' + b"large " * 30 + b'"}'
_BROKEN = b'{\n  "text": "in two lines"\n}'  # large or not, it gets a file of its own
_SMALL = '{"text":"é"}'.encode()


def _report(task: str, seq: int, percent: int, saved: bytes) -> Put:
    started = msgspec.structs.replace(pending(task, seq), status=TaskStatus.RUNNING, attempt=1)
    record = msgspec.structs.replace(started, progress_percent=percent, message=f"at {percent}")
    log = [None, _BROKEN, _SMALL, _LARGE][seq % 4]
    return Put(record, checkpoint=msgspec.Raw(saved), log=None if log is None else msgspec.Raw(log))


def tell(rounds: int) -> list[list[Change]]:
    """Make up commits in which each task lives for five rounds."""
    numbers = itertools.count(1)
    story: list[list[Change]] = []
    for at in range(rounds):
        changes: list[Change] = [
            submit(f"task_{at}", next(numbers), [_SMALL, _LARGE, _BROKEN][at % 3])
        ]
        if at >= 1:
            changes.append(_report(f"task_{at - 1}", next(numbers), 0, [_LARGE, b"1"][at % 2]))
        if at >= 2:
            changes.append(_report(f"task_{at - 2}", next(numbers), 40, [_BROKEN, _SMALL][at % 2]))
            story.append(changes)
            changes = [complete(f"task_{at - 2}", next(numbers), [_LARGE, b"[2]"][at % 2])]
        if at >= 4:
            changes.append(Drop(f"task_{at - 4}", next(numbers)))
        story.append(changes)
    return story


STORY = tell(8)
KEPT = [kept_after(STORY[:length]) for length in range(len(STORY) + 1)]
REOPENED = {3, 9}  # the backend is closed and opened again before these commits


async def at_once(function: Callable[[], T], /) -> T:
    return function()


def backend_at(folder: Path, files: DiskFiles, *, threads: bool = False) -> JsonBackend:
    """Make a backend that keeps much in files of its own, and compacts all the time."""
    return JsonBackend(
        folder,
        offload=None if threads else at_once,
        inline_limit=100,
        compact_after=1000,
        garbage_share=0.2,
        reserve=1000,
        files=files,
    )


async def all_in(backend: JsonBackend, recovered: Recovered) -> Kept:
    """Read all that a backend holds."""
    tasks = {}
    for record in recovered.records:
        params, result, log = [await _value(backend, record.id, value) for value in VALUES]
        saved = recovered.checkpoints.get(record.id)
        tasks[record.id] = (record, params, result, None if saved is None else bytes(saved), log)
        if not record.final:
            assert bytes(recovered.params[record.id]) == params
            assert bytes(recovered.logs.get(record.id, b"")) == (log or b"")
    return tasks, recovered.last_seq


async def _value(backend: JsonBackend, task_id: str, value: ValueName) -> bytes | None:
    try:
        return bytes(await backend.read(task_id, value))
    except TaskNotFound:
        return None


class Teller:
    """Tells STORY to backends in a folder: `kept` of its commits were acknowledged, `begun` were
    begun.
    """

    def __init__(self, folder: Path, files: DiskFiles, kept: int = 0, begun: int = 0) -> None:
        self.folder = folder
        self.files = files
        self.kept = kept
        self.begun = begun
        self.threads = False

    async def open(self) -> JsonBackend:
        """Open a backend; what it holds must be what was promised, and is a promise from now on."""
        backend = backend_at(self.folder, self.files, threads=self.threads)
        recovered = await backend.open()
        try:
            found = await all_in(backend, recovered)
            self.kept = self.begun = self.length(found)
        except BaseException:
            await backend.close()
            raise
        return backend

    def length(self, found: Kept) -> int:
        """Give how many commits have led to this; neither too few nor too many may have."""
        lengths = range(self.kept, self.begun + 1)
        length = next((length for length in lengths if same(found, KEPT[length])), None)
        assert length is not None, f"{found} is not what {lengths} commits lead to"
        return length

    async def commit(self, backend: JsonBackend) -> None:
        """Tell the next commit."""
        self.begun = self.kept + 1
        await backend.commit(STORY[self.kept])
        self.kept = self.begun

    async def tell(self, until: int = len(STORY)) -> None:
        """Go on from where the story is, opening the backend anew where the story says so."""
        backend = await self.open()
        try:
            while self.kept < min(until, len(STORY)):
                if self.kept in REOPENED:
                    await backend.close()
                    backend = await self.open()
                await self.commit(backend)
        finally:
            await backend.close()


async def check(root: Path, state: State, kept: int, begun: int, *, go_on: bool = False) -> None:
    """Hold what is left on a disk against what was promised; if asked, go on from there."""
    write_state(root, state)
    teller = Teller(root / "data" / "tasks", UnsyncedFiles(), kept, begun)
    try:
        await teller.tell(kept + 2 if go_on else kept)
        if go_on:
            await (await teller.open()).close()
    except Exception as error:
        sizes = {path: None if data is None else len(data) for path, data in state.items()}
        error.add_note(f"left on the disk in {root}: {sizes}; {kept} to {begun} commits")
        raise
    shutil.rmtree(root)
