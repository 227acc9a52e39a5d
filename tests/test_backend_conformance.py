from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cortex_tasks.backends.json_backend import JsonBackend
from cortex_tasks.backends.memory import MemoryBackend
from cortex_tasks.engine.conformance import check_backend
from cortex_tasks.engine.errors import StorageError
from cortex_tasks.engine.records import TaskRecord
from cortex_tasks.engine.storage import Change, Drop, Pause, Put, Recovered, ValueName
from cortex_tasks.engine.surroundings import offload_inline


async def test_the_memory_backend_keeps_its_promises() -> None:
    backend = MemoryBackend()
    await check_backend(lambda: backend)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="as it comes"),
        pytest.param({"inline_limit": 0}, id="every value in its own file"),
        pytest.param({"compact_after": 1, "garbage_share": 0.0}, id="compacting all the time"),
        pytest.param({"offload": offload_inline}, id="without threads"),
        pytest.param(
            {"offload": offload_inline, "compact_after": 1, "garbage_share": 0.0},
            id="compacting all the time without threads",
        ),
    ],
)
async def test_the_json_backend_keeps_its_promises(tmp_path: Path, options: dict[str, Any]) -> None:
    await check_backend(lambda: JsonBackend(tmp_path / "tasks", **options))


class Exacting(MemoryBackend):
    """Leans on all that its one caller promises."""

    async def commit(self, changes: Sequence[Change]) -> None:
        ids = [
            change.task_id if isinstance(change, Drop) else change.record.id
            for change in changes
            if not isinstance(change, Pause)
        ]
        types = [change.task_type for change in changes if isinstance(change, Pause)]
        assert len({*ids}) == len(ids), "a task occurs twice in one commit"
        assert len({*types}) == len(types), "a type occurs twice in one commit"
        for change in changes:
            if isinstance(change, Put) and change.record.id not in self._params:
                assert change.params is not None, "a first put without parameters"
        await super().commit(changes)


async def test_the_check_asks_nothing_that_the_engine_promises_never_to_ask() -> None:
    backend = Exacting()
    await check_backend(lambda: backend, large=10)


class Reversing(MemoryBackend):
    async def commit(self, changes: Sequence[Change]) -> None:
        await super().commit(changes[::-1])


class ForgettingDrops(MemoryBackend):
    async def commit(self, changes: Sequence[Change]) -> None:
        await super().commit([change for change in changes if not isinstance(change, Drop)])


class ForgettingTheLastNumber(MemoryBackend):
    async def open(self) -> Recovered:
        found = await super().open()
        highest = max((record.seq for record in found.records), default=0)
        return msgspec.structs.replace(found, last_seq=highest)


class RecoveringAllParameters(MemoryBackend):
    async def open(self) -> Recovered:
        found = await super().open()
        return msgspec.structs.replace(found, params=dict(self._params))


class TidyingResults(MemoryBackend):
    async def read(self, task_id: str, value: ValueName) -> msgspec.Raw:
        found = await super().read(task_id, value)
        return msgspec.Raw(msgspec.json.format(bytes(found), indent=-1))


class CuttingResults(MemoryBackend):
    async def read(self, task_id: str, value: ValueName) -> msgspec.Raw:
        return msgspec.Raw(bytes(await super().read(task_id, value))[:1_000_000])


class RaisingKeyErrors(MemoryBackend):
    async def read(self, task_id: str, value: ValueName) -> msgspec.Raw:
        return self._params[task_id]


class OpeningTwice(MemoryBackend):
    async def open(self) -> Recovered:
        self._open = False
        return await super().open()


class TakingCommitsWhenClosed(MemoryBackend):
    def _check_open(self) -> None:
        pass


class ReadingWhenClosed(MemoryBackend):
    async def read(self, task_id: str, value: ValueName) -> msgspec.Raw:
        try:
            return await super().read(task_id, value)
        except StorageError:
            return self._params[task_id]


class ForgettingCheckpoints(MemoryBackend):
    async def open(self) -> Recovered:
        return msgspec.structs.replace(await super().open(), checkpoints={})


class KeepingTheFirstCheckpoint(MemoryBackend):
    def _put(self, put: Put) -> None:
        if put.record.id in self._checkpoints and put.checkpoint is not None:
            put = msgspec.structs.replace(put, checkpoint=None)
        super()._put(put)


