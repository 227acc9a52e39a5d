"""What every law of this suite stands on: both event loops, and no clock that could decide one."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.torture import ATTACKS, count, counted

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# A shell makes what it runs in the background deaf to Ctrl-C, which children inherit; those of the
# laws about Ctrl-C have to hear it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# With it a program that forgets to write out what it has said would pass here, and be silent
# wherever its output goes to a file or a pipe.
os.environ.pop("PYTHONUNBUFFERED", None)

# A busy machine must not fail a law: no deadline for an example, and slow drawing is no error.
# Every run draws the same examples; `pytest --hypothesis-profile=search` looks for new ones.
settings.register_profile(
    "laws",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "search",
    settings.get_profile("laws"),
    derandomize=False,
    max_examples=1_000,
)
settings.load_profile("laws")


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """The event loop of an async law: each runs on both. A module may replace it by its own."""
    return str(request.param)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One for all laws of a module about the page, which is marked `needs_chromium`."""
    from tests.page_browser import a_browser  # noqa: PLC0415  most runs have no use for one

    with a_browser() as browser:
        yield browser


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the attacks, which take longest: no process of several is left with one alone."""
    items.sort(key=lambda item: item.nodeid.partition("::")[0] not in ATTACKS)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One process more than there are cores: laws about servers and children wait a lot."""
    return 1 + (os.cpu_count() or 1)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Add what a process of `pytest -n` tried in its part of the suite."""
    for what, number in getattr(node, "workeroutput", {}).get("tried", {}).items():
        count(what, number)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand over what was tried here, in a process that does a part of the suite."""
    if (handed_over := getattr(session.config, "workeroutput", None)) is not None:
        handed_over["tried"] = counted


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much was tried by the attacks that ran."""
    if counted:
        terminalreporter.section("attacks")
    for what, number in sorted(counted.items()):
        terminalreporter.write_line(f"{number:>12,} {what}")
