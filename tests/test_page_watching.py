"""The page in a browser: who gets in, what they see, and that it follows what happens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.page_browser import a_page, needs_chromium, open_at, retry_now
from tests.page_world import HOSTILE, LONG, World, a_world

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Without keys: nobody signs in. (The laws about steering have one on asyncio.)"""
    with a_world(loop="trio") as world:
        yield world


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with a_page(browser) as page:
        yield page


def open_live(page: Page, world: World, place: str = "") -> None:
    """Open a screen, and wait until it is there and hears of changes."""
    open_at(page, world, place)
    expect(page.locator(".dot.live, .dot.polling")).to_be_visible()


# -- getting in ----------------------------------------------------------------------------------


def test_a_key_gets_in_and_is_kept_where_no_script_finds_it(
    browser: Browser, tmp_path: Path
) -> None:
    with a_world(keys=tmp_path) as world, a_page(browser) as page:
        assert world.keys is not None
        key = world.keys.create("Ada")
        page.goto(world.url)
        field = page.get_by_label("API key")
        expect(field).to_be_focused()
        field.fill("cortex_rw_wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("does not know this key")
        field.fill(key)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        expect(page.get_by_text("Ada")).to_be_visible()
        seen = page.evaluate(
            "() => [document.cookie, JSON.stringify(localStorage), JSON.stringify(sessionStorage),"
            " location.href, document.documentElement.outerHTML].join()"
        )
        assert key not in seen
        assert "cortex_session" not in seen
        page.reload()
        expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        world.keys.revoke("Ada")
        # By its address: the page may have noticed already, and have no link any more.
        page.evaluate("location.hash = '#/tasks'")
        expect(page.get_by_label("API key")).to_be_visible()


def test_who_cannot_stay_signed_in_is_told_that_the_browser_keeps_no_cookie(
    browser: Browser, tmp_path: Path
) -> None:
    def without_cookies(app: ASGIApp) -> ASGIApp:
        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            async def send_rest(message: Message) -> None:
                if message["type"] == "http.response.start":
                    message["headers"] = [
                        each for each in message["headers"] if each[0] != b"set-cookie"
                    ]
                await send(message)

            await app(scope, receive, send_rest)

        return serve

    with a_world(keys=tmp_path, around=without_cookies) as world, a_page(browser) as page:
        assert world.keys is not None
        page.goto(world.url)
        page.get_by_label("API key").fill(world.keys.create("Ada"))
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("your browser did not keep the cookie")
        expect(page.get_by_label("API key")).to_be_focused()
        expect(page.get_by_role("button", name="Sign in")).to_be_enabled()


def test_who_signs_out_has_to_sign_in_again(browser: Browser, tmp_path: Path) -> None:
    with a_world(keys=tmp_path) as world, a_page(browser) as page:
        assert world.keys is not None
        page.goto(world.url)
        page.get_by_label("API key").fill(world.keys.create("Ada"))
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("API key")).to_be_visible()
        page.reload()
        expect(page.get_by_label("API key")).to_be_visible()


def test_who_may_only_look_sees_no_button_that_would_be_refused(
    browser: Browser, tmp_path: Path
) -> None:
    with a_world(keys=tmp_path, with_library=True) as world, a_page(browser) as page:
        assert world.keys is not None
        running = world.submit("export", percent=10)
        failed = world.submit("report", error="No luck")
        page.goto(world.url)
        page.get_by_label("API key").fill(world.keys.create("Bob", ["read"]))
        page.keyboard.press("Enter")
        expect(page.get_by_text("may look, not change")).to_be_visible()
        steering = re.compile("(?i)cancel|retry|pause|resume|process|analyse|detect|chain|delete")
        for place in ["", "tasks", f"tasks/{running}", f"tasks/{failed}", "library"]:
            page.goto(f"{world.url}/#/{place}")
            expect(page.get_by_role("heading", level=1)).to_be_visible()
            expect(page.locator("main")).to_have_attribute("aria-busy", "false")
            offered = [button.inner_text() for button in page.get_by_role("button").all()]
            chips = {"Pending", "Running", "Completed", "Failed", "Cancelled", "Processing"}
            assert [
                each for each in offered if steering.search(each) and each.split()[0] not in chips
            ] == []
            assert page.locator("input[type=checkbox], input[type=file]").count() == 0
        page.goto(f"{world.url}/#/tasks/{running}")
        expect(page.get_by_role("heading", name="Export")).to_be_visible()
        page.keyboard.press("c")
        assert page.get_by_role("dialog").count() == 0


