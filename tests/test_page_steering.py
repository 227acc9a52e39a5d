"""The page in a browser: what it cancels has stopped, what it retries runs again, and its keys."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.page_browser import a_page, go_to, needs_chromium
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


def yes(page: Page, words: str) -> None:
    """Confirm what is asked."""
    page.get_by_role("dialog").get_by_role("button", name=re.compile(words)).click()


# -- one task ------------------------------------------------------------------------------------


def test_a_task_that_is_cancelled_here_has_stopped_when_it_says_so(
    world: World, page: Page
) -> None:
    task_id = world.submit("export", percent=30)
    go_to(page, f"tasks/{task_id}")
    page.get_by_role("button", name="Cancel").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Cancel this export?")
    dialog.get_by_role("button", name="Keep as it is").click()
    expect(dialog).to_have_count(0)
    assert status(world, task_id) == "running"
    page.get_by_role("button", name="Cancel").click()
    yes(page, "Cancel the task")
    expect(page.locator(".under .badge")).to_have_text("Cancelled")
    assert world.ended == [task_id]
    assert status(world, task_id) == "cancelled"
    stages = page.get_by_role("list", name="Stages of the cancel")
    assert stages.locator("li.done").count() == 3


def test_the_stages_of_a_cancel_are_seen_while_the_body_does_not_listen(
    world: World, page: Page
) -> None:
    task_id = world.submit("stubborn", percent=30)
    go_to(page, f"tasks/{task_id}")
    page.get_by_role("button", name="Cancel").click()
    yes(page, "Cancel the task")
    stages = page.get_by_role("list", name="Stages of the cancel")
    expect(stages.locator("[aria-current=step]")).to_contain_text("Stopping")
    expect(page.locator(".under .badge")).to_have_text("Stopping")
    assert status(world, task_id) == "running"
    assert task_id not in world.ended
    world.open_gate()
    expect(stages.locator("li").last).to_contain_text("Stopped")
    expect(page.locator(".under .badge")).to_have_text("Cancelled")
    assert task_id in world.ended


def test_a_failed_task_is_retried_under_its_id(world: World, page: Page) -> None:
    task_id = world.submit("report", error="No luck")
    go_to(page, f"tasks/{task_id}")
    page.get_by_role("button", name="Retry").click()
    yes(page, "Retry the task")
    expect(page.locator(".moments")).to_contain_text("Attempt 2")
    expect(page.locator(".under .badge")).to_have_text("Failed")


@pytest.mark.parametrize("by", ["r", "the button"])
def test_a_task_is_retried_only_once_that_is_confirmed(world: World, page: Page, by: str) -> None:
    task_id = world.submit("report", error="No luck")
    go_to(page, f"tasks/{task_id}")
    retry = page.get_by_role("button", name="Retry")
    expect(retry).to_be_visible()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.method))
    for answer in ("Keep as it is", "Retry the task"):
        assert "POST" not in asked
        if by == "r":
            page.keyboard.press("r")
        else:
            retry.click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("Retry this report?")
        dialog.get_by_role("button", name=answer).click()
        expect(dialog).to_have_count(0)
    expect(page.locator(".moments")).to_contain_text("Attempt 2")


@pytest.mark.parametrize("heard", [True, False], ids=["heard", "not heard"])
def test_a_retry_that_was_not_answered_is_looked_after(
    world: World, page: Page, *, heard: bool
) -> None:
    task_id = world.submit("report", error="No luck")
    go_to(page, f"tasks/{task_id}")

    def lose(route: Route) -> None:
        if heard:
            route.fetch()
        route.abort("connectionreset")

    page.route("**/retry", lose)
    page.get_by_role("button", name="Retry").click()
    yes(page, "Retry the task")
    told = "It was retried, and is" if heard else "has not heard that: the task stays failed"
    expect(page.get_by_role("region", name="Messages")).to_contain_text(told)
    page.unroute("**/retry")


def test_a_retry_that_is_under_way_is_not_asked_for_twice(world: World, page: Page) -> None:
    task_id = world.submit("report", error="No luck")
    go_to(page, f"tasks/{task_id}")
    held: list[Route] = []
    page.route("**/retry", lambda route: held.append(route))
    page.get_by_role("button", name="Retry").click()
    with page.expect_request("**/retry"):
        yes(page, "Retry the task")
    under_way = page.get_by_role("button", name="Retry is under way")
    expect(under_way).to_have_attribute("aria-disabled", "true")
    page.keyboard.press("r")
    under_way.dispatch_event("click")
    expect(page.get_by_role("dialog")).to_have_count(0)
    held[0].continue_()
    expect(page.locator(".moments")).to_contain_text("Attempt 2")
    assert len(held) == 1
    page.unroute("**/retry")


@pytest.mark.parametrize("verb", ["Cancel", "Retry"])
def test_what_is_asked_for_again_as_its_question_goes_is_sent_once(
    world: World, page: Page, verb: str
) -> None:
    cancels = verb == "Cancel"
    task_id = world.submit("stubborn") if cancels else world.submit("report", error="No luck")
    go_to(page, f"tasks/{task_id}")
    sent: list[str] = []

    def hold(route: Route) -> None:
        if route.request.method == "GET":
            route.continue_()
        else:
            sent.append(route.request.method)

    held = f"**/api/tasks/{task_id}" if cancels else "**/retry"
    page.route(held, hold)
    page.get_by_role("button", name=verb).click()
    with page.expect_request(lambda request: request.method != "GET"):
        page.evaluate(
            """key => {
                document.querySelector("dialog [value=yes]").click();
                document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
            }""",
            verb[0].lower(),
        )
    yes(page, f"{verb} the task")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name=f"{verb} is under way")).to_be_visible()
    assert len(sent) == 1
    page.unroute(held)
    world.open_gate()


def test_a_cancel_that_was_heard_is_not_called_unheard_where_the_task_was_retried_since(
    world: World, page: Page
) -> None:
    task_id = world.submit("export", percent=10)
    go_to(page, f"tasks/{task_id}")

    def lose(route: Route) -> None:
        if route.request.method == "GET":
            route.continue_()
        else:
            route.fetch()  # heard, and never answered

    held: list[Route] = []  # the page's looks whether it was heard, until the task is retried
    look = "**/api/tasks?q=id*"
    page.route(f"**/api/tasks/{task_id}", lose)
    page.route(look, lambda route: held.append(route))
    page.get_by_role("button", name="Cancel").click()
    yes(page, "Cancel the task")
    expect(page.locator(".under .badge")).to_have_text("Cancelled")
    world.call(world.engine.retry, task_id)
    page.unroute(look)
    for route in held:
        route.continue_()
    told = page.get_by_role("region", name="Messages")
    expect(told).to_contain_text("It has been retried since, and is running.")
    page.unroute(f"**/api/tasks/{task_id}")


def test_a_chain_is_walked_by_its_links(world: World, page: Page) -> None:
    first = world.submit("report", then=[("export", {}), ("queue", {})], message="One")
    go_to(page, f"tasks/{first}")
    chain = page.locator(".chain")
    expect(chain.locator("li")).to_have_count(3)
    expect(chain.locator("li").last).to_contain_text("Queue")
    chain.get_by_role("link", name="Export").click()
    expect(page.get_by_role("heading", level=1, name="Export")).to_be_visible()
    expect(chain.locator("[aria-current=step]")).to_contain_text("Export")
    chain.get_by_role("link", name="Report").click()
    expect(page.get_by_role("heading", level=1, name="Report")).to_be_visible()


# -- a type ---------------------------------------------------------------------------------------


def test_a_paused_type_begins_nothing_until_it_goes_on(world: World, page: Page) -> None:
    page.get_by_role("button", name="Pause Queue").click()
    expect(page.get_by_role("button", name="Resume Queue")).to_be_visible()
    task_id = world.submit("queue", percent=5)
    assert status(world, task_id) == "pending"
    page.get_by_role("button", name="Resume Queue").click()
    expect(page.get_by_role("progressbar", name=task_id)).to_be_visible()
    assert status(world, task_id) == "running"


# -- by keyboard ---------------------------------------------------------------------------------


def test_keys_can_be_turned_off(world: World, page: Page) -> None:
    page.keyboard.press("?")
    page.get_by_label("Single keys do things on this page").uncheck()
    page.keyboard.press("Escape")
    page.reload()
    expect(page.get_by_role("heading", level=1, name="Overview")).to_be_visible()
    page.keyboard.press("?")
    page.keyboard.press("g")
    page.keyboard.press("t")
    expect(page.get_by_role("heading", level=1, name="Overview")).to_be_visible()
    assert page.get_by_role("dialog").count() == 0
