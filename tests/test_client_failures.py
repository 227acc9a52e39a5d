"""What the client does when a server fails it: it repeats what may be, and says the rest."""

from __future__ import annotations

import errno
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import httpx2
import msgspec
import pytest

from cortex_tasks.client import (
    AsyncClient,
    CannotConnect,
    Client,
    ClientError,
    Conflict,
    Ended,
    NoAnswerInTime,
    NotUnderstood,
    Refused,
    Reset,
    ServerTrouble,
    TlsFailed,
    Unreachable,
)
from cortex_tasks.client.events import FrameReader
from tests.client_setting import Server, a_task, events, json, problem
from tests.engine_setting import virtual_time


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return virtual_time(request.param)


LIST = {"tasks": [], "total": 0}
BROKEN = httpx2.ReadError("reset by peer")
LATER = {"retry_after": "7"}


async def test_what_reads_is_asked_again_after_as_long_as_the_server_says() -> None:
    server = Server(problem(503, **LATER), BROKEN, problem(504), json(LIST))
    before = anyio.current_time()
    async with server.client() as client:
        assert (await client.list_tasks()).total == 0
    assert anyio.current_time() - before == pytest.approx(7 + 1 + 2)
    assert [request.url.path for request in server.asked] == ["/prefix/api/tasks"] * 4
    assert server.keys == {None}


async def test_nobody_waits_longer_than_half_a_minute_for_a_server() -> None:
    server = Server(problem(503, retry_after="86400"), json(LIST))
    before = anyio.current_time()
    async with server.client() as client:
        await client.list_tasks()
    assert anyio.current_time() - before == pytest.approx(30)


async def test_what_is_submitted_is_asked_again_under_one_key_of_its_own() -> None:
    server = Server(BROKEN, problem(503, **LATER), json(a_task("pending")))
    async with server.client() as client:
        await client.submit("t", {"x": 1})
        (key,) = server.keys
        assert key is not None
        assert len({request.content for request in server.asked}) == 1
        server.asked.clear()
        server._answers += [json(a_task("pending")), json(a_task("pending"))]
        await client.submit("t", {"x": 1})
        await client.submit("t", {"x": 1}, idempotency_key="mine")
        assert key not in server.keys
        assert "mine" in server.keys


@pytest.mark.parametrize("ask", ["cancel", "retry", "delete_document", "pause"])
async def test_what_might_do_harm_twice_is_asked_once(ask: str) -> None:
    for failure, kind in ((BROKEN, Unreachable), (problem(503), ServerTrouble)):
        server = Server(failure)
        async with server.client() as client:
            with pytest.raises(kind):
                await getattr(client, ask)("x")
        assert len(server.asked) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 500, 507])
async def test_a_no_that_will_stay_one_is_asked_once(status: int) -> None:
    server = Server(problem(status, x_request_id="req_7"))
    async with server.client() as client:
        with pytest.raises(Refused, match="Not now") as caught:
            await client.list_tasks()
    assert (caught.value.status, caught.value.request_id) == (status, "req_7")
    assert len(server.asked) == 1


async def test_a_stream_is_sent_once_as_it_cannot_be_sent_again(tmp_path: Any) -> None:
    (tmp_path / "a.md").write_text("text")
    for again in (False, True):
        server = Server(problem(503), json({"document_id": "d"}))
        async with server.client() as client:
            with (tmp_path / "a.md").open("rb") as opened:
                if again:
                    await client.upload(tmp_path / "a.md")
                else:
                    with pytest.raises(ServerTrouble):
                        await client.upload(opened)
        assert len(server.asked) == 1 + again


async def test_it_gives_up_after_as_many_repeats_as_it_was_told() -> None:
    for repeats in (0, 1, 3):
        server = Server(*[BROKEN] * 9)
        async with server.client(repeats=repeats) as client:
            with pytest.raises(Unreachable, match="reset by peer"):
                await client.list_tasks()
        assert len(server.asked) == 1 + repeats


@pytest.mark.parametrize(
    ("failure", "kind", "said"),
    [
        (httpx2.ConnectError("refused"), CannotConnect, "no server at http://there/prefix"),
        (httpx2.PoolTimeout(""), CannotConnect, "connections .* are taken.*; nothing was asked"),
        (httpx2.ReadTimeout("slow"), NoAnswerInTime, "did not answer within 30 s"),
        (httpx2.Response(302, headers={"location": "http://x"}), NotUnderstood, "HTTP 302"),
        (httpx2.Response(404, text="<html>"), NotUnderstood, "not a Cortex task server"),
        (httpx2.Response(500, text="oops"), ServerTrouble, "without a reason"),
        (httpx2.Response(429, text="<html>"), ServerTrouble, "HTTP 429 without a reason"),
        (httpx2.Response(200, text="<html>"), NotUnderstood, "not a Cortex task server"),
        (json([1]), NotUnderstood, "not one that this version understands"),
        (json({"tasks": 3, "total": 1}), NotUnderstood, "understands"),
        (problem(409), Conflict, "Not now"),
        (problem(418), ClientError, "Not now"),
    ],
)
async def test_every_failure_says_what_it_is(failure: Any, kind: Any, said: str) -> None:
    server = Server(failure)
    async with server.client(repeats=0) as client:
        with pytest.raises(kind, match=said):
            await client.list_tasks()


