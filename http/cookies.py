"""The page's cookie: it holds the API key, where no script can read it.

Nothing is kept of it here: a restart signs nobody out, and a revoked key is refused at once.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from urllib.parse import quote

from starlette.types import Scope

NAME = b"cortex_session"

# Encoded, it is well within the 4,096 bytes that browsers keep of a cookie.
LONGEST_KEY = 2048


def key_in_cookie(headers: Mapping[bytes, bytes]) -> bytes:
    """Give the key in a request's cookie; nothing where there is none, or not one of ours."""
    for pair in headers.get(b"cookie", b"").split(b";"):
        name, _, value = pair.strip().partition(b"=")
        if name == NAME:
            try:
                padded = value + b"=" * (-len(value) % 4)
                return base64.b64decode(padded, altchars=b"-_", validate=True)
            except binascii.Error:
                return b""
    return b""


def cookie_with(key: str, scope: Scope) -> bytes:
    """Write the header that has a browser keep the key until it is closed."""
    value = base64.urlsafe_b64encode(key.encode()).rstrip(b"=")
    return b"%b=%b; %b" % (NAME, value, _attributes(scope))


def cookie_gone(scope: Scope) -> bytes:
    """Write the header that has a browser forget it."""
    return b"%b=; Max-Age=0; %b" % (NAME, _attributes(scope))


def _attributes(scope: Scope) -> bytes:
    path = quote(scope.get("root_path", ""), safe="/").encode()
    # Behind a proxy that ends TLS the scheme here is http; the browser knows what it speaks.
    origin: bytes = dict(scope["headers"]).get(b"origin", b"")
    secure = scope["scheme"] == "https" or origin.startswith(b"https://")
    return b"Path=%b/; HttpOnly; SameSite=Strict%b" % (path, b"; Secure" if secure else b"")
