"""What is lost of a damaged folder: which bytes, which files, what of which tasks; and in words."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

import msgspec

from .salvage import DamagedPiece

Part = Literal["state", "params", "result", "checkpoint", "log"]

_SAID_AT_MOST: Final = 50
_PARTS: Final[dict[Part, str]] = {
    "state": "its newest state",
    "params": "its parameters",
    "result": "its result",
    "checkpoint": "its newest checkpoint",
    "log": "its log",
}
_PERHAPS: Final[dict[Part, str]] = {**_PARTS, "log": "lines of its log"}


class TaskLoss(msgspec.Struct):
    """What of one task is lost, in the order of Part."""

    lost: list[Part] = msgspec.field(default_factory=list)
    perhaps: list[Part] = msgspec.field(default_factory=list)  # a lost line may have brought it
    fails: bool = False  # whether the task ends because of that

    @property
    def named(self) -> str:
        """Name what is lost: `its parameters and its log`."""
        return " and ".join(_PARTS[part] for part in self.lost)

    @property
    def damaged(self) -> str:
        """Say so: `its parameters were damaged`."""
        one = len(self.lost) == 1 and self.lost != ["params"]
        return f"{self.named} {'was' if one else 'were'} damaged"

    def said_of(self, task_id: str) -> str:
        """Say what becomes of the task, and why."""
        said = f"{task_id} stays as it is."
        if self.fails:
            said = f"{task_id} becomes failed, for {self.damaged}."
        elif self.lost:
            said = f"{task_id} stays as it is, but {self.named} cannot be read."
        if self.perhaps:
            more = " and ".join(_PERHAPS[part] for part in self.perhaps)
            said += f" {more[0].upper()}{more[1:]} may be lost."
        return said


class Loss(msgspec.Struct):
    """What is lost in all."""

    opens: bool = False  # whether the folder opens as it is
    damaged: list[DamagedPiece] = msgspec.field(default_factory=list)
    missing_files: list[Path] = msgspec.field(default_factory=list)
    bad_values: list[Path] = msgspec.field(default_factory=list)  # damaged, or missing
    tasks: dict[str, TaskLoss] = msgspec.field(default_factory=dict)  # also by an earlier repair
    changes: int = 0  # that no line brings
    at_end: bool = False  # whether the newest changes are lost, nobody knows how many
    kept: int = 0  # tasks in all

    @property
    def failed(self) -> int:
        """How many tasks end because of it."""
        return sum(loss.fails for loss in self.tasks.values())

    @property
    def any(self) -> bool:
        """Whether there is anything to set right: lines out of place lack nothing, and what an
        earlier repair could not keep is gone.
        """
        return not self.opens or bool(self.bad_values or self.failed)

    def words(self) -> list[str]:
        """Say it, a sentence or two a line."""
        damaged = (
            f"{piece.path}, line {piece.row}: {len(piece.data)} bytes cannot be read."
            for piece in self.damaged
        )
        lines = [*some(damaged), *(f"{path} is missing." for path in self.missing_files)]
        if self.changes:
            lines.append(f"Of {self.changes} changes or fewer nobody can know what they said.")
        if self.at_end:
            lines.append("The newest changes are among what is lost; nobody can know how many.")
        if lines:
            lines.append(
                "A task that stood in the lost lines alone is gone. One that was removed in them "
                "is there again. One that was over, and was tried again in them, stays as it was. "
                "A task type that was paused in them is not paused."
            )
        values = (f"{path} is missing, or is not what was written." for path in self.bad_values)
        count = f"{self.kept} tasks can be read; of these {self.failed} become failed."
        return [*lines, *some(values), count, *words_of(self.tasks)]


def words_of(tasks: dict[str, TaskLoss]) -> list[str]:
    """Say what of each task is lost; first of those that end because of it."""
    said = [(not loss.fails, loss.said_of(task_id)) for task_id, loss in tasks.items()]
    return some(words for _, words in sorted(said, key=lambda one: one[0]))


def some(words: Iterable[str]) -> list[str]:
    """Give as many as a person reads."""
    said = list(words)
    more = len(said) - _SAID_AT_MOST
    if more <= 0:
        return said
    return [*said[:_SAID_AT_MOST], f"… and {more} more like it (--json names every task)."]
