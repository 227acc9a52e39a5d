"""The page in a browser when the way to the server fails, or what it shows changes unheard."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, FilePayload, Page, Request, Route, expect

from tests.page_browser import a_page, needs_chromium, open_at, retry_now
from tests.page_world import World, a_world

pytestmark = needs_chromium

STREAM = "**/api/tasks/events*"
SESSION = "**/api/session"
OVERVIEW = "**/api/overview"
DOCUMENTS = "**/api/documents?*"


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with a_world(loop="trio", with_library=True) as world:
        yield world


@pytest.fixture
def page(browser: Browser, world: World) -> Iterator[Page]:
    with a_page(browser) as page:
        yield page
    world.clear()


def sign_in(page: Page, world: World, key: str) -> None:
    page.goto(world.url)
    page.get_by_label("API key").fill(key)
    page.keyboard.press("Enter")
    expect(page.locator(".dot.live")).to_be_visible()


# -- what is not heard ----------------------------------------------------------------------------


def test_what_happens_before_the_stream_has_come_through_is_seen(world: World, page: Page) -> None:
    held: list[Route] = []
    page.route(STREAM, lambda route: held.append(route))
    task_id = world.submit("export", percent=40)
    open_at(page, world, f"tasks/{task_id}")
    expect(page.locator(".under .badge")).to_have_text("Running")
    world.open_gate()
    expect(page.locator(".connection")).to_have_text("Connecting…")
    for route in held:
        route.continue_()
    expect(page.locator(".under .badge")).to_have_text("Completed")


def test_where_streams_are_held_back_it_goes_on_looking_while_it_tries_to_open_one(
    world: World, page: Page
) -> None:
    begin = datetime.now(UTC)
    page.clock.install(time=begin)
    held: list[Route] = []
    page.route(STREAM, lambda route: held.append(route))
    task_id = world.submit("export", percent=30)
    open_at(page, world, f"tasks/{task_id}")
    page.clock.pause_at(begin + timedelta(seconds=15))
    look = "**/api/tasks?q=id*"
    with page.expect_request(look):
        page.clock.fast_forward(20_000)
    expect(page.get_by_text("Looking every 3 s")).to_be_visible()
    for _ in range(19):
        with page.expect_request(look):
            page.clock.fast_forward(3_000)
    with page.expect_request(STREAM):
        page.clock.fast_forward(3_000)
    for _ in range(3):
        with page.expect_request(look):
            page.clock.fast_forward(3_000)
    held[-1].continue_()
    expect(page.locator(".dot.live")).to_be_visible()


@pytest.mark.parametrize("by_hand", [True, False], ids=["by hand", "by itself"])
def test_where_streams_are_held_back_it_is_not_lost_any_more_once_the_server_answers(
    world: World, page: Page, *, by_hand: bool
) -> None:
    begin = datetime.now(UTC)
    page.clock.install(time=begin)
    held: list[Route] = []
    page.route(STREAM, lambda route: held.append(route))
    task_id = world.submit("export", percent=30)
    open_at(page, world, f"tasks/{task_id}")
    page.clock.pause_at(begin + timedelta(seconds=15))
    look = "**/api/tasks?q=id*"
    away = page.get_by_role("alert").filter(has_text="Connection lost, retrying")
    with page.expect_request(look):
        page.clock.fast_forward(20_000)
    page.route(SESSION, lambda route: route.abort("connectionreset"))
    page.clock.fast_forward(3_000)
    expect(away).to_be_visible()
    page.unroute(SESSION)
    with page.expect_request(look):
        if by_hand:
            page.get_by_role("button", name="Retry now").click()
        else:
            page.clock.fast_forward(1_000)
    expect(away).to_be_hidden()
    world.open_gate()
    for _ in range(3):  # while a stream is tried
        with page.expect_request(look):
            page.clock.fast_forward(3_000)
        expect(page.locator(".connection")).to_have_text("Looking every 3 s")
    page.clock.resume()  # what is seen is drawn by the clock, too
    expect(page.locator(".under .badge")).to_have_text("Completed")
    held[-1].continue_()
    expect(page.locator(".dot.live")).to_be_visible()


def test_a_connection_that_fell_silent_is_said_to_be_lost_for_as_long_as_it_is(
    world: World, page: Page
) -> None:
    page.clock.install()
    open_at(page, world, "library")
    expect(page.locator("main")).to_have_attribute("aria-busy", "false")
    expect(page.locator(".dot.live")).to_be_visible()
    for question in (SESSION, STREAM):  # nobody answers, and nobody refuses
        page.route(question, lambda _route: None)
    with page.expect_request(SESSION):
        page.clock.fast_forward(20_000)
    page.clock.fast_forward(15_000)
    expect(page.get_by_role("alert")).to_contain_text("Connection lost, retrying")
    with page.expect_request(SESSION):  # as after a pause
        page.clock.fast_forward(2_000)
    page.clock.fast_forward(11_000)
    expect(page.get_by_role("alert")).to_contain_text("Connection lost, retrying")
    page.unroute(SESSION)
    page.unroute(STREAM)
    page.clock.fast_forward(3_000)
    expect(page.locator(".dot.live")).to_be_visible()


def test_what_was_asked_over_a_connection_that_fell_silent_is_asked_again(
    world: World, page: Page
) -> None:
    page.clock.install()
    open_at(page, world)
    tile = page.locator(".tile", has_text="Completed").locator(".figure")
    before = int(tile.inner_text())
    expect(page.locator(".dot.live")).to_be_visible()
    held: list[Route] = []  # the first question, which nobody answers, and nobody refuses
    page.route(OVERVIEW, lambda route: route.continue_() if held else held.append(route))
    with page.expect_request(OVERVIEW):
        page.clock.fast_forward(11_000)
    world.submit("report", message="Written meanwhile")
    page.clock.fast_forward(25_000)
    expect(tile).to_have_text(str(before + 1))


def test_a_page_that_is_opened_while_the_server_is_away_comes_with_it(
    world: World, page: Page
) -> None:
    page.clock.install()
    for question in (SESSION, STREAM):
        page.route(question, lambda route: route.abort("connectionrefused"))
    page.goto(f"{world.url}/#/library")
    expect(page.get_by_role("alert")).to_contain_text("Connection lost, retrying")
    expect(page.get_by_role("button", name="Retry now")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    with page.expect_event("requestfailed"):
        page.clock.fast_forward(2_000)
    page.unroute(SESSION)
    page.unroute(STREAM)
    page.clock.fast_forward(5_000)
    expect(page.get_by_role("heading", level=1, name="Library")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.locator(".dot.live")).to_be_visible()


def test_another_session_that_begins_while_the_server_is_away_comes_with_it(
    browser: Browser, tmp_path: Path
) -> None:
    with a_world(keys=tmp_path) as world, a_page(browser) as page:
        assert world.keys is not None
        ada, bob = world.keys.create("Ada"), world.keys.create("Bob", ["read"])
        sign_in(page, world, ada)
        asked: list[Route] = []

        def answer_once(route: Route) -> None:
            asked.append(route)
            if len(asked) == 1:
                route.continue_()
            else:
                route.abort("connectionrefused")

        page.route(SESSION, answer_once)  # who it is by now, and then no more
        page.context.request.post(f"{world.url}/api/session", data={"key": bob})
        expect(page.get_by_role("alert")).to_contain_text("Connection lost, retrying")
        page.unroute(SESSION)
        retry_now(page)
        expect(page.get_by_text("Bob", exact=True)).to_be_visible()
        expect(page.locator(".dot.live")).to_be_visible()


def test_a_key_that_is_revoked_under_an_open_page_is_asked_for_anew(
    browser: Browser, tmp_path: Path
) -> None:
    with a_world(keys=tmp_path) as world, a_page(browser) as page:
        assert world.keys is not None
        page.clock.install()
        sign_in(page, world, world.keys.create("Ada"))
        page.keyboard.press("?")
        world.keys.revoke("Ada")
        page.clock.fast_forward(20_000)
        expect(page.get_by_label("API key")).to_be_visible()
        expect(page.get_by_role("dialog")).to_have_count(0)


def test_who_is_signed_out_is_told_of_the_uploads_that_had_not_ended(
    browser: Browser, tmp_path: Path
) -> None:
    with a_world(keys=tmp_path, with_library=True) as world, a_page(browser) as page:
        assert world.keys is not None
        sign_in(page, world, world.keys.create("Ada"))
        page.get_by_role("link", name="Library", exact=True).click()
        page.route("**/api/upload", lambda _route: None)
        files: list[FilePayload] = [
            {"name": f"{number}.txt", "mimeType": "text/plain", "buffer": b"Some words."}
            for number in range(2)
        ]
        with page.expect_request("**/api/upload"):
            page.locator("input[type=file]").set_input_files(files)
        page.get_by_role("button", name="Sign out").click()
        messages = page.get_by_role("region", name="Messages")
        expect(messages).to_contain_text("2 uploads had not ended when you were signed out")


def test_nobody_is_said_to_be_signed_out_of_a_server_that_was_not_told(
    browser: Browser, tmp_path: Path
) -> None:
    with a_world(keys=tmp_path) as world, a_page(browser) as page:
        assert world.keys is not None
        sign_in(page, world, world.keys.create("Ada"))
        world.hang_up()
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("region", name="Messages")).to_contain_text("still be signed in")
        assert page.get_by_label("API key").count() == 0
        world.listen_again()
        retry_now(page)
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_label("API key")).to_be_visible()


def test_uploads_of_a_page_that_nobody_looks_at_wait_for_a_server_that_is_away(
    world: World, page: Page
) -> None:
    page.clock.install()
    open_at(page, world, "library")
    uploads = page.get_by_role("region", name="Uploads")
    page.evaluate(
        """() => {
            Object.defineProperty(document, "hidden", { value: true });
            document.dispatchEvent(new Event("visibilitychange"));
        }"""
    )
    world.hang_up()
    file: FilePayload = {"name": "hidden.txt", "mimeType": "text/plain", "buffer": b"Some words."}
    with page.expect_event("requestfailed", is_upload):
        page.locator("input[type=file]").set_input_files(file)
    for _ in range(4):  # more often than a server is tried that is there
        expect(uploads.get_by_text("waits for the server")).to_be_visible()
        with page.expect_event("requestfailed", is_upload):
            page.clock.fast_forward(4_000)
    expect(uploads.get_by_text("waits for the server")).to_be_visible()
    world.listen_again()
    page.clock.fast_forward(4_000)
    expect(uploads.get_by_text("1 of 1", exact=True)).to_be_visible()


def is_upload(request: Request) -> bool:
    return request.url.endswith("/api/upload")


def test_a_screen_that_did_not_come_has_a_heading_with_the_focus_and_can_be_tried_again(
    world: World, page: Page
) -> None:
    open_at(page, world)
    page.route(DOCUMENTS, lambda route: route.abort())
    page.get_by_role("link", name="Library", exact=True).click()
    expect(page.get_by_text("The server cannot be reached.")).to_be_visible()
    heading = page.get_by_role("heading", level=1, name="Library")
    expect(heading).to_be_focused()
    page.unroute(DOCUMENTS)
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("region", name="Documents", exact=True)).to_be_visible()
    expect(heading).to_be_focused()


def test_a_screen_that_is_tried_again_by_itself_takes_the_focus_from_nothing_else(
    world: World, page: Page
) -> None:
    page.clock.install()
    open_at(page, world)
    page.route(DOCUMENTS, lambda route: route.abort())
    page.get_by_role("link", name="Library", exact=True).click()
    expect(page.get_by_text("The server cannot be reached.")).to_be_visible()
    elsewhere = page.get_by_role("link", name="Graph", exact=True)
    elsewhere.focus()
    page.unroute(DOCUMENTS)
    page.clock.fast_forward(20_000)
    expect(page.get_by_role("region", name="Documents", exact=True)).to_be_visible()
    expect(page.locator("main")).to_have_attribute("aria-busy", "false")
    expect(elsewhere).to_be_focused()


# -- what nobody looks at -------------------------------------------------------------------------

# As a tab that was opened in the background; `look()` brings it to the front, `look(false)` back.
HIDDEN = """
    let hidden = true;
    Object.defineProperty(document, "hidden", { get: () => hidden });
    const state = () => hidden ? "hidden" : "visible";
    Object.defineProperty(document, "visibilityState", { get: state });
    globalThis.look = (seen = true) => {
        hidden = !seen;
        document.dispatchEvent(new Event("visibilitychange"));
    };
