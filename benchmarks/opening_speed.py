"""How soon an engine serves again what is in its folder, beside bare decoding of the same files."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec

from cortex_tasks import JsonBackend, TaskEngine, TaskStatus
from cortex_tasks.backends.journal_format import KeptPut, Start
from cortex_tasks.engine.storage import Drop

from .engine_speed import REQUESTERS, Text, tasks_per_second, word_count
from .measuring import Figure, Stopwatch, in_turn

FINAL = 100_000
PENDING = 1_000
LONGEST = 2.0  # seconds
ROUNDS = 5


class _Line(msgspec.Struct, gc=False):
    n: int
    crc: str
    changes: list[KeptPut | Drop | Start]


_decode = msgspec.json.Decoder(_Line).decode


async def make_history(folder: Path) -> None:
    """Let an engine work: what it leaves in the folder is what any engine would."""
    async with TaskEngine([word_count], backend=JsonBackend(folder)) as engine:
        await tasks_per_second(engine, REQUESTERS, FINAL)
        waiting = [Text("a b c")] * PENDING
        await engine.submit_many(word_count, waiting, delay=timedelta(days=100))


def files_of(folder: Path) -> list[Path]:
    """The files that an opening reads."""
    return sorted(folder.glob("*.jsonl"))


async def seconds_to_decode(folder: Path) -> float:
    """The limit: msgspec decodes every line, all that it says stays in memory, nothing is checked
    or put in its place.
    """
    watch = Stopwatch()
    decoded: list[_Line] = []
    for path in files_of(folder):
        with path.open("rb") as lines:
            next(lines)  # the header
            decoded.extend(map(_decode, lines))
    return watch.seconds


async def seconds_to_open(folder: Path) -> float:
    """From nothing to an engine that answers: lock, read, check, settle, list, start."""
    watch = Stopwatch()
    async with TaskEngine([word_count], backend=JsonBackend(folder)) as engine:
        seconds = watch.seconds
        if (engine.count(), engine.count(status=TaskStatus.PENDING)) != (FINAL + PENDING, PENDING):
            raise RuntimeError("the engine did not open what was left in the folder")
    return seconds


async def measure(loop: str) -> AsyncIterator[Figure]:
    """Every figure about the start of an engine on this loop."""
    with tempfile.TemporaryDirectory(prefix="cortex-tasks-bench-") as place:
        folder = Path(place)
        await make_history(folder)
        bare, opened = await in_turn(
            [lambda: seconds_to_decode(folder), lambda: seconds_to_open(folder)], ROUNDS
        )
        size = sum(path.stat().st_size for path in files_of(folder)) / 1e6
        names = " + ".join(path.stem.partition("-")[0] for path in files_of(folder))
    yield Figure(f"{loop}: {FINAL + PENDING:,} tasks in {names}", size, "MB")
    yield Figure(f"{loop}: bare msgspec decoding of it", bare, "s")
    yield Figure(
        f"{loop}: engine opened and serving",
        opened,
        "s",
        "bare decoding",
        opened / bare,
        f"< {LONGEST:g} s",
        opened < LONGEST,
    )
