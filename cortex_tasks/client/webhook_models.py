"""What the server answers about webhooks, as far as this version knows it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

HookEvent: TypeAlias = Literal["task.completed", "task.failed", "task.cancelled"]
DeliveryState: TypeAlias = Literal["waiting", "delivered", "dead"]


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """Who is told. `waiting` deliveries will be tried (again), `dead` ones were given up. `last_…`
    is of the newest attempt at any of them: no error if it was taken.
    """

    id: str
    url: str
    events: list[str]  # HookEvents, unless the server is newer
    created_at: datetime | None = None
    waiting: int = 0
    delivered: int = 0
    dead: int = 0
    last_attempt_at: datetime | None = None
    last_status: int | None = None
    last_error: str | None = None


class NewWebhook(Webhook, frozen=True, kw_only=True):
    """A webhook as it was made."""

    secret: str  # to check signatures with; told this once

    def __repr__(self) -> str:
        """Leave the secret out: what is printed ends in logs."""
        return f"{type(self).__name__}(id={self.id!r}, url={self.url!r}, events={self.events!r})"


class WebhookList(msgspec.Struct, frozen=True):
    """All of them."""

    webhooks: list[Webhook]
    total: int = 0


class RemovedWebhook(msgspec.Struct, frozen=True):
    """It is gone, and what it was owed."""

    id: str
    message: str = ""


class Tested(msgspec.Struct, frozen=True):
    """What came of one attempt."""

    delivered: bool
    status: int | None = None  # of its answer, if it gave one
    error: str | None = None


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a webhook was or is to be told."""

    id: str
    event: str
    task_id: str
    created_at: datetime
    state: str  # a DeliveryState, unless the server is newer
    attempts: int
    next_attempt_at: datetime | None = None
    last_attempt_at: datetime | None = None
    last_status: int | None = None
    last_error: str | None = None


class DeliveryList(msgspec.Struct, frozen=True):
    """Deliveries, newest first."""

    deliveries: list[Delivery]
