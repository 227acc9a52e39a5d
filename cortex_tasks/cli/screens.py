"""The live overview of `top`, drawn with rich."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .screen import line
from .top import TYPE_HEADINGS, Look, Show, for_people, type_row

COLOURS = {
    "completed": "green",
    "failed": "red",
    "cancelled": "yellow",
    "running": "cyan",
    "pending": "white",
}


@contextmanager
def drawn_screen(url: str) -> Iterator[Show]:
    """Draw on the whole terminal until the end of the block, which gives it back as it was."""
    with Live(console=Console(), screen=True, auto_refresh=False) as live:

        def show(look: Look) -> None:
            live.update(picture(url, look), refresh=True)

        yield show


def picture(url: str, look: Look) -> Group:
    """Put together what is shown."""
    space = Text()
    return Group(_head(url, look), _counts(look), space, _types(look), space, _running(look))


def _head(url: str, look: Look) -> Text:
    overview = look.overview
    if look.trouble:
        return Text(line(look.trouble), style="bold red", no_wrap=True, overflow="ellipsis")
    text = Text(f"cortex-tasks {line(overview.version)}", style="bold", no_wrap=True)
    text.append(f"  {line(url)}", style="not bold")
    text.append(f"  up {for_people(overview.uptime_seconds)}  ", style="not bold")
    healthy = overview.health.status == "healthy"
    text.append(line(overview.health.status), style="green" if healthy else "bold red")
    if overview.health.reason:
        text.append(f": {line(overview.health.reason)}", style="red")
    if overview.loop_lag_seconds is not None:
        text.append(f"  loop late by {for_people(overview.loop_lag_seconds)}", style="dim")
    return text


def _counts(look: Look) -> Text:
    text = Text()
    for status, count in look.overview.counts.items():
        text.append(f"{count:,} {line(status)}", style=COLOURS.get(status, ""))
        text.append("   ")
    oldest = look.overview.oldest_pending
    if oldest is not None and oldest.created_at is not None:
        waited = (look.overview.now - oldest.created_at).total_seconds()
        text.append(f"oldest pending: {for_people(max(waited, 0.0))}", style="dim")
    return text


def _types(look: Look) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", expand=False)
    table.add_column(TYPE_HEADINGS[0])
    for heading in TYPE_HEADINGS[1:]:
        table.add_column(heading, justify="right")
    for shown in look.types:
        cells = [Text(line(cell)) for cell in type_row(shown)]
        if shown.paused:
            cells[1].stylize("yellow")
        elif shown.running:
            cells[1].stylize("cyan")
        if shown.failed:
            cells[4].stylize("red")
        table.add_row(*cells)
    return table


def _running(look: Look) -> Table | Text:
    if not look.overview.running:
        return Text("Nothing runs. Submit a task, or process documents.", style="dim")
    table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
    for heading in ("RUNNING", "TYPE"):
        table.add_column(heading, no_wrap=True)
    table.add_column("", width=20)
    table.add_column("", justify="right", width=4)
    table.add_column("MESSAGE", ratio=1, no_wrap=True, overflow="ellipsis")
    for task in look.overview.running:
        table.add_row(
            Text(line(task.task_id)),
            Text(line(task.task_type)),
            ProgressBar(total=100, completed=task.progress_percent, width=20),
            f"{task.progress_percent:.0f}%",
            Text(line(task.message)),
        )
    return table
