"""What the laws of a repair share: a folder with a rich story, and damage done to it by chance."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import inf
from pathlib import Path
from random import Random

import msgspec

from cortex_tasks.backends.journal_format import KeptPut, Start, decode_change, split_changes
from cortex_tasks.engine.journal import _latest
from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.engine.records import TaskRecord
from cortex_tasks.engine.storage import Change, Drop, Pause, Put

from .journal_setting import ALWAYS, BEGIN, NEVER, commit, completed, open_at, pending

_replace = msgspec.structs.replace


class Story:
    """Tasks that wait, run, save, fail, are tried again, complete and are removed; some of them
    several times in one commit, of which the engine then keeps the last alone.
    """

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._seq = 0
        self._records: dict[str, TaskRecord] = {}
        self._made = 0

    def commits(self, number: int) -> list[list[Change]]:
        """Go on for so many commits."""
        return [self._commit() for _ in range(number)]

    def _commit(self) -> list[Change]:
        changes = self._changes()
        while self._chance.random() < 0.3:
            changes += self._changes()
        return _latest(changes)

    def _changes(self) -> list[Change]:
        if self._chance.random() < 0.2:
            return [Pause(self._chance.choice(["one", "other"]), self._chance.random() < 0.6)]
        changes = [self._submit()] if len(self._records) < 3 else []
        others = list(self._records)
        self._chance.shuffle(others)
        for task_id in others[: self._chance.randint(1, 3)]:
            if not any(isinstance(one, Put) and one.record.id == task_id for one in changes):
                changes.append(self._step(self._records[task_id]))
        if self._chance.random() < 0.3:
            changes.append(self._submit())
        return changes

    def _value(self) -> msgspec.Raw:
        text = f'"{self._chance.randrange(10**6)}{"x" * self._chance.choice([0, 0, 150])}"'
        return msgspec.Raw(text.encode())

    def _number(self) -> int:
        self._seq += 1
        return self._seq

    def _submit(self) -> Change:
        self._made += 1
        return self._put(pending(f"task_{self._made}", self._number()), params=self._value())

    def _put(self, record: TaskRecord, **values: msgspec.Raw) -> Put:
        self._records[record.id] = record
        return Put(record, **values)

    def _step(self, record: TaskRecord) -> Change:
        seq = self._number()
        match record.status:
            case TaskStatus.PENDING:
                running = _replace(
                    record, seq=seq, status=TaskStatus.RUNNING, attempt=record.attempt + 1
                )
                return self._put(running)
            case TaskStatus.RUNNING:
                return self._go_on(record, seq)
            case TaskStatus.FAILED if self._chance.random() < 0.4:
                again = _replace(
                    record, seq=seq, status=TaskStatus.PENDING, error=None, completed_at=None
                )
                return self._put(again)
            case _:
                del self._records[record.id]
                return Drop(record.id, seq)

    def _go_on(self, record: TaskRecord, seq: int) -> Change:
        kind = self._chance.choice(["report", "save", "save", "log", "complete", "fail"])
        percent = min(99, record.progress_percent + 1)
        moved = _replace(record, seq=seq, progress_percent=percent, message=f"change {seq}")
        if kind == "save":
            return self._put(moved, checkpoint=self._value())
        if kind == "log":
            return self._put(moved, log=self._value())
        if kind == "complete":
            result = self._value()
            return self._put(completed(record.id, seq, bytes(result)), result=result)
        if kind == "fail":
            failed = _replace(
                moved, status=TaskStatus.FAILED, error="of itself", completed_at=BEGIN
            )
            return self._put(failed)
        return self._put(moved)


def write_story(folder: Path, chance: Random) -> list[list[Change]]:
    """Commit a story in two runs, the second of which may begin with a compaction."""
    commits = Story(chance).commits(chance.randint(2, 25))
    cut = chance.randint(1, len(commits))
    rules = [NEVER, chance.choice([NEVER, ALWAYS])]
    for part, rule in zip((commits[:cut], commits[cut:]), rules, strict=True):
        journal = open_at(folder, compaction=rule)
        for changes in part:
            commit(journal, changes)
        journal.close()
    open_at(folder).close()  # removes what was superseded
    return commits


def files_of(folder: Path) -> dict[str, bytes]:
    """All files but the lock."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != "lock"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def line_files(folder: Path) -> list[Path]:
    """The snapshot, and the journal files after it."""
    return [*sorted(folder.glob("snapshot-*.jsonl")), *sorted(folder.glob("journal-*.jsonl"))]


def holds_newer(folder: Path) -> bool:
    """Whether damage has made a header that of a newer program."""
    one = re.compile(rb'{"format":"cortex-tasks (journal|snapshot)","version":[2-9],"number":\d+}')
    return any(one.match(path.read_bytes()) for path in line_files(folder))


def damage(folder: Path, chance: Random) -> None:
    """Do damage once: to a line, or to a file of a value."""
    files = line_files(folder)
    values = [path for path in folder.rglob("*.json") if path.is_file()]
    path = chance.choice(files)
    lines = path.read_bytes().splitlines(keepends=True)
    at = chance.randrange(len(lines)) if lines else 0
    kind = chance.choice(["flip", "flip", "remove", "double", "foreign", "cut", "value"])
    if kind == "value" and values:
        path = chance.choice(values)
        path.unlink() if chance.random() < 0.3 else path.write_bytes(
            flip(path.read_bytes(), chance)
        )
        return
    if not lines or (path == files[-1] and at == len(lines) - 1 and kind in {"remove", "cut"}):
        return  # nobody can tell that from lines that were never written
    match kind:
        case "remove":
            del lines[at]
        case "double":
            lines.insert(at, lines[at])
        case "foreign":
            lines.insert(at, chance.randbytes(chance.randint(1, 200)) + b"\n")
        case "cut":
            lines[at] = lines[at][: chance.randrange(len(lines[at]))]
        case _:
            lines[at] = flip(lines[at], chance)
    path.write_bytes(b"".join(lines))


