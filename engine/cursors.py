"""Where a list was left, written down so that it goes on there: a cursor.

It names the last task that was shown, and says where and when it was submitted: so the list goes on
at the same place when that task has gone meanwhile, and after a restart.
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from .errors import InvalidParameters
from .records import TaskRecord

START = "start"  # the cursor of who has seen nothing yet

LONGEST_CURSOR = 1_000  # characters
_HIGHEST = 2**63 - 1


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """The last task that was shown; what is older is still to come."""

    place: Annotated[int, Meta(ge=0, le=_HIGHEST)]  # in the catalogue of that process
    created_at: Annotated[datetime, Meta(tz=True)]
    task_id: str


def write_cursor(place: int, record: TaskRecord) -> str:
    """Write the cursor of a list that was left after this task; safe in a URL."""
    told = msgspec.json.encode(Cursor(place, record.created_at, record.id))
    return base64.urlsafe_b64encode(told).rstrip(b"=").decode()


def read_cursor(text: str) -> Cursor | None:
    """Give what it says; None for `start`. Raises InvalidParameters for what is no cursor."""
    if text == START:
        return None
    try:
        if len(text) > LONGEST_CURSOR:
            raise ValueError(text)
        told = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(told, type=Cursor)
    except (ValueError, binascii.Error):  # msgspec's errors and those of Unicode are ValueErrors
        raise InvalidParameters(
            f"the cursor cannot be read: it is `{START}`, or the `next` of an earlier page as it "
            "stands there",
            path="$.cursor",
        ) from None
