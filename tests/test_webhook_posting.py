"""One attempt of a webhook, over real sockets on the loopback; and whom it will not go to."""

from __future__ import annotations

import hmac
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import httpx2
import msgspec
import pytest
from anyio.abc import SocketStream

from cortex_tasks.engine.errors import StorageError
from cortex_tasks.http.webhooks.model import Delivery, Hook, HookEvent, Outcome, body_of
from cortex_tasks.http.webhooks.posting import Poster
from cortex_tasks.http.webhooks.signing import MASTER_FILE, VARIABLE, Secrets, sign, verify
from cortex_tasks.http.webhooks.targets import TargetRefused, addresses_of

NOW = datetime(2026, 3, 15, 10, 30, tzinfo=UTC)
SECRETS = Secrets(b"m" * 32)


def a_hook(url: str) -> Hook:
    return Hook(id="wh_1", url=url, events=(HookEvent.FAILED,), created_at=NOW, since_seq=0)


def a_delivery() -> Delivery:
    body = body_of("evt_1", HookEvent.FAILED, NOW, {"task_id": "task_1", "error": "ü"})
    return Delivery(
        id="evt_1",
        hook_id="wh_1",
        event=HookEvent.FAILED,
        task_id="task_1",
        created_at=NOW,
        body=body,
    )


