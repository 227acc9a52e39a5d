"""The header `Idempotency-Key`: a request that is repeated with its key is carried out once."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import anyio.lowlevel

from .problems import FieldError, invalid_parameters

HEADER = "Idempotency-Key"
_NAME = HEADER.lower().encode()
LONGEST_KEY = 255  # characters
_PIECE = 2**20  # bytes that are read before others have their turn


def idempotency_key(headers: Sequence[tuple[bytes, bytes]]) -> str | None:
    """Give the request's key; None if it has none. Raises a Problem for one that cannot be used,
    or for several.

    Some clients send it in quotes, as a string of RFC 9651: that is the same key.
    """
    sent = [value for name, value in headers if name == _NAME]
    if not sent:
        return None
    if len(sent) > 1:
        raise invalid_parameters(FieldError(("header", HEADER), "A request has one key"))
    key = sent[0].decode("latin-1").strip(" \t")
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
