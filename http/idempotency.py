"""The header `Idempotency-Key`: a request that is repeated with its key is carried out once."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

import anyio.lowlevel

from .problems import FieldError, invalid_parameters

HEADER = "Idempotency-Key"
LONGEST_KEY = 255  # characters
_PIECE = 2**20  # bytes that are read before others have their turn


def idempotency_key(headers: Mapping[bytes, bytes]) -> str | None:
    """Give the request's key; None if it has none. Raises a Problem for one that cannot be used.

    Some clients send it in quotes, as a string of RFC 9651: that is the same key.
    """
    sent = headers.get(HEADER.lower().encode())
    if sent is None:
        return None
    key = sent.decode("latin-1").strip(" \t")
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not (0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
        wrong = f"A key is 1 to {LONGEST_KEY} printable ASCII characters, such as a UUID"
        raise invalid_parameters(FieldError(("header", HEADER), wrong))
    return key


async def digest(content: bytes) -> str:
    """Give a hash of what was sent, however large; it holds up nobody."""
    found = sha256()
    for start in range(0, len(content), _PIECE):
        found.update(memoryview(content)[start : start + _PIECE])
        await anyio.lowlevel.checkpoint()
    return found.hexdigest()
