"""A client that sends an attack as it was made, and tells what came back."""

from __future__ import annotations

import re
import select
import socket
import struct

from .http_process import PATIENCE
from .wire_attacks import Attack, Ending

# Statuses from 500 on that are no fault of ours: a transfer coding that is not known here (501, as
# RFC 9112, 6.1 has it), not now (503), not HTTP/1.1 (505), no room (507).
DECLARED = {501, 503, 505, 507}
# An answer that goes on as long as its client reads; that there is a next request behind it, or
# even that the client is done, need not end it.
_WITHOUT_END = b"content-type: text/event-stream"
_STATUS = re.compile(rb"HTTP/1\.1 (5\d\d) ")


class LeftOpen(Exception):
    """The server neither took what it was sent, nor answered, nor closed."""


class Wire:
    """One connection. While it sends it reads too, so that neither side waits for the other."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address, timeout=PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        self.heard = bytearray()
        self.over = False  # the server has closed it, or cut it off

    def say(self, data: bytes) -> None:
        """Send it all, unless the server is through with us."""
        rest = memoryview(data)
        while rest and not self.over:
            ready = self._wait(select.POLLIN | select.POLLOUT)
            if ready & ~select.POLLOUT:
                self._read()
            elif ready:
                try:
                    rest = rest[self._socket.send(rest) :]
                except (ConnectionError, BlockingIOError) as error:
                    self.over = isinstance(error, ConnectionError)

    def hear(self) -> None:
        """Wait until there is something to read."""
        self._wait(select.POLLIN)
        self._read()

    def end(self, how: Ending) -> None:
        """Leave it in this way."""
        with self._socket:
            if how is Ending.RESET:
                self._socket.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
            if how in (Ending.RESET, Ending.LEAVE):
                return
            if how is Ending.READ and not self.over:
                try:
                    self._socket.shutdown(socket.SHUT_WR)
                except OSError:
                    self.over = True
            while not (self.over or _WITHOUT_END in self.heard):
                self.hear()

    def _read(self) -> None:
        try:
            piece = self._socket.recv(1 << 20)
        except BlockingIOError:
            return
        except ConnectionError:
            piece = b""
        self.heard += piece
        self.over = not piece

    def _wait(self, events: int) -> int:
        poll = select.poll()
        poll.register(self._socket, events)
        ready = poll.poll(PATIENCE * 1000)
        if not ready:
            raise LeftOpen(f"nothing happened for {PATIENCE:g} seconds")
        return ready[0][1]


def carry_out(attack: Attack, address: tuple[str, int]) -> bytes:
    """Do it, to its end; gives what the server answered. Raises LeftOpen."""
    wire = Wire(address)
    for step in attack.steps:
        if step.hear and not wire.over:
            wire.hear()
        wire.say(step.data)
    wire.end(attack.ending)
    return bytes(wire.heard)


def fault_in(answer: bytes) -> str | None:
    """Say what is wrong with what came back, if anything is."""
    if answer and not answer.startswith(b"HTTP/1.1 "[: len(answer)]):
        return f"this is no answer: {answer[:200]!r}"
    for status in _STATUS.findall(answer):
        if int(status) not in DECLARED:
            return f"a fault of ours: {answer[:2_000]!r}"
    return None
