"""The library and the graph in a browser, and every screen for everybody: axe, dark, a phone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, FilePayload, Locator, Page, expect

from tests.documents import ROOT
from tests.page_browser import PHONE, a_page, needs_chromium
from tests.page_world import World, a_world

pytestmark = needs_chromium

SAMPLE = sorted((ROOT / "docs" / "sample" / "jargon").glob("*.md"))[:24]

# Every kind of screen, each with something on it; `{…}` is a task of that status, or an entity.
SCREENS = [
    "",
    "tasks",
    "tasks?q=id:none",
    "tasks/{running}",
    "tasks/{completed}",
    "tasks/{failed}",
    "tasks/{cancelled}",
    "tasks/unknown",
    "library",
    "graph",
    "graph?entity={entity}",
    "nowhere",
]


# Screens that could not be shown: what was not found, and what they offer instead.
NOT_SHOWN = [
    ("library", "**/api/documents?*", "Try again"),
    ("graph?", "**/screens/graph.js", "Reload"),
]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with a_world(with_library=True) as world:
        yield world


@pytest.fixture(scope="module")
def filled(world: World, browser: Browser) -> dict[str, str]:
    """A library that has been through all four operations, from the page; a task of each status."""
    with a_page(browser) as page:
        page.goto(f"{world.url}/#/library")
        expect(page.get_by_text("The library is empty")).to_be_visible()
        page.get_by_label("Process them at once").uncheck()
        page.locator("input[type=file]").set_input_files(SAMPLE)
        expect(page.get_by_text(f"{len(SAMPLE)} of {len(SAMPLE)}", exact=True)).to_be_visible()
        expect(page.get_by_role("row", name=SAMPLE[0].name)).to_contain_text("Pending")
        page.get_by_role("button", name="Run the whole chain").click()
        last = page.get_by_role("region", name="Summarise communities")
        expect(last.locator(".badge")).to_have_text("Completed")
        expect(page.get_by_role("row", name=SAMPLE[0].name)).to_contain_text("Completed")
        largest = page.request.get(f"{world.url}/api/graph/visualization?limit=1").json()
    cancelled = world.submit("export", percent=10)
    world.call(world.engine.cancel, cancelled)
    return {
        "running": world.submit("export", percent=40, message="Half of it"),
        "completed": world.submit("report", result={"rows": [{"name": "north", "sum": 3}]}),
        "failed": world.submit("report", error="The moon is full"),
        "cancelled": cancelled,
        "entity": largest["nodes"][0]["id"],
    }


def open_at(page: Page, world: World, place: str) -> None:
    page.goto(f"{world.url}/#/{place}")
    expect(page.locator("h1")).to_be_attached()
    expect(page.locator("main")).to_have_attribute("aria-busy", "false")
    if place == "graph":
        expect(page.locator(".canvas-box")).to_have_attribute("data-settled", "yes")


def test_a_community_shows_its_summary_its_members_and_its_documents(
    world: World, filled: dict[str, str], browser: Browser
) -> None:
    with a_page(browser) as page:
        open_at(page, world, "graph")
        canvas = page.get_by_role("img", name="Picture of the graph")
        expect(canvas).to_be_visible()
        first = page.locator(".communities button").first
        name = first.locator(".clip").inner_text()
        first.click()
        panel = page.get_by_role("complementary", name="Communities")
        expect(panel.get_by_role("heading", level=2)).to_contain_text(name)
        expect(panel.get_by_role("heading", name="members")).to_be_visible()
        assert len(panel.locator("p").first.inner_text()) > 40
        expect(panel.get_by_role("link", name=".md").first).to_be_visible()
        member = panel.locator(".members button").first
        named = member.inner_text()
        member.click()
        expect(panel.get_by_role("heading", level=2, name=named, exact=True)).to_be_visible()
        expect(panel.get_by_role("heading", name="relationships")).to_be_visible()


def show_first_member(panel: Locator) -> None:
    """Show it, and wait until it is: before, the buttons there are still the community's."""
    member = panel.locator(".members button").first
    name = member.inner_text()
    member.click()
    expect(panel.get_by_role("heading", level=2)).to_have_text(name)


def test_a_click_on_the_picture_shows_what_is_there(
    world: World, filled: dict[str, str], browser: Browser
) -> None:
    with a_page(browser) as page:
        open_at(page, world, "graph")
        panel = page.get_by_role("complementary", name="Communities")
        page.locator(".communities button").first.click()  # brings its middle into sight
        show_first_member(panel)  # and then one entity to the middle
        page.get_by_role("button", name="Its community").or_(
            page.get_by_role("button", name="All communities")
        ).click()
        expect(panel.get_by_role("heading", name="members")).to_be_visible()
        name = panel.get_by_role("heading", level=2).inner_text()
        show_first_member(panel)
        box = page.locator("canvas").bounding_box()
        assert box is not None
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2 + 14)
        expect(panel.get_by_role("heading", level=2)).to_have_text(name)


def test_a_community_that_is_read_stays_while_the_library_goes_on(
    world: World, filled: dict[str, str], browser: Browser
) -> None:
    with a_page(browser) as page:
        open_at(page, world, "graph")
        page.get_by_label("How many entities").select_option("5000")
        panel = page.get_by_role("complementary", name="Communities")
        second = page.locator(".communities button").nth(1)
        name = second.locator(".clip").inner_text()
        second.click()
        expect(panel.get_by_role("heading", level=2)).to_contain_text(name)
        with page.expect_response("**/api/graph/visualization?*"):
            world.call(world.engine.submit, "community_summarization", {})
        expect(page.locator(".canvas-box")).to_have_attribute("data-settled", "yes")
        expect(panel.get_by_role("heading", level=2)).to_contain_text(name)
        page.reload()
        expect(panel.get_by_role("heading", level=2)).to_contain_text(name)
        expect(page.get_by_label("How many entities")).to_have_value("5000")