"""


def questions(page: Page) -> list[str]:
    """What the page asks for from now on."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.partition("/api/")[2]))
    return asked


@pytest.mark.parametrize("screen", ["", "tasks", "tasks/{running}", "library", "graph"])
def test_a_page_that_begins_in_the_background_holds_no_stream_and_asks_nothing_until_it_is_seen(
    world: World, page: Page, screen: str
) -> None:
    page.clock.install()
    page.add_init_script(HIDDEN)
    running = world.submit("export", percent=30)
    asked = questions(page)
    open_at(page, world, screen.format(running=running))
    page.clock.fast_forward(3_000)
    page.wait_for_load_state("networkidle")
    assert not [each for each in asked if each.startswith("tasks/events")]
    asked.clear()
    for _ in range(12):
        page.clock.fast_forward(10_000)
    assert asked == []
    world.open_gate()
    with page.expect_request(STREAM):
        page.evaluate("look()")
    expect(page.locator(".dot.live")).to_be_visible()
    if screen.startswith("tasks"):
        badge = page.locator(".under .badge, tbody .badge").first
        expect(badge).to_have_text("Completed")


def test_a_page_in_the_background_does_not_ask_for_a_server_that_is_away_until_it_is_seen(
    world: World, page: Page
) -> None:
    page.clock.install()
    page.add_init_script(HIDDEN)
    page.route(SESSION, lambda route: route.abort("connectionrefused"))
    asked = questions(page)
    page.goto(f"{world.url}/#/library")
    expect(page.get_by_role("alert")).to_contain_text("Connection lost, retrying")
    asked.clear()
    for _ in range(6):
        page.clock.fast_forward(10_000)
    page.unroute(SESSION)
    assert asked == []
    page.evaluate("look()")
    expect(page.get_by_role("heading", level=1, name="Library")).to_be_visible()
    expect(page.locator(".dot.live")).to_be_visible()


