"""The examples of what is asked and answered about webhooks."""

from __future__ import annotations

from typing import Any

from . import webhook_calls as calls
from .examples import TASK_ID, at, by_type
from .webhooks.model import DeliveryState, HookEvent

_HOOK: dict[str, Any] = {
    "id": "wh_5d1f0a7c93e2b846",
    "url": "https://example.org/hook",
    "events": (HookEvent.COMPLETED, HookEvent.FAILED),
    "created_at": at(-86_400),
    "waiting": 1,
    "delivered": 40,
    "dead": 0,
    "last_attempt_at": at(5),
    "last_status": 502,
    "last_error": "HTTP 502",
}
_NEW = _HOOK | dict.fromkeys(("last_attempt_at", "last_status", "last_error"))
_NEW |= {"waiting": 0, "delivered": 0}
_DELIVERY = calls.DeliveryView(
    id="evt_01k5s3c7v9m2x4n8_1234",
    event=HookEvent.FAILED,
    task_id=TASK_ID,
    created_at=at(0),
    state=DeliveryState.WAITING,
    attempts=2,
    next_attempt_at=at(35),
    last_attempt_at=at(5),
    last_status=502,
    last_error="HTTP 502",
)

WEBHOOK_EXAMPLES = by_type(
    calls.NewHook("https://example.org/hook", ["task.completed", "task.failed"]),
    calls.DeliveryFilter(state=DeliveryState.DEAD),
    calls.HookView(**_HOOK),
    calls.HookMade(**_NEW, secret="whsec_" + "0" * 64),
    calls.HookList([calls.HookView(**_HOOK)], 1),
    calls.HookRemoved(_HOOK["id"], "Webhook removed"),
    calls.Tested(True, 204, None),
    calls.DeliveryList([_DELIVERY]),
    _DELIVERY,
)
