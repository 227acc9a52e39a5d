from __future__ import annotations

import re
import subprocess
from pathlib import Path

import msgspec
import pytest

from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.engine.storage import Drop, Put
from tests.journal_setting import commit, complete, open_at, pending, submit

PAGE = (Path(__file__).parent.parent / "docs" / "journal.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```console\n\$ (.*?)\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the page shows."""
    folder = tmp_path_factory.mktemp("tasks")
    journal = open_at(folder, inline_limit=16 * 1024)
    commit(journal, [submit("task_a", 1, b'{"text":"a b c"}'), submit("task_b", 2)])
    commit(journal, [complete("task_a", 3, b'{"text":"%s"}' % (b"x" * 20_000))])
    journal.compact()
    while journal._compaction is not None and not journal._compaction.ended:
        journal._compaction.step()
    running = msgspec.structs.replace(pending("task_b", 4), status=TaskStatus.RUNNING, attempt=1)
    commit(journal, [Put(running)])
    commit(journal, [submit("task_c", 5, b'{"text":"d"}'), Drop("task_b", 6)])
    journal.close()
    return folder


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) == 6


@pytest.mark.parametrize(("command", "answer"), EXAMPLES)
def test_each_example_of_the_page_answers_as_the_page_says(
    folder: Path, command: str, answer: str
) -> None:
    done = subprocess.run(
        command, shell=True, check=True, cwd=folder, capture_output=True, text=True
    )
    assert done.stdout == answer
