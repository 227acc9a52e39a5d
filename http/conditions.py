"""Asking again: what is unchanged is not sent again (RFC 9110); news is waited for (RFC 7240)."""

from __future__ import annotations

import os
import re
from typing import Any

import msgspec

from .calls import Answer, Call
from .envelope import HEADERS
from .problems import Headers

LONGEST_WAIT = 60.0  # seconds for which a long poll is held, whatever it asks for

# Within a process: after a restart the same number may stand for another text, or another store.
_PROCESS = os.urandom(4).hex()
# A text of some other preference, up to the end if nothing ends it; a wait may have quotes, too.
_QUOTED = re.compile(rb'("\d+")|"(?:[^"\\]|\\.)*(?:"|\\?$)', re.DOTALL)
_WAIT = re.compile(rb"(?:^|,)\s*wait\s*=\s*\"?(\d{1,9})\"?\s*(?=[,;]|$)", re.IGNORECASE)


def etag(seq: int) -> bytes:
    """Give the ETag of what is as it has been since this change."""
    return f'"{_PROCESS}-{seq}"'.encode()


class Condition:
    """What a request says of the answer that its client has already."""

    def __init__(self, call: Call[Any]) -> None:
        sent = call.scope[HEADERS].get(b"if-none-match", b"")
        self._known = {tag.strip().removeprefix(b"W/") for tag in sent.split(b",") if tag.strip()}

    def allows_waiting(self, seq: int) -> bool:
        """Whether there is nothing to tell yet: the client says nothing, or knows this."""
        return not self._known or self.knows(seq)

    def knows(self, seq: int) -> bool:
        """Whether the client has what is answered since this change."""
        return b"*" in self._known or etag(seq) in self._known


class Patience(msgspec.Struct, frozen=True):
    """How long a client wants to wait, and what to say of that in the answer."""

    seconds: float
    applied: Headers = ()


def patience(call: Call[Any], wait: float | None) -> Patience:
    """Give the `wait` of the query or, without one, of the header `Prefer`."""
    if wait is not None:
        return Patience(min(wait, LONGEST_WAIT))
    sent = call.scope[HEADERS].get(b"prefer", b"")
    found = _WAIT.search(_QUOTED.sub(lambda quoted: quoted[1] or b"!", sent))
    if found is None:
        return Patience(0.0)
    seconds = min(int(found[1]), int(LONGEST_WAIT))
    return Patience(seconds, ((b"preference-applied", b"wait=%d" % seconds),))


def unchanged(seq: int, headers: Headers = ()) -> Answer:
    """Answer who has it already."""
    return Answer(b"", status=304, headers=((b"etag", etag(seq)), *headers))
