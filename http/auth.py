"""Who may ask: an API key in `X-API-Key` or, failing that, as a bearer token."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Protocol

from ..engine.errors import StorageError
from .keys import ApiKey, Permission
from .problems import Headers, Problem

log = logging.getLogger("cortex_tasks.http")

_CHALLENGE: Headers = ((b"www-authenticate", b"APIKey"),)


class Keys(Protocol):
    """What knows the keys: a KeyStore, or what an embedding program has instead."""

    def check(self, presented: str | bytes, /) -> ApiKey | None:
        """Give the key that this is, or None."""
        ...


def authorise(keys: Keys | None, headers: Mapping[bytes, bytes], wanted: Permission) -> None:
    """Return if the request may do that, raise a Problem if not.

    Without `keys` anybody may do anything: the surrounding program guards the way here.
    """
    if keys is None:
        return
    presented = _presented(headers)
    if not presented:
        raise Problem(401, "API key required", "API key required", headers=_CHALLENGE)
    try:
        key = keys.check(presented)
    except StorageError as error:
        log.error("API keys cannot be checked: %s", error)  # noqa: TRY400  # it says it all
        raise Problem(
            503, "Not available", "The API keys cannot be read. The server's log says why."
        ) from None
    if key is None:
        raise Problem(401, "Invalid API key", "Invalid API key", headers=_CHALLENGE)
    if not key.allows(wanted):
        raise Problem(
            403,
            "Insufficient permissions",
            f"Insufficient permissions: {wanted.upper()} access required",
        )


def _presented(headers: Mapping[bytes, bytes]) -> bytes:
    direct = headers.get(b"x-api-key", b"").strip()
    if direct:
        return direct
    scheme, _, token = headers.get(b"authorization", b"").strip().partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else b""