class KeepingCheckpointsOfFinalTasks(MemoryBackend):
    def _put(self, put: Put) -> None:
        saved = self._checkpoints.get(put.record.id)
        super()._put(put)
        if saved is not None:
            self._checkpoints.setdefault(put.record.id, saved)


class ForgettingLogs(MemoryBackend):
    async def open(self) -> Recovered:
        return msgspec.structs.replace(await super().open(), logs={})


class KeepingTheFirstLog(MemoryBackend):
    def _put(self, put: Put) -> None:
        if put.record.id in self._logs and put.log is not None:
            put = msgspec.structs.replace(put, log=None)
        super()._put(put)


class DroppingTheLogOfFinalTasks(MemoryBackend):
    def _put(self, put: Put) -> None:
        super()._put(put)
        if put.record.final:
            self._logs.pop(put.record.id, None)


class SortingById(MemoryBackend):
    async def open(self) -> Recovered:
        found = await super().open()
        records = sorted(found.records, key=lambda record: record.id)
        return msgspec.structs.replace(found, records=records)


class HandingOutItsCheckpoints(MemoryBackend):
    async def open(self) -> Recovered:
        return msgspec.structs.replace(await super().open(), checkpoints=self._checkpoints)


class HandingOutItsPauses(MemoryBackend):
    async def open(self) -> Recovered:
        return msgspec.structs.replace(await super().open(), paused=self._paused)


class AnsweringBeforeItKeeps(MemoryBackend):
    """Keeps what it was given with the next commit, or when it is closed."""

    _waiting: Sequence[Change] = ()

    async def commit(self, changes: Sequence[Change]) -> None:
        self._check_open()
        self._waiting, changes = changes, self._waiting
        await super().commit(changes)

    async def close(self) -> None:
        if self._open:
            await self.commit(())
        await super().close()


class KnowingNoPauses(MemoryBackend):
    async def commit(self, changes: Sequence[Change]) -> None:
        if any(isinstance(change, Pause) for change in changes):
            raise TypeError("what is a Pause?")
        await super().commit(changes)


@pytest.mark.parametrize(
    "kind",
    [
        Reversing,
        ForgettingDrops,
        ForgettingTheLastNumber,
        RecoveringAllParameters,
        TidyingResults,
        CuttingResults,
        RaisingKeyErrors,
        OpeningTwice,
        TakingCommitsWhenClosed,
        ReadingWhenClosed,
        SortingById,
        ForgettingCheckpoints,
        KeepingTheFirstCheckpoint,
        KeepingCheckpointsOfFinalTasks,
        ForgettingLogs,
        KeepingTheFirstLog,
        DroppingTheLogOfFinalTasks,
        HandingOutItsCheckpoints,
        HandingOutItsPauses,
        AnsweringBeforeItKeeps,
        KnowingNoPauses,
    ],
)
async def test_the_check_finds_a_backend_that_breaks_a_promise(kind: type[MemoryBackend]) -> None:
    backend = kind()
    with pytest.raises(AssertionError):
        await check_backend(lambda: backend)


async def test_the_check_says_of_an_error_what_was_looked_at() -> None:
    backend = KnowingNoPauses()
    words = "paused task types: a call that must succeed raised TypeError: what is a Pause"
    with pytest.raises(AssertionError, match=words):
        await check_backend(lambda: backend, large=10)


@pytest.mark.parametrize(
    "name", [field.name for field in msgspec.structs.fields(TaskRecord) if not field.required]
)
async def test_the_check_finds_a_backend_that_forgets_a_field_of_a_record(name: str) -> None:
    class Forgetting(MemoryBackend):
        async def open(self) -> Recovered:
            found = await super().open()
            records = [forgotten(record, name) for record in found.records]
            return msgspec.structs.replace(found, records=records)

    backend = Forgetting()
    with pytest.raises(AssertionError):
        await check_backend(lambda: backend, large=10)


def forgotten(record: TaskRecord, name: str) -> TaskRecord:
    kept = {field: getattr(record, field) for field in record.__struct_fields__ if field != name}
    return TaskRecord(**kept)
