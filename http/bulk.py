"""The calls that steer many tasks at once: all that fit a filter are cancelled, or tried again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Annotated

import anyio
import msgspec
from msgspec import Meta

from ..engine.errors import CortexTasksError, TaskNotFound
from ..engine.lifecycle import TaskStatus
from ..engine.search import Search, parse_search
from .calls import Answer, Call, encode
from .parameters import alias
from .problems import FieldError, invalid_parameters
from .tasks import LONGEST_SEARCH
from .wire import TYPE_ALIASES

AT_ONCE = 100  # tasks that are asked about at the same time

STOPPABLE = (TaskStatus.PENDING, TaskStatus.RUNNING)
REVIVABLE = (TaskStatus.FAILED, TaskStatus.CANCELLED)
STOPPING = "The server is stopping; nothing was done about this task."


class BulkFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which tasks: those that fit all that is given, of which there must be something.

    `ids` is a list or a comma list. With `dry_run` nothing is done but to look. A name that is
    unknown is refused: a `dry_run` that is misspelt must not be the real thing.
    """

    q: Annotated[str, Meta(max_length=LONGEST_SEARCH)] | None = None
    status: str | None = None
    task_type: Annotated[str | None, Meta(extra=alias("type"))] = None
    ids: list[str] | str | None = None
    dry_run: bool = False


class Refusal(msgspec.Struct, frozen=True):
    """A task about which that could not be done."""

    task_id: str
    detail: str


class BulkDone(msgspec.Struct, frozen=True):
    """What came of it."""

    matched: int  # tasks that fit, and are such that it can be done
    affected: int  # of them, those that were: 0 in a dry run
    dry_run: bool
    task_ids: list[str]  # those that were; in a dry run those that matched
    refused: list[Refusal]  # also those that were named by their ids, and are not such


Steer = Callable[[str], Awaitable[str | None]]  # to one task; gives why not, or None


async def cancel_many(call: Call[BulkFilter]) -> Answer:
    """Cancel every pending or running task that fits; done when they have stopped."""
    engine = call.services.engine

    async def cancel(task_id: str) -> str | None:
        record = await engine.cancel(task_id)
        return None if record.status is TaskStatus.CANCELLED else record.message

    return await _steer(call, STOPPABLE, cancel)


async def retry_many(call: Call[BulkFilter]) -> Answer:
    """Have every failed or cancelled task tried again that fits."""
    engine = call.services.engine

    async def retry(task_id: str) -> str | None:
        await engine.retry(task_id)
        return None

    return await _steer(call, REVIVABLE, retry)


async def _steer(call: Call[BulkFilter], statuses: tuple[TaskStatus, ...], steer: Steer) -> Answer:
    wanted = call.params
    ids = _ids(wanted.ids)
    search = _search(call, ids)
    found = await call.services.engine.find(search)
    can = [record for record in found.records if record.status in statuses]
    named = [] if ids is None else await _refusals_of_named(call, ids, search, statuses)
    matched = [record.id for record in reversed(can)]  # first those that were submitted first
    if wanted.dry_run:
        return Answer(encode(BulkDone(len(matched), 0, True, matched, named)))
    affected, refused = await _carry_out(steer, matched, call.services.draining)
    refused += named
    return Answer(encode(BulkDone(len(matched), len(affected), False, affected, refused)))


def _search(call: Call[BulkFilter], ids: list[str] | None) -> Search:
    wanted = call.params
    q = (wanted.q or "").strip()  # a blank one fits all tasks, and is most likely a mistake
    if not q and not wanted.status and not wanted.task_type and ids is None:
        nothing = "Say which tasks: give one of q, status, task_type and ids"
        raise invalid_parameters(FieldError(("body",), nothing))
    now = call.services.engine.overview.now
    search = parse_search(q, now, type_aliases=TYPE_ALIASES)
    task_type = wanted.task_type and TYPE_ALIASES.get(wanted.task_type, wanted.task_type)
    return search.narrowed(status=wanted.status, task_type=task_type, ids=ids)


def _ids(given: list[str] | str | None) -> list[str] | None:
    if isinstance(given, str):
        given = [part.strip() for part in given.split(",") if part.strip()]
    return None if given is None else list(dict.fromkeys(given))


async def _refusals_of_named(
    call: Call[BulkFilter], ids: list[str], search: Search, statuses: tuple[TaskStatus, ...]
) -> list[Refusal]:
    """Say of tasks that were named why nothing is tried: they are not there, or not so."""
    refused = []
    for task_id in ids:
        try:
            record = await call.services.engine.get(task_id)
        except TaskNotFound as error:
            refused.append(Refusal(task_id, str(error)))
            continue
        if record.status not in statuses and search.matches(record):
            refused.append(Refusal(task_id, f"Task {task_id!r} is {record.status}."))
    return refused


async def _carry_out(
    steer: Steer, task_ids: list[str], draining: anyio.Event
) -> tuple[list[str], list[Refusal]]:
    """Steer each, some at a time, until the server stops; one that is refused is no matter.

    Gives those that were steered and those that were not, each in the order of `task_ids`.
    """
    why_not: dict[str, str | None] = {}
    waiting: Iterator[str] = iter(task_ids)

    async def work() -> None:
        for task_id in waiting:
            try:
                why_not[task_id] = STOPPING if draining.is_set() else await steer(task_id)
            except CortexTasksError as error:
                why_not[task_id] = str(error)

    async with anyio.create_task_group() as workers:
        for _ in range(min(AT_ONCE, len(task_ids))):
            workers.start_soon(work)
    outcomes = [(task_id, why_not[task_id]) for task_id in task_ids]
    return (
        [task_id for task_id, why in outcomes if why is None],
        [Refusal(task_id, why) for task_id, why in outcomes if why is not None],
    )
