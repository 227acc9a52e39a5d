"""One task on the page: what is said of how it ended, or of why it has not begun, is true."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.page_browser import a_page, needs_chromium, open_at
from tests.page_world import World, a_world

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with a_world(loop="asyncio") as world:
        yield world


@pytest.fixture
def page(browser: Browser, world: World) -> Iterator[Page]:
    with a_page(browser) as page:
        yield page
    world.clear()


def moment(page: Page, words: str | re.Pattern[str]) -> Locator:
    """What the timeline says in a line with these words."""
    return page.locator(".moments li").filter(has_text=words)


def test_a_task_cancelled_before_it_was_tried_again_is_not_said_to_begin_or_to_have_run(
    world: World, page: Page
) -> None:
    task_id = world.submit("newsletter", seconds=3, error="451 try again later")
    world.call(world.engine.cancel, task_id)
    open_at(page, world, f"tasks/{task_id}")
    expect(moment(page, "Attempt 1 failed")).to_contain_text(re.compile(r"after 3\.\d s"))
    end = moment(page, "Cancelled while it waited")
    expect(end).to_be_visible()
    expect(end).not_to_contain_text("ran")
    expect(page.locator(".under")).not_to_contain_text("begins")
    expect(page.get_by_role("list", name="Stages of the cancel")).to_have_count(0)
    open_at(page, world, f"tasks?q=id:{task_id}")
    expect(page.locator("tbody .c-ran")).to_have_text("–")


def test_a_task_that_was_over_is_not_said_to_have_waited_until_it_was_tried_again(
    world: World, page: Page
) -> None:
    world.clock.behind = timedelta(hours=3)
    task_id = world.submit("report", error="No luck")
    world.clock.behind = timedelta()
    world.call(world.engine.retry, task_id)
    world.call(world.engine.wait, task_id)
    open_at(page, world, f"tasks/{task_id}")
    expect(moment(page, "Asked for again")).to_be_visible()
    expect(moment(page, "Attempt 2 began")).not_to_contain_text(" h")
    parts = page.locator(".stretch span").evaluate_all("all => all.map((each) => each.title)")
    assert [each for each in parts if each.endswith(" h")] == ["Until it was asked for again: 3 h"]


def test_a_task_put_off_says_when_it_was_due_and_waits_only_from_then_on(
    world: World, page: Page
) -> None:
    world.submit("queue", percent=5)
    task_id = world.submit("queue")
    created = world.call(world.engine.get, task_id).created_at
    seen_at = {"created_at": -7_200, "ready_at": -600}

    def put_off(route: Route) -> None:
        times = {name: created + timedelta(seconds=by) for name, by in seen_at.items()}
        seen = route.fetch().json()
        route.fulfill(json=seen | {name: time.isoformat() for name, time in times.items()})

    page.route(f"**/api/tasks/{task_id}", put_off)
    open_at(page, world, f"tasks/{task_id}")
    expect(moment(page, re.compile("^Due"))).to_be_visible()
    expect(moment(page, "Waits for a free place for 10 min")).to_be_visible()
    parts = page.locator(".stretch span").evaluate_all("all => all.map((each) => each.title)")
    assert parts == ["Not due for 1 h 50 min", "Waits for 10 min"]


def test_a_task_cancelled_while_it_waited_to_be_tried_again_had_begun(
    world: World, page: Page
) -> None:
    task_id = world.submit("report", error="No luck")
    world.call(world.engine.pause, "report")
    world.call(world.engine.retry, task_id)
    world.call(world.engine.cancel, task_id)
    world.call(world.engine.resume, "report")
    open_at(page, world, f"tasks/{task_id}")
    expect(moment(page, "Cancelled while it waited")).to_be_visible()


def test_a_task_whose_time_has_come_is_no_longer_said_to_be_put_off(
    world: World, page: Page
) -> None:
    world.submit("queue", percent=5)
    task_id = world.submit("queue")

    def put_off(route: Route) -> None:
        seen = route.fetch().json()
        now = datetime.fromisoformat(seen["created_at"])
        route.fulfill(json=seen | {"run_at": (now + timedelta(minutes=5)).isoformat()})

    page.clock.install()
    page.route(f"**/api/tasks/{task_id}", put_off)
    open_at(page, world, f"tasks/{task_id}")
    under = page.locator(".under")
    expect(under).to_contain_text("Scheduled")
    expect(under).to_contain_text("begins in")
    page.route("**/api/**", lambda _route: None)  # nothing is heard meanwhile
    page.clock.fast_forward(310_000)
    expect(under).to_contain_text("Pending")
    expect(under).not_to_contain_text("begins")
    expect(moment(page, re.compile("^Due"))).to_be_visible()
    expect(moment(page, "Waits for a free place for")).to_be_visible()


@pytest.mark.parametrize("over", [True, False], ids=["it was the last", "another followed"])
def test_of_an_attempt_that_a_crash_ended_it_is_not_said_how_long_it_ran(
    world: World, page: Page, *, over: bool
) -> None:
    task_id = world.submit("report", error="No luck")
    if not over:
        world.call(world.engine.retry, task_id)
        world.call(world.engine.wait, task_id)
    error = "interrupted by server restart"

    def crash(route: Route) -> None:
        seen = route.fetch().json()
        if over:
            seen |= {"error": error, "run_seconds": None}
        else:
            seen["attempts"][0] |= {"error": error, "found_over": True}
        route.fulfill(json=seen)

    page.route(f"**/api/tasks/{task_id}", crash)
    open_at(page, world, f"tasks/{task_id}")
    end = moment(page, "found then")
    expect(end).to_contain_text("Failed" if over else "Attempt 1 was interrupted")
    expect(end).not_to_contain_text(re.compile(r"\d m?s|after \d|ran"))
    expect(page.get_by_title("Attempt 1: until a crash, found later")).to_have_count(1)


def test_attempts_that_take_the_place_of_older_ones_are_told_though_they_are_as_many(
    world: World, page: Page
) -> None:
    task_id = world.submit("newsletter", error="451 try again later")
    numbers = [20, 21]  # of the last attempt that is known to be over

    def renumber(route: Route) -> None:
        seen = route.fetch().json()
        seen["attempts"][0]["number"] = numbers[0]
        route.fulfill(json=seen | {"attempt": 21})
        del numbers[:-1]

    page.route(f"**/api/tasks/{task_id}", renumber)
    open_at(page, world, f"tasks/{task_id}")
    expect(moment(page, "Attempt 20 failed")).to_be_visible()
    expect(moment(page, "Attempt 21 failed")).to_have_count(0)
    page.keyboard.press(".")
    expect(moment(page, "Attempt 21 failed")).to_be_visible()


def test_an_attempt_that_was_cancelled_is_not_said_to_have_failed(world: World, page: Page) -> None:
    task_id = world.submit("export", percent=10)
    world.call(world.engine.cancel, task_id)
    world.call(world.engine.wait, task_id)
    world.call(world.engine.retry, task_id)
    open_at(page, world, f"tasks/{task_id}")
    expect(moment(page, "Attempt 1 was cancelled")).to_have_class("is-cancelled")
    expect(moment(page, "Attempt 2 began")).to_be_visible()
    expect(moment(page, "failed")).to_have_count(0)


def test_an_attempt_that_raised_what_is_named_like_an_interruption_failed(
    world: World, page: Page
) -> None:
    task_id = world.submit("newsletter", error="451 try again later")

    def rename(route: Route) -> None:
        seen = route.fetch().json()
        seen["attempts"][0]["error"] = "interrupted: 451 try again later"
        route.fulfill(json=seen)

    page.route(f"**/api/tasks/{task_id}", rename)
    open_at(page, world, f"tasks/{task_id}")
    expect(moment(page, "Attempt 1 failed")).to_have_class("is-failed")


def test_a_task_that_ran_for_a_moment_is_said_everywhere_to_have_run_as_long(
    world: World, page: Page
) -> None:
    task_id = world.submit("report", seconds=0.003)
    open_at(page, world, f"tasks?q=id:{task_id}")
    cell = page.locator("tbody .c-ran")
    expect(cell).not_to_have_text("0 s")
    ran = cell.inner_text()
    open_at(page, world, f"tasks/{task_id}")
    expect(moment(page, "Completed")).to_contain_text(f"ran {ran}")


def test_what_follows_a_step_that_failed_will_not_begin(world: World, page: Page) -> None:
    first = world.submit("report", then=[("report", {"error": "No luck"}), ("queue", {})])
    open_at(page, world, f"tasks/{first}")
    steps = page.locator(".chain li")
    expect(steps.nth(1)).to_contain_text("Failed")
    expect(steps.nth(2)).to_contain_text("will not begin")


def test_of_a_long_chain_it_is_said_that_there_is_more_than_is_shown(
    world: World, page: Page
) -> None:
    steps = [world.submit("report", then=[("report", {})] * 26)]
    while next_id := world.call(world.engine.wait, steps[-1]).next_id:
        steps.append(next_id)
    shown = page.locator(".chain li")
    open_at(page, world, f"tasks/{steps[0]}")
    expect(shown).to_have_count(1 + 20 + 1)
    expect(shown.last).to_have_text("and 6 more")
    shown.last.get_by_role("link").click()
    expect(page).to_have_url(re.compile(steps[21]))
    expect(shown.first).to_have_text("earlier steps")
    expect(shown).to_have_count(1 + 20 + 1 + 5)
    expect(shown.last).to_contain_text("Completed")
    shown.first.get_by_role("link").click()
    expect(page).to_have_url(re.compile(steps[0]))


def test_a_task_that_waits_says_for_what_also_when_its_type_is_paused(
    world: World, page: Page
) -> None:
    page.clock.install()
    world.submit("queue", percent=5)
    task_id = world.submit("queue")
    open_at(page, world, f"tasks/{task_id}")
    expect(moment(page, "Waits for a free place")).to_be_visible()
    world.call(world.engine.pause, "queue")
    page.clock.fast_forward(6_000)
    expect(moment(page, "until Queue is resumed")).to_be_visible()
    page.reload()
    expect(moment(page, "until Queue is resumed")).to_be_visible()
    world.call(world.engine.resume, "queue")
    page.clock.fast_forward(6_000)
    expect(moment(page, "Waits for a free place")).to_be_visible()


@pytest.mark.parametrize("secure", [True, False], ids=["local or by https", "by plain http"])
def test_the_id_can_be_copied(world: World, page: Page, *, secure: bool) -> None:
    if secure:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    else:
        # So it is for a page that comes by plain HTTP from another machine.
        page.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    task_id = world.submit("report")
    open_at(page, world, f"tasks/{task_id}")
    page.get_by_role("button", name="Copy id").click()
    expect(page.get_by_role("region", name="Messages")).to_contain_text("Copied.")
    expect(page.get_by_role("button", name="Copy id")).to_be_focused()
    page.get_by_role("link", name=re.compile("^Tasks")).first.click()
    search = page.get_by_label("Search tasks")
    search.focus()
    page.keyboard.press("ControlOrMeta+v")
    expect(search).to_have_value(task_id)


# -- figures --------------------------------------------------------------------------------------


def test_the_oldest_that_waits_is_said_to_have_waited_since_it_was_ready(
    world: World, page: Page
) -> None:
    world.submit("queue", percent=5)
    first = world.submit("queue")
    world.call(world.engine.cancel, first)
    ready = f"{world.call(world.engine.retry, first).updated_at:%Y-%m-%dT%H:%M:%S.%f}Z"
    open_at(page, world)
    waits = page.locator(".health").get_by_text("waits since")
    expect(waits.locator("time")).to_have_attribute("datetime", ready)


@pytest.mark.parametrize(
    ("at", "said", "below"),
    [
        (0, r"^Attempt 1: 1\d s so far$", "Runs for"),
        (1, r"^Waits for 1\d s$", "Waits for a free place"),
    ],
    ids=["it runs", "it waits"],
)
def test_the_bar_of_what_goes_on_grows_with_it(
    world: World, page: Page, at: int, said: str, below: str
) -> None:
    page.clock.install()
    tasks = [world.submit("queue", percent=5), world.submit("queue")]
    open_at(page, world, f"tasks/{tasks[at]}")
    page.route("**/api/**", lambda _route: None)  # nothing is heard meanwhile
    page.clock.fast_forward(15_000)
    expect(page.locator(".stretch span").last).to_have_attribute("title", re.compile(said))
    expect(moment(page, below)).to_contain_text(re.compile(r" 1\d s$"))


def test_of_attempts_that_are_no_longer_kept_nothing_is_said_but_how_many_there_were(
    world: World, page: Page
) -> None:
    task_id = world.submit("newsletter", error="451 try again later")

    def forget_some(route: Route) -> None:
        seen = route.fetch().json()
        seen.update(created_at="2026-03-15T10:30:00Z", attempt=10)
        seen["attempts"][0]["number"] = 10
        route.fulfill(json=seen)

    page.route(f"**/api/tasks/{task_id}", forget_some)
    open_at(page, world, f"tasks/{task_id}")
    unkept = "9 earlier attempts, no longer kept"
    expect(moment(page, unkept)).to_be_visible()
    expect(moment(page, "Attempt 10 began")).to_be_visible()
    expect(moment(page, "after waiting")).to_have_count(0)
    titles = page.locator(".stretch span").evaluate_all("all => all.map((each) => each.title)")
    assert titles[0] == unkept
    assert [each for each in titles if each.startswith("Waited")] == []


def test_a_number_in_the_log_keeps_all_its_digits(world: World, page: Page) -> None:
    fields = {"amount": 2**60, "nested": {"x": [2**70, "a b", None]}, "flag": True}
    line = {"at": "2026-03-15T10:30:00Z", "level": "info", "message": "An amount", "fields": fields}
    page.route("**/log", lambda route: route.fulfill(json={"lines": [line], "dropped": 0}))
    task_id = world.submit("report")
    open_at(page, world, f"tasks/{task_id}")
    expect(page.get_by_label("Log lines")).to_contain_text(
        'An amount amount=1152921504606846976 nested={"x":[1180591620717411303424,"a b",null]}'
        " flag=true"
    )
