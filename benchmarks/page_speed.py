"""A page of the list with a million records in the store, beside the same with a thousand."""

from __future__ import annotations

import statistics
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from cortex_tasks import TaskEngine

from .engine_speed import sleeper, word_count
from .full_store import FOR_EVER, FullBackend, make_records
from .measuring import Figure, Measure, Stopwatch, at_least, in_turn
from .request_speed import polled_server, polls_per_second

FEW, MANY = 1_000, 1_000_000
ROUNDS = 5
LONGEST = 1.5  # times what it costs with few
_PAGES: dict[str, dict[str, Any]] = {
    "newest 50": {},
    "50 of a status": {"status": "cancelled"},
    "50 of a type": {"task_type": "sleeper"},
    "50 of both": {"status": "cancelled", "task_type": "sleeper"},
    "50 from the middle": {"offset": -1},
}


def _seconds_for(engine: TaskEngine, page: dict[str, Any], count: int) -> Measure:
    """The median time of one page."""
    wanted = page | ({"offset": count // 2} if "offset" in page else {})

    async def measure_once() -> float:
        times = []
        for _ in range(300):
            watch = Stopwatch()
            shown = await engine.list(limit=50, **wanted)
            times.append(watch.seconds)
            if len(shown.records) != 50:
                raise RuntimeError(f"the page {page} shows {len(shown.records)} records")
        return statistics.median(times)

    return measure_once


async def measure(loop: str) -> AsyncIterator[Figure]:
    """Every figure about pages on this loop."""
    backends = [FullBackend(make_records(count)) for count in (FEW, MANY)]
    async with AsyncExitStack() as engines:
        few, many = [
            await engines.enter_async_context(
                TaskEngine(
                    [word_count, sleeper], backend=backend, retention=FOR_EVER, watchdog=None
                )
            )
            for backend in backends
        ]
        for name, page in _PAGES.items():
            of_few, of_many = await in_turn(
                [_seconds_for(few, page, FEW), _seconds_for(many, page, MANY)], ROUNDS
            )
            ratio = of_many / of_few
            yield Figure(
                f"{loop}: {name} of {MANY:,}",
                of_many * 1e6,
                "us",
                f"of {FEW:,}",
                ratio,
                f"<= {LONGEST:g}",
                ratio <= LONGEST,
            )
    async for figure in _over_http(loop):
        yield figure


async def _over_http(loop: str) -> AsyncIterator[Figure]:
    with polled_server(loop, f"list {FEW}") as few, polled_server(loop, f"list {MANY}") as many:
        of_few, of_many = await in_turn(
            [lambda: polls_per_second(few.url, 1_000), lambda: polls_per_second(many.url, 1_000)],
            ROUNDS,
        )
        more = _resident_bytes(many.pid) - _resident_bytes(few.pid)
    name = f"{loop}: GET /api/tasks?limit=50 of {MANY:,}"
    yield at_least(name, of_many, of_few, f"of {FEW:,}", 0.8)
    yield Figure(f"{loop}: memory for a record, beside its backend", more / (MANY - FEW), "bytes")


def _resident_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/{pid}/status does not say how much memory it has")
