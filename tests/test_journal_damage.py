"""Files changed behind the journal's back: cut off at any byte, any bit flipped, any hole."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable, Iterator
from itertools import product
from pathlib import Path

import pytest

from cortex_tasks.backends.json_backend import JsonBackend
from cortex_tasks.engine.errors import StorageCorrupt, StorageError
from cortex_tasks.engine.storage import Change, Drop
from cortex_tasks.testing.power_cuts import State, write_state
from cortex_tasks.testing.simulated_disk import folder_in_memory
from tests.journal_setting import Kept, UnsyncedFiles, complete, kept_after, same, submit
from tests.journal_story import all_in, at_once
from tests.torture import every

LARGE = b'"' + b"large" * 8 + b'"'
COMMITS: list[list[Change]] = [
    [submit("a", 1, b"[1]")],
    [complete("a", 2, LARGE), submit("b", 3, LARGE)],
    [submit("c", 4), Drop("x", 5)],
]
MORE: list[list[Change]] = [[complete("c", 6, b"[3]")], [submit("d", 7)]]
JOURNAL = "journal-00000001.jsonl"
SNAPSHOT = "snapshot-00000001.jsonl"
NEWEST = "journal-00000002.jsonl"
ADVICE = "Restore"


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One is enough: with a backend that works inline, no event loop has a part in this."""
    return "asyncio"


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    with folder_in_memory(otherwise=tmp_path) as folder:
        yield Path(folder)


def backend_at(folder: Path, *, compact_after: int = 1 << 30) -> JsonBackend:
    return JsonBackend(
        folder,
        offload=at_once,
        inline_limit=20,
        compact_after=compact_after,
        garbage_share=0.0,
        files=UnsyncedFiles(),
    )


async def look_into(folder: Path) -> Kept:
    """Open a backend in the folder, read all that it holds, and close it."""
    backend = backend_at(folder)
    recovered = await backend.open()
    try:
        return await all_in(backend, recovered)
    finally:
        await backend.close()


def files_in(folder: Path) -> State:
    """Every file but the lock, which names its holder."""
    paths = [path for path in sorted(folder.rglob("*")) if path.name != "lock"]
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in paths
    }


class Sample:
    """A folder that can be had again, with one file changed."""

    def __init__(self, place: Path, state: State) -> None:
        self._place = place
        self._state = state
        self._made = 0

    def file(self, name: str) -> bytes:
        content = self._state[name]
        assert content is not None
        return content

    def rows(self, name: str) -> list[int]:
        """Give for each byte of a file the line that it is in."""
        lines = self.file(name).splitlines(keepends=True)
        return [row for row, line in enumerate(lines, 1) for _ in line]

    def change(self, name: str, content: bytes) -> Path:
        """Give the file in the folder; it replaces the one that was given before."""
        folder = self._place / str(self._made)
        if not folder.exists():
            write_state(folder, self._state)
        (folder / name).write_bytes(content)
        return folder / name

    def use_up(self) -> None:
        """Say that the folder was opened, and so may have become another."""
        shutil.rmtree(self._place / str(self._made))
        self._made += 1


async def tell(folder: Path, *, more: int = 0, compact: bool = False) -> State:
    """Commit COMMITS and, in a second run, as much of MORE; give the files that are there then."""
    for commits, compact_after in ((COMMITS, 1 << 30), (MORE[:more], 1 if more else 1 << 30)):
        backend = backend_at(folder, compact_after=compact_after)
        await backend.open()
        for changes in commits:
            await backend.commit(changes)
        await backend.close()
    await look_into(folder)  # removes what was superseded
    return files_in(folder)


async def with_journal(place: Path) -> Sample:
    """One journal file, with COMMITS."""
    state = await tell(place / "first")
    assert [name for name in state if name.endswith(".jsonl")] == [JOURNAL]
    return Sample(place, state)


async def with_two_journals(place: Path) -> Sample:
    """A journal file with COMMITS, and a newer one with the first of MORE."""
    state = await tell(place / "first", more=1)
    assert [name for name in state if name.endswith(".jsonl")] == [JOURNAL, NEWEST]
    return Sample(place, state)


async def with_snapshot(place: Path) -> Sample:
    """A snapshot of COMMITS, and a journal file with MORE."""
    state = await tell(place / "first", more=2)
    assert [name for name in state if name.endswith(".jsonl")] == [NEWEST, SNAPSHOT]
    return Sample(place, state)


