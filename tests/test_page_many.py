"""The page in a browser: many tasks cancelled or retried at once, counted before; and its keys."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.page_browser import a_page, needs_chromium
from tests.page_world import World, a_world

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with a_world(loop="asyncio") as world:
        yield world


@pytest.fixture
def page(browser: Browser, world: World) -> Iterator[Page]:
    with a_page(browser) as page:
        page.goto(world.url)
        expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        yield page
    world.clear()


def status(world: World, task_id: str) -> str:
    return world.call(world.engine.get, task_id).status


def go_to(page: Page, place: str) -> None:
    page.evaluate("place => { location.hash = '#/' + place }", place)


def yes(page: Page, words: str) -> None:
    """Confirm what is asked."""
    page.get_by_role("dialog").get_by_role("button", name=re.compile(words)).click()


def test_many_are_counted_then_cancelled_and_their_bodies_have_ended(
    world: World, page: Page
) -> None:
    tasks = {world.submit("export", percent=10) for _ in range(3)}
    world.submit("report", message="Done long ago")
    go_to(page, "tasks?q=type:export%20status:running")
    expect(page.locator("tbody tr")).to_have_count(3)
    page.get_by_label("Choose all on this page").check()
    chosen = page.get_by_role("region", name="Chosen tasks")
    expect(chosen).to_contain_text("3 tasks chosen")
    chosen.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("dialog")).to_contain_text("Cancel 3 tasks?")
    assert {status(world, each) for each in tasks} == {"running"}
    yes(page, "Cancel 3 tasks")
    expect(page.get_by_text("3 tasks cancelled.", exact=True).first).to_be_visible()
    assert {status(world, each) for each in tasks} == {"cancelled"}
    assert tasks <= set(world.ended)


def test_all_that_fit_a_search_are_retried_though_only_a_page_of_them_is_shown(
    world: World, page: Page
) -> None:
    for number in range(52):
        world.submit("report", error=f"Many times {number}")
    go_to(page, "tasks?q=status:failed%20%22many%20times%22")
    expect(page.get_by_text("1–50 of 52 tasks")).to_be_visible()
    page.get_by_role("button", name="Older").click()
    expect(page.get_by_text("51–52 of 52 tasks")).to_be_visible()
    page.get_by_role("button", name="Newer").click()
    page.get_by_label("Choose all on this page").check()
    page.get_by_role("button", name="Choose all 52 that fit").click()
    chosen = page.get_by_role("region", name="Chosen tasks")
    chosen.get_by_role("button", name="Retry").click()
    yes(page, "Retry 52 tasks")
    expect(page.get_by_text("52 tasks waiting again.", exact=True).first).to_be_visible()


def test_everything_is_reached_by_keys(world: World, page: Page) -> None:
    older = world.submit("export", percent=10, message="The older one")
    newer = world.submit("export", percent=20, message="The newer one")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Go to Tasks")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("g")
    page.keyboard.press("t")
    expect(page.get_by_role("heading", level=1, name="Tasks")).to_be_focused()
    page.keyboard.press("/")
    expect(page.get_by_label("Search tasks")).to_be_focused()
    page.keyboard.type("type:export status:running")
    page.keyboard.press("Escape")
    expect(page.locator("tbody tr")).to_have_count(2)
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.keyboard.press("c")
    expect(page.get_by_role("dialog")).to_contain_text("Cancel 1 task?")
    page.keyboard.press("Enter")
    expect(page.get_by_text("1 task cancelled.", exact=True).first).to_be_visible()
    assert status(world, older) == "cancelled"
    assert status(world, newer) == "running"
    page.keyboard.press("g")
    page.keyboard.press("o")
    expect(page.get_by_role("heading", level=1, name="Overview")).to_be_focused()