# -- following -----------------------------------------------------------------------------------


def test_what_runs_appears_and_moves_by_itself(world: World, page: Page) -> None:
    open_live(page, world)
    first = world.submit("export", percent=42, message="Half of it is written")
    running = page.get_by_role("region", name="Running now").or_(page.locator(".now-list"))
    expect(running.get_by_text("Half of it is written")).to_be_visible()
    expect(running.get_by_role("progressbar", name=first)).to_have_attribute("aria-valuenow", "42")
    tile = page.locator(".tile", has_text="Completed").locator(".figure")
    before = int(tile.inner_text())
    world.open_gate()
    expect(tile).to_have_text(str(before + 1))
    expect(running.get_by_text("Half of it is written")).to_have_count(0)


def test_a_task_ends_before_ones_eyes(world: World, page: Page) -> None:
    task_id = world.submit("export", percent=83, message="Nearly", result={"rows": [{"n": 1}]})
    open_live(page, world, f"tasks/{task_id}")
    expect(page.locator(".progress-line .share")).to_have_text("83 %")
    expect(page.get_by_text("Nearly", exact=True)).to_be_visible()
    world.open_gate()
    expect(page.locator(".under .badge")).to_have_text("Completed")
    expect(page.get_by_role("heading", name="Result")).to_be_visible()
    expect(page.get_by_role("columnheader", name="N")).to_be_visible()
    expect(page.get_by_role("link", name="Download result")).to_be_visible()


def test_rows_stay_where_they_are_while_somebody_points_at_them(world: World, page: Page) -> None:
    for number in range(5):
        world.submit("report", message=f"Report {number}")
    open_live(page, world, "tasks")
    row = page.locator("tbody tr").nth(2)
    row.hover()
    before, text = row.bounding_box(), row.inner_text()
    world.submit("report", message="A newer one")
    newer = page.get_by_role("button", name=re.compile("newer task"))
    expect(newer).to_be_visible()
    assert page.get_by_text("A newer one").count() == 0
    assert row.inner_text().splitlines()[:2] == text.splitlines()[:2]
    box = row.bounding_box()
    assert before is not None
    assert box is not None
    page.mouse.move(5, 5)
    newer.click()
    expect(page.locator("tbody tr").first).to_contain_text("A newer one")


def test_a_restart_of_the_server_is_shown_and_outlived(world: World, page: Page) -> None:
    task_id = world.submit("export", percent=20)
    open_live(page, world, f"tasks/{task_id}")
    world.hang_up()
    expect(page.locator(".lost-bar")).to_contain_text(re.compile("retrying in [0-9]+ s"))
    # Nothing that counts is in what is read out at once.
    expect(page.get_by_role("alert")).to_have_text("Connection lost, retrying")
    assert page.locator("[role=alert] [data-moves], [role=status] [data-moves]").count() == 0
    world.open_gate()
    world.listen_again()
    retry_now(page)
    expect(page.locator(".dot.live, .dot.polling")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.locator(".under .badge")).to_have_text("Completed")


@pytest.mark.parametrize("prefix", ["/user/ada@example.org/tasks", "/deep;er,down"])
def test_under_a_prefix_and_where_no_stream_comes_through_it_looks_every_few_seconds(
    browser: Browser, tmp_path: Path, prefix: str
) -> None:
    def without_streams(app: ASGIApp) -> ASGIApp:
        async def no_stream(request: Request) -> Response:
            return Response(status_code=502)

        routes = [Route(f"{prefix}/api/tasks/events", no_stream), Mount(prefix, app=app)]
        return Starlette(routes=routes)

    with a_world(keys=tmp_path, around=without_streams) as world, a_page(browser) as page:
        assert world.keys is not None
        task_id = world.submit("export", percent=20, message="Under way")
        page.goto(f"{world.url}{prefix}/#/tasks/{task_id}")
        page.get_by_label("API key").fill(world.keys.create("Ada"))
        page.keyboard.press("Enter")
        expect(page.locator(".under .badge")).to_have_text("Running")
        expect(page.get_by_text("Looking every 3 s")).to_be_visible()
        world.open_gate()
        expect(page.locator(".under .badge")).to_have_text("Completed")


