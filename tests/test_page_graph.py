"""The graph on the page: entities with any name and any number of relationships, and none yet."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import anyio
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from cortex_tasks.jobs.model import CommunityDraft
from tests.cli_process import LIMIT, command
from tests.knowledge import learn, saying
from tests.page_browser import a_page, needs_chromium, open_at
from tests.page_world import World, a_world

pytestmark = needs_chromium

CLIMBS = "../../tasks"  # an entity with this name, as a path, would be another call
HUB = "Grace Kelly"  # an entity with 90 relationships
FIRST = ("Ada", "Bela", "Cora", "Dora", "Edna", "Flora", "Greta", "Hanna", "Ida", "Jona")
LAST = ("Anders", "Brook", "Carter", "Dalton", "Ellis", "Foster", "Gibson", "Hopper", "Irving")
LETTERS = "\n\n".join(
    f"{first} {last} wrote a letter to {HUB} in the year of the flood."
    for first, last in itertools.product(FIRST, LAST)
)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with a_world(loop="asyncio", with_library=True) as world:
        assert world.library is not None
        content = f"# {CLIMBS}\n\n{LETTERS}\n".encode()
        world.call(partial(world.library.documents.add, filename="letters.md", content=content))
        process(world)
        yield world


def process(world: World) -> None:
    async def process() -> None:
        handle = await world.engine.submit("document_processing", {})
        with anyio.fail_after(LIMIT):
            await handle.result()

    world.call(process)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with a_page(browser) as page:
        yield page


def panel(page: Page) -> Locator:
    return page.get_by_role("complementary", name="Communities")


def find(page: Page, name: str) -> None:
    search = page.get_by_label("Find an entity")
    search.fill(name)
    search.press("Enter")


def test_an_entity_is_asked_for_by_its_name_whatever_that_would_be_as_a_path(
    world: World, page: Page
) -> None:
    open_at(page, world, "graph")
    find(page, CLIMBS)
    expect(panel(page).get_by_role("heading", level=2)).to_have_text(CLIMBS)
    for name in (".", "..", "..."):
        open_at(page, world, f"graph?entity={name}")
        expect(panel(page).get_by_role("alert")).to_contain_text(f"' {name}'")


def test_an_entity_with_many_relationships_shows_all_of_them_by_and_by(
    world: World, page: Page
) -> None:
    open_at(page, world, "graph")
    find(page, HUB)
    expect(panel(page).get_by_role("heading", name="90 relationships")).to_be_visible()
    lines = panel(page).locator(".relations li")
    expect(lines).to_have_count(60)
    panel(page).get_by_role("button", name="Show more (30 left)").click()
    expect(lines).to_have_count(90)


def test_a_large_community_shows_all_its_members_and_documents_by_and_by(
    browser: Browser,
) -> None:
    names = [f"E{number:03}" for number in range(430)]
    with a_world(with_library=True) as world, a_page(browser) as page:
        library = world.library
        assert library is not None
        for number in range(58):
            world.call(learn, library, f"{number}.txt", saying(" ".join(names), names[number]))
        drafts = [CommunityDraft(id=1, members=names)]
        world.call(partial(library.detection.replace_communities, drafts, None, revision=1))
        open_at(page, world, "graph?community=1")
        members, documents = panel(page).locator(".members button"), panel(page).locator("li")
        expect(panel(page).get_by_role("heading", name="430 members")).to_be_visible()
        expect(members).to_have_count(200)
        panel(page).get_by_role("button", name="Show more (230 left)").press("Enter")
        expect(members).to_have_count(400)
        more = panel(page).get_by_role("button", name="Show more (30 left)")
        expect(more).to_be_focused()
        more.press("Enter")
        expect(members).to_have_count(430)
        assert members.all_inner_texts() == names
        expect(members.nth(400)).to_be_focused()
        expect(panel(page).get_by_role("heading", name="58 documents")).to_be_visible()
        expect(documents).to_have_count(50)
        panel(page).get_by_role("button", name="Show more (8 left)").click()
        expect(documents).to_have_count(58)
        expect(panel(page).get_by_role("button", name="Show more")).to_have_count(0)
        with page.expect_response("**/api/graph/communities/1"):  # looked at again, they stay
            process(world)
        expect(page.locator(".canvas-box")).to_have_attribute("data-settled", "yes")
        expect(members).to_have_count(430)
        expect(documents.nth(50).get_by_role("link")).to_be_focused()


def test_many_communities_are_all_listed_by_and_by(browser: Browser) -> None:
    names = [f"E{number:03}" for number in range(230)]
    with a_world(with_library=True) as world, a_page(browser) as page:
        library = world.library
        assert library is not None
        world.call(learn, library, "all.txt", saying(" ".join(names), " ".join(names)))
        drafts = [CommunityDraft(id=at, members=[name]) for at, name in enumerate(names, start=1)]
        world.call(partial(library.detection.replace_communities, drafts, None, revision=1))
        open_at(page, world, "graph")
        listed = panel(page).locator(".communities button")
        expect(panel(page).get_by_role("heading", name="230 communities")).to_be_visible()
        expect(listed).to_have_count(200)
        panel(page).get_by_role("button", name="Show more (30 left)").click()
        expect(listed).to_have_count(230)


def test_the_address_keeps_the_entity_that_is_read(world: World, page: Page) -> None:
    open_at(page, world, "graph")
    heading = panel(page).get_by_role("heading", level=2)
    for name in (HUB, CLIMBS):
        find(page, name)
        expect(heading).to_have_text(name)
        page.reload()
        expect(heading).to_have_text(name)
    linked = panel(page).locator(".relations a").first
    with page.context.expect_page() as opened:
        linked.click(modifiers=["ControlOrMeta"])
    other = panel(opened.value).get_by_role("heading", level=2)
    expect(other).to_have_text(linked.inner_text())


def test_what_is_written_over_the_picture_stands_on_a_ground_of_its_own(
    world: World, page: Page
) -> None:
    page.emulate_media(color_scheme="dark")
    open_at(page, world, "graph")
    figures = page.locator(".canvas-box .state")
    ground = page.locator(".canvas-box").evaluate("box => getComputedStyle(box).backgroundColor")
    expect(figures).to_have_css("background-color", ground)
    words = figures.evaluate(
        "all => { const it = document.createRange(); it.selectNodeContents(all);"
        " return it.getBoundingClientRect().width; }"
    )
    box = figures.bounding_box()
    assert box is not None
    assert box["width"] < words + 20  # and no more of the picture is hidden


def test_no_name_in_the_picture_is_cut_off_at_its_top(world: World, page: Page) -> None:
    page.add_init_script(
        """window.least = Infinity;
        const write = CanvasRenderingContext2D.prototype.fillText;
        CanvasRenderingContext2D.prototype.fillText = function (text, left, middle) {
            window.least = Math.min(window.least, middle - parseFloat(this.font.split(" ")[1]) / 2);
            write.call(this, text, left, middle);
        }"""
    )
    open_at(page, world, "graph")
    expect(page.locator(".canvas-box")).to_have_attribute("data-settled", "yes")
    for _ in range(12):
        page.keyboard.press("ArrowDown")
        page.evaluate("new Promise(requestAnimationFrame)")
    assert 0 <= page.evaluate("least") < 60


def test_the_words_under_the_picture_follow_what_is_not_in_it(world: World, page: Page) -> None:
    open_at(page, world, "graph")
    picture = page.request.get(f"{world.url}/api/graph/visualization?limit=1000").json()
    picture["stats"]["total_entities"] = 4_321
    page.route("**/visualization?*", lambda route: route.fulfill(json=picture))
    page.get_by_label("How many entities").select_option("5000")
    expect(page.locator(".canvas-box .state")).to_contain_text("of 4,321 entities")
    expect(page.get_by_role("img", name="of 4,321 entities")).to_be_visible()


def test_the_picture_follows_documents_that_are_deleted(browser: Browser) -> None:
    with a_world(with_library=True) as fresh, a_page(browser) as page:
        library = fresh.library
        assert library is not None
        ids = [
            fresh.call(learn, library, f"{name}.txt", saying(name)).id for name in ("Ada", "Bela")
        ]
        page.clock.install()
        open_at(page, fresh, "graph?limit=200")
        caption = page.locator(".canvas-box .state")
        expect(caption).to_have_text("2 of 2 entities, 0 of 0 relationships")
        fresh.call(library.documents.delete, ids[0])
        page.clock.run_for(10_000)
        page.clock.run_for(2_000)
        expect(caption).to_have_text("1 of 1 entity, 0 of 0 relationships")


def test_where_there_is_no_graph_yet_the_command_that_is_named_makes_one(
    browser: Browser, tmp_path: Path
) -> None:
    (tmp_path / "letters.md").write_text(f"# Letters\n\n{LETTERS}\n")
    with a_world(with_library=True) as fresh, a_page(browser) as page:
        words = ""
        for place in ("tasks", "library", "graph"):
            open_at(page, fresh, place)
            words = page.locator(".empty code").inner_text().replace("FOLDER", str(tmp_path))
            assert words.startswith("cortex-tasks upload ")
            assert words.endswith(f" --url {fresh.url}")
        told = subprocess.run(
            command(*words.split()[1:], "--wait"), capture_output=True, timeout=LIMIT, check=False
        )
        assert told.returncode == 0, told.stderr
        expect(page.get_by_role("img", name="Picture of the graph")).to_be_visible()
