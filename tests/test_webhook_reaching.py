"""How a webhook's receiver is reached: its name, each of its addresses, its certificate."""

from __future__ import annotations

import socket
import ssl
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
import trustme
from anyio.abc import SocketStream
from anyio.streams.tls import TLSStream

from cortex_tasks.http.webhooks.lookups import Lookups
from cortex_tasks.http.webhooks.model import Outcome
from cortex_tasks.http.webhooks.posting import Poster
from tests.test_webhook_posting import NOW, SECRETS, a_delivery, a_hook, receiving

NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


class Names:
    """A resolver whose answers a law gives; those for `silent` come when it says so."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.of: dict[str, list[str]] = {"quick": ["192.0.2.1", "192.0.2.1", "192.0.2.2"]}
        self.may_answer = threading.Event()
        self._real = socket.getaddrinfo

    def getaddrinfo(self, host: str, port: Any, *rest: Any, **options: Any) -> list[Any]:
        self.asked[host] += 1
        if host == "silent":
            self.may_answer.wait()
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.9", 0))]
        if host in self.of:
            return [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 0)) for each in self.of[host]
            ]
        if host == "faulty":
            raise ZeroDivisionError
        if host == "nowhere":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return self._real(host, port, *rest, **options)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    names = Names()
    monkeypatch.setattr(socket, "getaddrinfo", names.getaddrinfo)
    yield names
    names.may_answer.set()


# -- names ---------------------------------------------------------------------------------------


async def test_a_name_that_is_not_answered_holds_up_no_other(names: Names) -> None:
    lookups = Lookups()
    found: list[list[str]] = []

    async def look_up() -> None:
        found.append(await lookups.addresses("silent"))

    async with anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(look_up)
        await anyio.wait_all_tasks_blocked()
        assert await lookups.addresses("quick") == ["192.0.2.1", "192.0.2.2"]
        assert names.asked["silent"] == 1
        names.may_answer.set()
    assert found == [["192.0.2.9"]] * 50
    assert await lookups.addresses("silent") == ["192.0.2.9"]
    assert names.asked["silent"] == 2  # an answer is for those who waited


async def test_who_gives_up_is_not_kept_by_a_lookup(names: Names) -> None:
    lookups = Lookups()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await lookups.addresses("silent")
    assert scope.cancelled_caught
    assert not names.may_answer.is_set()


async def test_a_thread_that_cannot_be_started_fails_one_lookup(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    lookups = Lookups()
    with monkeypatch.context() as short:
        short.setattr(threading.Thread, "start", refuse)
        with pytest.raises(OSError, match="quick cannot be looked up: can't start"):
            await lookups.addresses("quick")
    assert await lookups.addresses("quick") == ["192.0.2.1", "192.0.2.2"]


async def test_whatever_a_lookup_raises_is_told_and_the_next_one_begins_anew(
    names: Names,
) -> None:
    lookups = Lookups()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await lookups.addresses("faulty")
    assert names.asked["faulty"] == 2


async def test_a_name_that_nobody_has_is_an_error(names: Names) -> None:
    with pytest.raises(OSError, match="not known"):
        await Lookups().addresses("nowhere")


@pytest.mark.parametrize("loop", ["trio", "asyncio"])
def test_an_event_loop_ends_without_waiting_for_a_lookup(names: Names, loop: str) -> None:
    async def look_up_and_leave() -> None:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await Lookups().addresses("silent")

    # It would end late rather than never, so that a broken promise is told.
    rescue = threading.Timer(30, names.may_answer.set)
    rescue.start()
    anyio.run(look_up_and_leave, backend=loop)
    assert not names.may_answer.is_set()
    rescue.cancel()


# -- addresses -----------------------------------------------------------------------------------


async def test_each_address_of_a_name_is_tried_until_one_takes_the_connection(names: Names) -> None:
    names.of["dual"] = ["127.0.0.2", "127.0.0.1"]
    async with (
        receiving(NO_CONTENT) as (url, requests),
        Poster(SECRETS, allow_private=True, version="1") as poster,
    ):
        there = url.replace("localhost", "dual")
        assert await poster.post(a_hook(there), a_delivery(), NOW) == Outcome(204, None)
        assert len(requests) == 1
        names.of["dual"] = ["127.0.0.2", "127.0.0.3"]
        outcome = await poster.post(a_hook(there), a_delivery(), NOW)
        assert outcome.status is None
        assert outcome.error is not None
        assert outcome.error.startswith("ConnectError: ")


async def test_an_answer_counts_and_no_other_address_is_told_then(names: Names) -> None:
    names.of["dual"] = ["127.0.0.1", "127.0.0.1 is asked once"]
    async with (
        receiving(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n") as (url, requests),
        Poster(SECRETS, allow_private=True, version="1") as poster,
    ):
        outcome = await poster.post(a_hook(url.replace("localhost", "dual")), a_delivery(), NOW)
        assert outcome == Outcome(500, "HTTP 500")
        assert len(requests) == 1


# -- certificates --------------------------------------------------------------------------------


@asynccontextmanager
async def receiving_by_tls(authority: trustme.CA) -> AsyncIterator[str]:
    """Listen with a certificate for `localhost`; gives the URL."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)

    async def serve(plain: SocketStream) -> None:
        async with plain:
            with suppress(anyio.BrokenResourceError, anyio.EndOfStream, ssl.SSLError):  # no trust
                stream = await TLSStream.wrap(plain, ssl_context=context, standard_compatible=False)
                request = b""
                while not request.partition(b"\r\n\r\n")[2].endswith(b"}"):
                    request += await stream.receive()
                await stream.send(NO_CONTENT)

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0) as listener,
        anyio.create_task_group() as group,
    ):
        group.start_soon(listener.serve, serve)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        yield f"https://localhost:{port}/hook"
        group.cancel_scope.cancel()


async def test_a_certificate_that_nobody_trusts_is_named_as_what_went_wrong() -> None:
    async with (
        receiving_by_tls(trustme.CA()) as url,
        Poster(SECRETS, allow_private=True, version="1") as poster,
    ):
        outcome = await poster.post(a_hook(url), a_delivery(), NOW)
    assert outcome.status is None
    assert outcome.error is not None
    assert "certificate verify failed" in outcome.error


async def test_an_authority_of_ones_own_is_trusted_by_the_usual_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    async with (
        receiving_by_tls(authority) as url,
        Poster(SECRETS, allow_private=True, version="1") as poster,
    ):
        assert await poster.post(a_hook(url), a_delivery(), NOW) == Outcome(204, None)


@pytest.mark.parametrize("content", [None, b"no certificate"])
async def test_certificates_that_cannot_be_read_are_named_and_keep_no_server_from_starting(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    content: bytes | None,
) -> None:
    if content is not None:
        (tmp_path / "ca.pem").write_bytes(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    async with receiving_by_tls(trustme.CA()) as url, receiving(NO_CONTENT) as (plain, _):
        async with Poster(SECRETS, allow_private=True, version="1") as poster:
            assert "SSL_CERT_FILE" in caplog.text
            assert await poster.post(a_hook(plain), a_delivery(), NOW) == Outcome(204, None)
            assert "verify failed" in str((await poster.post(a_hook(url), a_delivery(), NOW)).error)