def because_of(cause: Exception) -> httpx2.ConnectError:
    """An error as the HTTP client's, which came from that one over others."""
    between = OSError("all attempts failed")
    between.__cause__ = ExceptionGroup("each of them", [cause])
    failure = httpx2.ConnectError("")
    failure.__context__, failure.__suppress_context__ = between, True
    return failure


def refused_certificate() -> ssl.SSLCertVerificationError:
    refused = ssl.SSLCertVerificationError(1, "[SSL] certificate verify failed")
    refused.verify_message = "certificate has expired"
    return refused


def tls_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}]")
    error.reason = reason
    return error


async def first_change(client: AsyncClient) -> None:
    async with client.follow() as changes:
        await anext(changes)


ALL_THAT_READ: list[Callable[[AsyncClient], Awaitable[Any]]] = [
    lambda client: client.list_tasks(),
    lambda client: client.wait("task_1"),
    first_change,
]


@pytest.mark.parametrize(
    ("cause", "kind", "said"),
    [
        (refused_certificate(), TlsFailed, r"certificate has expired\).* SSL_CERT_FILE"),
        (ssl.SSLError(1, "[SSL] all kinds of things"), TlsFailed, r"TLS with .* things\)$"),
        (tls_error("WRONG_VERSION_NUMBER"), TlsFailed, r"\(wrong version number\); .* http://"),
        (tls_error("TLSV1_UNRECOGNIZED_NAME"), TlsFailed, r"\(tlsv1 unrecognized name\)$"),
        (tls_error("TLSV1_ALERT_INTERNAL_ERROR"), CannotConnect, r"alert internal error\)$"),
        (OSError(errno.EMFILE, "Too many open files"), CannotConnect, "Too many open files"),
    ],
)
async def test_what_keeps_a_connection_from_being_made_is_said_and_is_the_cause(
    cause: Exception, kind: type[CannotConnect], said: str
) -> None:
    async with Server(*[because_of(cause)] * 2).client(repeats=0) as client:
        with pytest.raises(CannotConnect, match=said) as asked:
            await client.list_tasks()
        async with client.follow(patience=0) as changes:
            with pytest.raises(CannotConnect, match=said) as followed:
                await anext(changes)
    for caught in (asked.value, followed.value):
        assert type(caught) is kind
        assert caught.__cause__ is cause


@pytest.mark.parametrize("cause", [refused_certificate(), tls_error("WRONG_VERSION_NUMBER")])
async def test_tls_that_failed_is_not_tried_again_as_no_patience_cures_it(cause: Exception) -> None:
    for ask in ALL_THAT_READ:
        server = Server(*[because_of(cause)] * 99)
        before = anyio.current_time()
        async with server.client() as client:
            with pytest.raises(TlsFailed):
                await ask(client)
        assert len(server.asked) == 1
        assert anyio.current_time() == pytest.approx(before)


@pytest.mark.parametrize("kind", [ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError])
async def test_a_handshake_that_breaks_off_is_a_server_that_is_away(kind: type[Exception]) -> None:
    for ask in ALL_THAT_READ:
        server = Server(*[because_of(kind(1, "broken off"))] * 99)
        async with server.client() as client:
            with pytest.raises(CannotConnect, match="no server at"):
                await ask(client)
        assert len(server.asked) > 3


async def test_a_proxy_that_has_no_certificate_yet_is_tried_again() -> None:
    for ask in ALL_THAT_READ:
        server = Server(*[because_of(tls_error("TLSV1_ALERT_INTERNAL_ERROR"))] * 99)
        async with server.client() as client:
            with pytest.raises(CannotConnect, match="alert internal error"):
                await ask(client)
        assert len(server.asked) > 3


async def test_what_the_program_is_handling_meanwhile_is_no_cause() -> None:
    async with Server(httpx2.ConnectError("refused")).client(repeats=0) as client:
        try:
            raise ssl.SSLError(1, "of something else")
        except ssl.SSLError:
            with pytest.raises(CannotConnect, match="no server at"):
                await client.list_tasks()


