"""An engine in a process that is killed at random moments: retries, delays and checkpoints."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from .torture import FULL, count

ROOT = Path(__file__).parent.parent
ROUNDS = 250 if FULL else 10  # on each loop
FINAL = {"completed", "failed", "cancelled"}
EARLY = 0.01  # seconds: a moment is kept in microseconds, and goes through a float


class Memory:
    """All that the processes have said, over all their lives."""

    def __init__(self) -> None:
        self.told: dict[str, dict[str, Any]] = {}
        self.saved: dict[str, int] = {}

    def take(self, line: dict[str, Any]) -> None:
        """Hold a line against what was said before."""
        match line["what"]:
            case "saved":
                self.saved[line["task_id"]] = line["steps"]
            case "resumed":
                saved = self.saved.get(line["task_id"], 0)
                # One more may have been kept and not been said.
                assert line["steps"] in {saved, saved + 1}, f"{saved} were saved: {line}"
                self.saved[line["task_id"]] = line["steps"]
            case "told" | "there":
                before = self.told.get(line["task_id"], line)
                if before["status"] in FINAL:
                    assert line["status"] == before["status"], f"it was {before['status']}: {line}"
                ran = line["status"] in {"running", "completed", "failed"}
                if before["run_at"] and ran and line.get("started"):
                    assert line["started"] >= before["run_at"] - EARLY, f"too early: {line}"
                self.told[line["task_id"]] = {**line, "run_at": line["run_at"] or before["run_at"]}
                assert line.get("whole", True), f"its result is cut: {line}"
            case _:
                assert line["what"] == "all"

    def take_life(self, lines: list[dict[str, Any]]) -> None:
        """Hold all that one process said against what earlier ones did."""
        acknowledged = set(self.told)
        found: set[str] = set()
        looking = any(line["what"] == "all" for line in lines)
        for line in lines:
            if line["what"] == "all":
                looking, lost = False, acknowledged - found
                assert not lost, f"acknowledged and gone: {sorted(lost)}"
            elif line["what"] == "there" and looking:
                found.add(line["task_id"])
            self.take(line)


def one_life(loop: str, folder: Path, seed: str, moment: float | None) -> list[dict[str, Any]]:
    """Start a process, and kill it so long after its first acknowledgement; None: let it end."""
    command = [sys.executable, "-m", "tests.killed_process", loop, str(folder), seed]
    process = subprocess.Popen(
        command + (["finish"] if moment is None else []),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    timer: threading.Timer | None = None
    said = []
    for line in process.stdout:
        if not line.endswith(b"\n"):
            break  # killed amid a line
        said.append(msgspec.json.decode(line))
        if timer is None and moment is not None and said[-1]["what"] == "told":
            timer = threading.Timer(moment, process.kill)  # chance; nothing is decided by it
            timer.start()
    code = process.wait()
    process.stdout.close()
    if timer is not None:
        timer.join()
    assert code == (0 if moment is None else -9), f"it ended by itself, with {code}"
    return said


@pytest.mark.parametrize("loop", ["trio", "asyncio"])
def test_nothing_acknowledged_is_lost_when_the_process_is_killed(loop: str, tmp_path: Path) -> None:
    chance = random.Random(f"an engine on {loop}")
    memory = Memory()
    for number in range(ROUNDS):
        memory.take_life(one_life(loop, tmp_path, f"{loop} {number}", chance.uniform(0, 0.3)))
    memory.take_life(one_life(loop, tmp_path, "last", None))
    assert memory.told
    assert memory.saved
    open_ = [one for one in memory.told.values() if one["status"] not in FINAL]
    assert not open_, open_
    count("processes killed, and their stories held together", ROUNDS)
