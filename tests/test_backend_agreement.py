from __future__ import annotations

import shutil
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from cortex_tasks.backends.json_backend import JsonBackend
from cortex_tasks.backends.memory import MemoryBackend
from cortex_tasks.engine.errors import TaskNotFound
from cortex_tasks.engine.storage import Backend, Change, Drop, Pause, Put, Recovered, ValueName
from cortex_tasks.engine.surroundings import offload_inline
from tests.journal_setting import UnsyncedFiles, completed, pending

VALUES: tuple[ValueName, ...] = ("params", "result", "log")
IDS = ("a", "b", "c", "ü/..", "d" * 300)

values = st.none() | st.builds(
    lambda value, spaces: (spaces + msgspec.json.encode(value).decode() + spaces).encode(),
    st.recursive(
        st.none() | st.integers(-9, 9) | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=5,
    ),
    st.sampled_from(["", "", "", " ", "\n"]),
)
steps = st.lists(
    st.tuples(
        st.sampled_from(IDS),
        st.sampled_from(["put", "put", "end", "drop", "pause", "resume"]),
        *[values] * 4,
    ),
    min_size=1,
    max_size=4,
)


class Agreement(RuleBasedStateMachine):
    """Does the same to a memory backend and to one in files that compacts whenever it can."""

    @initialize(garbage_share=st.sampled_from([0.0, 0.5]), inline_limit=st.sampled_from([0, 8, 99]))
    def begin(self, garbage_share: float, inline_limit: int) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.options = {"garbage_share": garbage_share, "inline_limit": inline_limit}
        self.seq = 0
        self.memory = MemoryBackend()
        self.on_disk = self._make_on_disk()
        self._both(lambda backend: backend.open())

    def teardown(self) -> None:
        self._both(lambda backend: backend.close())
        shutil.rmtree(self.folder)

    @rule(steps=steps)
    def commit(
        self, steps: list[tuple[str, str, bytes | None, bytes | None, bytes | None, bytes | None]]
    ) -> None:
        changes = [self._change(*step) for step in steps]
        self._both(lambda backend: backend.commit(changes))

    @rule()
    def reopen(self) -> None:
        self._both(lambda backend: backend.close())
        self.on_disk = self._make_on_disk()
        one, other = self._both(lambda backend: backend.open())
        assert isinstance(one, Recovered)
        assert one == other

    @invariant()
    @precondition(lambda self: hasattr(self, "memory"))
    def reads_agree(self) -> None:
        one, other = self._both(_read_all)
        assert one == other

    def _make_on_disk(self) -> JsonBackend:
        options: dict[str, Any] = self.options
        return JsonBackend(
            self.folder / "tasks",
            offload=offload_inline,
            compact_after=300,
            files=UnsyncedFiles(),
            **options,
        )

    def _change(
        self,
        task_id: str,
        what: str,
        params: bytes | None,
        result: bytes | None,
        checkpoint: bytes | None,
        log: bytes | None,
    ) -> Change:
        if what in ("pause", "resume"):
            return Pause(task_id, what == "pause")
        self.seq += 1
        if what == "drop":
            return Drop(task_id, self.seq)
        record = completed(task_id, self.seq, b"") if what == "end" else pending(task_id, self.seq)
        return Put(
            record,
            params=None if params is None else msgspec.Raw(params),
            result=None if result is None else msgspec.Raw(result),
            checkpoint=None if checkpoint is None else msgspec.Raw(checkpoint),
            log=None if log is None else msgspec.Raw(log),
        )

    def _both(self, call: Callable[[Backend], Awaitable[object]]) -> tuple[object, object]:
        async def run() -> tuple[object, object]:
            return await call(self.memory), await call(self.on_disk)

        return anyio.run(run, backend="trio")


async def _read_all(backend: Backend) -> list[bytes | None]:
    found: list[bytes | None] = []
    for task_id in IDS:
        for value in VALUES:
            try:
                found.append(bytes(await backend.read(task_id, value)))
            except TaskNotFound:
                found.append(None)
    return found


def test_both_backends_agree_whatever_is_done_to_them() -> None:
    run_state_machine_as_test(Agreement, settings=settings(max_examples=40, stateful_step_count=15))
