"""What stands between a connection and the application: bounded, and in nobody's way."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from cortex_tasks.http.exchanges import GONE, ROOM, Exchanges, Inbox
from tests.engine_setting import virtual_time


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return virtual_time(request.param)


def piece(number: int) -> dict[str, Any]:
    return {"type": "http.request", "body": b"%d" % number, "more_body": True}


async def test_a_client_is_read_no_faster_than_it_is_heard() -> None:
    inbox, delivered = Inbox(), 0

    async def deliver() -> None:
        nonlocal delivered
        for number in range(ROOM + 5):
            await inbox.put(piece(number))
            delivered += 1

    async with anyio.create_task_group() as group:
        group.start_soon(deliver)
        await anyio.wait_all_tasks_blocked()
        assert delivered == ROOM
        heard = []
        for _ in range(ROOM + 5):
            heard.append(await inbox.receive())
            await anyio.wait_all_tasks_blocked()
            assert delivered <= len(heard) + ROOM
    assert heard == [piece(number) for number in range(ROOM + 5)]


async def test_that_a_client_is_gone_needs_no_room_and_is_heard_last_and_always() -> None:
    inbox = Inbox()
    for number in range(ROOM):
        await inbox.put(piece(number))
    with anyio.fail_after(1):
        await inbox.put(GONE)
    assert [await inbox.receive() for _ in range(ROOM)] == [piece(n) for n in range(ROOM)]
    assert [await inbox.receive() for _ in range(3)] == [GONE] * 3


async def test_all_who_wait_for_a_message_get_one_when_it_comes() -> None:
    inbox = Inbox()
    heard: list[Any] = []

    async def listen() -> None:
        with anyio.fail_after(60):
            heard.append(await inbox.receive())

    async with anyio.create_task_group() as group:
        group.start_soon(listen)
        group.start_soon(listen)
        await anyio.wait_all_tasks_blocked()
        await inbox.put(piece(1))
        await inbox.put(GONE)
    assert heard in ([piece(1), GONE], [GONE, piece(1)])


async def test_an_application_that_takes_no_for_no_answer_lets_others_have_their_turn() -> None:
    inbox, others = Inbox(), anyio.Event()
    await inbox.put(GONE)

    async def be_obstinate() -> None:
        for _ in range(1000):
            await inbox.receive()
        assert others.is_set()

    async with anyio.create_task_group() as group:
        group.start_soon(be_obstinate)
        await anyio.lowlevel.checkpoint()
        others.set()


async def test_an_application_that_fails_is_logged_and_its_end_is_heard_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("the moon is full")

    told: list[Any] = []

    async def send(message: Any) -> None:
        told.append(message)

    with caplog.at_level(logging.ERROR):
        async with anyio.create_task_group() as group:
            scope = {"type": "http", "method": "GET", "path": "/x\n"}
            await Exchanges(group).spawn_app(broken, None, scope, send)
    assert told == [None]
    assert caplog.messages == [r"GET '/x\n' failed"]