def flip(whole: bytes, at: int, bit: int) -> bytes:
    return whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :]


def check_refusal(refusal: StorageError, path: Path, content: bytes, row: int | None) -> None:
    """The words must name file and line and what to do, and nothing may have been changed."""
    words = str(refusal)
    assert str(path) in words
    if isinstance(refusal, StorageCorrupt):
        assert "Restore" in words
        assert row is None or f"line {row} " in words, words
    else:
        assert row == 1, "only a header is of another version"
        assert "Use the newer program" in words
    assert path.read_bytes() == content


async def test_a_journal_cut_anywhere_opens_with_all_commits_that_are_whole_in_it(
    memory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = await with_journal(memory)
    whole = journal.file(JOURNAL)
    header = whole.index(b"\n") + 1
    for length in range(len(whole)):
        path = journal.change(JOURNAL, whole[:length])
        caplog.clear()
        if length < header:
            with pytest.raises(StorageCorrupt) as refused:
                await look_into(path.parent)
            check_refusal(refused.value, path, whole[:length], 1)
            continue
        found = await look_into(path.parent)
        lines = whole[:length].splitlines(keepends=True)
        torn = b"" if lines[-1].endswith(b"\n") else lines.pop()
        assert same(found, kept_after(COMMITS[: len(lines) - 1]))
        assert path.read_bytes() == b"".join(lines)
        journal.use_up()
        warnings = [record.getMessage() for record in caplog.records]
        assert len(warnings) == bool(torn)
        for warning in warnings:
            assert str(path) in warning
            assert f"{len(torn)} bytes" in warning


@pytest.mark.parametrize(
    ("sample", "name"),
    [
        (with_journal, JOURNAL),
        (with_two_journals, JOURNAL),
        (with_snapshot, SNAPSHOT),
        (with_snapshot, NEWEST),
        (with_journal, "params/b.3.json"),
    ],
)
async def test_a_file_that_is_missing_is_refused(
    memory: Path, sample: Callable[[Path], Awaitable[Sample]], name: str
) -> None:
    files = await sample(memory)
    path = files.change(name, b"")
    path.unlink()
    folder = path.parents[len(Path(name).parts) - 1]
    before = files_in(folder)
    with pytest.raises(StorageCorrupt, match=r"is missing.*Restore"):
        await look_into(folder)
    assert files_in(folder) == before


async def test_only_the_newest_journal_may_be_cut_short(memory: Path) -> None:
    rotated = await with_two_journals(memory)
    whole = rotated.file(JOURNAL)
    for length in range(len(whole)):
        path = rotated.change(JOURNAL, whole[:length])
        with pytest.raises(StorageCorrupt) as refused:
            await look_into(path.parent)
        at_fault = path if whole[length - 1 : length] != b"\n" else path.with_name(NEWEST)
        check_refusal(refused.value, at_fault, at_fault.read_bytes(), None)


async def test_a_snapshot_may_not_be_cut_short(memory: Path) -> None:
    compacted = await with_snapshot(memory)
    whole = compacted.file(SNAPSHOT)
    for length in range(len(whole)):
        path = compacted.change(SNAPSHOT, whole[:length])
        with pytest.raises(StorageCorrupt) as refused:
            await look_into(path.parent)
        check_refusal(refused.value, path, whole[:length], None)


@pytest.mark.parametrize(
    ("sample", "name", "commits", "step"),
    [
        (with_journal, JOURNAL, COMMITS, 1),
        (with_two_journals, JOURNAL, None, every(7)),
        (with_snapshot, SNAPSHOT, None, 1),
        (with_snapshot, NEWEST, [*COMMITS, *MORE], every(7)),
    ],
)
async def test_any_bit_flipped_is_refused_but_in_what_could_be_a_torn_write(
    memory: Path,
    caplog: pytest.LogCaptureFixture,
    sample: Callable[[Path], Awaitable[Sample]],
    name: str,
    commits: list[list[Change]] | None,
    step: int,
) -> None:
    """`commits` are those that the newest journal file ends with; no other may seem torn."""
    files = await sample(memory)
    whole, rows = files.file(name), files.rows(name)
    taken_as_torn = 0
    for at, bit in list(product(range(len(whole)), range(8)))[::step]:
        flipped = flip(whole, at, bit)
        path = files.change(name, flipped)
        caplog.clear()
        try:
            found = await look_into(path.parent)
        except StorageError as refusal:
            check_refusal(refusal, path, flipped, rows[at])
        else:
            files.use_up()
            assert commits is not None, (at, bit)
            assert rows[at] == rows[-1], (at, bit)
            assert at == len(whole) - 1 or flipped[at] == 0, (at, bit)
            assert same(found, kept_after(commits[:-1]))
            assert "cut the last line short" in caplog.text
            taken_as_torn += 1
    assert bool(taken_as_torn) == (commits is not None)


@pytest.mark.parametrize(
    ("name", "pending"), [("results/a.2.json", False), ("params/b.3.json", True)]
)
async def test_any_bit_flipped_in_a_large_value_is_refused_when_it_is_read(
    memory: Path, name: str, pending: bool
) -> None:
    journal = await with_journal(memory)
    whole = journal.file(name)
    for at, bit in product(range(len(whole)), range(8)):
        flipped = flip(whole, at, bit)
        path = journal.change(name, flipped)
        backend = backend_at(path.parent.parent)
        if pending:  # it is needed at once
            with pytest.raises(StorageCorrupt) as refused:
                await backend.open()
        else:
            await backend.open()
            with pytest.raises(StorageCorrupt) as refused:
                await backend.read("a", "result")
            assert bytes(await backend.read("b", "params")) == LARGE
            await backend.close()
        check_refusal(refused.value, path, flipped, None)


async def test_any_bit_flipped_in_an_open_journal_is_refused_when_it_is_read(
    memory: Path,
) -> None:
    compacted = await with_snapshot(memory)
    for name in (NEWEST, SNAPSHOT):
        whole = compacted.file(name)
        path = compacted.change(name, whole)
        backend = backend_at(path.parent)
        await backend.open()
        refusals = 0
        for at in range(len(whole)):
            path.write_bytes(flip(whole, at, at % 8))
            for task, params in {"a": b"[1]", "b": LARGE, "c": b"{}", "d": b"{}"}.items():
                try:
                    assert bytes(await backend.read(task, "params")) == params
                except StorageCorrupt as refusal:
                    refusals += str(path) in str(refusal)
        assert refusals == sum(map(len, [b"[1]", b"{}"] if name == SNAPSHOT else [b"{}"]))
        await backend.close()
        compacted.use_up()


@pytest.mark.parametrize("kind", ["zeros", "ones", "blanks", "gone", "twice"])
async def test_damage_before_a_whole_line_is_refused_and_never_cut(memory: Path, kind: str) -> None:
    journal = await with_journal(memory)
    whole, rows = journal.file(JOURNAL), journal.rows(JOURNAL)
    header = whole.index(b"\n") + 1
    last = whole.rindex(b"\n", 0, -1) + 1
    ends = [at + 1 for at, byte in enumerate(whole[:last]) if byte == ord("\n")]
    for begin in range(header if kind == "twice" else 0, last):
        for end in {begin + 1, begin + 50, *ends}:
            if not begin < end <= last or (begin + end) % every(3):
                continue
            length = end - begin
            filling = {
                "zeros": bytes(length),
                "ones": b"\xff" * length,
                "blanks": b" " * length,
                "gone": b"",
                "twice": whole[begin:end] * 2,
            }[kind]
            damaged = whole[:begin] + filling + whole[end:]
            path = journal.change(JOURNAL, damaged)
            if damaged == whole:
                continue
            with pytest.raises(StorageError) as refused:
                await look_into(path.parent)
            row = rows[begin] if kind != "twice" else None
            check_refusal(refused.value, path, damaged, row)


async def test_what_stays_of_a_line_that_lost_its_end_is_not_mistaken_for_a_torn_write(
    memory: Path,
) -> None:
    """The end of a line that is zeros is found in the last line of the file: but before a whole
    line, which no torn write is.
    """
    journal = await with_journal(memory)
    whole = journal.file(JOURNAL)
    last = whole.rindex(b"\n", 0, -1)
    for length in range(1, last):
        damaged = whole[: last + 1 - length] + bytes(length) + whole[last + 1 :]
        path = journal.change(JOURNAL, damaged)
        with pytest.raises(StorageError) as refused:
            await look_into(path.parent)
        check_refusal(refused.value, path, damaged, journal.rows(JOURNAL)[last + 1 - length])