def test_who_comes_back_to_a_page_is_not_told_that_it_is_live_before_it_is(
    world: World, page: Page
) -> None:
    page.clock.install()
    page.add_init_script(HIDDEN)
    open_at(page, world, "tasks")
    page.evaluate("look()")
    expect(page.locator(".dot.live")).to_be_visible()
    page.evaluate("look(false)")
    for question in (SESSION, STREAM):  # the connection died meanwhile, and nobody was told
        page.route(question, lambda _route: None)
    with page.expect_request(SESSION):
        page.evaluate("look()")
    expect(page.locator(".connection")).to_have_text("Connecting…")
    page.clock.fast_forward(11_000)
    expect(page.get_by_role("alert")).to_contain_text("Connection lost, retrying")
    page.unroute(SESSION)
    page.clock.fast_forward(2_000)
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.locator(".dot.live")).to_have_count(0)  # there is an answer, and no stream yet
    page.unroute(STREAM)
    with page.expect_request(STREAM):
        page.evaluate("look(false); look()")
    expect(page.locator(".dot.live")).to_be_visible()


def test_a_screen_that_did_not_come_is_not_asked_for_again_until_somebody_looks(
    world: World, page: Page
) -> None:
    page.clock.install()
    page.add_init_script(HIDDEN)
    page.route(DOCUMENTS, lambda route: route.abort())
    open_at(page, world, "library")
    expect(page.get_by_text("The server cannot be reached.")).to_be_visible()
    asked = questions(page)
    for _ in range(4):
        page.clock.fast_forward(10_000)
    page.unroute(DOCUMENTS)
    assert asked == []
    page.evaluate("look()")
    expect(page.get_by_role("region", name="Documents", exact=True)).to_be_visible()


