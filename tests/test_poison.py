"""Real processes that a task brings down again and again: not for ever."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def run(loop: str, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.poison_process", loop, str(folder), *more]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("loop", ["trio", "asyncio"])
def test_a_task_that_kills_its_process_each_time_is_failed_and_harms_no_other(
    loop: str, tmp_path: Path
) -> None:
    for more in (["submit"], [], []):
        died = run(loop, tmp_path, *more)
        assert died.returncode == 86, died.stderr
    lived = run(loop, tmp_path)
    assert lived.returncode == 0, lived.stderr
    found = json.loads(lived.stdout)
    status, error, interruptions, _ = found["poison"]
    assert (status, interruptions) == ("failed", 3)
    assert error == (
        "interrupted by server restart 3 times: poisonous, as it may be what brings the server "
        "down, so it is not run again (max_interruptions=3)"
    )
    # A bystander goes on from where each death has left it.
    status, _, interruptions, steps = found["walk"]
    assert (status, interruptions) == ("completed", 3)
    assert steps[-1] == 4
    assert steps == sorted(set(steps))
