"""Pictures of every screen, light and dark, for docs/page.md: `python -m tests.page_screenshots`.

They are of a real server in this process, whose tasks have run on a clock that was set back.
"""

from __future__ import annotations

import base64
import logging
import random
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, Page, expect

from tests.documents import ROOT
from tests.page_browser import DESK, PHONE, a_browser, a_page
from tests.page_world import World, a_world

FOLDER = ROOT / "docs" / "screenshots"
SAMPLE = sorted((ROOT / "docs" / "sample" / "jargon").glob("*.md"))
LARGEST = 200_000  # bytes of a picture

_REASONS = [
    "ConnectionError: the archive at 10.0.0.7 refused the connection",
    "The disk of the archive is full",
    "451 4.7.1 try again later",
]


_TO_WEBP = """async (shot) => {
  const image = new Image();
  image.src = `data:image/png;base64,${shot}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.width, image.height];
  canvas.getContext("2d").drawImage(image, 0, 0);
  return canvas.toDataURL("image/webp", 0.9).split(",")[1];
}"""


def main() -> None:
    """Take them all anew."""
    logging.disable(logging.CRITICAL)
    FOLDER.mkdir(exist_ok=True)
    with (
        TemporaryDirectory() as keys,
        a_world(keys=Path(keys), with_library=True) as world,
        a_browser() as browser,
    ):
        assert world.keys is not None
        key = world.keys.create("Ada")
        live_an_hour(world)
        fill_the_library(world, browser, key)
        places = what_runs_now(world)
        for dark in (False, True):
            theme = "dark" if dark else "light"
            with a_page(browser, dark=dark) as page:
                page.goto(world.url)
                expect(page.get_by_label("API key")).to_be_focused()
                take(page, f"sign-in-{theme}")
                sign_in(page, world, key)
                for name, place in places.items():
                    open_at(page, world, place)
                    take(page, f"{name}-{theme}")
                page.keyboard.press("?")
                take(page, f"keys-{theme}")
            with a_page(browser, dark=dark, size=PHONE) as page:
                sign_in(page, world, key)
                take(page, f"phone-{theme}")


def live_an_hour(world: World) -> None:
    """Tasks that ended in each of the last 59 minutes."""
    chance = random.Random(3)
    world.clock.behind = timedelta(minutes=59)
    for minute in range(58, 0, -1):
        for _ in range(chance.randint(0, 5)):
            seconds = chance.uniform(0.2, 4)
            if chance.random() < 0.12:
                world.submit("report", seconds=seconds, error=chance.choice(_REASONS))
            else:
                world.submit("report", seconds=seconds, message="Written", result=a_result(chance))
        world.clock.behind = timedelta(minutes=minute)
    world.clock.behind = timedelta()


def a_result(chance: random.Random) -> dict[str, object]:
    regions = ("North", "East", "South", "West")
    rows = [
        {"region": each, "orders": chance.randint(100, 9_000), "returned": chance.randint(0, 90)}
        for each in regions
    ]
    return {"pages": chance.randint(4, 40), "currency": "EUR", "regions": rows}


def fill_the_library(world: World, browser: Browser, key: str) -> None:
    """Upload the sample and run all four operations, as a person would."""
    with a_page(browser) as page:
        sign_in(page, world, key)
        open_at(page, world, "library")
        page.get_by_label("Process them at once").uncheck()
        page.locator("input[type=file]").set_input_files(SAMPLE)
        expect(page.get_by_text(f"{len(SAMPLE)} of {len(SAMPLE)}", exact=True)).to_be_visible()
        page.get_by_role("button", name="Run the whole chain").click()
        last = page.get_by_role("region", name="Summarise communities")
        expect(last.locator(".badge")).to_have_text("Completed")


def what_runs_now(world: World) -> dict[str, str]:
    """Leave some tasks running, waiting and failing; gives the screens to show."""
    world.submit("newsletter", error=_REASONS[2])
    for percent in (12, 83):
        world.submit("export", percent=percent, message=f"{percent * 12} of 1,200 rows written")
    running = world.submit(
        "export", percent=48, message="576 of 1,200 rows written", then=[("report", {})]
    )
    world.submit("queue", percent=5, message="Waiting for the printer")
    for _ in range(2):
        world.submit("queue")
    records = world.call(world.engine.list).records
    ended = {each.status: each.id for each in reversed(records) if each.type == "report"}
    detected = next(each.id for each in records if each.type == "community_detection")
    return {
        "overview": "",
        "tasks": "tasks",
        "task-running": f"tasks/{running}",
        "task-failed": f"tasks/{next(i for s, i in ended.items() if s == 'failed')}",
        "task-completed": f"tasks/{next(i for s, i in ended.items() if s == 'completed')}",
        "task-chain": f"tasks/{detected}",
        "library": "library",
        "graph": "graph",
        "community": "graph?community=1",
    }


def sign_in(page: Page, world: World, key: str) -> None:
    page.goto(world.url)
    page.get_by_label("API key").fill(key)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    expect(page.locator("main")).to_have_attribute("aria-busy", "false")


def open_at(page: Page, world: World, place: str) -> None:
    page.goto(f"{world.url}/#/{place}")
    expect(page.locator("main")).to_have_attribute("aria-busy", "false")
    expect(page.locator(".dot.live")).to_be_visible()
    if place.startswith("graph"):
        expect(page.locator(".canvas-box")).to_have_attribute("data-settled", "yes")


def take(page: Page, name: str) -> None:
    """Keep what is seen, as WebP: a third of the size of PNG. The browser itself writes it."""
    page.mouse.move(DESK[0] - 1, DESK[1] - 1)
    shot = base64.b64encode(page.screenshot(animations="disabled")).decode()
    painter = page.context.new_page()
    written = painter.evaluate(_TO_WEBP, shot)
    painter.close()
    content = base64.b64decode(written)
    assert len(content) < LARGEST, f"{name} has {len(content)} bytes"
    (FOLDER / f"{name}.webp").write_bytes(content)


if __name__ == "__main__":
    main()
