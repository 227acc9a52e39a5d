"""A browser to look at the page with: Debian's Chromium, without a window, talking to us alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import BrowserContext, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ABSENT = (
    "Chromium is not installed: the page is not tested here. On Debian: apt-get install chromium"
)

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


@contextmanager
def a_browser(
    *, width: int = 1280, height: int = 800, scale: float = 1
) -> Iterator[BrowserContext]:
    """Start one with a profile of its own, which is gone afterwards."""
    assert CHROMIUM is not None, ABSENT
    with TemporaryDirectory(prefix="cortex-page-") as profile, sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            Path(profile),
            executable_path=CHROMIUM,
            args=_OPTIONS,
            viewport={"width": width, "height": height},
            device_scale_factor=scale,
            locale="en-GB",
            timezone_id="UTC",
        )
        try:
            yield context
        finally:
            context.close()