def test_the_panel_beside_the_graph_is_walked_and_scrolled_by_keys(
    world: World, filled: dict[str, str], browser: Browser
) -> None:
    with a_page(browser, size=(1280, 560)) as page:
        open_at(page, world, "graph")
        panel = page.get_by_role("complementary", name="Communities")
        page.locator(".communities button").first.focus()
        page.keyboard.press("Enter")
        expect(panel).to_be_focused()
        page.keyboard.press("ArrowDown")
        expect(panel).not_to_have_js_property("scrollTop", 0)


def test_a_file_that_is_refused_says_why_and_a_document_is_deleted_once_confirmed(
    world: World, filled: dict[str, str], browser: Browser
) -> None:
    with a_page(browser) as page:
        open_at(page, world, "library")
        page.get_by_label("Process them at once").uncheck()
        empty: FilePayload = {"name": "empty.txt", "mimeType": "text/plain", "buffer": b""}
        hostile: FilePayload = {
            "name": "<b>bold.txt",
            "mimeType": "text/plain",
            "buffer": b"Some words.",
        }
        page.locator("input[type=file]").set_input_files([empty, hostile])
        uploads = page.get_by_role("region", name="Uploads")
        expect(uploads.locator(".wrong")).to_contain_text("empty")
        row = page.get_by_role("row", name="<b>bold.txt")
        expect(row).to_contain_text("Pending")
        row.get_by_role("button", name="Delete").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete it").click()
        expect(row).to_have_count(0)


def test_files_are_taken_in_wherever_on_the_screen_they_are_dropped(
    world: World, filled: dict[str, str], browser: Browser
) -> None:
    with a_page(browser) as page:
        open_at(page, world, "library")
        page.get_by_label("Process them at once").uncheck()
        dragged = page.evaluate_handle(
            """() => {
                const dragged = new DataTransfer();
                for (const name of ["one.txt", "two.txt"])
                    dragged.items.add(new File([`Words of ${name}.`], name));
                return dragged;
            }"""
        )
        page.dispatch_event("h1", "dragenter", {"dataTransfer": dragged})
        expect(page.locator(".drop")).to_have_class("drop over")
        page.dispatch_event("h1", "drop", {"dataTransfer": dragged})
        expect(page.locator(".drop")).to_have_class("drop")
        expect(page.get_by_text("2 of 2", exact=True)).to_be_visible()
        for name in ("one.txt", "two.txt"):
            row = page.get_by_role("row", name=name)
            expect(row).to_contain_text("Pending")
            row.get_by_role("button", name="Delete").click()
            page.get_by_role("dialog").get_by_role("button", name="Delete it").click()
            expect(row).to_have_count(0)


# -- for everybody -------------------------------------------------------------------------------


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_on_any_screen(
    world: World, filled: dict[str, str], browser: Browser, *, dark: bool
) -> None:
    with a_page(browser, dark=dark) as page:
        found: dict[str, Any] = {}
        for screen in SCREENS:
            open_at(page, world, screen.format(**filled))
            found[screen] = what_axe_finds(page)
        for screen, missed, offered in NOT_SHOWN:
            page.route(missed, lambda route: route.fulfill(status=404))
            open_at(page, world, screen)
            expect(page.get_by_role("button", name=offered)).to_be_visible()
            found[f"{screen} not shown"] = what_axe_finds(page)
        page.keyboard.press("?")
        found["keys"] = what_axe_finds(page)
        assert {screen: each for screen, each in found.items() if each} == {}


def test_axe_finds_nothing_on_a_phone_nor_where_there_is_nothing_yet(
    world: World, filled: dict[str, str], browser: Browser
) -> None:
    found: dict[str, Any] = {}
    with a_page(browser, size=PHONE) as page:
        for screen in SCREENS:
            open_at(page, world, screen.format(**filled))
            found[screen] = what_axe_finds(page)
    with a_world(with_library=True) as fresh, a_page(browser) as page:
        for screen in ("tasks", "library", "graph?"):
            open_at(page, fresh, screen)
            found[f"fresh {screen}"] = what_axe_finds(page)
    assert {screen: each for screen, each in found.items() if each} == {}


def what_axe_finds(page: Page) -> list[str]:
    report = Axe().run(page).response
    return [
        f"{each['id']}: {node['html'][:160]} {node['failureSummary'][:300]}"
        for each in report["violations"]
        for node in each["nodes"]
    ]


def test_on_a_phone_no_screen_is_wider_than_the_phone(
    world: World, filled: dict[str, str], browser: Browser
) -> None:
    with a_page(browser, size=PHONE) as page:
        for screen in SCREENS:
            open_at(page, world, screen.format(**filled))
            width = page.evaluate("() => document.documentElement.scrollWidth")
            assert width <= PHONE[0], screen
            expect(page.get_by_role("navigation", name="Screens")).to_be_in_viewport()


def test_the_theme_is_the_systems_until_another_is_chosen(world: World, browser: Browser) -> None:
    ground = "() => getComputedStyle(document.body).backgroundColor"
    with a_page(browser) as page:
        page.goto(world.url)
        light = page.evaluate(ground)
        page.get_by_role("button", name="Change between light and dark").click()
        dark = page.evaluate(ground)
        assert dark != light
        page.reload()
        expect(page.locator("h1")).to_be_visible()
        assert page.evaluate(ground) == dark
    with a_page(browser, dark=True) as page:
        page.goto(world.url)
        assert page.evaluate(ground) == dark
