"""Being told to end (SIGTERM) while the terminal is drawn on: it is given back first."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def giving_back_the_terminal() -> Iterator[None]:
    """Leave the block at SIGTERM, then end by it, as callers expect (143 to a shell).

    A second one ends the process at once. Where something else is done about SIGTERM, it stays so.
    """
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def leave(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise _ToldToEnd

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    except _ToldToEnd:
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


class _ToldToEnd(BaseException):
    """Is no Exception, as nobody on the way is to handle it."""