# -- what was asked meanwhile ---------------------------------------------------------------------


def test_a_list_that_was_turned_without_a_connection_comes_with_it(
    world: World, page: Page
) -> None:
    for number in range(60):
        world.submit("report", message=f"Report {number}")
    open_at(page, world, "tasks?q=%22report%22")
    expect(page.locator(".dot.live")).to_be_visible()
    world.hang_up()
    expect(page.get_by_text("Connection lost")).to_have_count(2)
    page.keyboard.press(".")
    expect(page.locator("tbody tr")).to_have_count(50)  # what was read goes on being there
    page.get_by_role("button", name="Older").click()
    expect(page.get_by_text("The server cannot be reached.")).to_be_visible()
    world.listen_again()
    retry_now(page)
    expect(page.get_by_text("51–60 of 60 tasks")).to_be_visible()
    expect(page.get_by_role("table", name="Tasks")).to_be_visible()


def test_an_attempt_that_failed_is_told_of_before_ones_eyes(world: World, page: Page) -> None:
    world.call(world.engine.pause, "newsletter")
    task_id = world.call(world.engine.submit, "newsletter", {"error": "451 try later"}).id
    open_at(page, world, f"tasks/{task_id}")
    expect(page.locator(".dot.live")).to_be_visible()
    world.call(world.engine.resume, "newsletter")
    expect(page.locator(".moments")).to_contain_text("451 try later")


