"""Streams that say nothing: held back or ended by a proxy, or of a server fallen silent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import httpx2
import pytest
from msgspec.json import encode

from cortex_tasks.client import (
    AsyncClient,
    Changed,
    Client,
    ClientError,
    Ended,
    Event,
    NoAnswerInTime,
    Unreachable,
)
from cortex_tasks.client.follower import FIRST_WORD, SILENCE
from tests.client_setting import a_task, events, json, problem
from tests.engine_setting import virtual_time

READY = b'event: ready\ndata: {"seq":3}\n\n'
STREAM = {"content-type": "text/event-stream"}


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return virtual_time(request.param)


def patience_of(request: httpx2.Request) -> float:
    return float(request.extensions["timeout"]["read"])


class Silent(httpx2.AsyncByteStream, httpx2.SyncByteStream):
    """A stream that says so much, and then nothing until patience is over."""

    def __init__(self, patience: float, *said: bytes) -> None:
        self._patience = patience
        self._said = said

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._said:
            yield piece
        await anyio.sleep(self._patience)
        raise httpx2.ReadTimeout("")

    def __iter__(self) -> Iterator[bytes]:
        yield from self._said
        raise httpx2.ReadTimeout("")


class Commented(httpx2.AsyncByteStream):
    """A stream that says nothing but comments, a proxy's own, until it is closed."""

    def __init__(self) -> None:
        self._closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while not self._closed:
            await anyio.sleep(4)
            yield b": a\n\n"

    async def aclose(self) -> None:
        self._closed = True


async def holds_all(request: httpx2.Request) -> httpx2.Response:
    await anyio.sleep(patience_of(request))
    raise httpx2.ReadTimeout("")


async def holds_all_but_the_headers(request: httpx2.Request) -> httpx2.Response:
    return httpx2.Response(200, headers=STREAM, stream=Silent(patience_of(request)))


async def gives_up_with_a_504(request: httpx2.Request) -> httpx2.Response:
    await anyio.sleep(10)
    return httpx2.Response(504, text="<html>")


async def gives_up_by_hanging_up(request: httpx2.Request) -> httpx2.Response:
    await anyio.sleep(10)
    raise httpx2.RemoteProtocolError("Server disconnected")


async def gives_up_by_ending_it(request: httpx2.Request) -> httpx2.Response:
    await anyio.sleep(10)
    return events()


async def falls_silent(request: httpx2.Request) -> httpx2.Response:
    return httpx2.Response(200, headers=STREAM, stream=Silent(patience_of(request), READY))


async def cuts_each_after_a_comment_of_its_own(request: httpx2.Request) -> httpx2.Response:
    await anyio.sleep(10)
    return events(": kept alive by the proxy")


async def keeps_each_alive_by_comments(request: httpx2.Request) -> httpx2.Response:
    return httpx2.Response(200, headers=STREAM, stream=Commented())


Holding = Callable[[httpx2.Request], Any]
each_way_to_hold = pytest.mark.parametrize(
    "hold", [holds_all, holds_all_but_the_headers, keeps_each_alive_by_comments]
)

each_way_to_give_up = pytest.mark.parametrize(
    "give_up",
    [
        gives_up_with_a_504,
        gives_up_by_hanging_up,
        gives_up_by_ending_it,
        cuts_each_after_a_comment_of_its_own,
    ],
)


def polled() -> list[httpx2.Response]:
    """What the server answers to three polls: of the second, nothing has changed."""
    states = (("running", 4), ("running", 4), ("failed", 5))
    return [json(a_task(status, seq)) for status, seq in states]


