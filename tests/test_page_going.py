"""The page in a browser: going from screen to screen and back, and from tab to tab."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.page_browser import a_page, needs_chromium, open_at
from tests.page_world import World, a_world

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with a_world(loop="trio", with_library=True) as world:
        yield world


@pytest.fixture
def page(browser: Browser, world: World) -> Iterator[Page]:
    with a_page(browser) as page:
        yield page
    world.clear()


# -- screens --------------------------------------------------------------------------------------


@pytest.mark.parametrize("keys", [True, False], ids=["with keys", "without"])
def test_the_list_is_of_what_its_search_line_says_also_after_escape(
    world: World, page: Page, *, keys: bool
) -> None:
    open_at(page, world, "tasks")
    if not keys:
        page.keyboard.press("?")
        page.get_by_label("Single keys do things on this page").uncheck()
        page.keyboard.press("Escape")
    search = page.get_by_label("Search tasks")
    search.fill("id:none")
    expect(page.get_by_text("No task fits this search")).to_be_visible()
    search.press("Escape")
    if keys:
        expect(search).not_to_be_focused()
        expect(search).to_have_value("id:none")
        expect(page).to_have_url(re.compile("q=id%3Anone"))
    else:
        expect(search).to_have_value("")
        expect(page).not_to_have_url(re.compile("q="))


# -- tabs -----------------------------------------------------------------------------------------


def test_a_tab_offers_what_the_key_allows_that_another_tab_signed_in_with(
    browser: Browser, tmp_path: Path
) -> None:
    with a_world(keys=tmp_path) as world, a_page(browser) as page:
        assert world.keys is not None
        ada, bob = world.keys.create("Ada"), world.keys.create("Bob", ["read"])
        page.clock.install()
        page.goto(world.url)
        page.get_by_label("API key").fill(ada)
        page.keyboard.press("Enter")
        pause = page.get_by_role("button", name="Pause Export")
        expect(pause).to_be_visible()
        expect(page.locator(".dot.live")).to_be_visible()
        other = page.context.new_page()
        other.goto(f"{world.url}/docs")
        sign_in = """async key => (await fetch("api/session", {
            method: "POST", body: JSON.stringify({key}),
            headers: {"Content-Type": "application/json"},
        })).status"""
        assert other.evaluate(sign_in, bob) == 200
        page.clock.fast_forward(20_000)
        expect(page.locator(".who")).to_contain_text("Bob")
        expect(page.locator("main")).to_have_attribute("aria-busy", "false")
        expect(pause).to_have_count(0)
        expect(page.locator(".dot.live")).to_be_visible()
        assert other.evaluate(sign_in, ada) == 200
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # one is back here
        expect(page.locator(".who")).to_contain_text("Ada")
        expect(pause).to_be_visible()