def test_the_frame_says_on_every_screen_how_many_tasks_run(world: World, page: Page) -> None:
    world.submit("export", percent=5)
    open_at(page, world, "library")
    running = page.get_by_role("navigation", name="Screens").locator(".count")
    expect(running).to_have_text("1")
    world.submit("export", percent=5)
    expect(running).to_have_text("2")


def test_newer_tasks_that_do_not_fit_the_search_are_not_announced(world: World, page: Page) -> None:
    world.submit("report", message="Moonlight")
    open_at(page, world, "tasks?q=moonlight")
    expect(page.locator(".dot.live")).to_be_visible()
    page.locator("tbody tr").first.hover()
    newer = page.get_by_role("button", name=re.compile("newer task"))
    with page.expect_response(re.compile(r"/api/tasks\?q=moonlight")):
        world.submit("report", message="Sunshine")
    expect(newer).to_be_hidden()
    world.submit("report", message="Moonlight again")
    expect(newer).to_have_text("Show 1 newer task")


def test_only_those_that_were_counted_are_cancelled(world: World, page: Page) -> None:
    counted = world.submit("export", percent=5)
    open_at(page, world, "tasks?q=type:export%20status:running")
    page.get_by_label("Choose all on this page").check()
    page.get_by_role("region", name="Chosen tasks").get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("dialog")).to_contain_text("Cancel 1 task?")
    later = world.submit("export", percent=5)
    page.get_by_role("dialog").get_by_role("button", name="Cancel 1 task").click()
    expect(page.get_by_text("1 task cancelled.", exact=True).first).to_be_visible()
    assert world.call(world.engine.get, counted).status == "cancelled"
    assert world.call(world.engine.get, later).status == "running"


def test_what_is_asked_goes_with_the_screen_that_it_is_about(world: World, page: Page) -> None:
    task_id = world.submit("export", percent=5)
    open_at(page, world, "tasks")
    open_at(page, world, f"tasks/{task_id}")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", level=1, name="Tasks")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert world.call(world.engine.get, task_id).status == "running"


