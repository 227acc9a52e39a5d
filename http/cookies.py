"""The page's cookie: it holds the API key, where no script can read it.

Nothing is kept of it here: a restart signs nobody out, and a revoked key is refused at once.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from urllib.parse import quote, unquote

from starlette.types import Scope

from .envelope import HEADERS

NAME = b"cortex_session"  # and, where the page's address names a port, `_` and the port

# Encoded, it is well within the 4,096 bytes that browsers keep of a cookie.
LONGEST_KEY = 2048

# What browsers write of a path as it stands, beside letters, digits and `_.-~`.
_WRITTEN_PLAINLY = "/!$&'()*+,:;=@[]"


def key_in_cookie(headers: Mapping[bytes, bytes]) -> bytes:
    """Give the key in a request's cookie; nothing where there is none, or not one of ours."""
    wanted = _name(headers)
    for pair in headers.get(b"cookie", b"").split(b";"):
        name, _, value = pair.strip().partition(b"=")
        if name == wanted:
            try:
                padded = value + b"=" * (-len(value) % 4)
                return base64.b64decode(padded, altchars=b"-_", validate=True)
            except binascii.Error:
                return b""
    return b""


def cookie_with(key: str, scope: Scope) -> bytes:
    """Write the header that has a browser keep the key until it is closed."""
    value = base64.urlsafe_b64encode(key.encode()).rstrip(b"=")
    return b"%b=%b; %b" % (_name(scope[HEADERS]), value, _attributes(scope))


def cookie_gone(scope: Scope) -> bytes:
    """Write the header that has a browser forget it."""
    return b"%b=; Max-Age=0; %b" % (_name(scope[HEADERS]), _attributes(scope))


def _name(headers: Mapping[bytes, bytes]) -> bytes:
    """Give the name to keep a cookie by. A browser has one of a name for all ports of a host, and
    to sign in at one server is not to sign out of another.
    """
    port = headers.get(b"host", b"").rpartition(b":")[2]
    return b"%b_%b" % (NAME, port) if port.isdigit() else NAME


def _attributes(scope: Scope) -> bytes:
    # Behind a proxy that ends TLS the scheme here is http; the browser knows what it speaks.
    origin: bytes = scope[HEADERS].get(b"origin", b"")
    secure = scope["scheme"] == "https" or origin.startswith(b"https://")
    path = _path_for(_prefix(scope))
    return b"Path=%b/; HttpOnly; SameSite=Strict%b" % (path, b"; Secure" if secure else b"")


def _prefix(scope: Scope) -> bytes:
    """Give the path that the page lies under, as its browser writes it.

    A browser compares it letter by letter: where it writes `@`, a cookie for `%40` is never sent.
    """
    root: str = scope.get("root_path", "")
    inside = scope["path"].removeprefix(root).encode()
    written: bytes = (scope.get("raw_path") or b"").removesuffix(inside)
    if unquote(written.decode("latin-1")) == root:
        return written
    # A proxy has taken the prefix away: what it was is known, but not how it was written.
    return quote(root, safe=_WRITTEN_PLAINLY).encode()


def _path_for(prefix: bytes) -> bytes:
    """Give the nearest folder that a cookie can be for: a semicolon would end the attribute."""
    nearest, semicolon, _ = prefix.partition(b";")
    return nearest.rpartition(b"/")[0] if semicolon else prefix
