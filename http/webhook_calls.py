"""The calls about webhooks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from .calls import Answer, Call, encode
from .problems import FieldError, invalid_parameters
from .webhooks.model import Delivery, DeliveryState, Hook, HookEvent, Standing

AskedFor = Literal["task.completed", "task.failed", "task.cancelled"]
ENDS: tuple[AskedFor, ...] = ("task.completed", "task.failed", "task.cancelled")


class NewHook(msgspec.Struct, frozen=True):
    """Whom to tell, and of what: a list or a comma list of events, all if there is none."""

    url: str
    events: list[AskedFor] | str | None = None


class DeliveryFilter(msgspec.Struct, frozen=True):
    """Which deliveries to list."""

    state: DeliveryState | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class HookView(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook. `waiting` deliveries will be tried (again), `dead` ones were given up. `last_…`
    is of the newest attempt at any of them: no error if it was taken.
    """

    id: str
    url: str
    events: tuple[HookEvent, ...]
    created_at: datetime
    waiting: int
    delivered: int
    dead: int
    last_attempt_at: datetime | None
    last_status: int | None
    last_error: str | None


class HookMade(HookView, frozen=True, kw_only=True):
    """A webhook as it was made, with the secret that its signatures are checked with."""

    secret: str


class HookList(msgspec.Struct, frozen=True):
    """The webhooks."""

    webhooks: list[HookView]
    total: int


class HookRemoved(msgspec.Struct, frozen=True):
    """The webhook is gone."""

    id: str
    message: str


class Tested(msgspec.Struct, frozen=True):
    """What came of one attempt."""

    delivered: bool
    status: int | None
    error: str | None


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a webhook was or is to be told."""

    id: str
    event: HookEvent
    task_id: str
    created_at: datetime
    state: DeliveryState
    attempts: int
    next_attempt_at: datetime | None
    last_attempt_at: datetime | None
    last_status: int | None
    last_error: str | None


class DeliveryList(msgspec.Struct, frozen=True):
    """Deliveries, newest first."""

    deliveries: list[DeliveryView]


async def list_hooks(call: Call[None]) -> Answer:
    """Show all webhooks."""
    webhooks = call.services.webhooks
    standings = await webhooks.standings()
    shown = [_view(hook, standings) for hook in webhooks.hooks()]
    return Answer(encode(HookList(shown, len(shown))))


async def show_hook(call: Call[None]) -> Answer:
    """Show one."""
    webhooks = call.services.webhooks
    hook = webhooks.hook(call.path("hook_id"))
    return Answer(encode(_view(hook, await webhooks.standings())))


async def add_hook(call: Call[NewHook]) -> Answer:
    """Keep a new one."""
    wanted = call.params.events or list(ENDS)
    if isinstance(wanted, str):
        wanted = _of_comma_list(wanted)
    hook, secret = await call.services.webhooks.add(
        call.params.url, [HookEvent(each) for each in wanted]
    )
    made = msgspec.structs.asdict(_view(hook, {}))
    return Answer(encode(HookMade(**made, secret=secret)))


async def remove_hook(call: Call[None]) -> Answer:
    """Forget one."""
    hook_id = call.path("hook_id")
    await call.services.webhooks.remove(hook_id)
    return Answer(encode(HookRemoved(hook_id, "Webhook removed")))


async def test_hook(call: Call[None]) -> Answer:
    """Try one out."""
    outcome = await call.services.webhooks.test(call.path("hook_id"))
    return Answer(encode(Tested(outcome.error is None, outcome.status, outcome.error)))


async def list_deliveries(call: Call[DeliveryFilter]) -> Answer:
    """Show what one is told."""
    found = await call.services.webhooks.deliveries(
        call.path("hook_id"), state=call.params.state, limit=call.params.limit
    )
    return Answer(encode(DeliveryList([_delivery(each) for each in found])))


async def try_again(call: Call[None]) -> Answer:
    """Tell it again."""
    again = await call.services.webhooks.try_again(call.path("hook_id"), call.path("delivery_id"))
    return Answer(encode(_delivery(again)))


def _of_comma_list(text: str) -> list[AskedFor]:
    words = [word for each in text.split(",") if (word := each.strip())]
    try:
        return msgspec.convert(words, list[AskedFor])
    except msgspec.ValidationError as error:
        said = f"{error}: a comma list of {', '.join(ENDS)}"
        raise invalid_parameters(FieldError(("query", "events"), said)) from None


def _view(hook: Hook, standings: Mapping[str, Standing]) -> HookView:
    standing = msgspec.structs.asdict(standings.get(hook.id, Standing()))
    return HookView(
        id=hook.id, url=hook.url, events=hook.events, created_at=hook.created_at, **standing
    )


def _delivery(delivery: Delivery) -> DeliveryView:
    return DeliveryView(
        id=delivery.id,
        event=delivery.event,
        task_id=delivery.task_id,
        created_at=delivery.created_at,
        state=delivery.state,
        attempts=delivery.attempts,
        next_attempt_at=delivery.due_at,
        last_attempt_at=delivery.last_attempt_at,
        last_status=delivery.last_status,
        last_error=delivery.last_error,
    )
