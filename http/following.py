"""The calls that follow tasks: server-sent events, one for each change."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ..engine.search import parse_search
from .calls import Call
from .envelope import HEADERS
from .feed import Filter
from .followers import Follower
from .headers import HIGHEST_EVENT_ID
from .parameters import alias
from .problems import FieldError, invalid_parameters
from .streams import EventStream, check_accepted
from .tasks import LONGEST_SEARCH
from .wire import TYPE_ALIASES

LAST_EVENT_ID = "Last-Event-ID"


class TaskFeed(msgspec.Struct, frozen=True):
    """From where to go on: the number of the last change that is known.

    The header `Last-Event-ID` counts over it: a client that comes back has the newer number there.
    """

    last_event_id: Annotated[int, Meta(ge=0, le=HIGHEST_EVENT_ID)] | None = None


class TasksFeed(TaskFeed, frozen=True):
    """Which tasks to follow, as in the list; the change with which one ceases to match is told.

    The ages of a search count back from the request.
    """

    q: Annotated[str, Meta(max_length=LONGEST_SEARCH)] | None = None
    status: str | None = None
    task_type: Annotated[str | None, Meta(extra=alias("type"))] = None


async def follow_task(call: Call[TaskFeed]) -> EventStream:
    """Follow one task to its end."""
    services, task_id = call.services, call.path("task_id")
    check_accepted(call.scope[HEADERS].get(b"accept", b""))
    after = _known(call)
    follower = Follower(services.engine, services.feed, task_id, after)
    try:
        follower.begin_with(await services.engine.get(task_id))
    except BaseException:
        follower.leave()
        raise
    return EventStream(follower, services.visits.begin(call.admission), services.draining)


async def follow_tasks(call: Call[TasksFeed]) -> EventStream:
    """Follow all tasks that match."""
    services, wanted = call.services, call.params
    check_accepted(call.scope[HEADERS].get(b"accept", b""))
    task_type = wanted.task_type and TYPE_ALIASES.get(wanted.task_type, wanted.task_type)
    key: Filter = (task_type, wanted.status)
    if wanted.q is not None:
        search = parse_search(wanted.q, services.engine.overview.now, type_aliases=TYPE_ALIASES)
        key = search.narrowed(status=wanted.status, task_type=task_type)
    follower = Follower(services.engine, services.feed, key, _known(call))
    return EventStream(follower, services.visits.begin(call.admission), services.draining)


def _known(call: Call[Any]) -> int | None:
    sent = call.scope[HEADERS].get(LAST_EVENT_ID.lower().encode(), b"").strip()
    if not sent:
        given: int | None = call.params.last_event_id
        return given
    if not (
        sent.isdigit() and len(sent) <= len(str(HIGHEST_EVENT_ID)) and int(sent) <= HIGHEST_EVENT_ID
    ):
        wrong = "This is the `id` of no event: a whole number of 0 or more"
        raise invalid_parameters(FieldError(("header", LAST_EVENT_ID), wrong))
    return int(sent)
