"""The calls about webhooks, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from cortex_tasks.http.app import create_app
from cortex_tasks.http.keys import Permission
from cortex_tasks.http.webhooks.dispatch import Webhooks
from cortex_tasks.http.webhooks.model import Outcome
from cortex_tasks.http.webhooks.outbox import Outbox
from cortex_tasks.http.webhooks.signing import Secrets
from tests.engine_setting import virtual_time
from tests.http_setting import a_key_store, assert_problem, client_of
from tests.test_http_metrics import of as of_metrics
from tests.test_http_metrics import read as read_metrics
from tests.webhook_setting import BROKEN, DONE, URL, Receiver, Told, telling

HOOKS = "/api/admin/webhooks"


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return virtual_time(request.param)


@asynccontextmanager
async def served(folder: Path, *answers: Any) -> AsyncIterator[tuple[Told, httpx2.AsyncClient]]:
    async with telling(folder, *answers) as told:
        app = create_app(told.engine, webhooks=told.webhooks)
        async with client_of(app) as client:
            yield told, client


async def test_a_hook_is_made_shown_and_removed_and_its_secret_shown_once(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, client):
        wanted = {"url": URL, "events": ["task.failed", "task.cancelled"]}
        made = (await client.post(HOOKS, json=wanted)).json()
        assert made["secret"].startswith("whsec_")
        assert made["events"] == ["task.failed", "task.cancelled"]
        listed = await client.get(HOOKS)
        shown = await client.get(f"{HOOKS}/{made['id']}")
        assert listed.json() == {"webhooks": [shown.json()], "total": 1}
        assert "secret" not in listed.text + shown.text
        removed = await client.delete(f"{HOOKS}/{made['id']}")
        assert removed.json() == {"id": made["id"], "message": "Webhook removed"}
        assert_problem(await client.get(f"{HOOKS}/{made['id']}"), 404)
        assert (await client.get(HOOKS)).json()["total"] == 0


async def test_events_may_be_a_comma_list_and_are_all_if_none_is_named(tmp_path: Path) -> None:
    async with served(tmp_path) as (_, client):
        some = await client.post(
            HOOKS, params={"url": URL, "events": "task.failed, task.completed"}
        )
        assert some.json()["events"] == ["task.failed", "task.completed"]
        everything = await client.post(HOOKS, json={"url": URL})
        assert everything.json()["events"] == ["task.completed", "task.failed", "task.cancelled"]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({}, "url"),
        ({"url": "ftp://receiver.example"}, "https://host/path"),
        ({"url": URL, "events": ["task.done"]}, "events"),
        ({"url": URL, "events": "task.done"}, "a comma list of task.completed"),
        ({"url": URL, "events": ["webhook.test"]}, "events"),
        ({"url": 7}, "url"),
        ({"url": "http://８.８.８.８/hook"}, "not ASCII"),
        ({"url": "https://müller.example/hook"}, "xn--"),
        ({"url": "http://127.0.0.1:9/"}, "--webhooks-to-private"),
        ({"url": "http://[fec0::1]/"}, "no public address"),
        *(
            ({"url": f"http://{host}/"}, "no public address")
            for host in ("127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0", "192.168.257")
        ),
        ({"url": "http://localhost:9/"}, "no public address"),
        ({"url": "http://a.LOCALHOST/"}, "no public address"),
        ({"url": "http://localhost.:9/"}, "no public address"),
        ({"url": "http://127.0.0.1./"}, "no public address"),
        ({"url": "http://*/"}, "no name"),
        ({"url": "http://[::ffff:10.0.0.1]/"}, "no public address"),
    ],
)
async def test_a_hook_that_makes_no_sense_is_refused(
    tmp_path: Path, wanted: Any, said: str
) -> None:
    async with served(tmp_path) as (_, client):
        assert_problem(await client.post(HOOKS, json=wanted), 422, said)
        assert (await client.get(HOOKS)).json()["total"] == 0


async def test_deliveries_and_dead_letters_are_shown_and_tried_again(tmp_path: Path) -> None:
    async with served(tmp_path) as (told, client):
        made = (await client.post(HOOKS, json={"url": URL})).json()
        task_id = await told.ended("bad")
        await told.settled(made["id"])
        path = f"{HOOKS}/{made['id']}/deliveries"
        [delivery] = (await client.get(path)).json()["deliveries"]
        assert (delivery["task_id"], delivery["state"]) == (task_id, "delivered")
        assert (await client.get(path, params={"state": "dead"})).json() == {"deliveries": []}
        again = await client.post(f"{path}/{delivery['id']}/retry")
        assert (again.json()["state"], again.json()["attempts"]) == ("waiting", 0)
        assert_problem(await client.post(f"{path}/evt_unheard/retry"), 404)
        assert_problem(await client.get(path, params={"state": "odd"}), 422)


async def test_a_hook_shows_what_came_of_its_newest_attempt(tmp_path: Path) -> None:
    async with served(tmp_path, DONE, BROKEN) as (told, client):
        made = (await client.post(HOOKS, json={"url": URL})).json()
        path = f"{HOOKS}/{made['id']}"

        async def standing() -> list[Any]:
            shown = (await client.get(path)).json()
            return [shown[f"last_{what}"] for what in ("attempt_at", "status", "error")]

        assert await standing() == [None, None, None]
        await told.ended("bad")
        await told.settled(made["id"])
        [at, status, error] = await standing()
        assert at is not None
        assert (status, error) == (200, None)
        await told.ended("bad")
        while (await client.get(path)).json()["waiting"] != 1 or (await standing())[0] == at:  # noqa: ASYNC110
            await anyio.sleep(1)
        [later, status, error] = await standing()
        assert later > at
        assert (status, error) == (BROKEN.status, BROKEN.error)


async def test_a_test_says_what_came_of_it(tmp_path: Path) -> None:
    async with served(tmp_path, BROKEN) as (_, client):
        made = (await client.post(HOOKS, json={"url": URL})).json()
        tested = await client.post(f"{HOOKS}/{made['id']}/test")
        assert tested.json() == {"delivered": False, "status": 500, "error": "HTTP 500"}


async def test_only_who_may_manage_sees_any_of_it(tmp_path: Path) -> None:
    keys = a_key_store(tmp_path)
    reader = keys.create("reader", [Permission.READ])
    async with telling(tmp_path) as told:
        app = create_app(told.engine, webhooks=told.webhooks, keys=keys)
        async with client_of(app, reader) as client:
            assert_problem(await client.get(HOOKS), 403)
            assert_problem(await client.post(HOOKS, json={"url": URL}), 403)


async def test_metrics_tell_what_each_hook_is_owed_and_how_attempts_go(tmp_path: Path) -> None:
    gone = Outcome(410, "HTTP 410", hopeless=True)
    async with served(tmp_path, BROKEN, DONE, gone, BROKEN) as (told, client):
        made = (await client.post(HOOKS, json={"url": URL})).json()

        async def tells(name: str, **labels: str) -> float:
            samples = read_metrics((await client.get("/metrics")).text)
            return of_metrics(samples, f"webhook_{name}", webhook=made["id"], **labels)

        assert await tells("deliveries", state="waiting") == 0
        assert await tells("attempts_total", outcome="given_up") == 0
        assert await tells("oldest_waiting_seconds") == 0
        await told.ended("good")  # its first attempt fails, its second delivers
        await told.settled(made["id"])
        await told.ended("good")  # given up at once
        await told.settled(made["id"])
        await told.ended("good")  # waits, as all attempts fail from now on
        await told.receiver.wait_told(6)
        await anyio.sleep(600)
        assert await tells("attempts_total", outcome="delivered") == 1
        assert await tells("attempts_total", outcome="given_up") == 1
        assert await tells("attempts_total", outcome="failed") >= 3
        assert await tells("deliveries", state="waiting") == 1
        assert await tells("deliveries", state="dead") == 1
        assert await tells("oldest_waiting_seconds") >= 600
        await client.delete(f"{HOOKS}/{made['id']}")
        assert made["id"] not in (await client.get("/metrics")).text


async def test_metrics_are_given_though_the_outbox_cannot_be_read(tmp_path: Path) -> None:
    never_opened = Webhooks(Outbox(None), post=Receiver().post, secrets=Secrets(b"m" * 32))
    async with telling(tmp_path) as told:
        app = create_app(told.engine, webhooks=never_opened)
        async with client_of(app) as client:
            response = await client.get("/metrics")
        assert response.status_code == 200
        assert "webhook_deliveries" not in response.text
