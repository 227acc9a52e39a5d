"""How long to wait before a server is asked again, and when it is given up; no clock in here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from .errors import ClientError, Refused, TlsFailed
from .sending import any_seconds

LONGEST_PAUSE = 30.0  # seconds, whatever Retry-After says
FIRST_PAUSE = 0.5  # seconds; each further one is twice as long


def pause_after(repeats: int, failure: ClientError) -> float | None:
    """Give the seconds to wait: as long as the server says, or ever longer; None: none will do.

    A server that says 0 is asked again at once, but once only: from then on no pause is shorter
    than the first.
    """
    if isinstance(failure, TlsFailed):
        return None
    told = failure.retry_after if isinstance(failure, Refused) else None
    if told is None:
        return min(FIRST_PAUSE * 2.0 ** min(repeats, 10), LONGEST_PAUSE)
    return min(max(told, FIRST_PAUSE if repeats else 0.0), LONGEST_PAUSE)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Give the seconds after which the server wants to be asked again; None: it does not say.

    A date of its is compared with its own clock (`Date`), if it shows it; one that is over is 0.
    """
    told = headers.get("retry-after", "")
    if told.isascii() and told.isdigit():
        return float(told)
    then = _date(told)
    if then is None:
        return None
    now = _date(headers.get("date", "")) or datetime.now(UTC)
    return max(0.0, (then - now).total_seconds())


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError, TypeError, IndexError):  # it is not of one mind
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)


class Patience:
    """With a server that is away: for so many seconds from when it first failed, by the clock."""

    def __init__(self, seconds: float) -> None:
        self._seconds = any_seconds("patience", seconds)
        self._away_since: float | None = None
        self._repeats = 0

    @property
    def new(self) -> bool:
        """Whether the server has not failed since it was last heard."""
        return self._away_since is None

    def heard(self) -> None:
        """Begin anew, as the server has answered well."""
        self._away_since, self._repeats = None, 0

    def pause_after(self, failure: ClientError, now: float) -> float | None:
        """Give the seconds to wait before it is tried again; None: it is given up."""
        if self._away_since is None:
            self._away_since = now
        if now - self._away_since >= self._seconds:
            return None
        pause = pause_after(self._repeats, failure)
        self._repeats += 1
        return pause
