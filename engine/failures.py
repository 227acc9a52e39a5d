"""What went wrong in a task's own code, put into words that can always be kept."""

from __future__ import annotations

import traceback
from types import FrameType
from typing import Any


def plain_text(text: str, limit: int) -> str:
    """Give text that can be written as UTF-8, cut to `limit` characters; what is cut is counted."""
    text = _writable(text)
    if len(text) <= limit:
        return text
    kept = limit - len(_count(len(text)))
    return text[:kept] + _count(len(text) - kept)


def _writable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _count(cut: int) -> str:
    return f"… ({cut:,} more characters)"


def describe(error: BaseException, limit: int) -> str:
    """Name the error as `Type: text`; a group also names what is in it. Never raises."""
    name = type(error).__name__
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001  an error's own __str__ may be what is broken
        text = "(its text cannot be read)"
    if isinstance(error, BaseExceptionGroup):
        text += ": " + "; ".join(describe(inner, limit) for inner in error.exceptions[:5])
    return plain_text(f"{name}: {text}" if text else name, limit)


def traceback_of(error: BaseException, limit: int) -> str:
    """Give the traceback as Python prints it, without the engine's own frames. Never raises.

    What is over the limit is cut at the beginning: the end tells most.
    """
    try:
        inner = error.__traceback__.tb_next if error.__traceback__ else None
        lines = traceback.format_exception(type(error), error, inner, limit=50)
    except BaseException:  # noqa: BLE001  as above
        return describe(error, limit)
    text = _writable("".join(lines))
    if len(text) <= limit:
        return text
    kept = limit - len(_count(len(text))) - 1
    return f"{_count(len(text) - kept)}\n{text[-kept:]}"


def stack_of(coroutine: Any) -> str:
    """Give the stack of a suspended coroutine: where it waits, outermost first."""
    frames: list[tuple[FrameType, int]] = []
    while coroutine is not None:
        frame = next(
            (
                found
                for name in ("cr_frame", "gi_frame", "ag_frame")
                if (found := getattr(coroutine, name, None)) is not None
            ),
            None,
        )
        if frame is not None:
            frames.append((frame, frame.f_lineno))
        coroutine = next(
            (
                found
                for name in ("cr_await", "gi_yieldfrom", "ag_await")
                if (found := getattr(coroutine, name, None)) is not None
            ),
            None,
        )
    return "".join(traceback.StackSummary.extract(iter(frames)).format())
