"""The page in a browser: many tasks cancelled or retried at once, counted before; and its keys."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.page_browser import a_page, go_to, needs_chromium
from tests.page_world import World, a_world

pytestmark = needs_chromium

CANCEL_MANY = "**/api/tasks/bulk/cancel"
RETRY_MANY = "**/api/tasks/bulk/retry"


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


def test_many_are_counted_then_cancelled_and_their_bodies_have_ended(
    world: World, page: Page
) -> None:
    tasks = {world.submit("export", percent=10) for _ in range(3)}
    world.submit("report", message="Done long ago")
    go_to(page, "tasks?q=type:export%20status:running")
    expect(page.locator("tbody tr")).to_have_count(3)
    page.get_by_label("Choose all on this page").check()
    chosen = page.get_by_role("region", name="Chosen tasks")
    expect(chosen).to_contain_text("3 tasks chosen")
    chosen.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("dialog")).to_contain_text("Cancel 3 tasks?")
    assert {status(world, each) for each in tasks} == {"running"}
    yes(page, "Cancel 3 tasks")
    expect(page.get_by_text("3 tasks cancelled.", exact=True).first).to_be_visible()
    assert {status(world, each) for each in tasks} == {"cancelled"}
    assert tasks <= set(world.ended)


def test_while_many_are_counted_no_other_question_can_be_asked(world: World, page: Page) -> None:
    world.submit("export", percent=10)
    go_to(page, "tasks?q=type:export%20status:running")
    page.get_by_label("Choose all on this page").check()
    chosen = page.get_by_role("region", name="Chosen tasks")
    cancel, retry = (chosen.get_by_role("button", name=name) for name in ("Cancel", "Retry"))
    held: list[Route] = []
    page.route(CANCEL_MANY, lambda route: held.append(route))
    with page.expect_request(CANCEL_MANY):
        cancel.click()
    for each in (cancel, retry):
        expect(each).to_have_attribute("aria-disabled", "true")
    held[0].continue_()
    expect(page.get_by_role("dialog")).to_contain_text("Cancel 1 task?")
    for each in (cancel, retry):
        expect(each).not_to_have_attribute("aria-disabled", "true")
    page.unroute(CANCEL_MANY)
    yes(page, "Keep as it is")
    expect(cancel).to_be_focused()


def test_all_that_fit_a_search_are_retried_though_only_a_page_of_them_is_shown(
    world: World, page: Page
) -> None:
    for number in range(52):
        world.submit("report", error=f"Many times {number}")
    go_to(page, "tasks?q=status:failed%20%22many%20times%22")
    expect(page.get_by_text("1–50 of 52 tasks")).to_be_visible()
    page.get_by_role("button", name="Older").click()
    expect(page.get_by_text("51–52 of 52 tasks")).to_be_visible()
    page.get_by_role("button", name="Newer").click()
    page.get_by_label("Choose all on this page").check()
    page.get_by_role("button", name="Choose all 52 that fit").click()
    chosen = page.get_by_role("region", name="Chosen tasks")
    chosen.get_by_role("button", name="Retry").click()
    yes(page, "Retry 52 tasks")
    expect(page.get_by_text("52 tasks waiting again.", exact=True).first).to_be_visible()


# -- what was not answered ------------------------------------------------------------------------


def lose_answers(route: Route) -> None:
    """Have a change carried out, and cut the connection before that is told."""
    if not json.loads(route.request.post_data or "{}")["dry_run"]:
        route.fetch()
        route.abort("connectionreset")
    else:
        route.continue_()


def choose_and(page: Page, verb: str, n: int) -> None:
    """Do it to all that are shown, once that is confirmed."""
    page.get_by_label("Choose all on this page").check()
    page.get_by_role("region", name="Chosen tasks").get_by_role("button", name=verb).click()
    yes(page, f"{verb} {n:,} task")


def counts(matched: int, affected: int = 0, ids: tuple[str, ...] = ()) -> dict[str, Any]:
    """What the server answers about many tasks."""
    told = {"matched": matched, "affected": affected, "dry_run": affected == 0}
    return told | {"task_ids": ids, "refused": []}


@pytest.mark.parametrize(("verb", "lost"), [("Cancel", CANCEL_MANY), ("Retry", RETRY_MANY)])
def test_what_was_done_to_many_is_told_though_the_answer_was_lost(
    world: World, page: Page, verb: str, lost: str
) -> None:
    tasks = [world.submit("export", percent=10) for _ in range(3)]
    if verb == "Retry":
        for each in tasks:
            world.call(world.engine.cancel, each)
    go_to(page, f"tasks?q=id:{','.join(tasks)}")
    expect(page.locator("tbody tr")).to_have_count(3)
    page.route(lost, lose_answers)
    choose_and(page, verb, 3)
    told = "3 tasks cancelled" if verb == "Cancel" else "3 tasks waiting again"
    messages = page.get_by_role("region", name="Messages")
    expect(messages).to_contain_text(f"{told}. The answer was lost.")
    expect(page.get_by_role("region", name="Chosen tasks")).to_be_hidden()
    page.unroute(lost)


@pytest.mark.parametrize("looks", [True, False], ids=["looked after", "not known"])
def test_of_many_that_were_cancelled_in_part_it_is_told_how_many_were(
    world: World, page: Page, *, looks: bool
) -> None:
    world.submit("export", percent=10)
    ids = tuple(f"task_{number}" for number in range(12_004))
    answers: list[Callable[[Route], None]] = [
        lambda route: route.fulfill(json=counts(12_004, ids=ids)),
        lambda route: route.fulfill(json=counts(10_000, 10_000)),
        lambda route: route.abort("connectionreset"),
        lambda route: (
            route.fulfill(json=counts(2_000, ids=ids[10_004:])) if looks else route.abort()
        ),
    ]
    page.route(CANCEL_MANY, lambda route: answers.pop(0)(route))
    page.route(RETRY_MANY, lambda route: route.fulfill(json=counts(4)))
    go_to(page, "tasks?q=status:running")
    expect(page.locator("tbody tr")).to_have_count(1)
    choose_and(page, "Cancel", 12_004)
    messages = page.get_by_role("region", name="Messages")
    chosen = page.get_by_role("region", name="Chosen tasks")
    if looks:
        told = "10,004 tasks cancelled. The connection was lost: 2,000 tasks are not"
        expect(messages).to_contain_text(told)
        expect(chosen).to_contain_text("2,000 tasks chosen")
    else:
        told = "10,000 tasks cancelled. The connection was lost: what became of 2,004 tasks"
        expect(messages).to_contain_text(told)
        expect(chosen).to_contain_text("2,004 tasks chosen")
    assert answers == []


def test_what_is_cleaned_up_is_chosen_no_more_also_where_it_is_not_shown(
    world: World, page: Page
) -> None:
    world.forget()
    for _ in range(51):
        world.submit("report", message="Soon gone")
    stays = world.submit("export", percent=10)
    go_to(page, "tasks?q=type:report")
    expect(page.get_by_text("1–50 of 51 tasks")).to_be_visible()
    page.get_by_label("Choose all on this page").check()
    page.get_by_role("button", name="Older").click()
    expect(page.get_by_text("51–51 of 51 tasks")).to_be_visible()
    page.get_by_label("Search tasks").focus()
    chosen = page.get_by_role("region", name="Chosen tasks")
    expect(chosen).to_contain_text("50 tasks chosen")
    world.forget()
    expect(chosen).to_be_hidden()
    assert status(world, stays) == "running"


def test_everything_is_reached_by_keys(world: World, page: Page) -> None:
    older = world.submit("export", percent=10, message="The older one")
    newer = world.submit("export", percent=20, message="The newer one")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Go to Tasks")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("g")
    page.keyboard.press("t")
    expect(page.get_by_role("heading", level=1, name="Tasks")).to_be_focused()
    page.keyboard.press("/")
    expect(page.get_by_label("Search tasks")).to_be_focused()
    page.keyboard.type("type:export status:running")
    page.keyboard.press("Escape")
    expect(page.locator("tbody tr")).to_have_count(2)
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.keyboard.press("c")
    expect(page.get_by_role("dialog")).to_contain_text("Cancel 1 task?")
    page.keyboard.press("Enter")
    expect(page.get_by_text("1 task cancelled.", exact=True).first).to_be_visible()
    assert status(world, older) == "cancelled"
    assert status(world, newer) == "running"
    page.keyboard.press("g")
    page.keyboard.press("o")
    expect(page.get_by_role("heading", level=1, name="Overview")).to_be_focused()
