"""What a command prints: answers on standard output, everything said about them on standard error.

So `--json` and plain answers can be piped on, whatever bars and notes a person sees meanwhile.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TextIO

import msgspec

from .exits import CommandFailed

# Escape sequences in a title or a message would reach the terminal, and what turns the direction of
# writing would make a line read as another: the text is not ours.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
# What stands in a file's name for a byte that is no UTF-8.
_NO_UTF_8 = re.compile("[\udc80-\udcff]")
_COLOURS = {"completed": "32", "failed": "31", "cancelled": "33", "running": "36"}


def claim_streams() -> None:
    """Make the standard streams such that any text can be written, before anything else is open.

    One that our caller has closed leads nowhere from now on: else the next file or connection that
    is opened would have its number. A character that a stream's encoding lacks is written as its
    escape.
    """
    if sys.stdout is None:
        sys.stdout = _nowhere()
    if sys.stderr is None:
        sys.stderr = _nowhere()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def flush_output() -> None:
    """Write what is still kept back of the answer; raises CommandFailed where that cannot be."""
    with _output():
        sys.stdout.flush()


def let_go_of_output() -> None:
    """Drop what is still kept back of the answer: at exit Python would complain about it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def printable(text: str) -> str:
    """Give the text without characters that would steer a terminal or that UTF-8 cannot hold."""
    return _CONTROL.sub("�", unicode_of(text)).encode("utf-8", "replace").decode()


def unicode_of(name: str) -> str:
    """Give the name of a file with its bytes that are no UTF-8 as escapes: `caf\\xe9`."""
    return _NO_UTF_8.sub(lambda found: f"\\x{ord(found[0]) - 0xDC00:02x}", name)


def line(text: str) -> str:
    """Give the text as one line."""
    return " ".join(printable(text).split())


def cut_in_middle(text: str, room: int) -> str:
    """Cut a text to so many characters: names that begin alike differ at their ends."""
    if len(text) <= room:
        return text
    end = (room - 1) // 2
    return f"{text[: room - 1 - end]}…{text[len(text) - end :]}"


def note(text: str) -> None:
    """Tell the person something that is no part of the answer."""
    print(printable(text), file=sys.stderr, flush=True)


def print_text(text: str) -> None:
    """Print a part of the answer."""
    with _output():
        print(printable(text), flush=True)


def print_json(body: bytes) -> None:
    """Print an answer as JSON, as it came but for its layout; CommandFailed if it is none."""
    try:
        text = msgspec.json.format(body, indent=2).decode("utf-8", "replace")
    except (msgspec.DecodeError, RecursionError) as error:
        raise CommandFailed(f"the server's answer is not JSON: {error}") from None
    whole = (sys.stdout.encoding or "").lower() in ("utf-8", "utf8")
    with _output():
        print(re.sub(_CONTROL if whole else "[^\x00-\x7e]", _escaped, text))


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print aligned columns; on a terminal the last one is cut where the line ends."""
    table = [list(headings), *([line(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(headings) - 1)]
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    with _output():
        for row in table:
            _print_row(row, widths, room)


def _print_row(row: Sequence[str], widths: Sequence[int], room: int | None) -> None:
    cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
    text = "  ".join([*cells, row[-1]]).rstrip()
    if room is not None and len(text) > room:
        text = text[: room - 1] + "…"
    print(_coloured(text, row))


def print_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Print names and values, one a line; those without a value are left out."""
    shown = [(name, printable(value)) for name, value in fields if value]
    width = max((len(name) for name, _ in shown), default=0)
    with _output():
        for name, value in shown:
            indented = value.replace("\n", "\n" + " " * (width + 2))
            print(_coloured(f"{name.ljust(width)}  {indented}", [value]))


def local_time(moment: datetime | None) -> str:
    """Give a time of day as the clock on the wall shows it; empty for none."""
    return "" if moment is None else _here(moment).strftime("%Y-%m-%d %H:%M:%S")


def short_time(moment: datetime | None) -> str:
    """Give the time of day if it was today, else the day."""
    if moment is None:
        return ""
    here, now = _here(moment), datetime.now().astimezone()
    return here.strftime("%H:%M:%S" if here.date() == now.date() else "%Y-%m-%d")


def _here(moment: datetime) -> datetime:
    try:
        return moment.astimezone()
    except (OverflowError, ValueError):  # on the first or last day that the calendar has
        return moment


def draws(stream: TextIO) -> bool:
    """Whether the stream is a terminal on which lines can be drawn over."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def _coloured(text: str, cells: Sequence[str]) -> str:
    """Colour the status, if one of the cells is one and colours are welcome."""
    status = next((cell for cell in cells if cell in _COLOURS), None)
    if status is None or os.environ.get("NO_COLOR") or not draws(sys.stdout):
        return text
    return text.replace(status, f"\x1b[{_COLOURS[status]}m{status}\x1b[0m", 1)


@contextmanager
def _output() -> Iterator[None]:
    """Around writing the answer: where it cannot be written, as on a full disk, say why."""
    try:
        yield
    except BrokenPipeError:
        raise  # whoever read it had enough
    except OSError as error:
        let_go_of_output()
        raise CommandFailed(f"the answer cannot be written: {error.strerror}") from None


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


def _escaped(found: re.Match[str]) -> str:
    """Write a character as JSON escapes: two of them beyond the first 65,536 characters."""
    units = found[0].encode("utf-16-be").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))
