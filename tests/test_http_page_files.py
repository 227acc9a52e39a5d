"""The files of the page as they come over HTTP: typed, guarded, kept by browsers, ours alone."""

from __future__ import annotations

import gzip
import hashlib
import re

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from cortex_tasks.http.page import FOLDER, load_assets
from tests.documents import ROOT
from tests.http_setting import assert_problem, client_of, serving

OURS = sorted(FOLDER.rglob("*.js")) + sorted(FOLDER.rglob("*.css")) + [FOLDER / "index.html"]
WRITTEN_HERE = [file for file in OURS if "vendor" not in file.parts]


def named(name: str) -> str:
    return f"/ui/{load_assets().version}/{name}"


@pytest.mark.parametrize("prefix", ["", "/cortex", "/a/b"])
async def test_everything_that_the_page_names_is_there_under_any_prefix(prefix: str) -> None:
    async with serving() as api:
        host = Starlette(routes=[Mount(prefix, app=api.app)])
        async with client_of(host) as client:
            page = await client.get(f"{prefix}/")
            assert page.headers["content-type"] == "text/html; charset=utf-8"
            links = re.findall(r'(?:href|src)="([^"#]+)"', page.text)
            assert len(links) > 3
            for link in links:
                assert not link.startswith(("/", "http")), link
                assert (await client.get(f"{prefix}/{link}")).status_code == 200, link


async def test_each_file_has_its_type_and_a_policy_that_lets_in_nothing_foreign() -> None:
    async with serving() as api:
        for path in ["/", *map(named, load_assets().by_name)]:
            answer = await api.get(path)
            assert answer.status_code == 200
            assert answer.headers["x-content-type-options"] == "nosniff"
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy


async def test_a_browser_keeps_the_files_for_good_and_asks_for_the_page_anew() -> None:
    async with serving() as api:
        page = await api.get("/")
        assert page.headers["cache-control"] == "no-cache"
        again = await api.get("/", headers={"If-None-Match": page.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        file = await api.get(named("main.js"))
        assert "immutable" in file.headers["cache-control"]
        assert (await api.get("/api/tasks")).headers["cache-control"] == "no-store"


async def test_files_are_packed_for_whoever_can_unpack_them() -> None:
    async with serving() as api:
        path = named("main.js")
        packed = await api.get(path, headers={"Accept-Encoding": "gzip"})
        plain = await api.get(path, headers={"Accept-Encoding": "identity"})
        assert packed.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in plain.headers
        assert packed.content == plain.content == (FOLDER / "main.js").read_bytes()
        assert int(packed.headers["content-length"]) == len(gzip.compress(plain.content, mtime=0))


@pytest.mark.parametrize(
    "path",
    [
        "/ui/0000000000000000/main.js",
        named("nowhere.js"),
        named("../page.py"),
        named("%2e%2e/page.py"),
        named("/etc/passwd"),
        named("index.html"),
        named(""),
        "/ui/",
        "/ui",
    ],
)
async def test_nothing_else_is_given_out(path: str) -> None:
    async with serving() as api:
        assert_problem(await api.get(path), 404)


async def test_it_is_read_only() -> None:
    async with serving() as api:
        assert_problem(await api.post("/"), 405)
        head = await api.ask("HEAD", "/")
        assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize("file", WRITTEN_HERE, ids=lambda file: file.name)
def test_no_text_is_ever_taken_for_markup_or_code(file: object) -> None:
    text = FOLDER.joinpath(str(file)).read_text()
    dangers = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc"
    assert re.findall(dangers, text) == []


@pytest.mark.parametrize("file", WRITTEN_HERE, ids=lambda file: file.name)
def test_no_address_of_another_server_is_in_it(file: object) -> None:
    text = FOLDER.joinpath(str(file)).read_text()
    names_of_kinds_of_markup = "http://www.w3.org/"
    found = re.findall(r"https?://[\w./-]+", text)
    assert [each for each in found if not each.startswith(names_of_kinds_of_markup)] == []


def test_the_key_is_kept_nowhere_by_the_page() -> None:
    for file in WRITTEN_HERE:
        for line in file.read_text().splitlines():
            if "Storage" in line:
                assert "key" not in line.lower() or "shortcut" in line.lower(), (file, line)


def test_what_is_vendored_is_what_the_docs_say_with_its_licence_beside_it() -> None:
    text = (ROOT / "docs" / "dependencies.md").read_text()
    vendored = sorted((FOLDER / "vendor").glob("*.js"))
    assert len(vendored) > 0
    for file in vendored:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        assert re.search(rf"\| `{re.escape(file.name)}` \|.*\| `{digest}` \|", text), file.name
        assert file.with_name(file.name.replace(".min.js", ".LICENSE.txt")).is_file()
