"""The calls about webhooks as data, as in `calls`."""

from __future__ import annotations

from collections.abc import Iterable

from . import webhook_models as models
from .calls import Call
from .sending import in_path

_ALL = "/api/admin/webhooks"


def _one(webhook_id: str, more: str = "") -> str:
    return f"{_ALL}/{in_path(webhook_id)}{more}"


def list_webhooks() -> Call[models.WebhookList]:
    """Show them all."""
    return Call(method="GET", path=_ALL, answer=models.WebhookList)


def add_webhook(
    url: str, *, events: Iterable[models.HookEvent] | None = None
) -> Call[models.NewWebhook]:
    """Tell a URL, of these events or of all."""
    body = {"url": url} if events is None else {"url": url, "events": list(events)}
    return Call(method="POST", path=_ALL, body=body, answer=models.NewWebhook)


def get_webhook(webhook_id: str) -> Call[models.Webhook]:
    """Show one."""
    return Call(method="GET", path=_one(webhook_id), answer=models.Webhook)


def remove_webhook(webhook_id: str) -> Call[models.RemovedWebhook]:
    """Forget one."""
    return Call(method="DELETE", path=_one(webhook_id), answer=models.RemovedWebhook)


def test_webhook(webhook_id: str) -> Call[models.Tested]:
    """Try one out."""
    return Call(method="POST", path=_one(webhook_id, "/test"), answer=models.Tested)


def list_deliveries(
    webhook_id: str, *, state: models.DeliveryState | None = None, limit: int | None = None
) -> Call[models.DeliveryList]:
    """List what one was and is to be told."""
    given = {"state": state, "limit": limit}
    return Call(
        method="GET",
        path=_one(webhook_id, "/deliveries"),
        query={name: value for name, value in given.items() if value is not None},
        answer=models.DeliveryList,
    )


def retry_delivery(webhook_id: str, delivery_id: str) -> Call[models.Delivery]:
    """Tell it again now."""
    path = _one(webhook_id, f"/deliveries/{in_path(delivery_id)}/retry")
    return Call(method="POST", path=path, answer=models.Delivery)
