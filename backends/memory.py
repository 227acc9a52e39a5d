"""Keeps everything in memory, for as long as the object lives: for tests, and for work that may
be lost with its process.
"""

from __future__ import annotations

from collections.abc import Sequence

import anyio.lowlevel
import msgspec

from ..engine.errors import StorageError, StorageInUse, TaskNotFound
from ..engine.records import TaskRecord
from ..engine.storage import Change, Drop, Put, Recovered, ValueName


class MemoryBackend:
    """A backend without files, threads or chance: the same calls give the same answers.

    What was committed is there again when the same object is opened after a close, as after a
    restart. Nothing that it hands out or was handed can change what it holds.

    numbering_from: the changes are numbered from the next number on. Where programs follow them
    over a restart, give each process higher ones, say milliseconds since 1970: else they may take
    the changes of this process for those that they know from the one before.
    """

    def __init__(self, *, numbering_from: int = 0) -> None:
        self._open = False
        self._last_seq = numbering_from
        self._records: dict[str, TaskRecord] = {}
        self._params: dict[str, msgspec.Raw] = {}
        self._results: dict[str, msgspec.Raw] = {}
        self._checkpoints: dict[str, msgspec.Raw] = {}
        self._logs: dict[str, msgspec.Raw] = {}
        self._paused: set[str] = set()

    async def open(self) -> Recovered:
        """Give back what was committed before the last close; see `Backend.open`."""
        await anyio.lowlevel.checkpoint()
        if self._open:
            raise StorageInUse("This memory backend is already open.")
        self._open = True
        records = list(self._records.values())
        live = {record.id for record in records if not record.final}
        params = {task_id: raw for task_id, raw in self._params.items() if task_id in live}
        logs = {task_id: raw for task_id, raw in self._logs.items() if task_id in live}
        checkpoints, paused = dict(self._checkpoints), set(self._paused)
        return Recovered(records, params, self._last_seq, checkpoints, logs, paused)

    async def commit(self, changes: Sequence[Change]) -> None:
        """Hold all changes, without a pause between them; see `Backend.commit`."""
        await anyio.lowlevel.checkpoint()
        self._check_open()
        for change in changes:
            if isinstance(change, Put):
                self._last_seq = max(self._last_seq, change.seq)
                self._put(change)
            elif isinstance(change, Drop):
                self._last_seq = max(self._last_seq, change.seq)
                values = (self._params, self._results, self._checkpoints, self._logs)
                for kept in (self._records, *values):
                    kept.pop(change.task_id, None)
            elif change.paused:
                self._paused.add(change.task_type)
            else:
                self._paused.discard(change.task_type)

    async def give_up_reserve(self) -> None:
        """Do nothing: memory keeps none; see `Backend.give_up_reserve`."""
        await anyio.lowlevel.checkpoint()

    async def restore_reserve(self) -> None:
        """Do nothing; see `Backend.restore_reserve`."""
        await anyio.lowlevel.checkpoint()

    async def read(self, task_id: str, value: ValueName) -> msgspec.Raw:
        """See `Backend.read`."""
        await anyio.lowlevel.checkpoint()
        self._check_open()
        values = {"params": self._params, "result": self._results, "log": self._logs}[value]
        try:
            return values[task_id]
        except KeyError:
            raise TaskNotFound(task_id) from None

    async def close(self) -> None:
        """Let go; what was committed stays in this object."""
        await anyio.lowlevel.checkpoint()
        self._open = False

    def _put(self, put: Put) -> None:
        task_id = put.record.id
        self._records[task_id] = put.record
        # Copies, so that a value neither keeps a larger message alive nor changes with it.
        if put.params is not None:
            self._params[task_id] = put.params.copy()
        if put.result is not None:
            self._results[task_id] = put.result.copy()
        if put.record.final:
            self._checkpoints.pop(task_id, None)
        elif put.checkpoint is not None:
            self._checkpoints[task_id] = put.checkpoint.copy()
        if put.log is not None:
            self._logs[task_id] = put.log.copy()

    def _check_open(self) -> None:
        if not self._open:
            raise StorageError("This memory backend is not open.")
