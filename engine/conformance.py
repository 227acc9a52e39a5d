"""Checks that a backend keeps what `engine.storage.Backend` promises.

It needs no test framework: run it from any test, or from a script. What it cannot see from outside
is how the backend bears a crash; test that by killing a process that commits.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec

from .errors import CortexTasksError, StorageError, StorageInUse, TaskNotFound
from .lifecycle import TaskStatus
from .records import AttemptRecord, ChainStep, RequestRecord, TaskRecord, TraceContext
from .storage import Backend, Change, Drop, Pause, Put, Recovered, ValueName

MakeBackend = Callable[[], Backend]

_BEGIN = datetime(2026, 3, 15, 10, 30, 0, 123456, tzinfo=UTC)


async def check_backend(make: MakeBackend, *, large: int = 5_000_000) -> None:
    """Raise AssertionError, with a sentence that says what is wrong, unless all promises are kept.

    `make` gives a backend on the same storage at each call, closed; the storage is empty at first.
    `large` is the size in bytes of the largest result tried. On return the storage holds a few
    tasks, and the last backend made is closed.
    """
    checks: dict[str, Callable[[MakeBackend], Awaitable[None]]] = {
        "an empty storage": _check_empty,
        "order and replacement": _check_order_and_replacement,
        "values": partial(_check_values, large=large),
        "checkpoints": partial(_check_checkpoints, large=large),
        "logs": partial(_check_logs, large=large),
        "every field of a record": _check_every_field,
        "a task that is tried again": _check_revived,
        "paused task types": _check_paused,
        "drops": _check_drops,
        "ids of all kinds": _check_unknown_ids,
        "the exclusive hold": _check_exclusive_hold,
        "the reserve": _check_reserve,
        "closing": _check_closing,
        "copies": _check_handed_out_copies,
    }
    for what, check in checks.items():
        try:
            await check(make)
        except AssertionError:
            raise
        except Exception as error:
            raise AssertionError(
                f"{what}: a call that must succeed raised {type(error).__name__}: {error}"
            ) from error


@asynccontextmanager
async def _opened(make: MakeBackend) -> AsyncIterator[tuple[Backend, Recovered]]:
    backend = make()
    recovered = await backend.open()
    try:
        yield backend, recovered
    finally:
        await backend.close()


async def _commit_and_reopen(make: MakeBackend, *commits: Sequence[Change]) -> Recovered:
    """Commit, then give what another backend on the same storage finds."""
    async with _opened(make) as (backend, _):
        for changes in commits:
            await backend.commit(changes)
    async with _opened(make) as (_, recovered):
        return recovered


async def _check_empty(make: MakeBackend) -> None:
    async with _opened(make) as (backend, recovered):
        assert recovered == Recovered([], {}, 0), (
            f"an empty storage must give no records, no parameters and last_seq 0, not {recovered}"
        )
        await backend.commit([])
    async with _opened(make) as (_, recovered):
        assert recovered == Recovered([], {}, 0), (
            "a commit of no changes must leave the storage empty"
        )


async def _check_order_and_replacement(make: MakeBackend) -> None:
    first, second, third = _pending("first", 1), _pending("second", 2), _pending("third", 3)
    begun = _replace(first, status=TaskStatus.RUNNING, seq=4, attempt=1, message="once")
    again = _replace(begun, seq=5, progress_percent=40, message="twice")
    recovered = await _commit_and_reopen(
        make,
        [Put(first, _raw('{"a":1}')), Put(second, _raw("[2]"))],
        [Put(third, _raw("3")), Put(begun)],
        [Put(again)],
    )
    _same(recovered.records, [again, second, third], "records, in the order of their first put")
    _same(recovered.last_seq, 5, "last_seq after five changes")
    expected = {"first": b'{"a":1}', "second": b"[2]", "third": b"3"}
    found = {task_id: bytes(value) for task_id, value in recovered.params.items()}
    _same(found, expected, "parameters of the tasks that are not final")


async def _check_values(make: MakeBackend, large: int) -> None:
    texts = {
        "null": b"null",
        "spaced": b' {"a" : [1,  2.50, 1e5]}\t\r\n',
        "space before": b" 1",
        "space after": b"1 ",
        "lines": b'{\n  "a": "b"\n}',
        "unicode": '{"клé":"\U0001f9e0 \\u0000 \u2028 ü"}'.encode(),
        "escaped": b'"\\ud83e\\udde0 \\/ \\""',
        "large": b'"' + b"x" * (large - 2) + b'"',
    }
    changes: list[Change] = []
    async with _opened(make) as (backend, before):
        for seq, (task_id, text) in enumerate(texts.items(), before.last_seq + 1):
            record = _completed(task_id, seq, len(text))
            changes.append(Put(record, params=msgspec.Raw(text), result=msgspec.Raw(text)))
        await backend.commit(changes)
        await _check_readable(backend, texts, "in the backend that committed them")
        # A later put without values leaves those that are there.
        for put in changes:
            assert isinstance(put, Put)
            await backend.commit([Put(put.record)])
        await _check_readable(backend, texts, "after a put that brought none")
    async with _opened(make) as (backend, recovered):
        await _check_readable(backend, texts, "after reopening")
        kept = texts.keys() & recovered.params.keys()
        assert not kept, f"parameters of final tasks must not be recovered, but these are: {kept}"


async def _check_readable(backend: Backend, texts: dict[str, bytes], when: str) -> None:
    for task_id, text in texts.items():
        names: tuple[ValueName, ...] = ("params", "result")
        for name in names:
            found = bytes(await backend.read(task_id, name))
            assert found == text, (
                f"the {name} of {task_id!r} must be the bytes committed, {when}: "
                f"expected {len(text)} bytes {text[:60]!r}, got {len(found)} bytes {found[:60]!r}"
            )


async def _check_checkpoints(make: MakeBackend, large: int) -> None:
    async with _opened(make) as (backend, before):
        seq = before.last_seq
        names = ("saved", "saved large", "not saved", "ended", "dropped")
        await backend.commit(
            [Put(_pending(name, seq + at), _raw("{}")) for at, name in enumerate(names, 1)]
        )
    long = '"' + "y" * (large - 2) + '"'
    for number, text in enumerate(("1", long, ' {"a" : 2}\n', "null", '{"at":3}')):
        seq += 10
        saved = [
            Put(_pending(name, seq + at), checkpoint=_raw(text))
            for at, name in enumerate(("saved", "ended", "dropped"))
        ]
        large_one = Put(_pending("saved large", seq + 5), checkpoint=_raw(long))
        recovered = await _commit_and_reopen(make, saved, [large_one])
        expected = {put.record.id: text.encode() for put in saved} | {"saved large": long.encode()}
        found = {task_id: bytes(value) for task_id, value in recovered.checkpoints.items()}
        assert found == expected, (
            f"the newest checkpoint of each task must be recovered as committed (round {number}): "
            f"expected those of {sorted(expected)}, found those of {sorted(found)}"
        )
    ended = _replace(_completed("ended", seq + 6, 1), attempt=2)
    recovered = await _commit_and_reopen(
        make,
        [Put(_replace(_pending("saved", seq + 7), message="later")), Drop("dropped", seq + 8)],
        [Put(_replace(ended, seq=seq + 9), result=_raw("1"))],
    )
    found = {task_id: bytes(value) for task_id, value in recovered.checkpoints.items()}
    _same(set(found), {"saved", "saved large"}, "tasks whose checkpoints are kept")
    _same(found["saved"], b'{"at":3}', "a checkpoint after a put that brought none")


async def _check_logs(make: MakeBackend, large: int) -> None:
    long = '{"lines":["' + "z" * large + '"]}'
    async with _opened(make) as (backend, before):
        seq = before.last_seq
        await backend.commit(
            [
                Put(_pending(name, seq + at), _raw("{}"))
                for at, name in enumerate(
                    ("written", "written large", "silent", "erased", "last words"), 1
                )
            ]
        )
        await _refuses(
            backend.read("silent", "log"), TaskNotFound, "reading a log that is not there"
        )
    for number, text in enumerate(("[1]", long, ' {"lines" : []}\n', '{"lines":[3]}')):
        seq += 10
        puts = [
            Put(_pending(name, seq + at), log=_raw(written))
            for at, (name, written) in enumerate(
                (("written", text), ("written large", long), ("erased", text))
            )
        ]
        recovered = await _commit_and_reopen(make, puts)
        logs = {task_id: bytes(value) for task_id, value in recovered.logs.items()}
        expected = {put.record.id: bytes(put.log or b"") for put in puts}
        _same(logs, expected, f"the newest log of each task that is not final (round {number})")
    ended = _replace(_completed("written", seq + 6, 1), attempt=2)
    recovered = await _commit_and_reopen(
        make,
        [Put(ended, result=_raw("1")), Drop("erased", seq + 8)],
        [Put(_completed("last words", seq + 9, 1), _raw("{}"), _raw("1"), log=_raw("[4]"))],
    )
    _same(set(recovered.logs), {"written large"}, "recovered logs: those of tasks not final")
    async with _opened(make) as (backend, _):
        for task_id, expected_log in (("written", b'{"lines":[3]}'), ("last words", b"[4]")):
            try:
                kept = bytes(await backend.read(task_id, "log"))
            except TaskNotFound:
                raise AssertionError("the log of a final task must be kept with it") from None
            _same(kept, expected_log, f"the log of the final task {task_id!r}")
        await _refuses(
            backend.read("erased", "log"), TaskNotFound, "reading the log of a dropped task"
        )


async def _check_every_field(make: MakeBackend) -> None:
    async with _opened(make) as (_, before):
        seq = before.last_seq + 1
    record = TaskRecord(
        id="every field",
        type="тип",
        status=TaskStatus.FAILED,
        seq=seq,
        created_at=_BEGIN,
        updated_at=_BEGIN + timedelta(microseconds=1),
        started_at=_BEGIN + timedelta(seconds=1),
        completed_at=_BEGIN + timedelta(days=400),
        progress_percent=99,
        progress_current=0.1,
        progress_total=2**53,
        message="line\nbreak \U0001f9e0 \x00",
        error="ValueError: \u2028",
        traceback="Traceback\n  File …\n",
        run_at=_BEGIN + timedelta(hours=1, microseconds=1),
        ready_at=_BEGIN + timedelta(minutes=1, microseconds=1),
        revived=True,
        found_over=True,
        priority=-7,
        attempt=3,
        retries=3,
        interruptions=2,
        revivals=1,
        attempts=(
            AttemptRecord(1, _BEGIN, _BEGIN + timedelta(microseconds=1), "OSError: \u2028 é"),
            AttemptRecord(
                2, _BEGIN, _BEGIN, "interrupted", ready_at=_BEGIN, revived=True, found_over=True
            ),
        ),
        cancel_requested_at=_BEGIN,
        dedupe_key="key/with:signs",
        idempotency_key="schlüssel",
        fingerprint="0a1b",
        requests=(RequestRecord("another", "2c3d"), RequestRecord("ключ", "")),
        then=(
            ChainStep("next", msgspec.Raw(b'{"a":[1]}'), "k", timedelta(days=400, microseconds=1)),
            ChainStep("last"),
        ),
        previous_id="before",
        next_id="after",
        trace=TraceContext("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "a=1,b=2"),
        result_size=0,
    )
    recovered = await _commit_and_reopen(make, [Put(record, params=_raw("{}"))])
    _same(recovered.records[-1], record, "a record with every field set")


async def _check_revived(make: MakeBackend) -> None:
    """A final record may be followed by one that is not: its task is to be tried again."""
    async with _opened(make) as (_, before):
        seq, known = before.last_seq, [record.id for record in before.records]
    again, other = _pending("again", seq + 1), _pending("other", seq + 2)
    ended = _replace(
        again, seq=seq + 3, status=TaskStatus.FAILED, completed_at=_BEGIN, error="no", attempt=1
    )
    revived = _replace(again, seq=seq + 4, attempt=1, revivals=1)
    recovered = await _commit_and_reopen(
        make,
        [Put(again, _raw('{"a":1}'), checkpoint=_raw("7")), Put(other, _raw("{}"))],
        [Put(ended)],
        [Put(revived)],
    )
    found = [record.id for record in recovered.records]
    _same(found, [*known, "again", "other"], "tasks, of which one is no longer final")
    _same(recovered.records[-2], revived, "a record put again after it was final")
    _same(bytes(recovered.params["again"]), b'{"a":1}', "parameters of a task no longer final")
    assert "again" not in recovered.checkpoints, "a checkpoint must go with the final record"


async def _check_paused(make: MakeBackend) -> None:
    async with _opened(make) as (_, before):
        seq = before.last_seq
    recovered = await _commit_and_reopen(
        make,
        [
            Pause("a", paused=True),
            Put(_pending("beside a pause", seq + 1), _raw("{}")),
            Pause("тип", paused=True),
        ],
        [Pause("b", paused=True), Pause("a", paused=False)],
        [Pause("never paused", paused=False)],
    )
    _same(recovered.paused, {"b", "тип"}, "paused task types")
    _same(recovered.last_seq, seq + 1, "last_seq: a pause has no number")
    recovered = await _commit_and_reopen(make, [Pause("b", paused=False)])
    _same(recovered.paused, {"тип"}, "paused task types after another start")
    recovered = await _commit_and_reopen(make, [Pause("тип", paused=False)])
    _same(recovered.paused, set(), "paused task types once all are resumed")


async def _check_drops(make: MakeBackend) -> None:
    async with _opened(make) as (backend, before):
        seq = before.last_seq
        ids = [record.id for record in before.records]
        await backend.commit([Put(_completed("gone", seq + 1, 1), _raw("1"), _raw("2"))])
        await backend.commit([Drop("gone", seq + 2), Drop("never was", seq + 3)])
        await _refuses(backend.read("gone", "params"), TaskNotFound, "reading a dropped task")
        await _refuses(backend.read("gone", "result"), TaskNotFound, "reading a dropped task")
        for change in (
            Put(_pending("brief", seq + 4), _raw("1")),
            Drop("brief", seq + 5),
            Drop(ids[0], seq + 6),
            Put(_pending(ids[0], seq + 7), _raw("7")),
        ):
            await backend.commit([change])
    async with _opened(make) as (backend, recovered):
        found = [record.id for record in recovered.records]
        _same(found, [*ids[1:], ids[0]], "tasks after drops: one put anew comes last")
        _same(recovered.last_seq, seq + 7, "last_seq")
        _same(bytes(recovered.params[ids[0]]), b"7", "parameters of a task that was put anew")
        await backend.commit([Drop(ids[0], seq + 8)])
    async with _opened(make) as (_, recovered):
        _same(recovered.last_seq, seq + 8, "last_seq when the last change was a drop")


async def _check_unknown_ids(make: MakeBackend) -> None:
    async with _opened(make) as (backend, before):
        for task_id in ("unknown", "", "../lock", "x" * 1000, "\U0001f9e0"):
            await _refuses(backend.read(task_id, "params"), TaskNotFound, "reading an unknown task")
            await _refuses(backend.read(task_id, "result"), TaskNotFound, "reading an unknown task")
        strange = Put(_pending("../a/\U0001f9e0" + "x" * 1000, before.last_seq + 1), _raw("[]"))
        await backend.commit([strange])
        await _refuses(
            backend.read(strange.record.id, "result"),
            TaskNotFound,
            "reading a result before its time",
        )
        _same(bytes(await backend.read(strange.record.id, "params")), b"[]", "parameters")


async def _check_exclusive_hold(make: MakeBackend) -> None:
    async with _opened(make) as (backend, before):
        await _refuses(make().open(), StorageInUse, "opening a storage that is held")
        await backend.commit([Put(_pending("held", before.last_seq + 1), _raw("{}"))])


async def _check_reserve(make: MakeBackend) -> None:
    async with _opened(make) as (backend, recovered):
        seq = recovered.last_seq
        for call in (backend.restore_reserve, backend.give_up_reserve, backend.restore_reserve):
            seq += 1
            await call()
            await call()
            await backend.commit([Drop("nobody", seq)])
    async with _opened(make) as (_, recovered):
        _same(recovered.last_seq, seq, "last_seq after commits with and without a reserve")


async def _check_closing(make: MakeBackend) -> None:
    backend = make()
    await backend.close()  # before it was ever opened
    await backend.open()
    await backend.close()
    await backend.close()
    await _refuses(
        backend.commit([Put(_pending("late", 10**6), _raw("{}"))]),
        StorageError,
        "a commit after close",
    )
    await _refuses(backend.read("held", "params"), StorageError, "reading after close")
    async with _opened(make) as (_, recovered):
        ids = [record.id for record in recovered.records]
        assert "late" not in ids, "a commit that was refused must keep nothing"
        assert "held" in ids, "closing must keep what was committed"


async def _check_handed_out_copies(make: MakeBackend) -> None:
    async with _opened(make) as (backend, recovered):
        mine = Put(
            _pending("mine", recovered.last_seq + 1), _raw("{}"), None, _raw("1"), _raw("[]")
        )
        changes: list[Change] = [mine, Pause("mine", paused=True)]
        await backend.commit(changes)
        expected = [*recovered.records, mine.record]
        changes.clear()
        _forget(recovered)
    for _ in range(2):
        async with _opened(make) as (backend, again):
            whatever = "whatever became of what was handed in and out"
            _same(again.records, expected, f"records, {whatever}")
            _same(bytes(again.params["mine"]), b"{}", f"parameters, {whatever}")
            _same(bytes(again.checkpoints["mine"]), b"1", f"a checkpoint, {whatever}")
            _same(bytes(again.logs["mine"]), b"[]", f"a log, {whatever}")
            _same(again.paused, {"mine"}, f"paused task types, {whatever}")
            _forget(again)
            _same(bytes(await backend.read("mine", "params")), b"{}", f"parameters, {whatever}")


def _forget(recovered: Recovered) -> None:
    held = (recovered.records, recovered.params, recovered.checkpoints, recovered.logs)
    for one in (*held, recovered.paused):
        one.clear()


async def _refuses(call: Awaitable[object], kind: type[CortexTasksError], what: str) -> None:
    try:
        await call
    except kind:
        return
    except Exception as error:
        raise AssertionError(
            f"{what} must raise {kind.__name__}, not {type(error).__name__}: {error}"
        ) from error
    raise AssertionError(f"{what} must raise {kind.__name__}")


def _same(found: object, expected: object, what: str) -> None:
    assert found == expected, f"{what}: expected {expected!r}, got {found!r}"


def _pending(task_id: str, seq: int) -> TaskRecord:
    return TaskRecord(
        id=task_id,
        type="conformance",
        status=TaskStatus.PENDING,
        seq=seq,
        created_at=_BEGIN,
        updated_at=_BEGIN,
    )


def _completed(task_id: str, seq: int, size: int) -> TaskRecord:
    return _replace(
        _pending(task_id, seq),
        status=TaskStatus.COMPLETED,
        started_at=_BEGIN,
        completed_at=_BEGIN,
        progress_percent=100,
        attempt=1,
        result_size=size,
    )


def _replace(record: TaskRecord, **changes: object) -> TaskRecord:
    return msgspec.structs.replace(record, **changes)


def _raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())
