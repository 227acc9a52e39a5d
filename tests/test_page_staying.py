"""The page in a browser: what one has the focus on, presses or reads stays, whatever happens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

import pytest
from playwright.sync_api import Browser, Page, Route, expect

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
    world.forget()


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


def test_what_runs_keeps_the_focus_and_a_press_while_what_is_above_it_ends(
    world: World, page: Page
) -> None:
    ids = [world.submit("export", percent=5) for _ in range(3)]
    open_live(page, world)
    links = page.locator(".now-list").get_by_role("link")
    expect(links).to_have_count(3)
    last = links.nth(2)
    href = last.get_attribute("href")
    assert href is not None
    last.focus()
    others = [each for each in ids if not href.endswith(each)]
    world.call(world.engine.cancel, others[0])
    expect(links).to_have_count(2)
    expect(page.locator(f"a[href='{href}']")).to_be_focused()
    page.locator(f"a[href='{href}']").hover()
    page.mouse.down()
    world.call(world.engine.cancel, others[1])
    expect(links).to_have_count(1)
    page.locator(f"a[href='{href}']").hover()
    page.mouse.up()
    expect(page.get_by_role("heading", level=1, name="Export")).to_be_visible()


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


# -- the library ----------------------------------------------------------------------------------


def test_who_turns_the_pages_of_the_library_by_keys_stays_at_the_button(
    world: World, page: Page
) -> None:
    assert world.library is not None
    for number in range(110):
        content = f"Document {number} speaks of Ada Lovelace.".encode()
        add = partial(world.library.documents.add, filename=f"{number}.txt", content=content)
        world.call(add)
    page.clock.install()
    open_live(page, world, "library")
    older, newer = (page.get_by_role("button", name=name) for name in ("Older", "Newer"))
    older.focus()
    for words in ("51–100 of 110 documents", "101–110 of 110 documents"):
        page.keyboard.press("Enter")
        expect(page.get_by_text(words)).to_be_visible()
        expect(older).to_be_focused()
    expect(older).to_be_disabled()
    page.keyboard.press("Enter")  # does nothing
    newer.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("51–100 of 110 documents")).to_be_visible()
    look = "**/api/documents?*"
    with page.expect_response(look):
        page.clock.fast_forward(11_200)
    add = partial(world.library.documents.add, filename="late.txt", content=b"A late one.")
    world.call(add)
    page.clock.fast_forward(11_200)
    page.clock.fast_forward(11_200)
    expect(page.get_by_text("51–100 of 111 documents")).to_be_visible()
    expect(newer).to_be_focused()


def test_who_deletes_a_document_by_keys_stands_at_the_next_one(world: World, page: Page) -> None:
    assert world.library is not None
    for name in ("older", "newer"):
        content = f"The {name} of two.".encode()
        world.call(partial(world.library.documents.add, filename=f"{name}.txt", content=content))
    open_live(page, world, "library")
    page.get_by_role("button", name="Delete newer.txt").focus()
    page.keyboard.press("Enter")
    page.get_by_role("dialog").get_by_role("button", name="Delete it").press("Enter")
    expect(page.get_by_role("row", name="newer.txt")).to_have_count(0)
    expect(page.get_by_role("button", name="Delete older.txt")).to_be_focused()


# -- a task, and many -----------------------------------------------------------------------------


def test_who_cancels_a_task_by_keys_stands_at_what_can_be_done_then(
    world: World, page: Page
) -> None:
    task_id = world.submit("export", percent=5)
    open_live(page, world, f"tasks/{task_id}")
    actions = page.locator(".actions")
    actions.get_by_role("button", name="Cancel").focus()
    page.keyboard.press("Enter")
    page.get_by_role("dialog").get_by_role("button", name="Cancel the task").press("Enter")
    expect(page.locator(".under .badge")).to_have_text("Cancelled")
    expect(actions.get_by_role("button", name="Cancel")).to_be_hidden()
    expect(actions.get_by_role("button", name="Retry")).to_be_focused()


def test_who_begins_a_search_before_its_screen_has_its_tasks_goes_on_with_it(
    world: World, page: Page
) -> None:
    world.submit("report")
    held: list[Route] = []
    open_live(page, world)
    page.route("**/api/tasks?**limit=50**", lambda route: held.append(route))
    page.get_by_role("link", name=re.compile("^Tasks")).first.click()
    search = page.get_by_label("Search tasks")
    search.focus()
    page.keyboard.type("type:")
    for route in held:
        route.continue_()
    expect(page.locator("main")).to_have_attribute("aria-busy", "false")
    expect(search).to_be_focused()
    page.get_by_role("link", name=re.compile("^Library")).first.click()
    expect(page.get_by_role("heading", level=1, name="Library")).to_be_focused()


def test_a_link_in_the_chain_keeps_the_focus_while_its_task_goes_on(
    world: World, page: Page
) -> None:
    first = world.submit("report", then=["export", "queue"])
    open_live(page, world, f"tasks/{first}")
    step = page.locator(".chain").get_by_role("link", name="Export")
    step.focus()
    world.open_gate()
    expect(step.locator(".badge")).to_have_text("Completed")
    expect(step).to_be_focused()
    expect(page.locator(".chain li")).to_have_count(3)
    expect(page.locator(".chain [aria-current=step]")).to_contain_text("Report")


def test_a_cancel_that_is_under_way_is_not_asked_for_again_by_its_key(
    world: World, page: Page
) -> None:
    task_id = world.submit("stubborn", percent=5)
    open_live(page, world, f"tasks/{task_id}")
    page.evaluate(f"() => {{ fetch('api/tasks/{task_id}', {{ method: 'DELETE' }}) }}")
    expect(page.locator(".under .badge")).to_have_text("Stopping")
    page.keyboard.press("c")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_have_count(1)
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    world.open_gate()


def test_who_has_something_done_with_a_task_that_ends_meanwhile_stays_on_its_screen(
    world: World, page: Page
) -> None:
    task_id = world.submit("export", percent=5)
    open_live(page, world, f"tasks/{task_id}")
    page.get_by_role("button", name="Cancel").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    world.open_gate()
    expect(page.locator(".under .badge")).to_have_text("Completed")
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", level=1, name="Export")).to_be_focused()


def test_what_is_done_with_many_by_keys_leaves_the_focus_on_the_screen(
    world: World, page: Page
) -> None:
    for _ in range(52):
        world.submit("report", error="Many fail")
    open_live(page, world, "tasks?q=status:failed")
    page.get_by_label("Choose all on this page").check()
    page.get_by_role("button", name="that fit").press("Enter")
    chosen = page.get_by_role("region", name="Chosen tasks")
    expect(chosen).to_contain_text("52 tasks chosen")
    expect(chosen.get_by_role("button", name="Choose none")).to_be_focused()
    page.keyboard.press("Enter")
    expect(chosen).to_be_hidden()
    expect(page.get_by_role("heading", level=1, name="Tasks")).to_be_focused()


def test_all_that_fit_are_counted_anew_while_a_page_of_them_is_chosen(
    world: World, page: Page
) -> None:
    for _ in range(51):
        world.submit("report", error="Ever more fail")
    open_live(page, world, "tasks?q=status:failed%20%22ever%20more%22")
    page.get_by_label("Choose all on this page").check()
    expect(page.get_by_role("button", name="Choose all 51 that fit")).to_be_visible()
    world.submit("report", error="Ever more fail")
    expect(page.get_by_role("button", name="Choose all 52 that fit")).to_be_visible()


# -- a log ----------------------------------------------------------------------------------------


def test_a_line_of_the_log_that_is_read_stays_where_it_is_and_selected(
    world: World, page: Page
) -> None:
    def keep(first: int, last: int) -> None:
        """Have the server keep these lines of it, and those before no longer."""
        at = "2026-03-15T10:30:00Z"
        lines = [
            {"at": at, "level": "info", "message": f"Line {number}", "fields": {}}
            for number in range(first, last + 1)
        ]
        answer = {"lines": lines, "dropped": first - 1}
        page.unroute("**/log")
        page.route("**/log", lambda route: route.fulfill(json=answer))

    def look() -> None:
        page.clock.fast_forward(2_000)

    page.clock.install()
    task_id = world.submit("export", percent=5)
    keep(1, 200)
    open_live(page, world, f"tasks/{task_id}")
    log = page.get_by_label("Log lines")
    expect(log.get_by_text("Line 200", exact=True)).to_be_in_viewport()  # the newest is seen
    keep(1, 210)
    look()
    expect(log.get_by_text("Line 210", exact=True)).to_be_in_viewport()
    read = log.get_by_text("Line 150", exact=True)
    read.scroll_into_view_if_needed()
    read.select_text()
    before = read.bounding_box()
    keep(101, 300)
    look()
    expect(log.get_by_role("listitem")).to_have_count(200)
    expect(log.get_by_role("listitem").first).to_contain_text("Line 101")
    expect(log.get_by_role("listitem").last).to_contain_text("Line 300")
    expect(page.get_by_text("100 earlier lines not kept")).to_be_visible()
    assert read.bounding_box() == before
    assert page.evaluate("() => String(getSelection())") == "Line 150"
    keep(251, 450)
    look()
    expect(log.get_by_role("listitem").first).to_contain_text("Line 251")
    expect(log.get_by_text("Line 251", exact=True)).to_be_in_viewport()  # all that was seen is gone
    keep(1, 3)  # the server came back with an older state
    look()
    expect(log.get_by_role("listitem")).to_have_count(3)