@asynccontextmanager
async def receiving(answer: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Listen on the loopback, note each request, and answer each with these bytes."""
    requests: list[bytes] = []

    async def serve(stream: SocketStream) -> None:
        async with stream:
            request = b""
            while not request.partition(b"\r\n\r\n")[2].endswith(b"}"):
                request += await stream.receive()
            requests.append(request)
            await stream.send(answer)

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0) as listener,
        anyio.create_task_group() as group,
    ):
        group.start_soon(listener.serve, serve)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        yield f"http://localhost:{port}/hook?a=1", requests
        group.cancel_scope.cancel()


async def outcome_of(answer: bytes) -> tuple[Outcome, list[bytes]]:
    async with (
        receiving(answer) as (url, requests),
        Poster(SECRETS, allow_private=True, version="1") as poster,
    ):
        return await poster.post(a_hook(url), a_delivery(), NOW), requests


def later(when: str) -> bytes:
    return f"HTTP/1.1 503 No\r\nretry-after: {when}\r\ncontent-length: 0\r\n\r\n".encode()


async def test_an_attempt_is_one_post_with_a_signature_that_the_secret_proves() -> None:
    outcome, [request] = await outcome_of(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert outcome == Outcome(204, None)
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in lines)}
    assert first == "POST /hook?a=1 HTTP/1.1"
    assert headers["host"].startswith("localhost:")
    assert headers["content-type"] == "application/json"
    assert (headers["x-cortex-event"], headers["x-cortex-delivery"]) == ("task.failed", "evt_1")
    assert msgspec.json.decode(body)["data"] == {"task_id": "task_1", "error": "ü"}
    secret, at = SECRETS.of("wh_1"), int(NOW.timestamp())
    by_hand = hmac.new(secret.encode(), f"{at}.".encode() + body, sha256).hexdigest()
    assert headers["x-cortex-signature"] == f"t={at},v1={by_hand}"
    assert verify(secret, body, headers["x-cortex-signature"], now=at + 299)


async def test_no_library_writes_the_url_of_a_webhook_into_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)  # as in a program that wants such lines of its own requests
    outcome, _ = await outcome_of(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert outcome == Outcome(204, None)
    caplog.set_level(logging.DEBUG)
    await outcome_of(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert "hook?a=1" not in caplog.text


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n", Outcome(500, "HTTP 500")),
        (
            b"HTTP/1.1 429 Slow\r\nretry-after: 120\r\ncontent-length: 0\r\n\r\n",
            Outcome(429, "HTTP 429", timedelta(minutes=2)),
        ),
        (
            b"HTTP/1.1 503 No\r\nretry-after: nan\r\ncontent-length: 0\r\n\r\n",
            Outcome(503, "HTTP 503"),
        ),
        (later("Sun, 15 Mar 2026 11:00:00 GMT"), Outcome(503, "HTTP 503", timedelta(minutes=30))),
        (later("Sun, 15 Mar 2026 11:00:00 -0000"), Outcome(503, "HTTP 503", timedelta(minutes=30))),
        (later("Sun, 15 Mar 2026 10:00:00 GMT"), Outcome(503, "HTTP 503", timedelta(0))),
        (later("Sun, 15 Mar 9999 10:00:00 GMT"), Outcome(503, "HTTP 503", timedelta(days=1))),
        (later("next Sunday"), Outcome(503, "HTTP 503")),
        (later("Wed, 21 Oct 2015 07:28:00 +99999999999999"), Outcome(503, "HTTP 503")),
        (later("Wed, 21 Oct 99999999999999999999 07:28:00 GMT"), Outcome(503, "HTTP 503")),
        (later("Wed, 21 Oct 2015 99:28:00 GMT"), Outcome(503, "HTTP 503")),
        (later("1e999"), Outcome(503, "HTTP 503")),
        (b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n", Outcome(410, "HTTP 410", None, True)),
    ],
)
async def test_what_is_no_success_is_told_apart(answer: bytes, expected: Outcome) -> None:
    outcome, _ = await outcome_of(answer)
    assert outcome == expected


async def test_a_fault_of_ours_costs_an_attempt_and_not_the_server(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Faulty(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            raise ZeroDivisionError

    async with Poster(SECRETS, allow_private=True, version="1", transport=Faulty()) as poster:
        outcome = await poster.post(a_hook("http://127.0.0.1:9/"), a_delivery(), NOW)
    assert outcome == Outcome(None, "a fault of this server: ZeroDivisionError")
    assert "wh_1" in caplog.text


async def test_a_redirect_is_not_followed() -> None:
    async with receiving(b"") as (elsewhere, never):
        moved = f"HTTP/1.1 307 Moved\r\nlocation: {elsewhere}\r\ncontent-length: 0\r\n\r\n"
        outcome, _ = await outcome_of(moved.encode())
        assert outcome.status == 307
        assert outcome.error is not None
        assert "not followed" in outcome.error
        assert never == []


@pytest.mark.parametrize("answer", [b"", b"no HTTP at all", b"HTTP/1.1 200"])
async def test_what_is_no_answer_is_an_error_in_words(answer: bytes) -> None:
    outcome, _ = await outcome_of(answer)
    assert outcome.status is None
    assert outcome.error


async def test_where_nobody_listens_the_outcome_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with Poster(SECRETS, allow_private=True, version="1") as poster:
        outcome = await poster.post(a_hook(f"http://127.0.0.1:{port}/"), a_delivery(), NOW)
    assert outcome.status is None
    assert outcome.error is not None


async def test_without_leave_nothing_is_told_to_this_machine() -> None:
    async with (
        receiving(b"HTTP/1.1 200 OK\r\n\r\n") as (url, requests),
        Poster(SECRETS, allow_private=False, version="1") as poster,
    ):
        outcome = await poster.post(a_hook(url), a_delivery(), NOW)
        assert outcome.error is not None
        assert "--webhooks-to-private" in outcome.error
        assert requests == []


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "[::1]",
        "[::]",
        "[fe80::1]",
        "[fc00::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:10.0.0.1]",
        "[2002:7f00:1::]",
        "[ff02::1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b::a9fe:a9fe]",
        "[64:ff9b:1::1]",
        "192.0.0.192",
        "[3fff::1]",
        "[::ffff:192.0.0.192]",
    ],
)
async def test_an_address_that_is_not_of_the_world_is_refused(host: str) -> None:
    with pytest.raises(TargetRefused, match="no public address"):
        await addresses_of(urlsplit(f"http://{host}/"), look_nothing_up, allow_private=False)


@pytest.mark.parametrize("host", ["1.1.1.1", "[2606:4700::1111]", "[64:ff9b::101:101]"])
async def test_an_address_of_the_world_is_taken(host: str) -> None:
    parts = urlsplit(f"https://{host}/")
    found = await addresses_of(parts, look_nothing_up, allow_private=False)
    assert found == [host.strip("[]")]


async def test_a_name_is_refused_if_any_of_its_addresses_is_not_of_the_world() -> None:
    async def look_up(host: str) -> list[str]:
        return ["1.1.1.1", "10.0.0.1"]

    with pytest.raises(TargetRefused, match=r"10\.0\.0\.1"):
        await addresses_of(urlsplit("https://h.example/"), look_up, allow_private=False)


async def look_nothing_up(host: str) -> list[str]:
    raise AssertionError(f"{host} is an address as it stands")


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "t=1",
        "v1=" + "0" * 64,
        "t=1,v1=" + "0" * 64,
        "t=٣,v1=" + "0" * 64,
        sign("another secret", b"body", 1000),
        sign("secret", b"another body", 1000),
        sign("secret", b"body", 600),
        sign("secret", b"body", 1400),
        sign("secret", b"body", 1000) + " ",
    ],
)
def test_a_signature_that_is_old_or_of_something_else_is_none(signature: str) -> None:
    assert not verify("secret", b"body", signature, now=1000)
    assert verify("secret", b"body", sign("secret", b"body", 1000), now=1000)


def test_the_master_secret_is_made_once_for_its_owner_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    first = Secrets.in_folder(tmp_path / "data").of("wh_1")
    assert Secrets.in_folder(tmp_path / "data").of("wh_1") == first
    assert Secrets.in_folder(tmp_path / "data").of("wh_2") != first
    assert Secrets.in_folder(tmp_path / "other").of("wh_1") != first
    file = tmp_path / "data" / MASTER_FILE
    assert file.stat().st_mode & 0o777 == 0o600
    assert first not in repr(Secrets.in_folder(tmp_path / "data"))
    file.write_bytes(b"short")
    with pytest.raises(StorageError, match="too short"):
        Secrets.in_folder(tmp_path / "data")


def test_a_master_secret_from_the_environment_is_in_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "a secret of the environment")
    assert Secrets.in_folder(tmp_path).of("wh_1") == Secrets.in_folder(tmp_path).of("wh_1")
    assert list(tmp_path.iterdir()) == []
