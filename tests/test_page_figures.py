"""The page in a browser with what takes more room than usual: its figures are not cut off."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.page_browser import DESK, PHONE, a_page, needs_chromium, open_at
from tests.page_world import World, a_world

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with a_world(loop="asyncio", with_library=True) as world:
        yield world


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize(
    ("ended", "seconds", "shown"),
    [
        (8_000, 500.0, ["8,000", "8 min 20 s"]),
        (3_000_000, 80_000.0, ["4M", "1 d 4 h"]),
        (3, None, ["4"]),
    ],
    ids=str,
)
def test_no_figure_beside_the_chart_is_cut_off(
    world: World,
    browser: Browser,
    size: tuple[int, int],
    ended: int,
    seconds: float | None,
    shown: list[str],
) -> None:
    with a_page(browser, size=size) as page:
        seen = page.request.get(f"{world.url}/api/overview").json()
        for point in seen["series"]["points"]:
            point.update(completed=ended, mean_run_seconds=seconds)
        page.route("**/api/overview", lambda route: route.fulfill(json=seen))
        open_at(page, world)
        texts = page.locator(".chart text")
        for each in shown:
            expect(texts.filter(has_text=re.compile(f"^{each}$"))).to_be_visible()
        assert outside(page, ".chart svg", ".chart text") == []


def outside(page: Page, frame: str, parts: str) -> list[str]:
    """What reaches out of its frame, by its words."""
    found: list[str] = page.evaluate(
        """([frame, parts]) => {
            const around = document.querySelector(frame).getBoundingClientRect();
            return [...document.querySelectorAll(parts)].filter((each) => {
                const { left, right } = each.getBoundingClientRect();
                return left < around.left || right > around.right;
            }).map((each) => each.textContent);
        }""",
        [frame, parts],
    )
    return found
