"""Who may ask: an API key in `X-API-Key` or, failing that, as a bearer token or in the cookie.

The cookie is the page's: a browser sends it by itself, also for what another site makes it ask.
So a request that would change something counts only where the browser says that our own page
made it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from starlette.types import Scope

from ..engine.errors import StorageError
from .cookies import key_in_cookie
from .envelope import HEADERS
from .keys import ApiKey, Permission
from .problems import Headers, Problem

log = logging.getLogger("cortex_tasks.http")

_CHALLENGE: Headers = ((b"www-authenticate", b"APIKey"),)
_HARMLESS = ("GET", "HEAD")


class Keys(Protocol):
    """What knows the keys: a KeyStore, or what an embedding program has instead."""

    def check(self, presented: str | bytes, /) -> ApiKey | None:
        """Give the key that this is, or None."""
        ...


@runtime_checkable
class VersionedKeys(Keys, Protocol):
    """Keys that can be asked whether any has changed, for less than it costs to check each."""

    def version(self) -> object:
        """Give something that equals what it was for as long as every check gives the same."""
        ...


class Admission:
    """How a request was let in. Shown nowhere: it holds the key itself."""

    __slots__ = ("by_cookie", "key", "presented", "wanted")

    def __init__(
        self, key: ApiKey, presented: bytes, wanted: Permission, *, by_cookie: bool
    ) -> None:
        self.key = key
        self.presented = presented
        self.wanted = wanted
        self.by_cookie = by_cookie


def authorise(
    keys: Keys | None, scope: Scope, wanted: Permission, *, cookies: bool = False
) -> Admission | None:
    """Let the request in if it may do that, raise a Problem if not.

    Without `keys` anybody may do anything, and None is given: the surrounding program guards the
    way here. cookies: whether one that the page was given counts as a key.
    """
    if keys is None:
        return None
    headers: Mapping[bytes, bytes] = scope[HEADERS]
    presented = _presented(headers)
    by_cookie = not presented and cookies
    if by_cookie:
        presented = key_in_cookie(headers)
        if presented and scope["method"] not in _HARMLESS and not asked_by_own_page(headers):
            raise Problem(
                403,
                "Asked by another site",
                "A request that changes something is let in by the cookie only from the page of "
                "this server. Send the key in X-API-Key.",
            )
    if not presented:
        raise Problem(401, "API key required", "API key required", headers=_CHALLENGE)
    key = _key_for(keys, presented, wanted)
    return Admission(key, presented, wanted, by_cookie=by_cookie)


def readmit(keys: Keys, admission: Admission) -> None:
    """Raise a Problem if the request would not be let in any more."""
    _key_for(keys, admission.presented, admission.wanted)


def _key_for(keys: Keys, presented: bytes, wanted: Permission) -> ApiKey:
    key = known_key(keys, presented)
    if not key.allows(wanted):
        raise Problem(
            403,
            "Insufficient permissions",
            f"Insufficient permissions: {wanted.upper()} access required",
        )
    return key


def known_key(keys: Keys, presented: bytes) -> ApiKey:
    """Give the key that this is; raises a Problem where it is none."""
    try:
        key = keys.check(presented)
    except StorageError as error:
        log.error("API keys cannot be checked: %s", error)  # noqa: TRY400  # it says it all
        raise Problem(
            503, "Not available", "The API keys cannot be read. The server's log says why."
        ) from None
    if key is None:
        raise Problem(401, "Invalid API key", "Invalid API key", headers=_CHALLENGE)
    return key


def asked_by_own_page(headers: Mapping[bytes, bytes]) -> bool:
    """Whether the browser says that a page of this server made the request."""
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        return site == b"same-origin"
    # Browsers leave it out on plain HTTP. A proxy may speak another scheme to us than the browser
    # does to it, so hosts are compared alone.
    origin = headers.get(b"origin", b"").partition(b"://")[2]
    return bool(origin) and origin == headers.get(b"host")


def _presented(headers: Mapping[bytes, bytes]) -> bytes:
    direct = headers.get(b"x-api-key", b"").strip()
    if direct:
        return direct
    scheme, _, token = headers.get(b"authorization", b"").strip().partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else b""
