"""The page in headless Chromium: when it is there, what it fetches, what it keeps in memory."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import anyio
from anyio import to_thread
from playwright.sync_api import Browser, Page, Request

from tests.page_browser import ABSENT, CHROMIUM, DESK, a_browser

from .browsed_server import ENTITIES, TASKS
from .measuring import Figure, Stopwatch

ROUNDS = 5
KIB, MIB = 2**10, 2**20
BARE = "a bare answer of this server in this browser"
_THERE = "main[aria-busy=false] h1"
_SETTLED = "[data-settled=yes]"


@contextmanager
def _server(loop: str) -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.browsed_server", loop]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.kill()


@contextmanager
def _page(browser: Browser) -> Iterator[Page]:
    """A page that has seen nothing yet, and shares nothing with others."""
    context = browser.new_context(viewport={"width": DESK[0], "height": DESK[1]})
    context.set_default_timeout(120_000)
    try:
        yield context.new_page()
    finally:
        context.close()


def _seconds_until(page: Page, url: str, sign: str | None) -> float:
    watch = Stopwatch()
    page.goto(url)
    if sign is not None:
        page.wait_for_selector(sign)
    return watch.seconds


class _Looks:
    """What was seen, of each kind of look a number a round."""

    def __init__(self, browser: Browser, url: str) -> None:
        self._browser = browser
        self._url = url
        self.bare: list[float] = []
        self.first: list[float] = []
        self.again: list[float] = []
        self.tasks: list[float] = []
        self.drawn: list[float] = []
        self.settled: list[float] = []
        self.memory: list[float] = []
        self.fetched = 0  # bytes, at the newest first look
        self.requests = 0  # likewise

    def go_round(self) -> None:
        """Look at each once."""
        with _page(self._browser) as page:
            self.bare.append(_seconds_until(page, f"{self._url}/health", None))
        with _page(self._browser) as page:
            finished: list[Request] = []

            def note(request: Request) -> None:
                finished.append(request)

            page.on("requestfinished", note)
            self.first.append(_seconds_until(page, self._url, _THERE))
            self.memory.append(_memory(page))
            page.remove_listener("requestfinished", note)
            self.fetched = sum(each.sizes()["responseBodySize"] for each in finished)
            self.requests = len(finished)
            page.goto("about:blank")
            self.again.append(_seconds_until(page, self._url, _THERE))
        with _page(self._browser) as page:
            row = "tbody tr:nth-child(50)"
            self.tasks.append(_seconds_until(page, f"{self._url}/#/tasks", row))
        with _page(self._browser) as page:
            page.goto(f"{self._url}/#/graph")
            page.wait_for_selector(_SETTLED)  # with the thousand that it begins with
            watch = Stopwatch()
            page.get_by_label("How many entities").select_option(str(ENTITIES))
            page.get_by_text(f"{ENTITIES:,} of {ENTITIES:,} entities").wait_for()
            self.drawn.append(watch.seconds)
            page.wait_for_selector(_SETTLED)
            self.settled.append(watch.seconds)


def _memory(page: Page) -> float:
    """Bytes of the page's scripts, once what they no longer need has gone."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used: float = session.send("Runtime.getHeapUsage")["usedSize"]
    return used


def _look(url: str) -> _Looks:
    with a_browser() as browser:
        looks = _Looks(browser, url)
        for _ in range(ROUNDS):
            looks.go_round()
    return looks


async def measure(loop: str) -> AsyncIterator[Figure]:
    """Every figure about the page, of a server on this loop."""
    if CHROMIUM is None:
        print(f"  {ABSENT}")
        return
    with _server(loop) as url:
        looks = await to_thread.run_sync(_look, url)
    await anyio.lowlevel.checkpoint()
    bare = statistics.median(looks.bare)

    def beside(name: str, values: list[float]) -> Figure:
        seconds = statistics.median(values)
        return Figure(f"{loop}: {name}", 1e3 * seconds, "ms", BARE, seconds / bare)

    yield Figure(f"{loop}: {BARE}", 1e3 * bare, "ms")
    yield beside(f"the overview of {TASKS:,} tasks, nothing cached", looks.first)
    yield Figure(f"{loop}: … it fetches", looks.fetched / KIB, "KiB")
    yield Figure(f"{loop}: … in", looks.requests, "requests")
    yield beside("… again, its files cached", looks.again)
    yield Figure(f"{loop}: … memory of scripts", statistics.median(looks.memory) / MIB, "MiB")
    yield beside(f"the newest 50 of {TASKS:,} tasks, nothing cached", looks.tasks)
    yield beside(f"a graph of {ENTITIES:,} entities, first picture", looks.drawn)
    yield beside("… at rest", looks.settled)
