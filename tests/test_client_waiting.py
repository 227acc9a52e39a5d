"""How long the client waits: for a task, for a server that is away, and between two requests."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from functools import partial
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
    NotAuthenticated,
    NotFound,
    ServerTrouble,
    Unreachable,
    WaitTimedOut,
)
from cortex_tasks.client.patience import FIRST_PAUSE, LONGEST_PAUSE, pause_after
from cortex_tasks.client.waiting import GRACE, HOLD
from tests.client_setting import a_task, events, json, problem
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


@pytest.mark.parametrize("timeout", [-9, 0, 1, 7, 100])
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
    time = max(0, timeout)  # one that was over before it began is none
    assert time <= passed + 0.001 <= time + GRACE + 0.002
    assert caught.value.task.status == "running"
    assert all(wait <= min(HOLD, time) for wait in asked)


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


@pytest.mark.parametrize("retry_after", ["0", "1", "999"])
async def test_a_server_that_asks_for_no_pause_gets_one_and_wears_out_patience(
    retry_after: str,
) -> None:
    asked: list[httpx2.Request] = []

    def busy(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        assert len(asked) < 300
        return problem(503, retry_after=retry_after)

    async with talking_to(busy) as client:
        for ask in (partial(client.wait, "task_1", patience=20), partial(first_of, client)):
            asked.clear()
            before = anyio.current_time()
            with pytest.raises(ServerTrouble):
                await ask()
            assert 20 <= anyio.current_time() - before <= 20 + LONGEST_PAUSE
            assert len(asked) <= 2 + 20 / FIRST_PAUSE


NOON = "Wed, 01 Jul 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("told", "date", "pause"),
    [
        ("Wed, 01 Jul 2026 12:00:07 GMT", NOON, 7),
        ("Wednesday, 01-Jul-26 12:00:07 GMT", NOON, 7),
        ("Wed, 01 Jul 2026 12:00:07 -0000", NOON, 7),
        ("Thu, 02 Jul 2026 12:00:00 GMT", NOON, LONGEST_PAUSE),
        ("Thu, 01 Jul 2100 12:00:00 GMT", "at noon", LONGEST_PAUSE),
        ("Wed, 01 Jul 2026 11:00:00 GMT", NOON, 0),
        ("Sat, 01 Jan 2000 11:00:00 GMT", "", 0),
        ("Wed, 32 Jul 2026 12:00:07 GMT", NOON, FIRST_PAUSE),
        ("Wed, 01 Jul 99999 12:00:07 GMT", NOON, FIRST_PAUSE),
        ("soon", NOON, FIRST_PAUSE),
        ("-7", NOON, FIRST_PAUSE),
        ("²", NOON, FIRST_PAUSE),
        ("", NOON, FIRST_PAUSE),
        ("9" * 999, NOON, LONGEST_PAUSE),
    ],
)
async def test_a_date_to_come_again_at_is_heeded_by_the_clock_of_who_says_so(
    told: str, date: str, pause: float
) -> None:
    headers = [(b"retry-after", told.encode()), (b"date", date.encode())]
    answers = [
        httpx2.Response(503, content=problem(503).content, headers=headers),
        json({"tasks": [], "total": 0}),
    ]
    async with talking_to(lambda _: answers.pop(0)) as client:
        before = anyio.current_time()
        await client.list_tasks()
        assert anyio.current_time() - before == pytest.approx(pause)


async def first_of(client: AsyncClient) -> None:
    async with client.follow(patience=20) as changes:
        await anext(changes)


async def test_patience_is_worn_out_by_a_server_that_is_slow_to_fail_too() -> None:
    async with talking_to(is_slow_to_break) as client:
        for ask in (partial(client.wait, "task_1", patience=20), partial(first_of, client)):
            before = anyio.current_time()
            with pytest.raises(Unreachable, match="reset by peer"):
                await ask()
            assert anyio.current_time() - before <= 20 + 20 + FIRST_PAUSE + 0.001


async def test_a_stream_that_ends_again_and_again_is_not_opened_without_a_pause() -> None:
    answers = [events("retry: 0", 'event: ready\ndata: {"seq":3}')] * 20 + [problem(404)]
    async with talking_to(lambda _: answers.pop(0)) as client:
        before = anyio.current_time()
        async with client.follow() as changes:
            with pytest.raises(NotFound):
                await anext(changes)
        assert anyio.current_time() - before > 19 * 0.05


async def test_a_key_that_is_revoked_meanwhile_ends_following_with_an_error_that_says_so() -> None:
    ended = events("retry: 0", 'event: ready\ndata: {"seq":3}')
    answers = [ended, problem(401, "Invalid API key")]
    async with talking_to(lambda _: answers.pop(0)) as client, client.follow() as changes:
        with pytest.raises(NotAuthenticated, match="Not now"):
            await anext(changes)


def test_no_number_of_repeats_is_too_high_to_pause_after() -> None:
    assert pause_after(100_000, Unreachable()) == LONGEST_PAUSE
