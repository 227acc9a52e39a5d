"""Webhooks for programs that await, on trio and on asyncio."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from . import webhook_calls as calls
from . import webhook_models as models
from .async_connection import AsyncConnection


class AsyncWebhooks:
    """Whom the server tells when tasks end: `webhooks` of a client, whose key may manage."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(
        self, url: str, *, events: Iterable[models.HookEvent] | None = None
    ) -> models.NewWebhook:
        """Tell a URL when tasks end, of these events or of all; the answer alone has the secret.

        Not repeated if no answer comes: look at `list` then.
        """
        return await self._connection.carry_out(calls.add_webhook(url, events=events))

    async def list(self) -> Sequence[models.Webhook]:
        """Show them all, the oldest first."""
        return (await self._connection.carry_out(calls.list_webhooks())).webhooks

    async def get(self, webhook_id: str) -> models.Webhook:
        """Show one. Raises NotFound."""
        return await self._connection.carry_out(calls.get_webhook(webhook_id))

    async def remove(self, webhook_id: str) -> models.RemovedWebhook:
        """Forget one, and what it is owed. Raises NotFound."""
        return await self._connection.carry_out(calls.remove_webhook(webhook_id))

    async def test(self, webhook_id: str) -> models.Tested:
        """Tell one something of no meaning, once, and say what came of it. Raises NotFound."""
        return await self._connection.carry_out(calls.test_webhook(webhook_id))

    async def deliveries(
        self,
        webhook_id: str,
        *,
        state: models.DeliveryState | None = None,
        limit: int | None = None,
    ) -> Sequence[models.Delivery]:
        """List what one was and is to be told, newest first: 100, or `limit`. Raises NotFound."""
        call = calls.list_deliveries(webhook_id, state=state, limit=limit)
        return (await self._connection.carry_out(call)).deliveries

    async def retry(self, webhook_id: str, delivery_id: str) -> models.Delivery:
        """Tell one again now what was given up, or waits. Raises NotFound."""
        return await self._connection.carry_out(calls.retry_delivery(webhook_id, delivery_id))
