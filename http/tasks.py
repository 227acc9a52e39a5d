"""The calls about tasks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated

import anyio.lowlevel
import msgspec
from msgspec import Meta

from ..engine.cursors import LONGEST_CURSOR, START, read_cursor
from ..engine.errors import CortexTasksError
from ..engine.lifecycle import TaskStatus
from ..engine.records import TaskRecord
from ..engine.search import parse_search
from .calls import Answer, Call, encode
from .conditions import Condition, etag, patience, unchanged
from .long_poll import wait_for_news
from .parameters import alias
from .problems import FieldError, Headers, Problem, invalid_parameters
from .wire import TYPE_ALIASES, CleanedUp, TaskProgress, TaskStopped, detail, view

POLL_AGAIN = ((b"retry-after", b"1"),)

LONGEST_SEARCH = 4_000  # characters

_NO_RESULT = msgspec.Raw(b"null")
_SLICE = 500  # tasks that are written before others have their turn


class TaskFilter(msgspec.Struct, frozen=True):
    """Which tasks to list; an unknown status or type matches none.

    `q` is a search: `type:a,b status:failed older:1h newer:2d id:task_1 free text`. `cursor` turns
    pages: `start`, then what `next` of the page before says. So no task comes twice and none is
    left out, whatever is submitted or cleaned up meanwhile. `offset` goes with `start` alone: the
    list is entered so far down.
    """

    q: Annotated[str, Meta(max_length=LONGEST_SEARCH)] | None = None
    status: str | None = None
    task_type: Annotated[str | None, Meta(extra=alias("type"))] = None
    limit: Annotated[int, Meta(ge=0)] | None = None  # without it: all
    offset: Annotated[int, Meta(ge=0)] = 0
    cursor: Annotated[str, Meta(max_length=LONGEST_CURSOR)] | None = None


class TaskWait(msgspec.Struct, frozen=True):
    """How many seconds to wait for the task to change; at most 60 are waited."""

    wait: Annotated[float, Meta(ge=0)] | None = None  # without it: as `Prefer` says


class ResultWait(msgspec.Struct, frozen=True):
    """How many seconds to wait for the task to end; at most 60 are waited."""

    wait: Annotated[float, Meta(ge=0)] | None = None  # without it: as `Prefer` says


class CleanupAge(msgspec.Struct, frozen=True):
    """How long ago a task must have ended to go."""

    max_age_hours: Annotated[float, Meta(ge=1, le=168)] = 24.0


async def list_tasks(call: Call[TaskFilter]) -> Answer:
    """Show many tasks, newest first."""
    wanted = call.params
    _check_cursor(wanted)
    task_type = wanted.task_type and TYPE_ALIASES.get(wanted.task_type, wanted.task_type)
    engine = call.services.engine
    seq = engine.seq  # before: what changes meanwhile may be in the list, and is told again
    if wanted.q is None:
        if Condition(call).knows(seq):
            return unchanged(seq)
        page = await engine.list(
            status=wanted.status,
            task_type=task_type,
            limit=wanted.limit,
            offset=wanted.offset,
            cursor=wanted.cursor,
        )
    else:
        search = parse_search(wanted.q, engine.overview.now, type_aliases=TYPE_ALIASES)
        search = search.narrowed(status=wanted.status, task_type=task_type)
        page = await engine.find(
            search, limit=wanted.limit, offset=wanted.offset, cursor=wanted.cursor
        )
    # What a search finds may depend on the time of day: it has no ETag.
    headers = ((b"etag", etag(seq)),) if wanted.q is None else ()
    following = b""
    if wanted.cursor is not None:
        following = b',"next":%b,"newer":%d' % (encode(page.next), page.newer)
    return Answer(await _write_list(page.records, page.total, seq, following), headers=headers)


def _check_cursor(wanted: TaskFilter) -> None:
    if wanted.cursor is None:
        return
    read_cursor(wanted.cursor)  # before anything is said of what the client knows
    if wanted.offset and wanted.cursor != START:
        wrong = "With a cursor there is none, but for `start`: it says where the page begins"
        raise invalid_parameters(FieldError(("query", "offset"), wrong))
    if wanted.limit == 0:
        wrong = "With a cursor it is 1 or more: a page of nothing has no next one"
        raise invalid_parameters(FieldError(("query", "limit"), wrong))


async def show_task(call: Call[TaskWait]) -> Answer:
    """Show one task, at once or when it has changed.

    With `If-None-Match`, it is waited for only while the task is as the client knows it.
    """
    engine, task_id = call.services.engine, call.path("task_id")
    record, said = await _waited_for(
        call,
        lambda known: engine.wait_change(task_id, known.seq),
        unless=lambda seen: not Condition(call).allows_waiting(seen.seq),
    )
    if Condition(call).knows(record.seq):
        return unchanged(record.seq, said)
    result = _NO_RESULT
    if record.status is TaskStatus.COMPLETED:
        result = await engine.result_json(record.id)
    params = await engine.params_json(record.id)
    headers = ((b"etag", etag(record.seq)), *said)
    return Answer(encode(detail(record, params, result)), headers=headers)


async def show_result(call: Call[ResultWait]) -> Answer:
    """Give the bare result, at once or when there is one, or tell why there is none."""
    engine, task_id = call.services.engine, call.path("task_id")
    record, said = await _waited_for(call, lambda _: engine.wait(task_id))
    match record.status:
        case TaskStatus.COMPLETED:
            if Condition(call).knows(record.seq):
                return unchanged(record.seq, said)
            result = await engine.result_json(record.id)
            return Answer(bytes(result), headers=((b"etag", etag(record.seq)), *said))
        case TaskStatus.PENDING | TaskStatus.RUNNING:
            progress = TaskProgress(
                record.id, record.status, record.progress_percent, record.message
            )
            return Answer(encode(progress), status=202, headers=(*POLL_AGAIN, *said))
        case TaskStatus.FAILED | TaskStatus.CANCELLED:
            raise Problem(
                400,
                "Task ended without a result",
                f"Task {record.id!r} has no result. {record.message}",
                # `status` is the task's here: clients look for it beside `error`, and RFC 9457
                # has those that expect a number pass over it.
                extra={"task_id": record.id, "status": record.status, "error": record.error},
            )


async def show_log(call: Call[None]) -> Answer:
    """Give what the task's bodies have written, as it is kept."""
    return Answer(bytes(await call.services.engine.log_json(call.path("task_id"))))


