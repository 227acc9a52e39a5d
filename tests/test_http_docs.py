"""The page that shows the API: ours alone, guarded, legible, and complete."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from cortex_tasks.http.page import DOCS, load_assets
from tests.cli_process import serving as serving_process
from tests.documents import ROOT
from tests.http_setting import a_key_store, assert_problem, client_of, echo, serving
from tests.openapi_setting import DESCRIBED, document
from tests.page_browser import ABSENT, CHROMIUM, a_browser

VENDOR = DOCS.folder / "vendor"
in_a_browser = pytest.mark.skipif(CHROMIUM is None, reason=ABSENT)


@pytest.mark.parametrize("prefix", ["", "/cortex", "/a/b"])
async def test_anybody_gets_it_with_all_that_it_names_under_any_prefix(
    tmp_path: Path, prefix: str
) -> None:
    async with serving(echo, keys=a_key_store(tmp_path), page=False) as api:
        host = Starlette(routes=[Mount(prefix, app=api.app)])
        async with client_of(host) as client:
            moved = await client.get(f"{prefix}/docs/")
            assert moved.status_code == 308
            assert str(moved.url.join(moved.headers["location"])).endswith(
                f"//testserver{prefix}/docs"
            )
            page = await client.get(f"{prefix}/docs")
            assert page.headers["content-type"] == "text/html; charset=utf-8"
            links = re.findall(r'(?:href|src)="([^"#]+)"', page.text)
            assert len(links) == 6
            for link in links:
                assert not link.startswith(("/", "http")), link
                answer = await client.get(f"{prefix}/{link}")
                assert answer.status_code == 200, link
                if "docs/" in link:
                    assert "unsafe" not in answer.headers["content-security-policy"]
                    assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_nothing_else_is_given_out() -> None:
    version = load_assets(DOCS.folder).version
    async with serving(echo) as api:
        for name in ("", "index.html", "../page.py", "%2e%2e/page.py", "vendor/"):
            assert_problem(await api.get(f"/docs/{version}/{name}"), 404)
        assert_problem(await api.get("/docs/0000000000000000/docs.js"), 404)
        assert_problem(await api.post("/docs"), 405)


def test_the_viewer_is_the_very_one_that_its_authors_published_with_its_licence() -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    files = sorted(file for file in VENDOR.iterdir() if file.suffix in (".js", ".css"))
    assert len(files) == 2
    for file in files:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        assert re.search(rf"^\| `{re.escape(file.name)}` .*`{digest}`", page, re.MULTILINE), file
    (licence,) = VENDOR.glob("*.LICENSE.txt")
    assert "Apache License" in licence.read_text()


def seen(url: str, *, scheme: Any) -> tuple[list[str], list[str], list[str], str]:
    """Open the page; give the calls shown, what was complained about, who was asked, its colour."""
    said: list[str] = []
    asked: list[str] = []
    with a_browser() as browser:
        page = browser.new_page()
        page.emulate_media(color_scheme=scheme)
        page.on("console", lambda line: said.append(line.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{url}/docs")
        page.wait_for_selector(".opblock")
        calls = page.locator(".opblock-summary-path").evaluate_all(
            "nodes => nodes.map(each => each.dataset.path)"
        )
        page.locator(".opblock-summary-control").first.click()
        page.wait_for_selector(".opblock-body .responses-table")
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return calls, said, asked, str(colour)


@in_a_browser
@pytest.mark.parametrize(
    ("scheme", "colour"), [("light", "rgb(250, 250, 250)"), ("dark", "rgb(28, 32, 34)")]
)
def test_a_browser_shows_every_call_and_asks_nobody_else(
    tmp_path: Path, scheme: str, colour: str
) -> None:
    with serving_process(tmp_path) as (url, _, _):
        calls, said, asked, painted = seen(url, scheme=scheme)
    assert sorted(calls) == sorted(path for path, rows in document()["paths"].items() for _ in rows)
    assert len(calls) == len(DESCRIBED)
    assert said == []
    assert [each for each in asked if not each.startswith((url, "data:"))] == []
    assert painted == colour


def tried(url: str, key: str, *calls: str) -> list[tuple[str, int, str]]:
    """Try calls as they are shown; give what was asked, the status, and its Idempotency-Key."""
    with a_browser() as browser:
        page = browser.new_page()
        page.goto(f"{url}/docs")
        page.locator("button.authorize").first.click()
        page.locator(".modal-ux input").first.fill(key)
        page.locator(".modal-ux button.authorize").first.click()
        page.locator(".modal-ux .btn-done").first.click()
        found = []
        for call in calls:
            shown = page.locator(f".opblock[id$='-{call}']")
            shown.locator(".opblock-summary-control").click()
            shown.locator(".try-out__btn").click()
            with page.expect_response(lambda answer: "/api/" in answer.url) as came:
                shown.locator(".execute").click()
            answer = came.value
            repeated = answer.request.headers.get("idempotency-key", "")
            found.append((answer.url.removeprefix(url), answer.status, repeated))
    return found


@in_a_browser
def test_calls_of_several_kinds_can_be_tried_as_they_are_shown(tmp_path: Path) -> None:
    with serving_process(tmp_path) as (url, said, _):
        [key] = set(re.findall(r"cortex_admin_\S+", said))
        found = tried(url, key, "detect", "analyze", "cancel_many", "list_tasks")
    assert found == [
        ("/api/graph/communities/detect", 200, ""),
        ("/api/graph/relationships/analyze", 200, ""),
        ("/api/tasks/bulk/cancel", 200, ""),
        ("/api/tasks?offset=0", 200, ""),
    ]
