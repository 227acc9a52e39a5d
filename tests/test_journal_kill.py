from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

from cortex_tasks.backends.json_backend import JsonBackend

ROOT = Path(__file__).parent.parent

# Commits task after task for ever, and says of each when it was acknowledged. Compacts often; every
# third value is large. A line on the output is written whole, or not at all.
COMMITTER = """
import os, sys
import anyio
from cortex_tasks.backends.json_backend import JsonBackend
from tests.journal_setting import complete, submit

async def main(folder, first):
    backend = JsonBackend(folder, inline_limit=200, compact_after=3000, garbage_share=0.3)
    seq = (await backend.open()).last_seq
    for number in range(first, 1 << 40):
        value = b'"%s"' % (b"x" * (300 if number % 3 == 0 else 10) + b"%d" % number)
        task = f"task_{number}"
        await backend.commit([submit(task, seq + 1, value)])
        os.write(1, b"submitted %d\\n" % number)
        await backend.commit([complete(task, seq + 2, value)])
        os.write(1, b"completed %d\\n" % number)
        seq += 2

anyio.run(main, sys.argv[2], int(sys.argv[3]), backend=sys.argv[1])
"""


async def test_whatever_was_acknowledged_survives_any_number_of_kills(
    tmp_path: Path, anyio_backend_name: str
) -> None:
    chance = random.Random(7)
    submitted: set[int] = set()
    completed: set[int] = set()
    for _ in range(6):
        first = max(submitted, default=-1) + 2
        lines = _run_and_kill(anyio_backend_name, tmp_path, first, chance.randrange(1, 80))
        for line in lines:
            word, number = line.split()
            {"submitted": submitted, "completed": completed}[word].add(int(number))
        await _check(tmp_path, submitted, completed)
    assert len(list(tmp_path.glob("journal-*"))) + len(list(tmp_path.glob("snapshot-*"))) > 1, (
        "no compaction ever began"
    )


def _run_and_kill(loop: str, folder: Path, first: int, after: int) -> list[str]:
    """Kill the committer once it has said so many lines; give all that it said."""
    with subprocess.Popen(
        [sys.executable, "-c", COMMITTER, loop, str(folder), str(first)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(after)]
        process.kill()
        return lines + process.stdout.readlines()


async def _check(folder: Path, submitted: set[int], completed: set[int]) -> None:
    backend = JsonBackend(folder)
    recovered = await backend.open()
    records = {int(record.id.removeprefix("task_")): record for record in recovered.records}
    assert submitted <= records.keys()
    assert recovered.last_seq == max(record.seq for record in recovered.records)
    assert len(records.keys() - submitted) <= 6, "at most the last one of each run was not heard of"
    for number, record in records.items():
        assert record.final or number not in completed
        value = b"x" * (300 if number % 3 == 0 else 10) + b"%d" % number
        expected = b'"' + value + b'"'
        assert bytes(await backend.read(record.id, "params")) == expected
        if record.final:
            assert bytes(await backend.read(record.id, "result")) == expected
    await backend.close()
