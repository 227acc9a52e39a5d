"""What a disk may hold after a power cut.

Files and folders remember each step that was done to them and what became of it. A sync makes the
steps before it certain. A step without a sync may be there or not, whatever was done before it or
after it. A step whose sync failed may be there or not for ever: from then on a system takes it for
synced, and does not write it again. A file and its name are synced apart from one another.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import combinations
from pathlib import Path
from random import Random

SECTOR = 512  # a disk writes so much as a whole or not at all

State = dict[str, bytes | None]  # each path with what the file contains; None for a folder


class Fate(Enum):
    """What is known of a step."""

    UNSYNCED = "unsynced"
    LOST = "its sync failed"
    CERTAIN = "synced"


@dataclass(eq=False)
class Step:
    """Something that was done to a file or a folder."""

    number: int  # in the order of all steps on the disk
    fate: Fate = field(default=Fate.UNSYNCED, kw_only=True)


@dataclass(eq=False)
class Write(Step):
    """Bytes were written at a place of a file."""

    offset: int
    data: bytes

    def do(self, content: bytearray) -> None:
        if len(content) < self.offset:
            content.extend(bytes(self.offset - len(content)))  # a hole
        content[self.offset : self.offset + len(self.data)] = self.data

    def part(self, begin: int, end: int) -> Write:
        return Write(self.number, self.offset + begin, self.data[begin:end])


@dataclass(eq=False)
class SetLength(Step):
    """A file was cut, or made longer by zeros."""

    length: int

    def do(self, content: bytearray) -> None:
        del content[self.length :]
        content.extend(bytes(self.length - len(content)))


@dataclass(eq=False)
class Name(Step):
    """The file or folder gets the name, in place of its old one if it has one."""

    name: str
    node: File | Folder | None  # None: the name is taken away
    old: str | None = None

    def do(self, names: dict[str, File | Folder]) -> None:
        if self.old is not None:
            names.pop(self.old, None)
        if self.node is None:
            names.pop(self.name, None)
        else:
            names[self.name] = self.node


@dataclass(frozen=True)
class Cut:
    """One way in which a power cut may turn out."""

    dropped: frozenset[Step] = frozenset()
    torn: Mapping[Step, Write | SetLength] = field(default_factory=dict)  # what became of them


WITHOUT_CUT = Cut()


class File:
    """A file, and what was done to it that may not last."""

    def __init__(self, content: bytes = b"") -> None:
        self.synced = content  # what comes before the steps
        self.steps: list[Write | SetLength] = []

    def content(self, cut: Cut = WITHOUT_CUT) -> bytes:
        """Give what is in it; without a power cut, what programs see."""
        content = bytearray(self.synced)
        for step in self.steps:
            if step not in cut.dropped:
                cut.torn.get(step, step).do(content)
        return bytes(content)

    def sync(self, number: int) -> None:
        """Make certain of all that no sync has failed for; of the length in any case."""
        content = self.content()
        if make_certain(self.steps):
            self.steps.append(SetLength(number, len(content), fate=Fate.CERTAIN))
        else:
            self.synced = content
            self.steps = []


class Folder:
    """A folder, and what was done to its names that may not last."""

    def __init__(self) -> None:
        self.synced: dict[str, File | Folder] = {}
        self.steps: list[Name] = []

    def names(self, cut: Cut = WITHOUT_CUT) -> dict[str, File | Folder]:
        """Give what it holds; without a power cut, what programs see."""
        names = dict(self.synced)
        for step in self.steps:
            if step not in cut.dropped:
                step.do(names)
        return names

    def sync(self) -> None:
        """Make certain of all names that no sync has failed for."""
        names = self.names()
        if not make_certain(self.steps):
            self.synced = names
            self.steps = []

    def everything(self) -> Iterator[File | Folder]:
        """Give all that is in it or may be in it after a power cut, itself included."""
        yield self
        nodes = [*self.synced.values(), *(step.node for step in self.steps if step.node)]
        for node in dict.fromkeys(nodes):
            if isinstance(node, Folder):
                yield from node.everything()
            else:
                yield node

    def state(self, cut: Cut = WITHOUT_CUT) -> State:
        """Give all files and folders in it."""
        state: State = {}
        for name, node in sorted(self.names(cut).items()):
            if isinstance(node, File):
                state[name] = node.content(cut)
            else:
                state[name] = None
                state |= {f"{name}/{path}": inner for path, inner in node.state(cut).items()}
        return state


def make_certain(steps: Sequence[Step]) -> bool:
    """Take the steps as synced; say whether some of them are lost all the same."""
    for step in steps:
        if step.fate is Fate.UNSYNCED:
            step.fate = Fate.CERTAIN
    return any(step.fate is Fate.LOST for step in steps)


def fail_to_sync(node: File | Folder) -> None:
    """Take the steps as lost: the system does not write them any more, unless made anew."""
    for step in node.steps:
        if step.fate is Fate.UNSYNCED:
            step.fate = Fate.LOST


@dataclass(frozen=True)
class Thoroughness:
    """How many of the possible outcomes of a power cut are looked at."""

    subsets: int = 8  # every subset of so many uncertain steps; of more, a choice
    chosen: int = 6  # of the subsets beyond that, drawn
    prefixes: int = 4  # of the last write


def states_after_power_cut(top: Folder, how: Thoroughness, chance: Random) -> list[State]:
    """Give different states that the disk may be in."""
    nodes = dict.fromkeys(top.everything())
    uncertain = [step for node in nodes for step in node.steps if step.fate is not Fate.CERTAIN]
    uncertain.sort(key=lambda step: step.number)
    cuts = [Cut(frozenset(dropped)) for dropped in _droppings(uncertain, how, chance)]
    writes = [step for step in uncertain if isinstance(step, Write)]
    if writes:
        others = frozenset(uncertain) - {writes[-1]}
        length = _length_before(nodes, writes[-1])
        for torn in tears(writes[-1], length, how.prefixes):
            cuts += [Cut(dropped, {writes[-1]: torn}) for dropped in (frozenset(), others)]
    states = [top.state(cut) for cut in cuts]
    return list({tuple(state.items()): state for state in states}.values())


def some_state_after_power_cut(top: Folder, chance: Random) -> State:
    """Give one of the states that the disk may be in, drawn by chance."""
    nodes = dict.fromkeys(top.everything())
    uncertain = [step for node in nodes for step in node.steps if step.fate is not Fate.CERTAIN]
    dropped = frozenset(step for step in uncertain if chance.random() < 0.5)
    torn: dict[Step, Write | SetLength] = {}
    written = [step for step in uncertain if isinstance(step, Write) and step not in dropped]
    last = max(written, key=lambda step: step.number, default=None)
    if last is not None and chance.random() < 0.5:
        ways = list(tears(last, _length_before(nodes, last), prefixes=4))
        torn[last] = chance.choice(ways)
    return top.state(Cut(dropped, torn))


def _droppings(
    steps: Sequence[Step], how: Thoroughness, chance: Random
) -> Iterator[Collection[Step]]:
    if len(steps) <= how.subsets:
        for count in range(len(steps) + 1):
            yield from combinations(steps, count)
        return
    for at, step in enumerate(steps):
        yield steps[at:]
        yield [step]
        yield [other for other in steps if other is not step]
    yield []
    for _ in range(how.chosen):
        yield [step for step in steps if chance.random() < 0.5]


def _length_before(nodes: Collection[File | Folder], write: Write) -> int:
    file = next(node for node in nodes if isinstance(node, File) and write in node.steps)
    return len(file.content(Cut(frozenset([write]))))


def tears(write: Write, length: int, prefixes: int) -> Iterator[Write | SetLength]:
    """Give what may come of a write to a file of this length that a power cut falls into.

    Some first bytes of it; or only what is in its last sectors, and zeros before where the file
    was shorter; or nothing but the length.
    """
    size = len(write.data)
    steps = max(1, prefixes - 1)
    for end in sorted({1, size - 1, *(size * n // steps for n in range(1, steps))}):
        if 0 < end < size:
            yield write.part(0, end)
    edges = range(SECTOR - write.offset % SECTOR, size, SECTOR)
    for edge in edges:
        yield write.part(0, edge)
        yield write.part(edge, size)
    yield SetLength(write.number, max(length, write.offset + size))


def write_state(root: Path, state: State) -> None:
    """Make real files and folders of a state."""
    root.mkdir(parents=True)
    for path, content in state.items():
        if content is None:
            (root / path).mkdir()
        else:
            (root / path).write_bytes(content)
