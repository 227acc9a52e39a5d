"""Many clients of one server in one thread, cheap ones: it is the server that is measured."""

from __future__ import annotations

import selectors
import socket
from types import TracebackType
from urllib.parse import urlsplit

_READ = 256 * 1024


class Crowd:
    """Connections that are open at once, each with one request; a context manager."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = parts.hostname or "", parts.port or 0
        self._selector = selectors.EpollSelector()
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Crowd:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close all of them."""
        for connection in self._sockets:
            connection.close()
        self._selector.close()

    def join(self, path: str, count: int) -> None:
        """Open so many streams; returns once each of them has begun."""
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        fresh = []
        for _ in range(count):
            connection = socket.create_connection(self._address)
            connection.sendall(request)
            fresh.append(connection)
        for connection in fresh:
            begun = b""
            while b"event: ready" not in begun:
                begun += self._received(connection)
            connection.setblocking(False)
            self._selector.register(connection, selectors.EVENT_READ, bytearray())
        self._sockets += fresh

    def read_until_all_have(self, text: bytes, count: int) -> int:
        """Read until so many of them have been sent this; gives how many bytes that were."""
        missing, size = count, 0
        while missing:
            for key, _ in self._selector.select():
                data = self._received(key.fileobj)
                size += len(data)
                last: bytearray = key.data
                found = text in last + data
                del last[:]
                if found:  # its answer has an end; the server may close it whenever it likes
                    self._selector.unregister(key.fileobj)
                    missing -= 1
                else:
                    last += data[-len(text) :]
        return size

    @staticmethod
    def _received(connection: object) -> bytes:
        assert isinstance(connection, socket.socket)
        data = connection.recv(_READ)
        if not data:
            raise RuntimeError("the server has closed a connection")
        return data
