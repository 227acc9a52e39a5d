"""The headers that a row of the route table may heed or give, as the description of the API has
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from .idempotency import HEADER, LONGEST_KEY

HIGHEST_EVENT_ID = 2**63 - 1


class Header(msgspec.Struct, frozen=True):
    """A header of a request or an answer."""

    name: str
    description: str
    example: str
    schema: Mapping[str, Any] = msgspec.field(default_factory=lambda: {"type": "string"})


IDEMPOTENCY_KEY = Header(
    HEADER,
    "Printable ASCII that is new for each thing to do, such as a UUID. A request that is repeated "
    "with the key of an earlier one gets what the earlier one made, and makes no second.",
    "5f2b6c0e-import-of-monday",
    {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY},
)
PREFER = Header(
    "Prefer",
    "`wait=SECONDS` (RFC 7240): answer once the task has changed, or after so many seconds.",
    "wait=30",
)
PREFERENCE_APPLIED = Header(
    "Preference-Applied", "The preference that was heeded, if there was one.", "wait=30"
)
LAST_EVENT_ID = Header(
    "Last-Event-ID",
    "The `id` of the last event that was received: the stream goes on after it.",
    "1042",
    {"type": "integer", "minimum": 0, "maximum": HIGHEST_EVENT_ID},
)
ETAG = Header("ETag", "Stands for what is answered; see `If-None-Match`.", '"1042"')
IF_NONE_MATCH = Header(
    "If-None-Match", "The `ETag` of an earlier answer: if nothing has changed, 304.", '"1042"'
)
RETRY_AFTER = Header(
    "Retry-After", "Ask again after so many seconds.", "1", {"type": "integer", "minimum": 0}
)
REQUEST_ID = Header(
    "X-Request-ID",
    "The request's own `X-Request-ID`, or one that was made. The server's log names it.",
    "req_5f2b6c0e9d1a4b37",
)
WWW_AUTHENTICATE = Header("WWW-Authenticate", "How to sign in.", "APIKey")
CONTENT_DISPOSITION = Header(
    "Content-Disposition", "The name of the file.", "attachment; filename*=UTF-8''notes.md"
)
SET_COOKIE = Header(
    "Set-Cookie",
    "The key as a cookie that no script can read, or what takes it back.",
    "cortex_session_8000=KEY; HttpOnly; SameSite=Strict; Path=/",
)
