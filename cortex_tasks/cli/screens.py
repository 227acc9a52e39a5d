"""The live overview of `top`, drawn with rich."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from rich.console import Console, Group, JustifyMethod, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ..client.models import TaskDetail
from .screen import cut_in_middle, line
from .steering import TypeView
from .termination import giving_back_the_terminal
from .top import TYPE_HEADINGS, Look, Show, for_people, type_row

T = TypeVar("T")

COLOURS = {
    "completed": "green",
    "failed": "red",
    "cancelled": "yellow",
    "running": "cyan",
    "pending": "white",
}


_GAP = 1  # columns of the terminal between two of a table
WIDE = 110  # columns from which on nothing needs to be cut
SHORT_NAME = 14  # characters that a name keeps at least where something must be
_BETWEEN = 3  # lines that no type and no task has: two of headings, and one between the tables


@contextmanager
def drawn_screen(url: str) -> Iterator[Show]:
    """Draw on the whole terminal until the end of the block, which gives it back as it was."""
    console = Console()
    whole = Live(console=console, screen=True, auto_refresh=False)
    with giving_back_the_terminal(), whole as live:

        def show(look: Look) -> None:
            live.update(picture(url, look, *console.size), refresh=True)

        yield show


def picture(url: str, look: Look, width: int, height: int) -> Group:
    """Put together what is shown on a terminal of so many columns and lines.

    Where not all types and running tasks have a line, neither takes all of them from the other:
    the types that run or wait come first, and how many more there are is said.
    """
    above = [_head(url, look), *_counts(look, width), Text()]
    room = height - len(above) - _BETWEEN
    types, running = look.types, look.overview.running
    types_room = max(room - max(len(running), 1), room // 2, 1)
    running_room = max(room - min(types_room, len(types)), 1)
    if len(types) > types_room:
        types = tuple(sorted(types, key=lambda shown: not (shown.running or shown.pending)))
    all_running = look.overview.counts.get("running", 0) if running else 0
    return Group(
        *above,
        *_first(types, types_room, len(types), partial(_types, width=width)),
        Text(),
        *_first(running, running_room, all_running, partial(_running, width=width)),
    )


def _first(
    things: Sequence[T], room: int, count: int, draw: Callable[[Sequence[T]], RenderableType]
) -> list[RenderableType]:
    """Draw those that have room, and say how many more of the `count` there are."""
    shown = things if count <= room else things[: room - 1]
    left = count - len(shown)
    drawn = [draw(shown)] if shown or count == 0 else []
    return [*drawn, Text(f"and {left:,} more", style="dim")] if left > 0 else drawn


def _head(url: str, look: Look) -> Text:
    overview = look.overview
    if look.trouble:
        return Text(line(look.trouble), style="bold red", no_wrap=True, overflow="ellipsis")
    text = Text(
        f"cortex-tasks {line(overview.version)}", style="bold", no_wrap=True, overflow="ellipsis"
    )
    text.append(f"  {line(url)}", style="not bold")
    text.append(f"  up {for_people(overview.uptime_seconds)}  ", style="not bold")
    healthy = overview.health.status == "healthy"
    text.append(line(overview.health.status), style="green" if healthy else "bold red")
    if overview.health.reason:
        text.append(f": {line(overview.health.reason)}", style="red")
    if overview.loop_lag_seconds is not None:
        text.append(f"  loop late by {for_people(overview.loop_lag_seconds)}", style="dim")
    return text


def _counts(look: Look, width: int) -> list[Text]:
    """How many there are, and how long the oldest waits: in one line, if both fit."""
    text = Text(no_wrap=True, overflow="ellipsis")
    for status, count in look.overview.counts.items():
        text.append(f"{count:,} {line(status)}", style=COLOURS.get(status, ""))
        text.append("   ")
    oldest = look.overview.oldest_pending
    since = {shown.name: shown.oldest_pending_at for shown in look.types}
    ready = None if oldest is None else since.get(oldest.task_type)
    if ready is None:
        return [text]
    waited = (look.overview.now - ready).total_seconds()
    waits = Text(f"oldest pending: {for_people(max(waited, 0.0))}", style="dim", no_wrap=True)
    return [text + waits] if len(text) + len(waits) <= width else [text, waits]


def _types(types: Sequence[TypeView], width: int) -> Table:
    rows = [[line(cell) for cell in type_row(shown)] for shown in types]
    table = _table()
    for heading in TYPE_HEADINGS:
        justify: JustifyMethod = "left" if heading == TYPE_HEADINGS[0] else "right"
        table.add_column(heading, justify=justify, no_wrap=True)
    others = [
        max(len(cell) for cell in column) + _GAP
        for column in zip(TYPE_HEADINGS[1:], *(row[1:] for row in rows), strict=True)
    ]
    room = max(SHORT_NAME, width - sum(others))
    for shown, (name, *numbers) in zip(types, rows, strict=True):
        cells = [Text(cell) for cell in (cut_in_middle(name, room), *numbers)]
        if shown.paused:
            cells[1].stylize("yellow")
        elif shown.running:
            cells[1].stylize("cyan")
        if shown.failed:
            cells[4].stylize("red")
        table.add_row(*cells)
    return table


def _running(running: Sequence[TaskDetail], width: int) -> Table | Text:
    if not running:
        return Text("Nothing runs. Submit a task, or process documents.", style="dim")
    wide = width >= WIDE
    bar = 20 if wide else 6
    table = _table(expand=True)
    for heading in ("RUNNING", "TYPE"):
        table.add_column(heading, no_wrap=True)
    table.add_column("", width=bar)
    table.add_column("", justify="right", width=4)
    table.add_column("MESSAGE", ratio=1, no_wrap=True, overflow="ellipsis")
    for task in running:
        name = line(task.task_type)
        table.add_row(
            Text(line(task.task_id)),
            Text(name if wide else cut_in_middle(name, SHORT_NAME)),
            ProgressBar(total=100, completed=task.progress_percent, width=bar),
            f"{task.progress_percent:.0f}%",
            Text(line(task.message)),
        )
    return table


def _table(*, expand: bool = False) -> Table:
    gap = (0, _GAP, 0, 0)
    return Table(box=None, pad_edge=False, padding=gap, header_style="dim", expand=expand)