def behind(hold: Holding, answers: list[httpx2.Response] | None = None) -> AsyncClient:
    """A client behind a proxy that holds streams back, of a server that is polled thrice."""
    answers = answers or polled()

    async def answering(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/events"):
            return await hold(request)  # type: ignore[no-any-return]
        return answers.pop(0)

    return AsyncClient("http://there", "k", transport=httpx2.MockTransport(answering))


def is_what_was_polled(told: list[Event]) -> bool:
    """Whether that is each state once."""
    match told:
        case [Changed(task=first), Ended(task=last)]:
            return (first.seq, last.seq) == (4, 5)
        case _:
            return False


@each_way_to_hold
async def test_a_task_whose_stream_is_held_back_is_polled(hold: Holding) -> None:
    interruptions: list[ClientError] = []
    async with behind(hold) as client:
        before = anyio.current_time()
        follower = client.follow("task_1", on_interruption=interruptions.append)
        async with follower as changes:
            told = [event async for event in changes]
    assert is_what_was_polled(told)
    assert FIRST_WORD <= anyio.current_time() - before < FIRST_WORD + 1
    assert interruptions == []


@pytest.mark.parametrize(("known", "told"), [(3, [4, 5]), (4, [5]), (9, [5])])
async def test_what_is_polled_is_not_told_again_if_it_was_known_by_the_number_of_any_change(
    known: int, told: list[int]
) -> None:
    async with behind(holds_all) as client:
        async with client.follow("task_1", last_event_id=known) as changes:
            seqs = [event.task.seq async for event in changes if isinstance(event, Changed | Ended)]
    assert seqs == told


async def test_a_server_without_numbers_is_taken_to_tell_something_new() -> None:
    states = [json(a_task(status, seq=0)) for status in ("running", "running", "failed")]
    async with behind(holds_all, states) as client:
        async with client.follow("task_1", last_event_id=9) as changes:
            assert len([event async for event in changes]) == 3


@pytest.mark.parametrize("headers", [False, True])
def test_a_program_that_blocks_polls_too(headers: bool) -> None:
    answers = polled()

    def answering(request: httpx2.Request) -> httpx2.Response:
        if not request.url.path.endswith("/events"):
            return answers.pop(0)
        assert patience_of(request) == FIRST_WORD
        if headers:
            return httpx2.Response(200, headers=STREAM, stream=Silent(0))
        raise httpx2.ReadTimeout("")

    with Client("http://there", transport=httpx2.MockTransport(answering)) as client:
        with client.follow("task_1") as changes:
            assert is_what_was_polled(list(changes))


@each_way_to_hold
async def test_of_a_list_whose_stream_is_held_back_it_is_said_that_it_may_be(hold: Holding) -> None:
    async with behind(hold) as client, client.follow(patience=60) as changes:
        before = anyio.current_time()
        with pytest.raises(
            NoAnswerInTime, match=r"told nothing for 20 s.* holds event streams back"
        ):
            await anext(changes)
    assert 60 <= anyio.current_time() - before < 120


@each_way_to_give_up
async def test_a_task_whose_streams_end_before_their_first_word_is_polled(give_up: Holding) -> None:
    interruptions: list[ClientError] = []
    async with behind(give_up) as client:
        before = anyio.current_time()
        follower = client.follow("task_1", patience=30, on_interruption=interruptions.append)
        async with follower as changes:
            told = [await anext(changes)]
            assert anyio.current_time() - before < 10 + 10 + 2  # once the server has answered
            told += [event async for event in changes]
    assert is_what_was_polled(told)
    assert anyio.current_time() - before < 10 + 10 + 10 + 2
    assert len(interruptions) == 1


@each_way_to_give_up
async def test_of_a_list_whose_streams_end_before_their_first_word_it_is_said_so(
    give_up: Holding,
) -> None:
    async with behind(give_up, [json({"tasks": [], "total": 0})]) as client:
        before = anyio.current_time()
        async with client.follow(patience=60) as changes:
            with pytest.raises(
                Unreachable, match=r"answers, but no event stream .*the last: .*http://there"
            ):
                await anext(changes)
    assert 60 <= anyio.current_time() - before < 120


@pytest.mark.parametrize("refusals", range(6))
async def test_a_restart_behind_a_proxy_is_no_reason_to_poll(refusals: int) -> None:
    data = [f"data: {encode(a_task('failed', seq)).decode()}" for seq in (4, 5)]
    streams = [
        events("retry: 0", 'id: 3\nevent: ready\ndata: {"seq":3}'),
        events(f"id: 4\nevent: task\n{data[0]}", f"id: 5\nevent: end\n{data[1]}"),
    ]
    away = [problem(502)] * refusals

    def answering(request: httpx2.Request) -> httpx2.Response:
        if len(streams) == 1 and away:
            return away.pop()
        if not request.url.path.endswith("/events"):
            return json(a_task("failed", seq=5))
        return streams.pop(0)

    async with AsyncClient("http://there", transport=httpx2.MockTransport(answering)) as client:
        async with client.follow("task_1", patience=60) as changes:
            told = [event.task.seq async for event in changes if isinstance(event, Changed | Ended)]
    assert told == [4, 5]  # a poll would have told the last one alone


async def test_once_streams_come_through_a_late_ping_is_no_interruption() -> None:
    interruptions: list[ClientError] = []
    borne: list[float] = []

    async def server(request: httpx2.Request) -> httpx2.Response:
        borne.append(patience_of(request))
        return await falls_silent(request)

    async with behind(server) as client:
        follower = client.follow(patience=0, on_interruption=interruptions.append)
        async with follower as changes:
            with pytest.raises(NoAnswerInTime, match="told nothing for 45 s"):
                await anext(changes)
    assert borne == [FIRST_WORD, SILENCE]
    assert interruptions == []
