"""Whether event streams come through at all, told from how they ended; no network in here."""

from __future__ import annotations

from .errors import CannotConnect, ClientError, NoAnswerInTime, Unreachable

ENOUGH = 3  # streams in a row that ended before their first word: none is hoped for then


class Doubts:
    """They grow with each stream in a row that ends before its first word.

    A server that restarts behind a proxy ends them so, too. So they are well founded only once an
    ordinary request was answered meanwhile.
    """

    def __init__(self) -> None:
        self._ended = 0
        self._answered = False

    @property
    def want_an_answer(self) -> bool:
        """Whether an ordinary request should be made before the next stream is tried."""
        return self._ended == ENOUGH - 1 and not self._answered

    @property
    def well_founded(self) -> bool:
        """Whether it is the streams that do not come through, not the server that is away."""
        return self._ended >= ENOUGH  # the last of them after an answer

    def dispel(self) -> None:
        """Have none, as a stream has come through."""
        self._ended, self._answered = 0, False

    def answered(self) -> None:
        """An ordinary request was answered."""
        self._answered = True

    def ended(self, failure: ClientError) -> None:
        """A stream ended before its first word, or there was none: who is away ends no streams."""
        if isinstance(failure, CannotConnect):
            self.dispel()
        elif not isinstance(failure, NoAnswerInTime):  # which speaks for itself
            self._ended += 1

    def named(self, url: str, failure: ClientError) -> ClientError:
        """Give the error that says what there is to say, where this one came last."""
        if not self.well_founded or isinstance(failure, CannotConnect | NoAnswerInTime):
            return failure
        named = Unreachable(
            f"{url} answers, but no event stream of it comes through: each ended before its first "
            f"word, as behind a proxy that holds them back (the last: {failure})"
        )
        named.__cause__ = failure
        return named
