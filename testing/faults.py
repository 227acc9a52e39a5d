"""What may go wrong in a run, and the dice that decide when: all drawn from the seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, fields, replace

from .bodies import Sabotage
from .disk import INJECTED, CommitFate, Full
from .watch import RunningBody


@dataclass(frozen=True)
class Faults:
    """How likely each fault is, from 0 to 1: per commit, per body, or per life of the engine.

    commit_slow: a commit takes up to a second. commit_refused: the disk is full, nothing is kept.
    disk_full: the disk is full for up to 128 seconds, but for a reserve of fewer than 20 commits.
    commit_torn: the disk fails in a commit, after which all of it or nothing is there, and takes
    no more until the engine is started anew. power_cut: the power fails amid a commit, between two
    of its operations on the disk. crash: the power fails at some checkpoint of this
    life. cancel: a task is cancelled at some checkpoint of its body. body_raises, body_hangs: at
    some checkpoint. body_lingers: a body that is stopped ignores it for up to a minute.
    """

    commit_slow: float = 0.0
    commit_refused: float = 0.0
    disk_full: float = 0.0
    commit_torn: float = 0.0
    power_cut: float = 0.0
    crash: float = 0.0
    cancel: float = 0.0
    body_raises: float = 0.0
    body_hangs: float = 0.0
    body_lingers: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            chance = getattr(self, field.name)
            if not (isinstance(chance, int | float) and 0 <= chance <= 1):
                raise ValueError(f"{field.name} must be a number from 0 to 1, not {chance!r}")

    @classmethod
    def all(cls, chance: float = 0.1) -> Faults:
        """Everything may happen; what ends a life of the engine, less often."""
        rare = ("commit_refused", "disk_full", "commit_torn", "power_cut")
        chances = {
            field.name: chance / 10 if field.name in rare else chance for field in fields(cls)
        }
        return replace(cls(**chances), crash=min(1.0, 5 * chance))

    def only(self, *names: str) -> Faults:
        """These faults as likely as they are, and no others."""
        return Faults(**{name: getattr(self, name) for name in names})

    @property
    def names(self) -> tuple[str, ...]:
        """The faults that can happen."""
        return tuple(field.name for field in fields(self) if getattr(self, field.name))

    def __repr__(self) -> str:
        return f"Faults({', '.join(f'{name}={getattr(self, name)}' for name in self.names)})"


NO_FAULTS = Faults()


class Dice:
    """Decides what goes wrong. Each kind of fault has dice of its own, so that leaving out one
    kind does not change what the others do (as far as the run stays the same).
    """

    def __init__(self, faults: Faults, seed: str) -> None:
        self._faults = faults
        self._dice = {
            name: random.Random(f"{seed} {name}")
            for name in (field.name for field in fields(Faults))
        }
        self.off = False  # from then on nothing goes wrong
        self.injected: dict[str, int] = {}

    def happened(self, name: str) -> None:
        """Count a fault that was planned and has come."""
        self.injected[name] = self.injected.get(name, 0) + 1

    def _falls(self, name: str) -> bool:
        """Whether this fault is to happen. The dice are thrown in any case."""
        return self._dice[name].random() < getattr(self._faults, name) and not self.off

    def _happens(self, name: str) -> bool:
        """Whether this fault happens now."""
        falls = self._falls(name)
        if falls:
            self.happened(name)
        return falls

    def _some_step(self, name: str, bits: float) -> int:
        """An early step more often than a late one, up to 2**bits."""
        return int(2 ** self._dice[name].uniform(0, bits))

    # -- commits ---------------------------------------------------------------------------------

    def delay(self) -> float:
        """Seconds that a commit takes."""
        return self._dice["commit_slow"].random() if self._happens("commit_slow") else 0.0

    def fate(self) -> CommitFate:
        """What becomes of a commit."""
        if self._happens("power_cut"):
            return "cut"
        if self._happens("commit_torn"):
            return self._dice["commit_torn"].choice(("lost", "unsaid"))
        return "refused" if self._happens("commit_refused") else "kept"

    def full(self) -> Full | None:
        """Whether the disk is full from this commit on, and how full."""
        if not self._happens("disk_full"):
            return None
        seconds = self._some_step("disk_full", 7)
        return Full(seconds, reserve=self._dice["disk_full"].randrange(20))

    def downtime(self) -> float:
        """Seconds until somebody starts an engine again that cannot keep anything any more."""
        return self._dice["commit_torn"].uniform(0, 5)

    def injured(self, what: object) -> bool:
        """Whether this error, or the text of one, comes from a fault of ours."""
        return what is not None and INJECTED in str(what)

    # -- the engine ------------------------------------------------------------------------------

    def crash_after(self) -> int:
        """After how many steps of the engine the power fails; 0: not in this life."""
        return self._some_step("crash", 10) if self._falls("crash") else 0

    # -- bodies ----------------------------------------------------------------------------------

    def sabotage(self, body: RunningBody) -> Sabotage:
        """What is to go wrong with this body."""
        del body
        raises, hangs = self._falls("body_raises"), self._falls("body_hangs")
        cancels, lingers = self._falls("cancel"), self._falls("body_lingers")
        return Sabotage(
            raise_at=self._some_step("body_raises", 5) if raises else 0,
            hang_at=self._some_step("body_hangs", 5) if hangs else 0,
            linger=self._dice["body_lingers"].uniform(0, 60) if lingers else 0.0,
            cancel_at=self._some_step("cancel", 5) if cancels else 0,
        )
