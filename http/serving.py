"""Serving an ASGI application, ours or one that has ours in it."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable

import anyio

from .accepting import configuration, serve_connections
from .extras import from_extra
from .listening import bind, listen

with from_extra("server"):
    from starlette.types import ASGIApp


async def serve(
    app: ASGIApp,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    listener: socket.socket | None = None,
    draining: anyio.Event | None = None,
    on_ready: Callable[[str], None] | None = None,
    grace: float = 3.0,
    keep_alive: float = 20.0,
    access_log: bool = False,
) -> None:
    """Serve an application until `draining` is set, on whichever loop this is called.

    Open requests then get `grace` seconds. `on_ready` is called with the URL: a connection made
    from then on is answered. `listener`: a socket that `bind` gave, in place of host and port.
    Enter the engine around this, not in the application's lifespan (which is not run): a server
    must not outlive its engine.

    Raises CannotListen. Cancelled, it cuts everything off at once.
    """
    logger = logging.getLogger("cortex_tasks.access") if access_log else None
    with listener or bind(host, port) as bound:
        url = listen(bound)
        if on_ready is not None:
            on_ready(url)
        await serve_connections(
            app,
            bound,
            configuration(keep_alive=keep_alive, access_log=logger),
            stop=draining or anyio.Event(),
            grace=grace,
        )
