"""What went wrong in a task's own code, put into words that can always be kept."""

from __future__ import annotations

import re
import traceback
from types import FrameType
from typing import Any

_CUT = re.compile(r"… \((\d[\d,]*) more characters\)$")
_LEVELS_NAMED = 3  # of groups in groups
_LEVELS_KEPT = 50  # of groups in groups; task groups within task groups do not come near it


def plain_text(text: str, limit: int) -> str:
    """Give text that can be written as UTF-8, cut to `limit` characters; what is cut is counted."""
    text = _writable(text)
    if len(text) <= limit:
        return text
    kept = limit - len(_count(len(text)))
    return text[:kept] + _count(len(text) - kept)


def with_more(text: str, more: str, limit: int) -> str:
    """Give text from `plain_text` and something to say besides, both together cut to `limit`."""
    room = limit - len(more)
    if len(text) <= room:
        return text + more
    cut = 0
    found = _CUT.search(text)
    if found is not None:  # it is cut once, and counted in all
        text, cut = text[: found.start()], int(found[1].replace(",", ""))
    kept = room - len(_count(cut + len(text)))
    return text[:kept] + _count(cut + len(text) - kept) + more


def _writable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _count(cut: int) -> str:
    return f"… ({cut:,} more characters)"


def describe(error: BaseException, limit: int) -> str:
    """Name the error as `Type: text`; a group also names what is in it. Never raises."""
    return plain_text(_described(error, limit, _LEVELS_NAMED), limit)


def _described(error: BaseException, limit: int, levels: int) -> str:
    name = type(error).__name__
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001  an error's own __str__ may be what is broken
        text = "(its text cannot be read)"
    if isinstance(error, BaseExceptionGroup) and levels > 0:
        inner = error.exceptions[:5]
        text += ": " + "; ".join(_described(one, limit, levels - 1) for one in inner)
    return plain_text(f"{name}: {text}" if text else name, limit)


def shallow(error: BaseException) -> BaseException:
    """Give the error itself or, for a group too deep to be split, a flat group of the same errors.

    Python itself and both loops go through a group by recursion. They fail at some 300 levels, and
    take for ever where a group is in several others, which are again in several others.
    """
    if not isinstance(error, BaseExceptionGroup):
        return error
    found: list[BaseException] = []  # that are no groups
    seen: set[int] = set()  # groups, by identity
    level: list[BaseException] = [error]
    depth, shared = 0, False
    while level:
        depth += 1
        inner: list[BaseException] = []
        for one in level:
            if not isinstance(one, BaseExceptionGroup):
                found.append(one)
            elif id(one) in seen:
                shared = True
            else:
                seen.add(id(one))
                inner.extend(one.exceptions)
        level = inner
    if depth <= _LEVELS_KEPT and not shared:
        return error
    flat = BaseExceptionGroup(f"{error.message} ({depth - 1} levels of groups, made one)", found)
    flat.__cause__, flat.__suppress_context__ = error.__cause__, True
    return flat.with_traceback(error.__traceback__)


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
