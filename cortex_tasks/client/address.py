"""Where a server is, and who one is there, taken apart: only the first is ever shown."""

from __future__ import annotations

import re
from contextlib import suppress
from urllib.parse import urlsplit

import httpx2
import msgspec

from .errors import UnusableSetting


class Address(msgspec.Struct, frozen=True):
    """A server's URL without a user and a password, and these for themselves."""

    url: str
    scheme: str
    host: str
    user: tuple[str, str] | None  # for HTTP's basic authentication, which proxies ask for

    def __repr__(self) -> str:
        return f"Address({self.url!r})"


def address_of(url: str) -> Address:
    """Take a URL apart. Raises UnusableSetting, which does not tell the password either."""
    # A port that is none, a name that no host can have, a character that no URL has.
    with suppress(ValueError, httpx2.InvalidURL):
        parts, whole = urlsplit(url), httpx2.URL(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            parts.hostname.encode("idna")  # as it will be looked up
            shown = url.replace(parts.netloc, parts.netloc.rpartition("@")[2], 1).rstrip("/")
            user = (whole.username, whole.password) if whole.userinfo else None
            return Address(shown, parts.scheme, parts.hostname, user)
    shown = re.sub(r"^(\w*://)?.*@", r"\1", url, flags=re.DOTALL)
    raise UnusableSetting(f"{shown!r} is not the URL of a server")
