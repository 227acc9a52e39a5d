"""How long the client waits: for a task, for a server that is away, and between two requests."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import httpx2
import pytest

from cortex_tasks.client import (
    AsyncClient,
    CannotConnect,
    Client,
    ClientError,
    NoAnswerInTime,
    ServerTrouble,
    Unreachable,
    WaitTimedOut,
)
from cortex_tasks.client.waiting import GRACE, HOLD
from tests.client_setting import a_task, json, problem
from tests.engine_setting import virtual_time

Answering = Callable[[httpx2.Request], Awaitable[httpx2.Response]]


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return virtual_time(request.param)


def talking_to(answering: Any, **options: Any) -> AsyncClient:
    return AsyncClient("http://there", "k", transport=httpx2.MockTransport(answering), **options)


async def holds(request: httpx2.Request) -> httpx2.Response:
    """As a server whose task runs for ever."""
    await anyio.sleep(float(request.url.params.get("wait", 0)))
    return json(a_task("running"))


async def hangs(request: httpx2.Request) -> httpx2.Response:
    await anyio.sleep_forever()
    raise AssertionError


async def is_busy(request: httpx2.Request) -> httpx2.Response:
    return problem(503, retry_after="30")


async def is_away(request: httpx2.Request) -> httpx2.Response:
    raise httpx2.ConnectError("refused")


async def is_slow_to_break(request: httpx2.Request) -> httpx2.Response:
    await anyio.sleep(20)
    raise httpx2.ReadError("reset by peer")


WORSE = [hangs, is_busy, is_away, is_slow_to_break]


@pytest.mark.parametrize("timeout", [0, 1, 7, 100])
@pytest.mark.parametrize("then", [holds, *WORSE])
async def test_a_wait_is_over_when_its_time_is_whatever_the_server_does(
    then: Answering, timeout: float
) -> None:
    asked: list[float] = []

    async def answering(request: httpx2.Request) -> httpx2.Response:
        asked.append(float(request.url.params.get("wait", 0)))
        return await (holds if len(asked) == 1 else then)(request)

    async with talking_to(answering) as client:
        before = anyio.current_time()
        with pytest.raises(WaitTimedOut) as caught:
            await client.wait("task_1", timeout=timeout, patience=math.inf)
        passed = anyio.current_time() - before
    assert timeout <= passed + 0.001 <= timeout + GRACE + 0.002
    assert caught.value.task.status == "running"
    assert all(wait <= min(HOLD, timeout) for wait in asked)


@pytest.mark.parametrize(
    ("server", "kind"),
    [
        (hangs, NoAnswerInTime),
        (is_busy, ServerTrouble),
        (is_away, CannotConnect),
        (is_slow_to_break, Unreachable),
    ],
)
async def test_a_wait_that_never_saw_the_task_says_what_kept_the_server_away(
    server: Answering, kind: type[ClientError]
) -> None:
    async with talking_to(server) as client:
        for timeout in (0, 1, 7, 100):
            before = anyio.current_time()
            with pytest.raises(kind):
                await client.wait("task_1", timeout=timeout, patience=math.inf)
            assert anyio.current_time() - before <= timeout + GRACE + 0.001


async def test_a_wait_outlives_a_server_that_is_away_when_it_begins() -> None:
    answers = [problem(503, retry_after="7")] * 5 + [json(a_task())]
    async with talking_to(lambda _: answers.pop(0)) as client:
        assert (await client.wait("task_1", timeout=60)).final


def test_a_wait_that_blocks_cuts_the_time_of_each_request() -> None:
    asked: list[dict[str, float]] = []

    def answering(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.extensions["timeout"])
        return json(a_task("completed" if len(asked) == 3 else "running"))

    with Client("http://there", transport=httpx2.MockTransport(answering)) as client:
        with pytest.raises(WaitTimedOut):
            client.wait("task_1", timeout=0)
        assert client.wait("task_1", timeout=20).final
    assert max(asked[0].values()) <= GRACE
    for times in asked[1:]:
        assert times["connect"] == 5
        assert GRACE < times["read"] <= 20 + GRACE
