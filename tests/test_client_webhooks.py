"""Webhooks by the client, against the real application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from cortex_tasks.client import AsyncClient, InvalidRequest, NotFound
from cortex_tasks.http.app import create_app
from tests.engine_setting import virtual_time
from tests.webhook_setting import BROKEN, DONE, URL, Told, telling


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return virtual_time(request.param)


@asynccontextmanager
async def client_of(folder: Path, *answers: Any) -> AsyncIterator[tuple[Told, AsyncClient]]:
    async with telling(folder, *answers) as told:
        app = create_app(told.engine, webhooks=told.webhooks)
        transport = httpx2.ASGITransport(app)
        async with AsyncClient("http://here", transport=transport) as client:
            yield told, client


async def test_a_hook_is_added_looked_at_and_removed_and_its_secret_is_in_no_repr(
    tmp_path: Path,
) -> None:
    async with client_of(tmp_path) as (_, client):
        made = await client.webhooks.add(URL, events=["task.failed"])
        assert made.secret.startswith("whsec_")
        assert made.secret not in repr(made) + str(made)
        shown = await client.webhooks.get(made.id)
        assert (shown.url, shown.events) == (URL, ["task.failed"])
        assert list(await client.webhooks.list()) == [shown]
        of_all = await client.webhooks.add(f"{URL}/2")
        assert of_all.events == ["task.completed", "task.failed", "task.cancelled"]
        assert (await client.webhooks.remove(made.id)).id == made.id
        with pytest.raises(NotFound):
            await client.webhooks.get(made.id)
        with pytest.raises(InvalidRequest, match="https://host/path"):
            await client.webhooks.add("ftp://receiver.example")


async def test_what_was_given_up_is_found_and_told_again(tmp_path: Path) -> None:
    async with client_of(tmp_path, *[BROKEN] * 40) as (told, client):
        hook = await client.webhooks.add(URL)
        tested = await client.webhooks.test(hook.id)
        assert (tested.delivered, tested.status, tested.error) == (False, 500, "HTTP 500")
        task_id = await told.ended("good")
        await told.settled(hook.id)
        assert (await client.webhooks.get(hook.id)).dead == 1
        assert list(await client.webhooks.deliveries(hook.id, state="delivered")) == []
        [dead] = await client.webhooks.deliveries(hook.id, state="dead", limit=5)
        assert (dead.task_id, dead.event, dead.last_error) == (
            task_id,
            "task.completed",
            "HTTP 500",
        )
        told.receiver.answers = [DONE]
        again = await client.webhooks.retry(hook.id, dead.id)
        assert (again.id, again.state) == (dead.id, "waiting")
        await told.settled(hook.id)
        [delivered] = await client.webhooks.deliveries(hook.id)
        assert (delivered.id, delivered.state, delivered.last_status) == (dead.id, "delivered", 200)
