"""Progress bars on a terminal. With `screens`, the only file that knows rich."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column

from .screen import line
from .termination import giving_back_the_terminal


@contextmanager
def drawn_bars() -> Iterator[Bars]:
    """Draw on standard error until the end of the block; the bars stay as they were last."""
    message = Column(ratio=1, no_wrap=True, overflow="ellipsis")
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[message]}", markup=False, table_column=message),
    )
    bars = Progress(*columns, console=Console(stderr=True), expand=True)
    with giving_back_the_terminal(), bars as drawn:
        yield Bars(drawn)


class Bars:
    """For terminals: one bar for each piece of work."""

    def __init__(self, drawn: Progress) -> None:
        self._drawn = drawn
        self._bars: dict[str, TaskID] = {}

    def show(self, key: str, title: str, percent: float, state: str, message: str) -> None:
        """Move the bar, and add it at first sight."""
        if key not in self._bars:
            self._bars[key] = self._drawn.add_task(line(title), total=100.0, message="")
        said = line(message) if message else state
        bar = self._bars[key]
        self._drawn.update(bar, completed=percent, message=said)
        if state in ("completed", "failed", "cancelled"):
            self._drawn.stop_task(bar)
