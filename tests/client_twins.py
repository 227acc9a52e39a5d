"""The modules of the client that block are those that await, with other words; this writes them.

`python -m tests.client_twins`, after a change to an `async_*.py` of cortex_tasks/client.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "cortex_tasks" / "client"
NOTE = "# Written by `python -m tests.client_twins`: change its twin, {twin}, and run that.\n\n"

WORDS = (
    (r"import anyio\n", "import time\n"),
    # Where nothing can be cancelled, the timeouts of the request do it alone.
    (r"from anyio import move_on_after\n", "from contextlib import nullcontext\n"),
    (r"move_on_after\(", "nullcontext("),
    (r"anyio\.current_time\(\)", "time.monotonic()"),
    (r"anyio\.sleep", "time.sleep"),
    (r"programs that await, on trio and on asyncio\.", "programs that block."),
    (r"Cancelling a call\n", "Leaving a call\n"),
    (r"async def", "def"),
    (r"async (with|for)", r"\1"),
    (r"await ", ""),
    (r"__a(enter|exit|iter|next)__", r"__\1__"),
    (r"\banext\(", "next("),
    (r"\baclose\b", "close"),
    (r"\baread\b", "read"),
    (r"\baiter_bytes\b", "iter_bytes"),
    (r"StopAsyncIteration", "StopIteration"),
    (r"AsyncGenerator\[bytes, None\]", "Iterator[bytes]"),
    (r"import AsyncGenerator, Callable", "import Callable, Iterator"),
    (r"httpx2\.AsyncBaseTransport", "httpx2.BaseTransport"),
    (r"httpx2\.AsyncClient", "httpx2.Client"),
    (r"`httpx2\.ASGITransport\(app\)`: no network at all", "one of httpx2's, or of your own"),
    (r"\bAsync(Client|Connection|Follower|Tasks|Webhooks)\b", r"\1"),
    (r"\basync_(client|connection|follower|waiting|webhooks)\b", r"\1"),
)  # fmt: skip


def twins() -> dict[Path, str]:
    """The text of each module that blocks, as it should be."""
    return {
        file.with_name(file.name.removeprefix("async_")): _formatted(
            _blocking(file.read_text(encoding="utf-8"), file.name)
        )
        for file in sorted(FOLDER.glob("async_*.py"))
    }


def _blocking(text: str, twin: str) -> str:
    for pattern, word in WORDS:
        text = re.sub(pattern, word, text)
    return NOTE.format(twin=twin) + text


def _formatted(text: str) -> str:
    for command in (["check", "--quiet", "--select", "I", "--fix"], ["format", "--quiet"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(FOLDER / "x.py"), "-"],
            input=text,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        text = done.stdout
    return text


if __name__ == "__main__":
    for file, text in twins().items():
        file.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{file.relative_to(FOLDER.parent.parent)}\n")
