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


def height(page: Page) -> int:
    """How far down one is."""
    found: int = page.evaluate("() => scrollY")
    return found


# -- screens --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["constructor", "__proto__", "nowhere/at/all"])
def test_at_an_address_where_nothing_is_the_page_says_so(
    world: World, page: Page, name: str
) -> None:
    open_at(page, world, name)
    expect(page.get_by_role("heading", level=1, name="Nothing here")).to_be_visible()


def test_back_from_a_task_the_list_is_where_it_was_left(world: World, page: Page) -> None:
    for number in range(50):
        world.submit("report", message=f"Report {number}")
    open_at(page, world, "tasks?q=%22report%22")
    row = page.locator("tbody tr").nth(40)
    row.scroll_into_view_if_needed()
    left = height(page)
    assert left > 200
    row.get_by_role("link").first.click()
    expect(page.get_by_role("heading", level=1, name="Report")).to_be_visible()
    expect(page.locator("main")).to_have_attribute("aria-busy", "false")
    assert height(page) == 0
    page.go_back()
    expect(page.locator("tbody tr")).to_have_count(50)
    expect(page.locator("main")).to_have_attribute("aria-busy", "false")
    assert height(page) == left
    page.reload()
    expect(page.locator("tbody tr")).to_have_count(50)
    expect(page.locator("main")).to_have_attribute("aria-busy", "false")
    assert height(page) == left
    page.get_by_role("navigation", name="Screens").get_by_role("link", name="Tasks").click()
    expect(page.get_by_label("Search tasks")).to_have_value("")
    expect(page.locator("main")).to_have_attribute("aria-busy", "false")
    assert height(page) == 0


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


def test_a_server_that_is_away_is_not_said_to_have_been_updated(world: World, page: Page) -> None:
    open_at(page, world)
    expect(page.locator(".dot.live")).to_be_visible()
    world.hang_up()
    expect(page.get_by_role("alert")).to_contain_text("Connection lost")
    page.evaluate("location.hash = '#/graph'")
    expect(page.get_by_text("The server cannot be reached.")).to_be_visible()
    world.listen_again()
    expect(page.get_by_role("heading", level=1, name="Graph")).to_be_visible()


def test_a_server_that_has_been_updated_is_said_to_have_been(world: World, page: Page) -> None:
    open_at(page, world)
    page.route("**/ui/**", lambda route: route.fulfill(status=404))
    page.evaluate("location.hash = '#/graph'")
    expect(page.get_by_role("alert")).to_have_text("The server has been updated. Reload this page.")


# -- tabs -----------------------------------------------------------------------------------------


def test_a_tab_offers_what_the_key_allows_that_another_tab_signed_in_with(
    browser: Browser, tmp_path: Path
) -> None:
    with a_world(keys=tmp_path) as world, a_page(browser) as page:
        assert world.keys is not None
        ada, bob = world.keys.create("Ada"), world.keys.create("Bob", ["read"])
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
        expect(page.locator(".who")).to_contain_text("Bob")
        expect(page.locator("main")).to_have_attribute("aria-busy", "false")
        expect(pause).to_have_count(0)
        expect(page.locator(".dot.live")).to_be_visible()
        assert other.evaluate(sign_in, ada) == 200
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # one is back here
        expect(page.locator(".who")).to_contain_text("Ada")
        expect(pause).to_be_visible()
