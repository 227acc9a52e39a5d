"""HTTP/1.1 and nothing else, spoken by Hypercorn."""

from __future__ import annotations

import re
from http import HTTPStatus

from .extras import from_extra

with from_extra("server"):
    import h11
    from hypercorn.events import Closed, RawData
    from hypercorn.protocol.h11 import H11Protocol
    from hypercorn.typing import H11SendableEvent

    from .problems import Problem, title_of

SMALL = 64 * 1024  # bytes of an answer that are copied, to leave in one packet with their head
_ABSOLUTE = re.compile(rb"https?://(?:[^/?]*@)?([^/?]+)(.*)", re.IGNORECASE)


class PlainHttp(H11Protocol):
    """One connection's protocol, that never becomes another one.

    Hypercorn would offer HTTP/2 without TLS, and websockets. No client of ours asks for either;
    and in both, strangers can send what leaves a connection open for ever or ends in an error.
    So an upgrade is passed over, as HTTP allows, and the request answered as it stands.
    """

    _refused = False
    _head = b""  # of an answer, until there is something of its body to go with it

    @property
    def is_cut_short(self) -> bool:
        """Whether the client may still be sending what nobody will read."""
        return self._refused or self.connection.their_state in (h11.SEND_BODY, h11.ERROR)

    async def _check_protocol(self, event: h11.Request) -> None:
        """Stay with HTTP/1.1."""

    async def _create_stream(self, request: h11.Request) -> None:
        if request.http_version.startswith(b"1."):
            await super()._create_stream(_plain(request))
        else:
            await self._send_error_response(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
            await self.send(Closed())

    async def _send_error_response(self, status_code: int) -> None:
        """Answer what cannot be understood; as a problem, like any other error."""
        self._refused = True
        title = title_of(status_code)
        problem = Problem(status_code, title, f"This is not HTTP/1.1 as it is read here: {title}.")
        body = problem.body()
        headers = [
            (b"content-type", b"application/problem+json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
            *self.config.response_headers("h11"),
        ]
        await self._send_h11_event(h11.Response(status_code=status_code, headers=headers))
        await self._send_h11_event(h11.Data(data=body))
        await self._send_h11_event(h11.EndOfMessage())

    async def _send_h11_event(self, event: H11SendableEvent) -> None:
        """Send; the head of an answer leaves with what follows it, in one packet for most."""
        try:
            data = self.connection.send(event) or b""
        except h11.LocalProtocolError:
            if self.connection.their_state is not h11.ERROR:
                raise
            return
        if isinstance(event, h11.Response):
            self._head = data
            return
        head, self._head = self._head, b""
        # Whoever does not read holds up one copy of a large answer, not two.
        for piece in (head, data) if len(data) > SMALL else (head + data,):
            await self.send(RawData(piece))


def _plain(request: h11.Request) -> h11.Request:
    """Give the request without an upgrade, its target as a path (RFC 9112, 3.2.2)."""
    target: bytes = request.target
    headers = [(name, value) for name, value in request.headers if name != b"upgrade"]
    if absolute := _ABSOLUTE.fullmatch(target):
        host, path = absolute.groups()
        target = path if path.startswith(b"/") else b"/" + path
        headers = [(b"host", host), *(line for line in headers if line[0] != b"host")]
    elif len(headers) == len(request.headers):
        return request  # as nearly all are
    return h11.Request(
        method=request.method, target=target, headers=headers, http_version=request.http_version
    )