async def test_a_wait_outlives_a_server_that_is_away_for_less_than_its_patience() -> None:
    away = [httpx2.ConnectError("refused")] * 3
    server = Server(json(a_task("running")), *away, problem(503, **LATER), json(a_task()))
    async with server.client(repeats=0) as client:
        assert (await client.wait("task_1")).final
    server = Server(json(a_task("running")), *away * 20)
    async with server.client(repeats=0) as client:
        before = anyio.current_time()
        with pytest.raises(CannotConnect):
            await client.wait("task_1", patience=60)
    assert 60 <= anyio.current_time() - before < 120


async def test_following_goes_on_from_the_last_event_and_passes_over_what_it_does_not_know() -> (
    None
):
    task, end = (msgspec.json.encode(a_task(seq=seq)).decode() for seq in (5, 6))
    server = Server(
        events(
            "retry: 1000", ": ping", "event: ping\ndata: {}", 'id: 3\nevent: ready\ndata: {"seq":3}'
        ),
        httpx2.ConnectError("refused"),
        problem(503, **LATER),
        events(f"id: 5\nevent: task\ndata: {task}", "event: new in 2030\ndata: x\nmore"),
        events('id: 6\nevent: reset\ndata: {"seq": 6, "detail": "gone"}'),
        events(f"id: 6\r\nevent: end\r\ndata: {end}"),
    )
    interruptions: list[ClientError] = []
    async with server.client() as client:
        async with client.follow("task_1", on_interruption=interruptions.append) as changes:
            told = [event async for event in changes]
    assert [type(event).__name__ for event in told] == ["Changed", "Reset", "Ended"]
    assert isinstance(told[1], Reset)
    assert (told[1].seq, told[1].detail) == (6, "gone")
    known = [request.headers.get("last-event-id") for request in server.asked]
    assert known == [None, "3", "3", "3", "5", "6"]
    assert [str(error) for error in interruptions] == ["no server at http://there/prefix"]


async def test_a_stream_that_ends_before_anything_came_is_a_server_that_fails() -> None:
    server = Server(*[events()] * 2, *[problem(503)] * 50)
    failures: list[ClientError] = []
    async with server.client() as client:
        follower = client.follow("task_1", patience=60, on_interruption=failures.append)
        async with follower as changes:
            with pytest.raises(ServerTrouble):
                await anext(changes)
    assert [str(failure) for failure in failures] == [
        "http://there/prefix ended the stream at once"
    ]
    assert 3 < len(server.asked) < 20


async def test_following_a_server_without_events_polls() -> None:
    nowhere = problem(404, "Not found")
    server = Server(nowhere, json(a_task("running")), BROKEN, json(a_task()))
    async with server.client(repeats=0) as client:
        async with client.follow("task_1") as changes:
            told = [event async for event in changes]
    assert [type(event).__name__ for event in told] == ["Changed", "Ended"]
    assert isinstance(told[1], Ended)
    assert [request.url.params.get("wait") for request in server.asked[1:]] == [
        None,
        "30.0",
        "30.0",
    ]
    async with Server(nowhere).client() as client, client.follow() as changes:
        with pytest.raises(Refused):
            await anext(changes)


async def test_following_gives_up_on_a_server_that_stays_away() -> None:
    server = Server(*[httpx2.ConnectError("refused")] * 50)
    async with server.client() as client, client.follow("task_1", patience=60) as changes:
        before = anyio.current_time()
        with pytest.raises(CannotConnect):
            await anext(changes)
    assert 60 <= anyio.current_time() - before < 120


def test_a_client_that_blocks_does_the_same() -> None:
    server = Server(problem(503, retry_after="0"), json(LIST), BROKEN)
    with Client("http://there", transport=httpx2.MockTransport(server)) as client:
        assert client.list_tasks().total == 0
        with pytest.raises(Unreachable):
            client.cancel("x")
    assert len(server.asked) == 3


@pytest.mark.parametrize("piece", [b"x" * 2**23, b"data: " + b"x" * 2**23 + b"\n"])
def test_an_event_without_end_is_not_kept(piece: bytes) -> None:
    reader = FrameReader()
    for _ in range(7):
        assert reader.feed(piece) == []
    with pytest.raises(NotUnderstood, match="longer than any should be"):
        for _ in range(2):
            reader.feed(piece)


def test_many_events_may_be_longer_than_one_should_be() -> None:
    reader = FrameReader()
    for _ in range(10):
        (frame,) = reader.feed(b"event: task\ndata: " + b"x" * 2**23 + b"\n\n")
        assert len(frame.data) == 2**23