def flip(data: bytes, chance: Random) -> bytes:
    """Give it with a byte changed."""
    if not data:
        return b"x"
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ chance.randint(1, 255)]) + data[at + 1 :]


def readable(before: dict[str, bytes], folder: Path) -> list[KeptPut | Drop | Pause | Start]:
    """What the lines say that are still as they were written."""
    found: list[KeptPut | Drop | Pause | Start] = []
    for path in line_files(folder):
        written = set(before[path.name].splitlines(keepends=True)[1:])
        for line in path.read_bytes().splitlines(keepends=True):
            for whole in written:
                if holds(line, whole):
                    found += changes_of(whole)
    return found


def holds(data: bytes, line: bytes) -> bool:
    """Whether the line can be read there: what was cut may stand before it, and its number, which
    is under no check sum, may be another.
    """
    number, rest = line.split(b",", 1)
    if not data.endswith(b"," + rest):
        return False
    begin = data[: -len(rest)]
    return begin.endswith(number + b",") or bool(re.search(rb'\{"n":(0|[1-9]\d{0,17}),$', begin))


def changes_of(line: bytes) -> list[KeptPut | Drop | Pause | Start]:
    """What a line says."""
    changes = bytes(msgspec.json.decode(line, type=_Line).changes)
    return [decode_change(text) for text in split_changes(changes)]


def surely_newest(before: dict[str, bytes], folder: Path) -> set[str]:
    """Some of the tasks whose newest state is surely there, by what the lines say that are left:
    all if none is lost, else those that a later line brings with all that could have been lost.
    """
    lost: float = 0  # the highest number that a lost line may have brought
    for path in line_files(folder):
        lines = path.read_bytes().splitlines(keepends=True)
        pending = False
        for whole in before[path.name].splitlines(keepends=True)[1:]:
            copies = [line for line in lines if holds(line, whole)]
            if copies and not any(copy.endswith(whole) for copy in copies):
                return set()  # a number is damaged, which may look like lines that have vanished
            numbers = [one for one in map(_number_of, changes_of(whole)) if one]
            pending |= not copies
            if pending and copies and numbers and path.name.startswith("journal"):
                lost, pending = min(numbers) - 1, False
        if pending:
            lost = inf
    if not _ends_as_written(before, folder):
        lost = inf
    left = readable(before, folder)
    return {
        task_id
        for task_id, record in newest_records(left).items()
        if lost == 0 or (record.seq > lost and _brings_all(record, left))
    }


def _number_of(change: KeptPut | Drop | Pause | Start) -> int | None:
    if isinstance(change, KeptPut):
        return change.record.seq
    return None if isinstance(change, Pause) else change.seq


def _brings_all(record: TaskRecord, changes: Sequence[KeptPut | Drop | Pause | Start]) -> bool:
    """Whether no checkpoint of the task can be missing: it has none, this put brings one, or it is
    the first.
    """
    [put, *_] = [one for one in changes if isinstance(one, KeptPut) and one.record == record]
    values = (put.checkpoint_file, bytes(put.checkpoint), put.params_file, bytes(put.params))
    return record.attempt == 0 or any(values)


def _ends_as_written(before: dict[str, bytes], folder: Path) -> bool:
    """Whether nothing but its last line is at the end of the newest file."""
    path = line_files(folder)[-1]
    last = before[path.name].splitlines(keepends=True)[-1]
    lines = path.read_bytes().splitlines(keepends=True)
    return last in lines and set(lines[lines.index(last) :]) == {last}


class _Line(msgspec.Struct):
    changes: msgspec.Raw


def newest_records(changes: Sequence[KeptPut | Drop | Pause | Start]) -> dict[str, TaskRecord]:
    """The newest record of each task that is there by these changes."""
    records: dict[str, TaskRecord] = {}
    dropped: dict[str, int] = {}
    for change in changes:
        if isinstance(change, KeptPut):
            old = records.get(change.record.id)
            if old is None or old.seq < change.record.seq:
                records[change.record.id] = change.record
        elif isinstance(change, Drop):
            dropped[change.task_id] = change.seq
    return {
        task_id: record
        for task_id, record in records.items()
        if record.seq > dropped.get(task_id, 0)
    }


def paused_types(changes: Sequence[KeptPut | Drop | Pause | Start]) -> set[str]:
    """The task types that are paused by these changes."""
    paused: set[str] = set()
    for change in changes:
        if isinstance(change, Start):
            paused = set(change.paused)
        elif isinstance(change, Pause):
            (paused.add if change.paused else paused.discard)(change.task_type)
    return paused


def records_ever(commits: Sequence[Sequence[Change]]) -> dict[str, list[TaskRecord]]:
    """All records that each task ever had."""
    ever: dict[str, list[TaskRecord]] = {}
    for change in (change for changes in commits for change in changes):
        if isinstance(change, Put):
            ever.setdefault(change.record.id, []).append(change.record)
    return ever
