"""What a hook is, what is to be told it, and what became of that."""

from __future__ import annotations

import enum
from datetime import datetime, timedelta

import msgspec

from ...engine.lifecycle import TaskStatus
from ...engine.records import TaskRecord


class HookEvent(enum.StrEnum):
    """What a hook can be told."""

    COMPLETED = "task.completed"
    FAILED = "task.failed"
    CANCELLED = "task.cancelled"
    TEST = "webhook.test"  # sent on request to any hook; none asks for it


ENDS = {
    TaskStatus.COMPLETED: HookEvent.COMPLETED,
    TaskStatus.FAILED: HookEvent.FAILED,
    TaskStatus.CANCELLED: HookEvent.CANCELLED,
}


class DeliveryState(enum.StrEnum):
    """Where a delivery is: `waiting` for its next attempt, `delivered`, or `dead`: given up."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    DEAD = "dead"


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    """A URL that is told when tasks end. Its secret is worked out from its id, and not kept."""

    id: str
    url: str
    events: tuple[HookEvent, ...]
    created_at: datetime
    since_seq: int  # what changed up to here was before its time


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to tell one hook. `id` stays the same over attempts, so that it can be told twice
    and counted once.
    """

    id: str
    hook_id: str
    event: HookEvent
    task_id: str
    created_at: datetime
    body: bytes
    state: DeliveryState = DeliveryState.WAITING
    attempts: int = 0
    due_at: datetime | None = None  # of the next attempt; None unless waiting
    last_attempt_at: datetime | None = None
    last_status: int | None = None  # None: there was no answer
    last_error: str | None = None


class Standing(msgspec.Struct, frozen=True):
    """How many deliveries of a hook are in each state, and what came of the newest attempt."""

    waiting: int = 0
    delivered: int = 0
    dead: int = 0
    last_attempt_at: datetime | None = None
    last_status: int | None = None
    last_error: str | None = None


class Backlog(msgspec.Struct, frozen=True):
    """What a hook is still owed, and what it will not be told any more."""

    waiting: int = 0
    dead: int = 0
    waiting_since: datetime | None = None  # when the task of the oldest that waits ended


class Outcome(msgspec.Struct, frozen=True):
    """What came of one attempt: delivered if `error` is None."""

    status: int | None
    error: str | None
    retry_after: timedelta | None = None  # what the receiver asked for
    hopeless: bool = False  # no attempt can do better


# Waits after the first attempt, the second, …: in all just under a day.
WAITS = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 30, 120, 600, 1800, 3600, 7200, 14_400, 21_600, 36_000)
)


def after_attempt(delivery: Delivery, outcome: Outcome, now: datetime, chance: float) -> Delivery:
    """Give the delivery as it stands after an attempt; `chance` (0 to 1) spreads the next one."""
    told = msgspec.structs.replace(
        delivery,
        attempts=delivery.attempts + 1,
        last_attempt_at=now,
        last_status=outcome.status,
        last_error=outcome.error,
        due_at=None,
    )
    if outcome.error is None:
        return msgspec.structs.replace(told, state=DeliveryState.DELIVERED)
    if outcome.hopeless or delivery.attempts >= len(WAITS):
        return msgspec.structs.replace(told, state=DeliveryState.DEAD)
    wait = WAITS[delivery.attempts] * (0.9 + 0.2 * chance)
    if outcome.retry_after is not None:
        wait = max(wait, min(outcome.retry_after, WAITS[-1]))
    return msgspec.structs.replace(told, due_at=now + wait)


def end_of(record: TaskRecord, hook: Hook) -> Delivery | None:
    """Give what the hook is to be told of the record: None if it did not ask for that."""
    event = ENDS.get(record.status)
    if event is None or event not in hook.events or record.seq <= hook.since_seq:
        return None
    event_id = f"evt_{record.id.removeprefix('task_')}_{record.seq}"
    ended = record.completed_at or record.updated_at
    data: dict[str, object] = {"task_id": record.id, "task_type": record.type}
    if record.status is TaskStatus.FAILED:
        data["error"] = record.error
    else:
        data["message"] = record.message
    return Delivery(
        id=event_id,
        hook_id=hook.id,
        event=event,
        task_id=record.id,
        created_at=ended,
        body=body_of(event_id, event, ended, data),
        due_at=ended,
    )


def body_of(event_id: str, event: HookEvent, at: datetime, data: dict[str, object]) -> bytes:
    """Write what is sent; the same to the byte at every attempt."""
    return msgspec.json.encode({"id": event_id, "event": event, "created_at": at, "data": data})