async def _waited_for(
    call: Call[TaskWait] | Call[ResultWait],
    news: Callable[[TaskRecord], Awaitable[TaskRecord]],
    *,
    unless: Callable[[TaskRecord], bool] = lambda _: False,
) -> tuple[TaskRecord, Headers]:
    """Give the task, once there is news if the request wants to wait; and what to say of that.

    unless: whether the task as it is now is news to the client already.
    """
    services = call.services
    wanted = patience(call, call.params.wait)
    record = await services.engine.get(call.path("task_id"))
    if wanted.seconds and not record.final and not unless(record):
        known = record
        try:
            record = await wait_for_news(
                known,
                lambda: news(known),
                seconds=wanted.seconds,
                receive=call.receive,
                draining=services.draining,
            )
        except CortexTasksError:
            call.check_again()  # that the task has gone is news, too
            raise
        call.check_again()
    return record, wanted.applied


async def cancel_task(call: Call[None]) -> Answer:
    """Stop a task; the answer comes when it has stopped, or is known not to."""
    record = await call.services.engine.cancel(call.path("task_id"))
    if record.status is TaskStatus.CANCELLED:
        return Answer(encode(TaskStopped(record.id, record.status, "Task cancelled")))
    stopped = TaskStopped(record.id, record.status, record.message)
    return Answer(encode(stopped), status=202, headers=POLL_AGAIN)


async def clean_up(call: Call[CleanupAge]) -> Answer:
    """Forget tasks that ended long ago."""
    engine = call.services.engine
    removed = await engine.cleanup(timedelta(hours=call.params.max_age_hours))
    return Answer(encode(CleanedUp(removed, engine.count(), f"Cleaned up {removed} old tasks")))


async def _write_list(records: list[TaskRecord], total: int, seq: int, following: bytes) -> bytes:
    """Write a TaskList; a long one holds up nobody while it is written."""
    slices: list[bytes] = []
    for start in range(0, len(records), _SLICE):
        slices.append(encode([view(record) for record in records[start : start + _SLICE]])[1:-1])
        await anyio.lowlevel.checkpoint()
    tasks = b",".join(slices)
    return b'{"tasks":[%b],"total":%d,"seq":%d%b}' % (tasks, total, seq, following)
