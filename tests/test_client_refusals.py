"""What the client refuses before it asks anybody: what could never be sent, or means nothing."""

from __future__ import annotations

import base64
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import msgspec
import pytest

from cortex_tasks.client import AsyncClient, CannotConnect, Client, Ended, UnusableSetting
from tests.client_setting import Server, a_task, events, json
from tests.engine_setting import virtual_time

Ask = Callable[[AsyncClient], Awaitable[Any]]
ALONE = "\ud800"  # half of a character


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return virtual_time(request.param)


async def follow(client: AsyncClient, *ids: str, **wanted: Any) -> None:
    async with client.follow(*ids, **wanted) as changes:
        await anext(changes)


REFUSED: dict[str, Ask] = {
    "a key that is not ASCII": lambda client: client.submit("t", idempotency_key="ü"),
    "a key of two lines": lambda client: client.submit("t", idempotency_key="a\nb"),
    "a key with a space around": lambda client: client.submit("t", idempotency_key=" a"),
    "an id to show": lambda client: client.get_task(ALONE),
    "an id to cancel": lambda client: client.cancel(ALONE),
    "an id to wait for": lambda client: client.wait(ALONE),
    "an id to follow": lambda client: follow(client, ALONE),
    "an id of a webhook": lambda client: client.webhooks.get(ALONE),
    "an id of 70,000 characters": lambda client: client.get_task("x" * 70_000),
    "a type to follow": lambda client: follow(client, task_type=ALONE),
    "a task to follow and a search": lambda client: follow(client, "x", q="type:t"),
    "a task to follow and a type": lambda client: follow(client, "x", task_type="t"),
    "a task to follow and a status": lambda client: follow(client, "x", status="failed"),
    "a search": lambda client: client.list_tasks(q=ALONE),
    "the name of a file": lambda client: client.upload(b"x", filename=ALONE),
    "no number of seconds": lambda client: client.get_task("x", wait=math.nan),
    "seconds without end": lambda client: client.get_task("x", wait=math.inf),
    "seconds before now": lambda client: client.get_task("x", wait=-1),
    "more seconds than a clock has": lambda client: client.get_task("x", wait=1e300),
    "no time to wait": lambda client: client.wait("x", timeout=math.nan),
    "no patience to wait with": lambda client: client.wait("x", patience=math.nan),
    "no patience to follow with": lambda client: follow(client, patience=math.nan),
}


@pytest.mark.parametrize("ask", REFUSED.values(), ids=REFUSED)
async def test_what_could_never_be_sent_is_refused_and_nobody_is_asked(ask: Ask) -> None:
    server = Server()
    async with server.client() as client:
        with pytest.raises(UnusableSetting):
            await ask(client)
    assert not server.asked


@pytest.mark.parametrize("timeout", [math.nan, math.inf, -1.0])
def test_a_time_that_no_clock_counts_is_refused_where_the_client_is_made(timeout: float) -> None:
    with pytest.raises(UnusableSetting, match="timeout"):
        Client("http://there", timeout=timeout)


async def test_a_client_that_is_closed_says_so() -> None:
    client = Server().client()
    await client.aclose()
    for ask in (client.list_tasks(), client.wait("x"), follow(client, "x")):
        with pytest.raises(UnusableSetting, match="closed"):
            await ask
    with Client("http://there", transport=httpx2.MockTransport(Server())) as blocking:
        pass
    with pytest.raises(UnusableSetting, match="closed"):
        blocking.list_tasks()


@pytest.mark.parametrize("name", ["²", "٣", "-1", "9" * 5_000, "a", ""])
async def test_an_id_that_numbers_no_change_is_passed_over(name: str) -> None:
    end = json(a_task()).text
    server = Server(
        events('id: 3\nevent: ready\ndata: {"seq":3}', f"id: {name}\nevent: new\ndata: 1"),
        events(f"event: end\ndata: {end}"),
    )
    async with server.client() as client, client.follow("task_1") as changes:
        assert isinstance(await anext(changes), Ended)
    assert [request.headers.get("last-event-id") for request in server.asked] == [None, "3"]


