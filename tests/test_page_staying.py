"""The page in a browser: what one has the focus on, presses or reads stays, whatever happens."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.page_browser import a_page, needs_chromium, open_at
from tests.page_world import World, a_world

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with a_world(loop="asyncio", with_library=True) as world:
        yield world


@pytest.fixture
def page(browser: Browser, world: World) -> Iterator[Page]:
    with a_page(browser) as page:
        yield page
    world.clear()


def open_live(page: Page, world: World, place: str = "") -> None:
    open_at(page, world, place)
    expect(page.locator(".dot.live")).to_be_visible()


# -- the overview ---------------------------------------------------------------------------------


def test_the_button_of_a_busy_type_keeps_the_focus_and_is_pressed_while_its_figures_change(
    world: World, page: Page
) -> None:
    page.clock.install()
    open_live(page, world)
    pause = page.get_by_role("button", name="Pause Report")
    ended = page.get_by_role("row", name="Report").get_by_role("cell").nth(3)

    def something_happens() -> None:
        before = int(ended.inner_text())
        world.submit("report")
        page.clock.fast_forward(10_000)
        expect(ended).to_have_text(str(before + 1))

    pause.focus()
    something_happens()
    expect(pause).to_be_focused()
    pause.hover()
    page.mouse.down()
    something_happens()
    page.mouse.up()
    resume = page.get_by_role("button", name="Resume Report")
    expect(resume).to_be_focused()
    page.keyboard.press("Enter")
    expect(pause).to_be_focused()


@pytest.mark.parametrize("words", ["described here", "Queue"], ids=["the API", "the oldest"])
def test_a_link_beside_how_the_server_is_keeps_the_focus_while_that_changes(
    world: World, page: Page, words: str
) -> None:
    page.clock.install()
    world.submit("queue", percent=5)
    world.submit("queue")
    open_live(page, world)
    link = page.locator(".health").get_by_role("link", name=words)
    link.focus()
    with page.expect_response("**/api/overview"):
        page.clock.fast_forward(10_000)
    tile = page.locator(".tile", has_text="Failed").locator(".figure")
    before = int(tile.inner_text())
    world.submit("report", error="No luck")
    page.clock.fast_forward(10_000)
    expect(tile).to_have_text(str(before + 1))
    expect(link).to_be_focused()
