"""The page in a browser over a connection that was cut off on its way: open, and silent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, FilePayload, Locator, Page, Request, Route, expect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.page_browser import a_page, needs_chromium, open_at
from tests.page_world import World, a_world

pytestmark = needs_chromium

UPLOAD = "**/api/upload"
SESSION = "**/api/session"
PAUSE = "**/api/task-types/*/pause"
CANCEL_MANY = "**/api/tasks/bulk/cancel"
DOCUMENTS = "**/api/documents?*"
ONE_OF_A_CHAIN = "**/api/tasks?q=id*"
STREAM = "/api/tasks/events"


class Silence:
    """Lies around what is served: takes what is asked at some paths, and never answers that.

    Or lets nothing more through of the streams that are open.
    """

    def __init__(self) -> None:
        self.at: str | None = None  # how such a path ends
        self.about_cancels = False  # they are carried out, and not answered
        self.most_cancels = 0  # that waited for that at a time
        self._cancels = 0
        self._streams: list[list[bool]] = []  # of each, whether anything comes through

    def hush(self) -> None:
        """Let the streams that are open say no more; they stay open, and others come through."""
        for comes_through in self._streams:
            comes_through[0] = False

    def __call__(self, app: ASGIApp) -> ASGIApp:
        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            path = scope.get("path", "")
            if path.endswith(STREAM):
                self._streams.append(comes_through := [True])

                async def send_or_not(message: Message) -> None:
                    if comes_through[0]:
                        await send(message)

                await app(scope, receive, send_or_not)
                return
            of_a_task = scope.get("method") == "DELETE" and "/api/tasks/" in path
            cancel = self.about_cancels and of_a_task
            if cancel:
                self._cancels += 1
                self.most_cancels = max(self.most_cancels, self._cancels)
                await app(scope, receive, keep_to_oneself)
            elif self.at is None or not path.endswith(self.at):
                await app(scope, receive, send)
                return
            while (await receive())["type"] != "http.disconnect":
                pass
            self._cancels -= cancel

        return serve


async def keep_to_oneself(_message: Message) -> None:
    """Take what is to be sent, and send nothing."""


@pytest.fixture(scope="module")
def silence() -> Silence:
    return Silence()


@pytest.fixture(scope="module")
def world(silence: Silence) -> Iterator[World]:
    with a_world(with_library=True, around=silence) as world:
        yield world


@pytest.fixture
def page(browser: Browser, world: World, silence: Silence) -> Iterator[Page]:
    with a_page(browser) as page:
        page.clock.install()
        yield page
    silence.at = None
    silence.about_cancels = False
    world.clear()


def a_document(name: str, size: int = 1_000) -> FilePayload:
    words = f"Words of {name}. " * (size // 10)
    return {"name": name, "mimeType": "text/plain", "buffer": words.encode()}


@pytest.mark.parametrize(
    ("screen", "file"),
    [
        ("Library", "screens/library.js"),
        ("Library", "operations.js"),
        ("Graph", "screens/graph.js"),
        ("Graph", "graph_canvas.js"),
        ("Graph", "vendor/d3-force-3.0.1.min.js"),
    ],
)
def test_a_screen_whose_files_nobody_answered_for_is_asked_for_again(
    world: World, page: Page, silence: Silence, screen: str, file: str
) -> None:
    open_at(page, world)
    silence.at = file
    with page.expect_request(f"**/{file}"):
        page.get_by_role("link", name=screen, exact=True).click()
    silence.at = None
    page.clock.fast_forward(20_000)
    expect(page.get_by_role("heading", level=1, name=screen)).to_be_visible()


def test_a_screen_that_did_not_come_is_asked_for_again_though_the_stream_goes_on(
    world: World, page: Page
) -> None:
    open_at(page, world)
    expect(page.locator(".dot.live")).to_be_visible()
    page.route(DOCUMENTS, lambda route: route.abort())
    page.get_by_role("link", name="Library", exact=True).click()
    expect(page.get_by_text("The server cannot be reached.")).to_be_visible()
    expect(page.locator(".dot.live")).to_be_visible()
    page.unroute(DOCUMENTS)
    page.clock.fast_forward(20_000)
    expect(page.get_by_role("region", name="Documents", exact=True)).to_be_visible()


# -- uploads --------------------------------------------------------------------------------------


def test_uploads_that_no_longer_move_are_given_up_and_tried_again(world: World, page: Page) -> None:
    open_at(page, world, "library")
    uploads = page.get_by_role("region", name="Uploads")
    held: list[Route] = []
    page.route(UPLOAD, lambda route: held.append(route))
    files = [a_document(f"still {number}.txt") for number in range(4)]  # more than go at once
    with page.expect_request(UPLOAD):
        page.locator("input[type=file]").set_input_files(files)
    page.clock.fast_forward(20_000)
    expect(uploads.get_by_text("waits for the server")).to_have_count(3)
    page.unroute(UPLOAD)
    page.clock.fast_forward(5_000)
    expect(uploads.get_by_text("4 of 4", exact=True)).to_be_visible()


def test_an_upload_that_has_gone_out_may_be_answered_late_but_not_never(
    world: World, page: Page, silence: Silence
) -> None:
    open_at(page, world, "library")
    uploads = page.get_by_role("region", name="Uploads")
    silence.at = "/api/upload"
    page.locator("input[type=file]").set_input_files([a_document("late.txt", 200_000)])
    expect(uploads.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "100")
    page.clock.fast_forward(40_000)
    expect(uploads.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "100")
    page.clock.fast_forward(30_000)
    expect(uploads.get_by_text("waits for the server")).to_be_visible()
    silence.at = None
    page.clock.fast_forward(5_000)
    expect(uploads.get_by_text("1 of 1", exact=True)).to_be_visible()


# -- the stream of changes ------------------------------------------------------------------------


def test_a_stream_that_alone_fell_silent_is_opened_anew(
    world: World, page: Page, silence: Silence
) -> None:
    task_id = world.submit("export", percent=30)
    open_at(page, world, f"tasks/{task_id}")
    expect(page.locator(".dot.live")).to_be_visible()
    silence.hush()
    world.open_gate()
    for _ in range(2):  # meanwhile the server answers whatever it is asked
        with page.expect_response(SESSION):
            page.clock.fast_forward(20_000)
    with page.expect_request(f"**{STREAM}*"):
        with page.expect_response(SESSION):
            page.clock.fast_forward(6_000)
        page.clock.fast_forward(1_000)
    expect(page.locator(".under .badge")).to_have_text("Completed")
    expect(page.locator(".dot.live")).to_be_visible()


@pytest.mark.parametrize("refused", [True, False], ids=["refused", "silent"])
def test_a_result_comes_though_the_first_question_for_it_was_not_answered(
    world: World, page: Page, *, refused: bool
) -> None:
    task_id = world.submit("export", percent=30, result={"rows": [{"n": 1}]})
    open_at(page, world, f"tasks/{task_id}")
    expect(page.locator(".dot.live")).to_be_visible()
    mine = f"**/api/tasks/{task_id}"
    page.route(mine, lambda route: route.abort("connectionreset") if refused else None)
    with page.expect_request(mine):
        world.open_gate()
    expect(page.locator(".under .badge")).to_have_text("Completed")
    page.clock.fast_forward(20_000)  # a question that nobody refused is given up
    expect(page.locator(".dot.live")).to_be_visible()
    page.unroute(mine)
    page.clock.fast_forward(6_000)
    expect(page.get_by_role("heading", name="Result")).to_be_visible()


def test_steps_of_a_chain_that_nothing_is_known_of_are_not_said_to_be_gone(
    world: World, page: Page
) -> None:
    chain = page.locator(".chain")
    first = world.submit("report", then=["export", "queue"])
    open_at(page, world, f"tasks/{first}")
    expect(chain.get_by_role("link", name="Export")).to_be_visible()
    chain.get_by_role("link", name="Export").click()
    expect(page.get_by_role("heading", level=1, name="Export")).to_be_visible()
    expect(chain.get_by_role("link", name="Report")).to_be_visible()
    page.route(ONE_OF_A_CHAIN, lambda route: route.abort("connectionreset"))
    with page.expect_event("requestfailed", lambda request: "q=id" in request.url):
        world.open_gate()
    expect(page.locator(".under .badge")).to_have_text("Completed")
    expect(chain).not_to_contain_text("cleaned up")
    expect(chain.get_by_role("link", name="Report")).to_be_visible()
    page.unroute(ONE_OF_A_CHAIN)
    page.clock.fast_forward(6_000)
    expect(chain.get_by_role("link", name="Queue")).to_be_visible()
    expect(chain).not_to_contain_text("cleaned up")


def test_a_check_that_found_no_connection_says_nothing_of_a_server_that_is_heard(
    world: World, page: Page
) -> None:
    open_at(page, world, "tasks")
    expect(page.locator(".dot.live")).to_be_visible()
    page.route(SESSION, lambda _route: None)
    with page.expect_request(SESSION):
        page.clock.fast_forward(20_000)
    told = world.submit("report", message="Heard over the stream")
    expect(page.locator(f"tr[data-key={told}]")).to_be_visible()
    opened: list[Request] = []
    page.on("request", lambda request: opened.append(request) if STREAM in request.url else None)
    page.clock.fast_forward(11_000)
    with page.expect_request(SESSION):  # it is asked again
        page.clock.fast_forward(6_000)
    expect(page.locator(".connection")).to_have_text("Live")
    assert opened == []
    page.clock.fast_forward(11_000)  # while by now nothing is heard over either
    expect(page.get_by_role("alert")).to_contain_text("Connection lost, retrying")
    page.unroute(SESSION)


# -- what is steered ------------------------------------------------------------------------------


def messages(page: Page) -> Locator:
    return page.get_by_role("region", name="Messages")


def cancel(page: Page, world: World, task_id: str) -> None:
    open_at(page, world, f"tasks/{task_id}")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the task").click()


def test_a_pause_that_nobody_answers_is_said_not_to_be_known_of(world: World, page: Page) -> None:
    open_at(page, world)
    page.route(PAUSE, lambda _route: None)
    button = page.get_by_role("button", name="Pause Queue")
    with page.expect_request(PAUSE):
        button.click()
    page.clock.fast_forward(20_000)
    expect(messages(page)).to_contain_text("Whether it has heard that is not known")
    expect(button).to_be_enabled()


def test_a_cancel_that_was_not_heard_is_said_not_to_have_been(world: World, page: Page) -> None:
    task_id = world.submit("export", percent=30)
    mine = f"**/api/tasks/{task_id}"
    open_at(page, world, f"tasks/{task_id}")
    page.route(mine, lambda route: None if route.request.method == "DELETE" else route.continue_())
    with page.expect_request(lambda request: request.method == "DELETE"):
        cancel(page, world, task_id)
    page.clock.fast_forward(20_000)
    expect(messages(page)).to_contain_text("has not heard that: the task goes on")
    page.unroute(mine)


def test_a_cancel_that_was_heard_is_not_said_to_be_lost_where_the_body_takes_its_time(
    world: World, page: Page
) -> None:
    task_id = world.submit("stubborn", percent=30)
    mine = f"**/api/tasks/{task_id}"

    def swallow_answer(route: Route) -> None:
        if route.request.method == "DELETE":
            route.fetch()
        else:
            route.continue_()

    page.route(mine, swallow_answer)
    cancel(page, world, task_id)
    expect(page.locator(".under .badge")).to_have_text("Stopping")
    page.clock.fast_forward(20_000)
    expect(messages(page)).to_contain_text("was asked to stop, and has not stopped yet")
    world.open_gate()
    expect(page.locator(".under .badge")).to_have_text("Cancelled")


def test_of_a_cancel_that_was_heard_it_is_told_what_is_not_known_where_a_look_fails(
    world: World, page: Page, silence: Silence
) -> None:
    silence.about_cancels = True
    task_id = world.submit("stubborn", percent=30)
    open_at(page, world, f"tasks/{task_id}")
    expect(page.locator(".dot.live")).to_be_visible()
    cancel(page, world, task_id)
    expect(page.locator(".under .badge")).to_have_text("Stopping")
    page.route(ONE_OF_A_CHAIN, lambda route: route.abort("connectionreset"))
    page.clock.fast_forward(3_000)
    told = "The task was asked to stop. Whether it has stopped is not known: look again."
    expect(messages(page)).to_contain_text(told)
    page.unroute(ONE_OF_A_CHAIN)


def test_who_has_signed_out_is_told_nothing_of_a_cancel(browser: Browser, tmp_path: Path) -> None:
    silence = Silence()
    silence.about_cancels = True
    with a_world(keys=tmp_path, around=silence) as world, a_page(browser) as page:
        assert world.keys is not None
        key = world.keys.create("Ada")
        page.clock.install()
        page.goto(world.url)
        for _ in range(2):  # whoever is there after that is told nothing of it either
            page.get_by_label("API key").fill(key)
            page.keyboard.press("Enter")
            expect(page.locator(".dot.live")).to_be_visible()
            if page.get_by_role("heading", name="Overview").is_visible():
                cancel(page, world, world.submit("stubborn", percent=30))
                expect(page.locator(".under .badge")).to_have_text("Stopping")
                page.get_by_role("button", name="Sign out").click()
                expect(page.get_by_label("API key")).to_be_visible()
                page.clock.fast_forward(3_000)
        expect(page.locator(".under .badge")).to_have_text("Stopping")
        assert page.locator(".toast").count() == 0


def test_cancels_that_are_long_in_being_answered_leave_connections_to_the_rest_of_the_page(
    world: World, page: Page, silence: Silence
) -> None:
    world.forget()
    tasks = [world.submit("export", percent=30) for _ in range(6)]
    open_at(page, world)
    expect(page.locator(".dot.live")).to_be_visible()
    silence.about_cancels = True
    for task_id in tasks:
        cancel(page, world, task_id)
    page.goto(f"{world.url}/#/tasks")
    cancelled = page.locator("tbody .badge", has_text="Cancelled")
    for heard in (2, 4, 6):  # each waits its turn, for not longer than the others need to be heard
        expect(cancelled.nth(heard - 1)).to_be_visible()
        page.clock.fast_forward(3_000)
    assert silence.most_cancels <= 4  # two, and two that we do not know yet to have been left
    expect(messages(page)).to_contain_text("The task is cancelled.")
    assert {world.call(world.engine.get, each).status for each in tasks} == {"cancelled"}


def is_delete(request: Request) -> bool:
    return request.method == "DELETE" and "/api/tasks/" in request.url


def test_cancels_are_all_sent_though_no_stream_tells_that_they_were_heard(
    world: World, page: Page, silence: Silence
) -> None:
    world.forget()
    tasks = [world.submit("export", percent=30) for _ in range(5)]
    page.route(f"**{STREAM}*", lambda route: route.abort())
    open_at(page, world)
    for _ in range(2):
        with page.expect_request(f"**{STREAM}*"):
            page.clock.fast_forward(1_000)
    expect(page.get_by_text("Looking every 3 s")).to_be_visible()
    silence.about_cancels = True
    sent: list[Request] = []
    page.on("request", lambda request: sent.append(request) if is_delete(request) else None)
    for task_id in tasks:
        cancel(page, world, task_id)
    waits = page.get_by_role("button", name="Cancel waits to be sent")
    expect(waits).to_have_attribute("aria-disabled", "true")
    expect(messages(page)).to_contain_text("That waits to be sent")
    page.once("dialog", lambda dialog: dialog.dismiss())
    with page.expect_event("dialog", lambda dialog: dialog.type == "beforeunload"):
        page.close(run_before_unload=True)
    while len(sent) < len(tasks):  # time goes on by itself, too: some may have been sent before
        with page.expect_request(is_delete):
            page.clock.fast_forward(3_000)
    expect(waits).to_have_count(0)
    page.clock.fast_forward(3_000)
    expect(page.locator(".under .badge")).to_have_text("Cancelled")
    assert {world.call(world.engine.get, each).status for each in tasks} == {"cancelled"}
    page.unroute(f"**{STREAM}*")


def test_a_cancel_that_waits_is_not_sent_once_who_confirmed_it_has_signed_out(
    browser: Browser, tmp_path: Path
) -> None:
    silence = Silence()
    silence.about_cancels = True
    with a_world(keys=tmp_path, around=silence) as world, a_page(browser) as page:
        assert world.keys is not None
        key = world.keys.create("Ada")
        page.clock.install()
        sent: list[Request] = []
        page.on("request", lambda request: sent.append(request) if is_delete(request) else None)
        page.goto(world.url)
        page.get_by_label("API key").fill(key)
        page.keyboard.press("Enter")
        expect(page.locator(".dot.live")).to_be_visible()
        tasks = [world.submit("export", percent=30) for _ in range(3)]
        for task_id in tasks:
            cancel(page, world, task_id)
        expect(page.get_by_role("button", name="Cancel waits to be sent")).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        expect(messages(page)).to_contain_text("1 change had not been sent")
        page.clock.fast_forward(3_000)
        page.get_by_label("API key").fill(key)
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Cancel", exact=True)).to_be_enabled()
        page.clock.fast_forward(3_000)
        expect(page.locator(".under .badge")).to_have_text("Running")
        assert len(sent) == 2
        world.open_gate()


def test_a_cancel_of_many_ends_with_the_connection_that_nothing_was_heard_over(
    world: World, page: Page
) -> None:
    world.submit("export", percent=30)
    open_at(page, world, "tasks?q=type:export%20status:running")
    expect(page.locator(".dot.live")).to_be_visible()
    page.get_by_label("Choose all on this page").check()
    page.get_by_role("region", name="Chosen tasks").get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("dialog")).to_contain_text("Cancel 1 task?")
    page.route(CANCEL_MANY, lambda _route: None)
    page.route(SESSION, lambda _route: None)
    with page.expect_request(CANCEL_MANY):
        page.get_by_role("dialog").get_by_role("button", name="Cancel 1 task").click()
    with page.expect_request(SESSION):
        page.clock.fast_forward(20_000)
    expect(messages(page)).to_have_count(0)
    with page.expect_request(CANCEL_MANY):  # what became of it is asked, in vain as well
        page.clock.fast_forward(15_000)
    page.clock.fast_forward(20_000)
    expect(messages(page)).to_contain_text("what became of 1 task is not known")
    page.unroute(SESSION)