def test_a_connection_is_not_lost_any_more_once_a_screen_is_answered(
    world: World, page: Page
) -> None:
    begin = datetime.now(UTC)
    page.clock.install(time=begin)
    open_at(page, world, "tasks")
    expect(page.locator(".dot.live")).to_be_visible()
    page.route(SESSION, lambda route: route.abort("connectionreset"))
    page.evaluate("dispatchEvent(new Event('offline'))")
    away = page.get_by_role("alert").filter(has_text="Connection lost, retrying")
    expect(away).to_be_visible()
    page.clock.pause_at(begin + timedelta(minutes=5))  # it has been lost for long
    page.unroute(SESSION)
    page.keyboard.press(".")
    expect(away).to_be_hidden()
    expect(page.locator(".dot.live")).to_be_visible()


@pytest.mark.parametrize("read", ["list", "task"])
@pytest.mark.parametrize("lost", [True, False], ids=["lost", "at once"])
def test_a_server_that_knows_an_older_state_is_believed(
    world: World, page: Page, read: str, *, lost: bool
) -> None:
    task_id = world.submit("export", percent=40, message="As it was at last")
    open_at(page, world, "tasks?q=status:running" if read == "list" else f"tasks/{task_id}")
    expect(page.locator(".dot.live")).to_be_visible()
    page.get_by_text("As it was at last").first.hover()  # so that it stays where it is

    def tell_of_before(route: Route) -> None:
        seq = world.call(world.engine.get, task_id).seq
        text = route.fetch().text().replace("at last", "before")
        route.fulfill(body=text.replace(f'"seq":{seq}', f'"seq":{seq - 1}'))

    page.route("**/api/tasks?q=*", tell_of_before)
    page.route(f"**/api/tasks/{task_id}", tell_of_before)
    held: list[Route] = []
    if not lost:  # whoever asks waits for the server that comes
        page.route(SESSION, lambda route: held.append(route))
    with page.expect_request(SESSION):
        world.hang_up()
    if lost:
        expect(page.get_by_role("alert").filter(has_text="Connection lost")).to_be_visible()
    world.listen_again()
    if lost:
        retry_now(page)
    else:
        page.evaluate("0")  # what it asked has come to us by then
        for route in held:
            route.continue_()
        page.unroute(SESSION)
    expect(page.get_by_text("As it was before").first).to_be_visible()
    page.unroute_all()


def test_of_a_task_that_is_gone_nothing_is_said_to_go_on_nor_offered(
    world: World, page: Page
) -> None:
    task_id = world.submit("export", percent=40)
    open_at(page, world, f"tasks/{task_id}")
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    look = "**/api/tasks?q=id*"
    page.route(look, lambda route: route.fulfill(json={"tasks": [], "total": 0}))
    world.hang_up()
    expect(page.get_by_role("alert").filter(has_text="Connection lost")).to_be_visible()
    world.listen_again()
    retry_now(page)
    expect(page.get_by_text("This task has been cleaned up.")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
    expect(page.locator("main").get_by_role("progressbar")).to_have_count(0)
    page.unroute(look)
    with page.expect_response(look):
        page.evaluate("dispatchEvent(new Event('online'))")
    expect(page.get_by_text("This task has been cleaned up.")).to_be_hidden()
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()


def test_an_answer_to_what_was_asked_before_it_was_lost_does_not_end_a_pause(
    world: World, page: Page
) -> None:
    page.clock.install(time=datetime.now(UTC))
    open_at(page, world, "tasks")
    expect(page.locator(".dot.live")).to_be_visible()
    page.clock.pause_at(datetime.now(UTC) + timedelta(seconds=5))
    held: list[Route] = []
    look = "**/api/tasks?**limit=50**"
    page.route(look, lambda route: held.append(route))
    with page.expect_request(look):
        page.keyboard.press(".")
    page.route(SESSION, lambda route: route.abort("connectionreset"))
    page.evaluate("dispatchEvent(new Event('offline'))")
    away = page.get_by_role("alert").filter(has_text="Connection lost, retrying")
    expect(away).to_be_visible()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    task_id = world.submit("report")
    held[0].continue_()
    expect(page.locator(f"tbody a[href='#/tasks/{task_id}']")).to_be_visible()
    expect(away).to_be_visible()
    assert [url for url in asked if "api/session" in url] == []