# -- finding and reading -------------------------------------------------------------------------


def test_a_search_is_in_the_address_and_chips_write_into_it(world: World, page: Page) -> None:
    world.submit("report", error="The moon is full")
    world.submit("report", message="Written")
    open_live(page, world, "tasks")
    page.get_by_role("button", name=re.compile("^Failed")).click()
    search = page.get_by_label("Search tasks")
    expect(search).to_have_value("status:failed")
    expect(page).to_have_url(re.compile(r"#/tasks\?q=status%3Afailed"))
    expect(page.locator("tbody .badge").first).to_have_text("Failed")
    page.get_by_label("Task type").select_option("report")
    expect(search).to_have_value("type:report status:failed")
    search.fill("type:report status:failed moon")
    expect(page.locator("tbody tr").first).to_contain_text("The moon is full")
    page.reload()
    expect(search).to_have_value("type:report status:failed moon")
    search.fill("colour:blue")
    expect(page.get_by_role("alert")).to_contain_text("colour:")
    search.fill("id:none")
    expect(page.get_by_text("No task fits this search")).to_be_visible()
    page.get_by_role("button", name="Show all tasks").click()
    expect(page.locator("tbody tr").first).to_be_visible()


def test_a_failure_says_why_and_each_attempt_is_shown(world: World, page: Page) -> None:
    task_id = world.submit("newsletter", error="451 try again later")
    open_live(page, world, f"tasks/{task_id}")
    expect(page.locator(".under .badge")).to_have_text("Retrying")
    expect(page.locator(".moments")).to_contain_text("Attempt 1 failed")
    expect(page.locator(".moments")).to_contain_text("451 try again later")
    failed = world.submit("report", error="The moon is full")
    page.goto(f"{world.url}/#/tasks/{failed}")
    expect(page.get_by_text("Why it failed")).to_be_visible()
    expect(page.locator(".notice.is-failed")).to_contain_text("The moon is full")


def test_what_a_body_writes_to_its_log_is_there_while_it_runs(world: World, page: Page) -> None:
    silent = world.submit("export", percent=5)
    open_live(page, world, f"tasks/{silent}")
    log = page.get_by_label("Log lines")
    expect(log).to_be_hidden()
    told = world.submit("export", percent=5, log=f"row one is odd\n{HOSTILE}")
    page.goto(f"{world.url}/#/tasks/{told}")
    expect(page.locator(".under .badge")).to_have_text("Running")
    lines = log.get_by_role("listitem")
    expect(lines).to_have_count(2)
    expect(lines.nth(0)).to_contain_text("row one is odd number=7")
    expect(lines.nth(0)).to_contain_text("warning")
    expect(lines.nth(1)).to_contain_text(HOSTILE)
    assert "taken" not in page.title()
    world.open_gate()


def test_hostile_and_endless_text_is_shown_as_text(world: World, page: Page) -> None:
    bad = world.submit(
        "report", message=HOSTILE, result={HOSTILE: [{HOSTILE: HOSTILE, "long": LONG}]}
    )
    failed = world.submit("report", error=f"{HOSTILE} {LONG}")
    running = world.submit("export", percent=5, message=f"{HOSTILE} {LONG}")
    for place in ["", "tasks", f"tasks/{bad}", f"tasks/{failed}", f"tasks/{running}"]:
        open_live(page, world, place)
        expect(page.get_by_text("<img src=x").first).to_be_attached()
        assert page.locator("img[src=x]").count() == 0
        assert "taken" not in page.title()
        assert page.evaluate("() => document.documentElement.scrollWidth") <= 1280
    world.open_gate()


def test_numbers_keep_all_their_digits(world: World, page: Page) -> None:
    task_id = world.submit("report", result={"big": 12345678901234567890, "rows": 1234567})
    open_live(page, world, f"tasks/{task_id}")
    expect(page.get_by_text("12345678901234567890", exact=True)).to_be_visible()
    expect(page.get_by_text("1,234,567", exact=True)).to_be_visible()


def test_a_task_that_is_not_there_is_said_not_to_be(world: World, page: Page) -> None:
    open_live(page, world)
    page.evaluate("location.hash = '#/tasks/task_nowhere'")
    expect(page.get_by_role("heading", level=1, name="No such task")).to_be_focused()
    expect(page.get_by_text("task_nowhere")).to_be_visible()
