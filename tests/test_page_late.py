"""The page in a browser over a slow network: answers that come late, or in another order."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.page_browser import a_page, go_to, needs_chromium, open_at
from tests.page_world import World, a_world

pytestmark = needs_chromium

DOCUMENTS = "**/api/documents?*"
CANCEL_MANY = "**/api/tasks/bulk/cancel"
PICTURE = "**/api/graph/visualization?*"


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with a_world(loop="asyncio", with_library=True) as world:
        yield world


@pytest.fixture
def page(browser: Browser, world: World) -> Iterator[Page]:
    with a_page(browser) as page:
        yield page
    world.clear()


class Held:
    """What is asked at an address, and waits for its answer until a law lets it go."""

    def __init__(self, page: Page, at: str) -> None:
        self._free = False
        self.routes: list[Route] = []
        page.route(at, self._hear)

    def _hear(self, route: Route) -> None:
        self.routes.append(route)
        if self._free:
            route.continue_()

    def let_go(self) -> None:
        """Have the server answer what waits, and whatever comes later."""
        self._free = True
        for route in self.routes:
            route.continue_()


def ask_something(page: Page) -> None:
    """Have the page ask, and be answered: by then it has taken in what came before."""
    page.evaluate("fetch('api/session').then((answer) => answer.text())")


def test_a_screen_that_was_left_before_its_files_came_takes_no_key_from_the_next(
    world: World, page: Page
) -> None:
    world.submit("export", percent=10)
    open_at(page, world)
    files = Held(page, "**/screens/library.js")
    with page.expect_request("**/screens/library.js"):
        go_to(page, "library")
    go_to(page, "tasks")
    expect(page.locator("tbody tr")).to_have_count(1)
    with page.expect_response("**/live.js"):  # the last that it brings
        files.let_go()
    page.evaluate("address => import(address).then(() => {})", files.routes[0].request.url)
    page.keyboard.press("j")
    expect(page.locator("tbody tr .name-link")).to_be_focused()


def test_of_a_list_that_has_not_come_nothing_can_be_chosen_and_no_page_turned(
    world: World, page: Page
) -> None:
    world.submit("export", percent=10)
    open_at(page, world)
    lists = Held(page, "**/api/tasks?q=*")
    with page.expect_request("**/api/tasks?q=*"):
        go_to(page, "tasks?q=status:running")
    expect(page.get_by_label("Search tasks")).to_be_visible()
    choose = page.get_by_label("Choose all on this page")
    assert not choose.is_visible()
    assert not page.get_by_role("button", name="Older").is_visible()
    lists.let_go()
    choose.check()
    expect(page.get_by_role("region", name="Chosen tasks")).to_contain_text("1 task chosen")


def test_of_documents_that_have_not_come_there_is_no_table_and_no_page_to_turn(
    world: World, page: Page
) -> None:
    open_at(page, world)
    lists = Held(page, DOCUMENTS)
    with page.expect_request(DOCUMENTS):
        go_to(page, "library")
    documents = page.get_by_role("region", name="Documents", exact=True)
    expect(documents).to_be_visible()
    assert not documents.get_by_role("table").is_visible()
    assert not documents.get_by_role("button", name="Older").is_visible()
    lists.let_go()
    expect(documents.get_by_text("The library is empty")).to_be_visible()


def test_what_is_asked_about_many_is_asked_once_however_often_it_is_pressed(
    world: World, page: Page
) -> None:
    world.submit("export", percent=10)
    open_at(page, world, "tasks?q=status:running")
    page.get_by_label("Choose all on this page").check()
    counts = Held(page, CANCEL_MANY)
    cancel = page.get_by_role("region", name="Chosen tasks").get_by_role("button", name="Cancel")
    with page.expect_request(CANCEL_MANY):
        cancel.click()
    cancel.click(force=True)  # also where it says that it cannot be pressed
    counts.let_go()
    page.get_by_role("dialog").get_by_role("button", name="Keep as it is").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert len(counts.routes) == 1


def test_what_is_asked_about_many_is_not_asked_once_the_screen_has_been_left(
    world: World, page: Page
) -> None:
    world.submit("export", percent=10)
    open_at(page, world, "tasks?q=status:running")
    page.get_by_label("Choose all on this page").check()
    counts = Held(page, CANCEL_MANY)
    cancel = page.get_by_role("region", name="Chosen tasks").get_by_role("button", name="Cancel")
    with page.expect_request(CANCEL_MANY):
        cancel.click()
    go_to(page, "")
    expect(page.get_by_role("heading", level=1, name="Overview")).to_be_focused()
    counts.let_go()
    ask_something(page)
    expect(page.get_by_role("heading", level=1, name="Overview")).to_be_focused()
    expect(page.get_by_role("dialog")).to_have_count(0)


# -- answers in another order ---------------------------------------------------------------------


def test_a_button_that_is_pressed_again_before_its_page_came_goes_no_further_than_the_first(
    world: World, page: Page
) -> None:
    for _ in range(101):
        world.submit("report", message="One of many")
    open_at(page, world, "tasks?q=type:report")
    for words in ("51–100 of 101 tasks", "101–101 of 101 tasks"):
        page.get_by_role("button", name="Older").click()
        expect(page.get_by_text(words)).to_be_visible()
    lists = Held(page, "**/api/tasks?q=type*")
    for _ in range(3):
        page.get_by_role("button", name="Newer").click()
    lists.let_go()
    expect(page.get_by_text("1–50 of 101 tasks")).to_be_visible()
    assert "page=" not in page.url


def test_no_page_of_the_library_is_before_the_first(world: World, page: Page) -> None:
    def tell(route: Route) -> None:
        offset = int(re.findall(r"offset=(-?\d+)", route.request.url)[0])
        route.fulfill(status=200 if offset >= 0 else 422, json={"documents": DOCUMENT, "total": 60})

    page.route(DOCUMENTS, tell)
    open_at(page, world, "library?page=2")
    expect(page.get_by_text("51–51 of 60 documents")).to_be_visible()
    documents = Held(page, DOCUMENTS)
    for _ in range(2):
        page.get_by_role("button", name="Newer").click()
    assert "page=" not in page.url
    for route in documents.routes:
        tell(route)
    expect(page.get_by_text("1–1 of 60 documents")).to_be_visible()


DOCUMENT: list[dict[str, Any]] = [
    {
        "id": "doc_1",
        "filename": "one.txt",
        "collection_id": None,
        "status": "pending",
        "error": None,
        "file_size": 3,
        "entity_count": 0,
        "upload_date": "2026-01-01T00:00:00Z",
    }
]


def test_what_is_told_of_an_operation_is_not_undone_by_an_answer_of_before(
    world: World, page: Page
) -> None:
    open_at(page, world, "library")
    expect(page.locator(".dot.live")).to_be_visible()
    card = page.get_by_role("region", name="Detect communities")
    expect(card.get_by_text("Not run yet")).to_be_visible()
    answers: list[Route] = []
    newest = "**/api/tasks?task_type=community_detection*"
    page.route(newest, lambda route: answers.append(route))
    with page.expect_request(newest):
        page.evaluate("dispatchEvent(new Event('online'))")  # so it looks at all there is
    ask_something(page)
    of_before = answers[0].fetch()
    world.submit("community_detection")
    expect(card.locator(".badge")).to_have_text("Completed")
    answers[0].fulfill(response=of_before)
    ask_something(page)
    expect(card.locator(".badge")).to_have_text("Completed")
    page.unroute(newest)
    world.forget()
    expect(card.get_by_text("Not run yet")).to_be_visible()


def test_an_operation_is_that_of_its_newest_task_though_one_before_is_told_of_first(
    world: World, page: Page
) -> None:
    older = world.submit("community_detection", min_size=4)
    newer = world.submit("community_detection", min_size=5)
    newest = Held(page, "**/api/tasks?task_type=community_detection*")
    with page.expect_request("**/api/tasks?task_type=community_detection*"):
        page.goto(f"{world.url}/#/library")
    expect(page.locator(".dot.live")).to_be_visible()
    page.evaluate("0")
    (told,) = newest.routes[0].fetch().json()["tasks"]
    assert told["task_id"] == newer
    page.evaluate(
        """async ([address, task]) => {
          const { live } = await import(address);
          live.dispatchEvent(new CustomEvent("task", { detail: task }));
        }""",
        [live_of(page), told | {"task_id": older, "created_at": "2026-01-01T00:00:00Z"}],
    )
    link = page.get_by_role("region", name="Detect communities").get_by_role("link")
    expect(link).to_have_attribute("href", f"#/tasks/{older}")
    newest.let_go()
    expect(link).to_have_attribute("href", f"#/tasks/{newer}")
    world.forget()


def live_of(page: Page) -> str:
    """Where the page has the part of it that follows the server."""
    found = page.evaluate(
        "performance.getEntriesByType('resource').map((each) => each.name)"
        ".find((name) => name.endsWith('/live.js'))"
    )
    return str(found)


def test_the_whole_chain_is_begun_once_however_often_its_button_is_pressed(
    world: World, page: Page
) -> None:
    open_at(page, world, "library")
    begun: list[Route] = []
    page.route("**/api/documents/process-pending", lambda route: begun.append(route))
    chain = page.get_by_role("button", name="Run the whole chain")
    with page.expect_request("**/api/documents/process-pending"):
        chain.click()
    expect(chain).to_be_disabled()
    chain.click(force=True)
    ask_something(page)
    assert len(begun) == 1
    begun[0].fulfill(json={"message": "Begun.", "task_id": "task_1"})
    expect(chain).to_be_enabled()


def test_the_picture_is_of_as_many_entities_as_were_asked_for_last(
    world: World, page: Page
) -> None:
    def picture(route: Route) -> None:
        n = int(re.findall(r"limit=(\d+)", route.request.url)[0])
        node = {"id": "Ada", "label": "Ada", "community_id": None, "mention_count": n}
        stats = {"node_count": 1, "total_entities": n, "edge_count": 0, "total_relationships": 0}
        route.fulfill(json={"nodes": [node], "edges": [], "stats": stats})

    page.route(PICTURE, picture)
    open_at(page, world, "graph")
    state = page.locator(".state")
    expect(state).to_contain_text("1 of 1,000 entities")
    pictures = Held(page, PICTURE)
    limit = page.get_by_label("How many entities")
    for wanted in ("200", "5000"):
        with page.expect_request(PICTURE):
            limit.select_option(wanted)
    ask_something(page)
    first, last = pictures.routes
    picture(last)
    expect(state).to_contain_text("1 of 5,000 entities")
    picture(first)
    ask_something(page)
    expect(state).to_contain_text("1 of 5,000 entities")
