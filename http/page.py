"""The pages, to steer by and to read the API on: files that the server has in itself.

What a page loads lies under `/ui/VERSION/` or `/docs/VERSION/`, where VERSION changes with any of
its files: so a browser keeps them for good, and never mixes those of two versions. The page itself
is asked for anew each time, and is mostly answered 304. All links are relative: they work under any
prefix.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
from pathlib import Path, PurePosixPath

import msgspec
from anyio import to_thread
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from .envelope import HEADERS
from .measuring import ROUTE

START = "index.html"


class Site(msgspec.Struct, frozen=True):
    """A page with its files: the folder that has them, and the paths that they are given at."""

    name: str
    folder: Path
    page: str
    files: str


FOLDER = Path(__file__).parent / "ui"
PAGE = Site("page", FOLDER, "/", "/ui/{version}/{name:path}")
DOCS = Site("docs", Path(__file__).parent / "docs_ui", "/docs", "/docs/{version}/{name:path}")

# Nothing but what this server gives runs, is shown or is asked; nobody puts the page in a frame.
POLICY = b"; ".join(
    (
        b"default-src 'none'",
        b"script-src 'self'",
        b"style-src 'self'",
        b"img-src 'self' data:",
        b"connect-src 'self'",
        b"worker-src 'self'",
        b"frame-ancestors 'none'",
        b"base-uri 'none'",
        b"form-action 'self'",
    )
)

_TYPES = {
    ".html": b"text/html; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}
_GUARDS = (
    (b"content-security-policy", POLICY),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_WORTH_PACKING = 1000  # bytes


class Asset(msgspec.Struct, frozen=True):
    """One file of the page, ready to send."""

    content: bytes
    packed: bytes | None  # by gzip, where that makes it smaller
    content_type: bytes
    tag: bytes


class Assets(msgspec.Struct, frozen=True):
    """All of them, and the version that they make together."""

    version: str
    start: Asset
    by_name: dict[str, Asset]


@functools.cache
def load_assets(folder: Path = FOLDER) -> Assets:
    """Read the files of a page, once in a process."""
    files = {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.suffix in _TYPES
    }
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(b"%b\0%d\0%b" % (name.encode(), len(content), content))
    version = digest.hexdigest()[:16]
    start = files.pop(START).replace(b"{version}", version.encode())
    by_name = {name: _asset(name, content) for name, content in files.items()}
    return Assets(version, _asset(START, start), by_name)


def routes_of(site: Site) -> list[Route]:
    """Give the routes of a page; they ask for no key, and tell nothing."""
    methods = ["GET", "HEAD"]
    return [
        Route(site.page, _Page(site), methods=methods, name=site.name),
        Route(site.files, _Files(site), methods=methods, name=f"{site.name}_file"),
    ]


class _Page:
    def __init__(self, site: Site) -> None:
        self._site = site

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        scope[ROUTE].append(self._site.page)
        assets = await _assets_of(self._site)
        await _send(assets.start, b"no-cache", scope, send)


class _Files:
    def __init__(self, site: Site) -> None:
        self._site = site

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        scope[ROUTE].append(self._site.files)
        assets, wanted = await _assets_of(self._site), scope["path_params"]
        asset = assets.by_name.get(wanted["name"])
        if asset is None or wanted["version"] != assets.version:
            raise HTTPException(404)
        await _send(asset, b"public, max-age=31536000, immutable", scope, send)


_loaded: dict[Path, Assets] = {}


async def _assets_of(site: Site) -> Assets:
    """Give the files; the first time they are packed in a thread, as that holds up the loop."""
    if site.folder not in _loaded:
        _loaded[site.folder] = await to_thread.run_sync(load_assets, site.folder)
    return _loaded[site.folder]


async def _send(asset: Asset, caching: bytes, scope: Scope, send: Send) -> None:
    headers = scope[HEADERS]
    head = [
        *_GUARDS,
        (b"cache-control", caching),
        (b"etag", asset.tag),
        (b"vary", b"accept-encoding"),
    ]
    body, status = asset.content, 200
    if asset.tag in headers.get(b"if-none-match", b""):
        body, status = b"", 304
    else:
        if asset.packed is not None and b"gzip" in headers.get(b"accept-encoding", b""):
            body = asset.packed
            head.append((b"content-encoding", b"gzip"))
        head.append((b"content-type", asset.content_type))
        head.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": head})
    shown = b"" if scope["method"] == "HEAD" else body
    await send({"type": "http.response.body", "body": shown, "more_body": False})


def _asset(name: str, content: bytes) -> Asset:
    packed = gzip.compress(content, mtime=0) if len(content) > _WORTH_PACKING else None
    if packed is not None and len(packed) >= len(content):
        packed = None
    tag = b'W/"%b"' % hashlib.sha256(content).hexdigest()[:20].encode()
    return Asset(content, packed, _TYPES[PurePosixPath(name).suffix], tag)
