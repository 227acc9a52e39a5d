"""docs/monitoring.md and what is beside it: every metric that they name is one that is given."""

from __future__ import annotations

import argparse
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cortex_tasks.backends.json_backend import JsonBackend
from cortex_tasks.http.app import create_app
from cortex_tasks.http.webhooks.dispatch import Webhooks
from cortex_tasks.http.webhooks.outbox import Outbox
from cortex_tasks.http.webhooks.signing import Secrets
from cortex_tasks.jobs.library import Library

from .documents import ROOT, blocks
from .engine_setting import an_engine
from .http_setting import client_of, echo, endless
from .webhook_setting import ALL, URL, Receiver

PAGE = ROOT / "docs" / "monitoring.md"
FILES = ROOT / "docs" / "monitoring"
_SUFFIXES = {"histogram": ("_bucket", "_count", "_sum"), "counter": ("_total",)}


@pytest.fixture
async def text(tmp_path: Path) -> str:
    """What a server gives that has everything, and has done nothing yet."""
    webhooks = Webhooks(Outbox(None), post=Receiver().post, secrets=Secrets(b"m" * 32))
    async with Library(tmp_path / "library.db") as library:
        engine = an_engine(echo, endless, backend=JsonBackend(tmp_path / "tasks"))
        async with engine, webhooks.running(engine):
            await webhooks.add(URL, ALL)
            app = create_app(engine, library=library, webhooks=webhooks)
            async with client_of(app) as client:
                return (await client.get("/metrics")).text


def _given(text: str) -> set[str]:
    return {
        f"{family.name}{suffix}"
        for family in text_string_to_metric_families(text)
        for suffix in _SUFFIXES.get(family.type, ("",))
    }


def _named_in(text: str) -> set[str]:
    return set(re.findall(r"\b(?:cortex_tasks|process|python)_[a-z_]+[a-z]\b", text))


def _expressions(node: Any) -> Iterator[str]:
    match node:
        case {"expr": str(expression)}:
            yield expression
        case dict():
            for value in node.values():
                yield from _expressions(value)
        case list():
            for value in node:
                yield from _expressions(value)
        case _:
            pass


async def test_each_metric_that_the_dashboard_names_is_one_that_is_given(text: str) -> None:
    dashboard = json.loads((FILES / "grafana.json").read_text())
    expressions = list(_expressions(dashboard["panels"]))
    assert len(expressions) > 30
    named = set().union(*map(_named_in, expressions))
    named |= _named_in(json.dumps(dashboard["templating"]))
    assert named - _given(text) == set()


async def test_each_metric_that_the_alerts_name_is_one_that_is_given(text: str) -> None:
    rules = (FILES / "alerts.yml").read_text()
    expressions = re.findall(r"^ +expr: (.+(?:\n {12,}.+)*)", rules, re.MULTILINE)
    assert len(expressions) == rules.count("- alert:")
    named = _named_in("\n".join(expressions))
    assert named - _given(text) == set()


async def test_the_page_lists_each_metric_of_ours_and_no_other(text: str) -> None:
    listed = re.findall(r"^\| `(cortex_tasks_\w+)` \| (\w+) ", PAGE.read_text(), re.MULTILINE)
    given = re.findall(r"^# TYPE (cortex_tasks_\w+) (\w+)", text, re.MULTILINE)
    assert sorted(listed) == sorted(given)


async def test_what_the_page_says_of_the_process_is_given(text: str) -> None:
    named = _named_in(PAGE.read_text())
    assert {name for name in named if not name.startswith("cortex")} - _given(text) == set()


@pytest.mark.parametrize(
    "block", blocks("docs/monitoring.md", "python"), ids=lambda one: one.text[:20]
)
def test_what_the_page_shows_in_python_runs(block: Any) -> None:
    logging_before = logging.getLogger().handlers[:]
    exec(compile(block.text, str(PAGE), "exec"), {"__name__": "shown"})
    logging.getLogger().handlers[:] = logging_before


def test_the_command_that_traces_a_server_is_left_whole_by_the_tool_that_runs_it() -> None:
    # Which takes what begins like an option of its own, in front of the command or behind it.
    tool = argparse.ArgumentParser(exit_on_error=False)
    for option in ("--traces_exporter", "--tracer_provider", "--service_name", "--version"):
        tool.add_argument(option)
    tool.add_argument("command")
    tool.add_argument("rest", nargs=argparse.REMAINDER)
    told = re.search(r"(\S*) *opentelemetry-instrument (cortex-tasks [^`\n]*)", PAGE.read_text())
    assert told is not None
    before, after = told.groups()
    read = tool.parse_args(after.split())
    assert [read.command, *read.rest] == after.split()
    assert before == "CORTEX_TASKS_TRACE=1"
