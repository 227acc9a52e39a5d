"""The page in a browser with little room: long names, wide figures, a phone. Nothing is cut off."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from playwright.sync_api import Browser, FilePayload, Page, Route, expect

from tests.knowledge import learn, saying
from tests.page_browser import DESK, PHONE, a_page, needs_chromium, open_at, with_large_text
from tests.page_world import World, a_world

pytestmark = needs_chromium

# The texts of those of these elements that what is in them reaches out of.
TOO_NARROW = """(all) =>
    all.filter((each) => each.scrollWidth > each.clientWidth).map((each) => each.textContent)"""


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


def test_each_minute_of_the_chart_is_read_by_the_arrows(world: World, browser: Browser) -> None:
    with a_page(browser) as page:
        seen = page.request.get(f"{world.url}/api/overview").json()
        points = seen["series"]["points"]
        for point in points:
            point.update(completed=0, failed=0, cancelled=0, mean_run_seconds=None)
        points[-1].update(completed=7, failed=1, mean_run_seconds=2.5)
        points[-2].update(cancelled=3)
        page.route("**/api/overview", lambda route: route.fulfill(json=seen))
        open_at(page, world)
        minutes = page.get_by_role("slider", name="Minute of the last hour")
        newest = "7 completed, 1 failed, 0 cancelled, ran 2.5 s on average"
        expect(minutes).to_have_attribute("aria-valuetext", re.compile(f": {newest}$"))
        tip = page.locator(".chart .tip")
        expect(tip).to_be_hidden()
        page.keyboard.press("Tab")
        while not minutes.evaluate("(element) => element === document.activeElement"):
            page.keyboard.press("Tab")
        expect(tip).to_contain_text("7 completed")
        page.keyboard.press("ArrowLeft")
        one_before = re.compile(": 0 completed, 0 failed, 3 cancelled$")
        expect(minutes).to_have_attribute("aria-valuetext", one_before)
        expect(minutes).to_have_attribute("aria-valuenow", str(len(points) - 1))
        expect(tip).to_contain_text("3 cancelled")
        page.set_viewport_size({"width": 900, "height": 900})  # it is drawn anew
        expect(tip).to_contain_text("3 cancelled")
        page.keyboard.press("Home")
        expect(minutes).to_have_attribute("aria-valuenow", "1")
        page.keyboard.press("ArrowLeft")
        expect(minutes).to_have_attribute("aria-valuenow", "1")
        page.keyboard.press("End")
        expect(tip).to_contain_text("7 completed")
        page.keyboard.press("Tab")
        expect(tip).to_be_hidden()


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


LONG = "a_very_long_name_for_a_task_type_that_goes_on_and_on_and_still_does_not_end"


def with_long_names(page: Page, world: World) -> None:
    """Have the server name two of its task types at length, one of them in a single word."""
    seen = page.request.get(f"{world.url}/api/task-types").json()
    for name, row in zip([LONG, "W" * 75], seen["task_types"], strict=False):
        row["name"] = name
        row["run_seconds"] = {"count": 9, "p50": 200.0, "p95": 4_000.0, "p99": 400_000.0}
        row.update(completed=1_234_567, failed=12_345)
    page.route("**/api/task-types", lambda route: route.fulfill(json=seen))


def test_a_type_with_a_long_name_leaves_room_for_its_figures_and_its_button(
    world: World, browser: Browser
) -> None:
    with a_page(browser) as page:
        with_long_names(page, world)
        open_at(page, world)
        expect(page.get_by_role("rowheader", name="A very long name")).to_be_visible()
        around = page.get_by_role("region", name="Task types").last
        assert around.evaluate("(each) => each.scrollWidth <= each.clientWidth")
        assert outside(page, ".scrolls", ".scrolls .button") == []
    with a_page(browser, size=(360, 760)) as page:
        with_long_names(page, world)
        open_at(page, world)
        assert outside(page, ".scrolls", ".scrolls thead th:nth-child(-n + 3)") == []


def test_a_type_with_a_long_name_stays_beside_the_search(world: World, browser: Browser) -> None:
    with a_page(browser) as page:
        with_long_names(page, world)
        open_at(page, world, "tasks")
        menu = page.get_by_label("Task type")
        expect(menu.get_by_role("option")).not_to_have_count(1)
        beside, search = menu.bounding_box(), page.get_by_label("Search tasks").bounding_box()
        assert beside is not None
        assert search is not None
        assert beside["y"] == search["y"]
        assert beside["width"] < search["width"] / 2


def test_on_a_phone_a_document_can_be_deleted(world: World, browser: Browser) -> None:
    name = "a-document-with-a-rather-long-name-of-which-not-all-is-seen.txt"
    with a_page(browser, size=(360, 760)) as page:
        open_at(page, world, "library")
        page.get_by_label("Process them at once").uncheck()
        file: FilePayload = {"name": name, "mimeType": "text/plain", "buffer": b"Some words."}
        page.locator("input[type=file]").set_input_files(file)
        row = page.get_by_role("row", name=name)
        row.get_by_role("button", name="Delete").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete it").click()
        expect(row).to_have_count(0)


def test_on_a_phone_the_list_says_when_a_task_was_submitted_and_how_long_it_ran(
    world: World, browser: Browser
) -> None:
    world.clock.behind = timedelta(hours=3)
    task_id = world.submit("report", seconds=65, message="Written")
    world.clock.behind = timedelta()
    with a_page(browser, size=(360, 760)) as page:
        open_at(page, world, f"tasks?q=id:{task_id}")
        row = page.get_by_role("row", name="Report")
        times = row.get_by_text(re.compile(r"3 h ago, ran 1 min \d+ s"))
        expect(times).to_be_visible()
        assert times.evaluate("(each) => each.scrollWidth <= each.clientWidth")
        expect(row.locator(".c-age, .c-ran").filter(visible=True)).to_have_count(0)
    with a_page(browser) as page:
        open_at(page, world, f"tasks?q=id:{task_id}")
        expect(page.get_by_text("3 h ago, ran")).to_be_hidden()


def test_no_duration_is_said_in_sixty_seconds_or_a_thousand_milliseconds(
    world: World, browser: Browser
) -> None:
    with a_page(browser) as page:
        open_at(page, world)
        said = page.evaluate("""async () => {
            const page = document.querySelector("script[type=module]").src;
            const { duration, roughly } = await import(new URL("format.js", page));
            const close = [0.9994, 0.9996, 9.94, 9.96, 59.4, 59.6];
            return [...close.map(duration), roughly(3569), roughly(3599)];
        }""")
    assert said == ["999 ms", "1.0 s", "9.9 s", "10 s", "59 s", "1 min", "59 min", "1 h"]


def tell_of_long_times(route: Route) -> None:
    """Say how it stands, in words that are as long as they come."""
    seen = route.fetch().json()
    began = datetime.fromisoformat(seen["now"]) - timedelta(minutes=59)
    for task in seen["running"]:
        task |= {"started_at": began.isoformat(), "progress_percent": 50}
    route.fulfill(json=seen | {"loop_lag_seconds": 754.0, "uptime_seconds": 20 * 86_400 + 82_740})


def test_text_is_as_large_as_the_browser_is_told_and_every_screen_has_room_for_it(
    world: World, browser: Browser
) -> None:
    task_id = world.submit("report", error="No luck at all: the archive refused the connection")
    world.submit("export", percent=40)
    assert world.library is not None
    world.call(learn, world.library, "a-rather-long-name.txt", saying("Ada and Charles."))
    with with_large_text(browser, 32) as large:
        for size in (DESK, PHONE, (320, 640)):
            with a_page(large, size=size) as page:
                page.route("**/api/tasks/events*", lambda _route: None)  # "Live" is short
                page.route("**/api/overview", tell_of_long_times)
                for place in ("", "tasks", f"tasks/{task_id}", "library", "graph"):
                    open_at(page, world, place)
                    expect(page.locator("main")).to_have_attribute("aria-busy", "false")
                    expect(page.locator("body")).to_have_css("font-size", "28px")
                    wider = "document.documentElement.scrollWidth - window.innerWidth"
                    assert page.evaluate(wider) <= 0, (size, place)
                    assert page.locator(".tile, .head, .moments li").evaluate_all(TOO_NARROW) == []
    world.clear()


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_what_an_operation_ended_with_stays_within_its_card_however_long_it_is(
    world: World, browser: Browser, size: tuple[int, int]
) -> None:
    world.submit("report", error="The archive refused the connection. " * 20)
    with a_page(browser, size=size) as page:
        newest = page.request.get(f"{world.url}/api/tasks?limit=1").json()
        page.route("**/api/tasks?task_type=*", lambda route: route.fulfill(json=newest))
        open_at(page, world, "library")
        expect(page.locator(".operation .wrong")).to_have_count(4)
        first = ".operation:first-child"
        assert outside(page, first, f"{first} .wrong") == []
        wider = "document.documentElement.scrollWidth - window.innerWidth"
        assert page.evaluate(wider) <= 0