class Measured(msgspec.Struct):
    values: list[float]


ENDLESS: list[Any] = []
ENDLESS.append(ENDLESS)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"x": math.nan}, r"params\.x is nan"),
        ({"x": [{"y": None}, {"y": (0, -math.inf)}]}, r"params\.x\[1\]\.y\[1\] is -inf"),
        ({"a b": math.inf}, r"params\.a b is inf"),
        (Measured([1.0, math.nan]), r"params\.values\[1\] is nan"),
        ({"x": object()}, "object is unsupported"),
        ({"x": ALONE}, "surrogates not allowed"),
        ({(1, 2): 3}, "keys are supported"),
        ({"x": ENDLESS}, "recursion"),
    ],
    ids=range(8),
)
async def test_parameters_that_json_would_not_keep_are_refused_with_their_place(
    params: Any, said: str
) -> None:
    server = Server()
    async with server.client() as client:
        with pytest.raises(UnusableSetting, match=said):
            await client.submit("t", params)
    assert not server.asked


async def test_no_number_that_json_has_not_is_sent_anywhere() -> None:
    server = Server()
    async with server.client() as client:
        for ask, said in (
            (client.submit("t", delay=math.nan), "delay is nan"),
            (client.submit("t", then=["u", {"delay": math.inf}]), r"then\[1\]\.delay is inf"),
            (client.clean_up(max_age_hours=math.nan), "max_age_hours is nan"),
            (client.list_tasks(limit=math.nan), "limit is nan"),  # type: ignore[arg-type]  # as who computes it may
        ):
            with pytest.raises(UnusableSetting, match=said):
                await ask
    assert not server.asked


async def test_parameters_that_json_keeps_are_sent_as_they_are() -> None:
    server = Server(*[json(a_task())] * 2)
    async with server.client() as client:
        await client.submit("t", {"x": None, "y": ["null", 1.5, {}], "z": {3}})
        await client.submit("t", {"raw": msgspec.Raw(b"null"), "y": 1.5})
    sent = [msgspec.json.decode(request.content)["params"] for request in server.asked]
    assert sent == [{"x": None, "y": ["null", 1.5, {}], "z": [3]}, {"raw": None, "y": 1.5}]


@pytest.mark.parametrize("url", ["http://user:wo%3Ard@there:99/p", "http://user:wo%3Ard@there/p/"])
async def test_who_one_is_in_a_url_is_sent_and_shown_nowhere(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server(json({"tasks": [], "total": 0}), *[httpx2.ConnectError("refused")] * 2)
    transport = httpx2.MockTransport(server)
    with caplog.at_level(logging.DEBUG):
        async with AsyncClient(url, transport=transport, repeats=0) as client:
            await client.list_tasks()
            with pytest.raises(CannotConnect) as caught:
                await client.list_tasks()
            with pytest.raises(CannotConnect) as followed:
                await follow(client, patience=0)
            shown = [client, client.url, client.connection.settings, caught.value, followed.value]
    told = " ".join(map(repr, [*shown, *(request.url for request in server.asked)])) + caplog.text
    assert "there" in told
    assert "user" not in told
    assert "wo%3A" not in told
    assert "rd@" not in told
    assert {request.headers["authorization"] for request in server.asked} == {
        "Basic " + base64.b64encode(b"user:wo:rd").decode()
    }


@pytest.mark.parametrize("url", ["http://u:w/ord@there", "u:word@there", "ftp://u:word@there"])
def test_a_url_that_is_none_is_named_without_who_one_is(url: str) -> None:
    with pytest.raises(UnusableSetting, match="there' is not the URL of a server") as caught:
        Client(url)
    assert "ord" not in str(caught.value)
