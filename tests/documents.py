"""Running what the documents show: their fenced blocks, as a reader pastes them."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
MARK = "\x1e"  # between the outputs of two blocks
LIMIT = 300  # seconds until a law gives up on a walk

_PARTS = re.compile(
    r"^#+ (?P<heading>[^\n]+)$|^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass
class Block:
    """A fenced block, under the heading that stands nearest above it."""

    heading: str
    language: str
    text: str


def blocks(document: str, language: str) -> list[Block]:
    """Give the document's blocks in one language, in their order."""
    found, heading = [], ""
    for part in _PARTS.finditer((ROOT / document).read_text(encoding="utf-8")):
        heading = part["heading"] or heading
        if part["language"] == language:
            found.append(Block(heading, language, part["text"]))
    return found


class Place:
    """A folder that looks like a checkout to a reader's commands, and the variables they see.

    The commands find `cortex-tasks`, the documents, and a port that is free; all that they write
    stays in the folder.
    """

    def __init__(self, folder: Path, loop: str) -> None:
        self.folder = folder
        commands = folder / "commands"
        commands.mkdir()
        command = commands / "cortex-tasks"
        command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m cortex_tasks "$@"\n')
        command.chmod(0o755)
        (folder / "docs").symlink_to(ROOT / "docs")
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("CORTEX_", "ADMIN_API_KEY"))
        }
        self.environment = {
            **inherited,
            "PATH": f"{commands}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "CORTEX_TASKS_PORT": str(_free_port()),
            "CORTEX_TASKS_LOOP": loop,
        }

    def run(self, walk: list[Block]) -> list[str]:
        """Run bash blocks in one shell, each as it stands; give what each one printed.

        The first command that fails fails the law. Whatever was started is gone afterwards.
        """
        script = f"printf '{MARK}'\n".join(block.text for block in walk)
        with subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as shell:
            try:
                out, err = shell.communicate(timeout=LIMIT)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(shell.pid, signal.SIGKILL)  # the shell's own session
        assert shell.returncode == 0, f"{out}\n{err}\n{self.server_log()}"
        return out.split(MARK)

    def server_log(self) -> str:
        """What a server said that was started as the documents say."""
        log = self.folder / "data" / "server.log"
        return log.read_text(encoding="utf-8") if log.exists() else ""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
