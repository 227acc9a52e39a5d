"""The socket that the server listens on."""

from __future__ import annotations

import errno
import socket

from ..engine.errors import CortexTasksError

BACKLOG = 512  # connections that wait to be accepted
# A peer that takes nothing of what it is sent is given up after this, so that none holds on to
# memory for ever. It is inherited by every connection.
UNHEARD_MILLISECONDS = 30_000


class CannotListen(CortexTasksError):
    """The address cannot be listened on; the text says why and what to do."""


def bind(host: str, port: int) -> socket.socket:
    """Give a socket that has the address but does not listen yet; port 0 is any that is free.

    Of the addresses that a name stands for, IPv4 comes first. Raises CannotListen.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError, OverflowError) as error:
        raise CannotListen(
            f"{host!r} is not an address of this machine ({error}). Use 127.0.0.1 for this "
            "machine alone, or 0.0.0.0 for every network that it is on."
        ) from None
    family, kind, protocol, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNHEARD_MILLISECONDS)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise _explain(error, host, port) from None
    listener.setblocking(False)
    return listener


def listen(listener: socket.socket) -> str:
    """Begin to listen, and give the URL. Raises CannotListen."""
    host, port = listener.getsockname()[:2]
    try:
        listener.listen(BACKLOG)
    except OSError as error:
        raise _explain(error, host, port) from None
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _explain(error: OSError, host: str, port: int) -> CannotListen:
    match error.errno:
        case errno.EADDRINUSE:
            return CannotListen(
                f"Port {port} of {host} is in use by another program. Stop that one, or choose "
                "another port (0 takes any that is free)."
            )
        case errno.EADDRNOTAVAIL:
            return CannotListen(f"{host} is not an address of this machine.")
        case errno.EACCES | errno.EPERM:
            return CannotListen(
                f"This user may not listen on port {port}; those from 1024 on are free to use."
            )
        case _:
            return CannotListen(f"Cannot listen on {host}, port {port}: {error.strerror}")
