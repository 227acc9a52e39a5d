"""The page in a browser with what nobody hopes for: large and hostile values, strange files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, FilePayload, Page, expect

from tests.page_browser import PHONE, a_page, needs_chromium, open_at, retry_now
from tests.page_world import HOSTILE, World, a_world

pytestmark = needs_chromium

TURNED = "invoice\u202egnp.exe"  # what follows is written from right to left
WIDE = "W" * 3_000


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with a_world(loop="asyncio", with_library=True) as world:
        yield world


@pytest.fixture
def page(browser: Browser, world: World) -> Iterator[Page]:
    with a_page(browser) as page:
        yield page
    world.clear()


def text(name: str, content: str = "Some words.") -> FilePayload:
    return {"name": name, "mimeType": "text/plain", "buffer": content.encode()}


def width(page: Page) -> int:
    return int(page.evaluate("() => document.documentElement.scrollWidth"))


# -- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1280, 800), PHONE, (320, 600)], ids=str)
def test_no_name_in_a_result_widens_the_page(
    world: World, browser: Browser, size: tuple[int, int]
) -> None:
    result: dict[str, Any] = {WIDE: 1, f"{WIDE}2": {WIDE: WIDE}, f"{HOSTILE}3": [{WIDE: WIDE}]}
    task_id = world.submit("report", result=result)
    with a_page(browser, size=size) as page:
        open_at(page, world, f"tasks/{task_id}")
        assert width(page) <= size[0]
        page.get_by_role("button", name="JSON").click()
        assert width(page) <= size[0]


@pytest.mark.parametrize("size", [(1280, 800), (320, 600)], ids=str)
@pytest.mark.parametrize(
    "result", ["z" * 3_000_000, 10**3_000, [WIDE]], ids=["text", "int", "list"]
)
def test_no_result_widens_the_page(
    world: World, browser: Browser, size: tuple[int, int], result: object
) -> None:
    task_id = world.submit("report", result=result)
    with a_page(browser, size=size) as page:
        open_at(page, world, f"tasks/{task_id}")
        expect(page.get_by_role("heading", name="Result")).to_be_visible()
        assert width(page) <= size[0]
        page.get_by_role("button", name="JSON").click()
        assert width(page) <= size[0]


@pytest.mark.parametrize(
    ("result", "shown"), [("", '""'), (" \n", r'" \n"')], ids=["none", "blank"]
)
def test_a_text_of_which_nothing_would_be_seen_is_shown_in_quotes(
    world: World, page: Page, result: str, shown: str
) -> None:
    task_id = world.submit("report", result=result)
    open_at(page, world, f"tasks/{task_id}")
    card = page.locator(".card", has=page.get_by_role("heading", name="Result"))
    expect(card.locator(".result-part")).to_have_text(shown)
    page.get_by_role("button", name="JSON").click()
    expect(card.locator(".result-part")).to_have_text(shown)


def test_a_deep_result_is_opened_to_its_end_within_the_page(world: World, page: Page) -> None:
    deep: Any = "the end"
    for _ in range(80):
        deep = {"in": deep}
    open_at(page, world, f"tasks/{world.submit('report', result=deep)}")
    page.evaluate(
        """async () => {
            for (let level = 0; level < 90; level += 1) {
                document.querySelectorAll("details").forEach((each) => { each.open = true; });
                await new Promise((done) => setTimeout(done));
            }
        }"""
    )
    expect(page.get_by_text("the end").first).to_be_attached()
    assert width(page) <= 1280


def test_of_very_many_fields_the_first_are_shown_and_more_on_demand(
    world: World, page: Page
) -> None:
    result: dict[str, Any] = {f"field {number}": number for number in range(250)}
    result |= {f"list {number}": [number] for number in range(30)}
    open_at(page, world, f"tasks/{world.submit('report', result=result)}")
    fields = page.locator(".facts dt").filter(has_text="Field")
    expect(fields).to_have_count(100)
    page.get_by_role("button", name="Show more (150 left)").click()
    expect(fields).to_have_count(200)
    parts = page.locator(".result-part h3")
    expect(parts).to_have_count(20)
    page.get_by_role("button", name="Show more (10 left)").click()
    expect(parts).to_have_count(30)


def test_a_long_text_is_shown_piece_by_piece(world: World, page: Page) -> None:
    open_at(page, world, f"tasks/{world.submit('report', result={'text': 'x' * 150_000})}")
    said = page.locator(".facts dd").filter(has_text="xxx")
    said.get_by_role("button", name="Show more (148,000 characters left)").click()
    said.get_by_role("button", name="Show all 150,000 characters").click()
    expect(said.get_by_role("button")).to_have_count(0)
    assert len(said.inner_text().strip()) == 150_000


def test_a_column_that_only_later_rows_have_is_there(world: World, page: Page) -> None:
    rows: list[dict[str, Any]] = [{"n": number} for number in range(300)]
    open_at(page, world, f"tasks/{world.submit('report', result=[*rows, {'late': 1}])}")
    expect(page.get_by_role("columnheader", name="Late")).to_be_visible()


@pytest.mark.parametrize("kind", ["alone", "list", "field"])
@pytest.mark.parametrize("digits", ["12345678901234567890", "-9007199254740993"])
def test_a_long_number_keeps_its_digits_wherever_it_stands(
    world: World, page: Page, kind: str, digits: str
) -> None:
    number = int(digits)
    result = {"alone": number, "list": [1, number], "field": {"n": number}}[kind]
    open_at(page, world, f"tasks/{world.submit('report', result=result)}")
    expect(page.locator(".result-part").get_by_text(digits, exact=True)).to_be_visible()


def test_where_no_number_is_long_the_values_of_an_answer_are_not_looked_at_one_by_one(
    world: World, page: Page
) -> None:
    page.add_init_script(
        """const parse = JSON.parse;
        window.lookedAt = 0;
        JSON.parse = (text, look) => {
            if (look) window.lookedAt += 1;
            return parse(text, look);
        };"""
    )
    result = [{"n": number, "share": number / 7, "name": "4" * 30} for number in range(300)]
    open_at(page, world, f"tasks/{world.submit('report', result=result)}")
    expect(page.get_by_role("columnheader", name="Share")).to_be_visible()
    assert page.evaluate("() => window.lookedAt") == 0


def test_a_row_without_a_column_shows_nothing_there_whatever_the_column_is_called(
    world: World, page: Page
) -> None:
    names = ("constructor", "toString", "__proto__", "valueOf")
    rows: list[dict[str, Any]] = [{"n": 1}, *({name: 7} for name in names)]
    open_at(page, world, f"tasks/{world.submit('report', result=rows)}")
    table = page.get_by_role("region", name="Table")
    expect(table.get_by_role("columnheader")).to_have_count(len(rows))
    for number, row in enumerate(table.locator("tbody tr").all()):
        shown = ["" for _ in rows]
        shown[number] = "7" if number else "1"
        expect(row.get_by_role("cell")).to_have_text(shown)


def test_text_that_turns_its_direction_leaves_what_stands_beside_it(
    world: World, page: Page
) -> None:
    task_id = world.submit("export", percent=40, message=TURNED, log=TURNED)
    turns = "(element) => getComputedStyle(element).unicodeBidi"
    open_at(page, world, "tasks")
    message = page.locator("tbody .what span").get_by_text(TURNED, exact=True)
    assert message.evaluate(turns) == "isolate"
    open_at(page, world, f"tasks/{task_id}")
    line = page.get_by_label("Log lines").get_by_text(TURNED, exact=True)
    assert line.evaluate(turns) == "isolate"


# -- files ----------------------------------------------------------------------------------------


def test_of_a_folder_that_is_dropped_all_files_are_taken(
    world: World, page: Page, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    (folder / "deeper").mkdir(parents=True)
    (folder / "first.txt").write_text("Words of the first.")
    (folder / "deeper" / "second.txt").write_text("Words of the second.")
    open_at(page, world, "library")
    page.get_by_label("Process them at once").uncheck()
    drop(page, str(folder))
    uploads = page.get_by_role("region", name="Uploads")
    expect(uploads).to_be_visible()
    for name in ("first.txt", "second.txt"):
        each = uploads.get_by_role("listitem").filter(has_text=name)
        expect(each).to_contain_text("taken in")


def test_of_a_folder_that_is_dropped_what_can_be_read_is_taken_whatever_cannot(
    world: World, page: Page
) -> None:
    open_at(page, world, "library")
    page.get_by_label("Process them at once").uncheck()
    page.evaluate(
        """() => {
          const leaf = (name, file) => ({ isFile: true, name, file });
          const file = (name) => leaf(name, (give) => give(new File([name], name)));
          const gone = leaf("gone.txt", (_, refuse) => refuse(new Error()));
          const folder = (name, ...parts) => ({ name, isDirectory: true, createReader: () => ({
            readEntries: (give) => give(parts.splice(0)),
          }) });
          const deeper = folder("deeper", gone, file("within.txt"));
          const all = folder("all", file("before.txt"), gone, deeper, file("after.txt"));
          const items = [{ webkitGetAsEntry: () => all }];
          const dropped = new Event("drop", { cancelable: true });
          dispatchEvent(Object.assign(dropped, { dataTransfer: { files: [all], items } }));
        }"""
    )
    uploads = page.get_by_role("region", name="Uploads")
    for name in ("before.txt", "within.txt", "after.txt"):
        each = uploads.get_by_role("listitem").filter(has_text=name)
        expect(each).to_contain_text("taken in")
    lost = uploads.get_by_role("listitem").filter(has_text="gone.txt")
    expect(lost).to_have_count(2)
    expect(lost.first).to_contain_text("The browser cannot read this.")
    expect(uploads).to_contain_text("3 of 5, 2 failed")


def drop(page: Page, path: str) -> None:
    """Drop it as a person would: a script cannot make a folder."""
    box = page.locator(".drop").bounding_box()
    assert box is not None
    session = page.context.new_cdp_session(page)
    place = {"x": box["x"] + 20, "y": box["y"] + 20}
    data = {"items": [], "files": [path], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, **place, "data": data})


def test_uploads_wait_for_a_server_that_is_away_and_outlive_a_change_of_screen(
    world: World, page: Page
) -> None:
    open_at(page, world, "library")
    expect(page.locator(".dot.live")).to_be_visible()
    page.get_by_label("Process them at once").uncheck()
    world.hang_up()
    expect(page.get_by_text("Connection lost")).to_have_count(2)
    files = [text(f"away{number}.txt", f"Words {number}.") for number in range(5)]
    page.locator("input[type=file]").set_input_files(files)
    uploads = page.get_by_role("region", name="Uploads")
    expect(uploads.get_by_text("waits for the server")).to_have_count(3)
    page.get_by_role("link", name="Overview", exact=True).click()
    expect(page.get_by_role("alert").last).to_be_visible()
    world.listen_again()
    retry_now(page)
    expect(page.locator(".dot.live")).to_be_visible()
    page.get_by_role("link", name="Library", exact=True).click()
    expect(uploads.get_by_text("5 of 5", exact=True)).to_be_visible()
    expect(page.get_by_role("row", name="away4.txt")).to_be_visible()


def test_of_very_many_files_those_that_are_refused_are_told_first(browser: Browser) -> None:
    refused = [text("refused1.txt", ""), text("refused2.txt", "")]
    files = [text(f"many{number}.txt", f"Words {number}.") for number in range(203)]
    with a_world(with_library=True) as world, a_page(browser) as page:
        open_at(page, world, "library")
        page.get_by_label("Process them at once").uncheck()
        page.locator("input[type=file]").set_input_files([*refused, *files])
        uploads = page.get_by_role("region", name="Uploads")
        expect(uploads.get_by_text("203 of 205, 2 failed", exact=True)).to_be_visible()
        for number, each in enumerate(refused):
            item = uploads.get_by_role("listitem").nth(number)
            expect(item).to_contain_text(each["name"])
            expect(item.locator(".wrong")).to_contain_text("empty")
        expect(uploads.get_by_text("and 3 more", exact=True)).to_be_visible()


def test_a_page_of_the_library_that_is_not_there_is_the_last_one(world: World, page: Page) -> None:
    open_at(page, world, "library")
    page.get_by_label("Process them at once").uncheck()
    page.locator("input[type=file]").set_input_files(text("only.txt", "The only words."))
    expect(page.get_by_role("row", name="only.txt")).to_be_visible()
    for number in ("9", "99999999999999999999"):
        page.goto("about:blank")
        open_at(page, world, f"library?page={number}")
        expect(page.get_by_role("row", name="only.txt")).to_be_visible()
        expect(page).to_have_url(re.compile("#/library$"))


def test_what_others_upload_appears_by_itself(world: World, page: Page, browser: Browser) -> None:
    page.clock.install()
    open_at(page, world, "library")
    with a_page(browser) as other:
        open_at(other, world, "library")
        other.get_by_label("Process them at once").uncheck()
        other.locator("input[type=file]").set_input_files(text("theirs.txt", "Theirs."))
        expect(other.get_by_role("row", name="theirs.txt")).to_be_visible()
    page.clock.fast_forward(11_000)
    page.clock.fast_forward(2_000)
    expect(page.get_by_role("row", name="theirs.txt")).to_be_visible()


# -- people ---------------------------------------------------------------------------------------


def test_in_forced_colours_a_bar_shows_how_far_a_task_is(world: World, browser: Browser) -> None:
    world.submit("export", percent=50)
    with a_page(browser, forced_colors="active") as page:
        open_at(page, world)
        bar = page.locator(".now-list .bar").first
        colour = "(element) => getComputedStyle(element).backgroundColor"
        assert bar.evaluate(colour) != bar.locator("span").evaluate(colour)
    world.clear()


def test_a_moment_of_another_day_says_which(world: World, page: Page) -> None:
    world.clock.behind = timedelta(days=3)
    task_id = world.submit("report")
    world.clock.behind = timedelta()
    open_at(page, world, f"tasks/{task_id}")
    moment = page.locator(".moments time").first
    expect(moment).to_have_text(re.compile(r"^\d{1,2} \w+, \d\d:\d\d:\d\d$"))
