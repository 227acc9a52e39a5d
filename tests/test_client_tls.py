"""The client over TLS, with real certificates: of an authority that only who is told to trusts."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import pytest
import trustme
from anyio import to_thread
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.tls import TLSStream

from cortex_tasks.client import AsyncClient, Client, TlsFailed

HEALTHY = b'{"status": "healthy"}'
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(HEALTHY), HEALTHY)
)


@asynccontextmanager
async def healthy_by_tls(authority: trustme.CA) -> AsyncIterator[tuple[str, list[SocketStream]]]:
    """Listen with a certificate for `localhost`; gives the URL, and the connections that came."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    came: list[SocketStream] = []

    async def serve(plain: SocketStream) -> None:
        came.append(plain)
        async with plain:
            with suppress(anyio.BrokenResourceError, ssl.SSLError):  # they do not trust us
                stream = await TLSStream.wrap(plain, ssl_context=context, standard_compatible=False)
                request = b""
                while not request.endswith(b"\r\n\r\n"):
                    request += await stream.receive()
                await stream.send(ANSWER)

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0) as listener,
        anyio.create_task_group() as group,
    ):
        group.start_soon(listener.serve, serve)
        yield f"https://localhost:{listener.extra(SocketAttribute.local_port)}", came
        group.cancel_scope.cancel()


async def awaits(url: str) -> str:
    async with AsyncClient(url) as client:
        return (await client.health()).status


async def blocks(url: str) -> str:
    with Client(url) as client:
        return (await to_thread.run_sync(client.health)).status


each_client = pytest.mark.parametrize("ask", [awaits, blocks])


@each_client
async def test_a_certificate_that_is_not_trusted_is_said_to_be_so_at_once(
    ask: Callable[[str], Awaitable[str]],
) -> None:
    async with healthy_by_tls(trustme.CA()) as (url, came):
        with pytest.raises(TlsFailed, match=r"certificate of .* is refused .*SSL_CERT_FILE"):
            await ask(url)
        assert len(came) == 1


@each_client
async def test_an_authority_of_ones_own_is_trusted_once_the_usual_variable_names_it(
    ask: Callable[[str], Awaitable[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    async with healthy_by_tls(authority) as (url, _):
        assert await ask(url) == "healthy"
