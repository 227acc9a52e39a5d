"""A browser to look at the page with: Debian's Chromium, without a window, talking to us alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, expect, sync_playwright

from tests.page_world import World

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ABSENT = (
    "Chromium is not installed, so the page is not looked at (Debian: apt-get install chromium)"
)

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason=ABSENT)

PATIENCE = 30_000  # milliseconds after which a law has failed; nothing that passes comes near it
DESK = (1280, 800)
PHONE = (380, 760)

_OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-color-profile=srgb",
]

# What a browser says of an answer that is no 2xx. Whether it should have been one is for the law.
_OF_ANSWERS = "Failed to load resource"


@contextmanager
def a_browser() -> Iterator[Browser]:
    """Start one with a profile of its own, which is gone afterwards."""
    assert CHROMIUM is not None, ABSENT
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_OPTIONS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def with_large_text(browser: Browser, size: int) -> Iterator[Browser]:
    """Start another whose owner wants text of so many pixels, where 16 is the usual."""
    other = browser.browser_type.launch(
        executable_path=CHROMIUM, args=[*_OPTIONS, f"--blink-settings=defaultFontSize={size}"]
    )
    try:
        yield other
    finally:
        other.close()


@contextmanager
def a_page(
    browser: Browser, *, size: tuple[int, int] = DESK, dark: bool = False, **options: Any
) -> Iterator[Page]:
    """Open a page that shares nothing with others; its scripts may not complain of anything.

    A violation of the Content-Security-Policy is such a complaint.
    """
    complaints: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and _OF_ANSWERS not in message.text:
            complaints.append(message.text)

    def note_error(error: Error) -> None:
        complaints.append(error.stack or str(error))

    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if dark else "light",
        locale="en-GB",
        timezone_id="UTC",
        reduced_motion="reduce",
        **options,
    )
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.on("console", note)
    page.on("pageerror", note_error)
    try:
        yield page
        assert complaints == []
    finally:
        context.close()


def open_at(page: Page, world: World, place: str = "") -> None:
    """Open a screen, and wait until it is there."""
    page.goto(f"{world.url}/#/{place}")
    expect(page.locator("main")).to_have_attribute("aria-busy", "false")


_LEAVE_FOR = """(place) => new Promise((there) => {
    const before = location.hash;
    location.hash = `#/${place}`;
    if (location.hash === before) there();
    else addEventListener("hashchange", () => there(), { once: true });
})"""


def go_to(page: Page, place: str) -> None:
    """Leave one screen for another, of which nothing need be there yet."""
    page.evaluate(_LEAVE_FOR, place)


def retry_now(page: Page) -> None:
    """Press the button of a lost connection, whether or not the page has come back by itself."""
    page.evaluate("document.querySelector('.lost-bar button').click()")
