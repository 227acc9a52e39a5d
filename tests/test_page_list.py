"""The list of tasks in a browser: what it shows goes on being true, and stays where it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from cortex_tasks.http.wire import TYPE_ALIASES
from tests.page_browser import DESK, PHONE, a_page, needs_chromium, open_at
from tests.page_world import World, a_world

pytestmark = needs_chromium

AS_IT_IS_NOW = "Show the list as it is now"


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with a_world(loop="trio", with_library=True) as world:
        yield world


@pytest.fixture
def page(browser: Browser, world: World) -> Iterator[Page]:
    with a_page(browser) as page:
        yield page
    world.clear()


@pytest.fixture(autouse=True)
def afresh(world: World) -> None:
    """Forget the tasks of other laws: here they are counted."""
    world.forget()


def open_live(page: Page, world: World, place: str) -> None:
    open_at(page, world, place)
    expect(page.locator(".dot.live")).to_be_visible()


def place_of(row: Locator) -> Any:
    box = row.bounding_box()
    assert box is not None
    return box


# -- what begins to fit, or no longer does --------------------------------------------------------


def test_a_task_that_begins_to_fit_late_comes_into_the_list(world: World, page: Page) -> None:
    for number in range(50):
        if number == 25:
            world.submit("export", percent=5, message="The late one")
        world.submit("report")
    open_live(page, world, "tasks?q=status:completed")
    expect(page.get_by_text("1–50 of 50 tasks")).to_be_visible()
    world.open_gate()
    expect(page.locator("tbody tr").nth(25)).to_contain_text("The late one")
    expect(page.get_by_text("1–50 of 51 tasks")).to_be_visible()


def test_a_task_that_is_looked_for_by_its_age_comes_and_goes_as_time_passes(
    world: World, page: Page
) -> None:
    page.clock.install()
    world.clock.behind = timedelta(hours=1)
    world.submit("report")
    for q, before, after in (("older:30m", 0, 1), ("newer:30m", 1, 0)):
        world.clock.behind = timedelta(hours=1)
        open_live(page, world, f"tasks?q={q}")
        rows = page.locator("tbody tr")
        expect(rows).to_have_count(before)
        world.clock.behind = timedelta()
        page.clock.fast_forward(5_000)
        page.clock.fast_forward(5_000)
        expect(rows).to_have_count(after)


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_rows_stay_where_they_are_while_others_begin_to_fit(
    world: World, browser: Browser, size: tuple[int, int]
) -> None:
    with a_page(browser, size=size) as page:
        world.submit("report")
        world.submit("export", percent=5)
        world.submit("report")
        open_live(page, world, "tasks?q=status:completed")
        row = page.locator("tbody tr").nth(1)
        row.hover()
        before = place_of(row)
        world.open_gate()
        now = page.get_by_role("button", name=AS_IT_IS_NOW)
        expect(now).to_be_visible()
        expect(page.get_by_text("1–2 of 3 tasks")).to_be_visible()
        expect(page.get_by_role("button", name="Older")).to_be_disabled()
        assert place_of(row) == before
        now.click()
        expect(page.locator("tbody tr")).to_have_count(3)
        expect(now).to_be_hidden()


def test_the_second_page_says_how_many_tasks_fit_by_now(world: World, page: Page) -> None:
    world.submit("export", percent=5)
    for _ in range(55):
        world.submit("report")
    open_live(page, world, "tasks?q=status:completed&page=2")
    expect(page.get_by_text("51–55 of 55 tasks")).to_be_visible()
    world.open_gate()
    expect(page.get_by_text("51–55 of 56 tasks")).to_be_visible()
    page.get_by_role("button", name=AS_IT_IS_NOW).click()
    expect(page.get_by_text("51–56 of 56 tasks")).to_be_visible()


def test_newer_tasks_are_announced_only_as_long_as_they_fit(world: World, page: Page) -> None:
    stays = world.submit("stubborn", percent=5)
    open_live(page, world, "tasks?q=status:running")
    page.locator("tbody tr").first.hover()
    newer = page.get_by_role("button", name=re.compile("newer task"))
    goes = world.submit("export", percent=5)
    expect(newer).to_have_text("Show 1 newer task")
    world.call(world.engine.cancel, goes)
    expect(newer).to_be_hidden()
    expect(page.get_by_text("1–1 of 1 task", exact=True)).to_be_visible()
    assert world.call(world.engine.get, stays).status == "running"


def test_rows_that_fit_are_not_said_not_to_whatever_comes_before_them(
    world: World, page: Page
) -> None:
    for number in range(50):
        world.submit("report", message=f"Moonlight {number}")
    open_live(page, world, "tasks?q=moonlight")
    page.locator("tbody tr").first.hover()
    for number in range(60):
        world.submit("report", message=f"More moonlight {number}")
    expect(page.get_by_role("button", name="Show 60 newer tasks")).to_be_visible()
    expect(page.locator("tbody tr.past")).to_have_count(0)
    expect(page.get_by_text("61–110 of 110 tasks")).to_be_visible()


def test_rows_that_no_longer_fit_are_not_counted(world: World, page: Page) -> None:
    world.submit("stubborn", percent=5)
    ends = [world.submit("export", percent=5) for _ in range(3)]
    open_live(page, world, "tasks?q=status:running")
    expect(page.get_by_text("1–4 of 4 tasks")).to_be_visible()
    page.locator("tbody tr").first.hover()
    for task_id in ends:
        world.call(world.engine.cancel, task_id)
    expect(page.locator("tbody tr.past")).to_have_count(3)
    expect(page.get_by_text("1–1 of 1 task", exact=True)).to_be_visible()
    page.get_by_role("button", name=AS_IT_IS_NOW).click()
    expect(page.locator("tbody tr")).to_have_count(1)


# -- turning its pages ----------------------------------------------------------------------------


def submit_numbered(world: World, first: int, last: int) -> None:
    for number in range(first, last + 1):
        world.submit("report", message=f"No {number}.")


def numbers(page: Page, highest: int, lowest: int) -> None:
    """The page shows these, the newest first."""
    rows = page.locator("tbody tr")
    expect(rows.first).to_contain_text(f"No {highest}.")
    expect(rows.last).to_contain_text(f"No {lowest}.")
    expect(rows).to_have_count(highest - lowest + 1)


@pytest.mark.parametrize("q", ["", "q=type%3Areport&"], ids=["all", "searched for"])
def test_older_goes_on_after_the_last_task_that_is_shown_however_many_come_meanwhile(
    world: World, browser: Browser, page: Page, q: str
) -> None:
    older, newer = (
        page.get_by_role("button", name=name, exact=True) for name in ("Older", "Newer")
    )
    submit_numbered(world, 1, 170)
    open_live(page, world, f"tasks?{q}")
    page.locator("tbody tr").first.hover()  # so they stay
    submit_numbered(world, 171, 200)
    expect(page.get_by_text("31–80 of 200 tasks")).to_be_visible()
    older.click()
    numbers(page, 120, 71)
    expect(page.get_by_text("81–130 of 200 tasks")).to_be_visible()
    submit_numbered(world, 201, 260)
    expect(page.get_by_text("141–190 of 260 tasks")).to_be_visible()
    older.click()
    numbers(page, 70, 21)
    page.reload()
    numbers(page, 70, 21)
    page.locator("tbody tr").first.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1, name="Report")).to_be_visible()
    page.go_back()
    numbers(page, 70, 21)
    page.keyboard.press("n")
    numbers(page, 20, 1)
    expect(older).to_be_disabled()
    for highest, lowest in ((70, 21), (120, 71), (260, 211)):  # back the way one came
        newer.click()
        numbers(page, highest, lowest)
    expect(newer).to_be_disabled()


def test_a_bookmark_of_a_page_shows_its_tasks_also_when_many_have_come_since(
    world: World, browser: Browser, page: Page
) -> None:
    submit_numbered(world, 1, 120)
    open_live(page, world, "tasks")
    page.get_by_role("button", name="Older").click()
    numbers(page, 70, 21)
    bookmark = page.url
    submit_numbered(world, 121, 170)
    with a_page(browser) as other:
        other.goto(bookmark)
        numbers(other, 70, 21)
        other.get_by_role("button", name="Newer", exact=True).click()
        numbers(other, 120, 71)  # not the newest, as between those and the bookmark are others
        other.get_by_role("button", name="Older").click()
        numbers(other, 70, 21)


@pytest.mark.parametrize("cursor", ["", "&cursor=", "&cursor=nonsense"])
def test_a_bookmark_without_a_cursor_that_can_be_read_is_of_its_number(
    world: World, page: Page, cursor: str
) -> None:
    submit_numbered(world, 1, 120)
    open_live(page, world, f"tasks?page=2{cursor}")
    numbers(page, 70, 21)
    page.locator("tbody tr").first.hover()
    submit_numbered(world, 121, 130)
    page.get_by_role("button", name="Older").click()
    numbers(page, 20, 1)


def test_a_page_of_tasks_that_have_gone_gives_way_to_the_last_there_is(
    world: World, page: Page
) -> None:
    submit_numbered(world, 1, 120)
    open_live(page, world, "tasks")
    for _ in range(2):
        page.get_by_role("button", name="Older").click()
    numbers(page, 20, 1)
    bookmark = page.url
    world.forget()
    submit_numbered(world, 121, 180)
    page.goto("about:blank")
    page.goto(bookmark)
    numbers(page, 130, 121)


# -- the cursor -----------------------------------------------------------------------------------


def test_what_a_key_does_is_done_to_the_task_that_the_cursor_stood_on(
    world: World, page: Page
) -> None:
    meant = world.submit("export", percent=5)
    open_live(page, world, "tasks")
    page.keyboard.press("j")
    other = world.submit("export", percent=5)
    expect(page.get_by_role("button", name="Show 1 newer task")).to_be_visible()
    page.keyboard.press(".")
    expect(page.locator("tbody tr")).to_have_count(2)
    page.keyboard.press("c")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(meant)
    dialog.get_by_role("button", name="Cancel 1 task").click()
    expect(page.get_by_text("1 task cancelled.", exact=True).first).to_be_visible()
    assert world.call(world.engine.get, meant).status == "cancelled"
    assert world.call(world.engine.get, other).status == "running"


def test_the_cursor_has_the_focus_and_a_screen_reader_tells_of_its_task(
    world: World, page: Page
) -> None:
    world.submit("report", error="no ink")
    world.submit("export", percent=5)
    open_live(page, world, "tasks")
    page.keyboard.press("j")
    page.keyboard.press("j")
    [running, failed] = page.locator("tbody tr").all()
    expect(failed.get_by_role("link")).to_be_focused()
    expect(failed.get_by_role("link")).to_have_accessible_description(re.compile("Failed .*no ink"))
    page.keyboard.press("Shift+Tab")  # its box
    page.keyboard.press("Shift+Tab")  # the task above it
    expect(running.get_by_role("link")).to_be_focused()
    expect(running).to_have_class("cursor")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Export")).to_be_visible()


# -- the search line ------------------------------------------------------------------------------


@pytest.mark.parametrize("alias", TYPE_ALIASES)
def test_another_name_of_a_type_is_understood_as_the_server_does(
    world: World, page: Page, alias: str
) -> None:
    open_live(page, world, f"tasks?q=type:{alias}")
    expect(page.get_by_label("Task type")).to_have_value(TYPE_ALIASES[alias])
    world.call(world.engine.submit, TYPE_ALIASES[alias], {})
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tbody tr.past")).to_have_count(0)
    counted = page.get_by_role("group", name="Status").locator(".figures", has_text="1")
    expect(counted).to_be_visible()


def test_what_stands_in_quotes_is_left_alone(world: World, page: Page) -> None:
    quoted = '"a  b" "at status:failed now"'
    open_live(page, world, f"tasks?q={quoted}")
    chips = page.get_by_role("group", name="Status")
    failed = chips.get_by_role("button", name=re.compile("^Failed"))
    expect(failed).to_have_attribute("aria-pressed", "false")
    failed.click()
    expect(page.get_by_label("Search tasks")).to_have_value(f"status:failed {quoted}")
    chips.get_by_role("button", name="All").click()
    expect(page.get_by_label("Search tasks")).to_have_value(quoted)
