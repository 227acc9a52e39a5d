"""Looking up names, where a name server that does not answer holds up nobody else, nor the end.

The system's own resolver cannot be told to stop. So each lookup has a thread of its own, which is
left behind where nobody waits any more; one at a time of a name, which all who ask for it share,
so that there are never more of them than names.
"""

from __future__ import annotations

import socket
import threading
from functools import partial

import anyio

from ...engine.loop_entry import LoopEntry


class Lookups:
    """The lookups under way. Used in the event loop that it is made in."""

    def __init__(self) -> None:
        self._entry = LoopEntry()
        self._running: dict[str, _Lookup] = {}

    async def addresses(self, host: str) -> list[str]:
        """Give the addresses of a name, each once, in the resolver's order.

        Raises OSError for a name that cannot be looked up, UnicodeError for what is no name. Safe
        to cancel.
        """
        lookup = self._running.get(host)
        if lookup is None:
            lookup = _Lookup()
            thread = threading.Thread(
                target=self._look_up, args=(host,), name=f"looks up {host}", daemon=True
            )
            try:
                thread.start()
            except RuntimeError as error:  # there are as many as this process may have
                raise OSError(f"{host} cannot be looked up: {error}") from error
            self._running[host] = lookup
        await lookup.over.wait()
        if isinstance(lookup.found, Exception):
            raise lookup.found
        return lookup.found

    def _look_up(self, host: str) -> None:
        found: list[str] | Exception
        try:
            given = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            found = list(dict.fromkeys(str(each[4][0]) for each in given))
        except Exception as error:  # noqa: BLE001  raised again where it is waited for
            found = error
        self._entry.call(partial(self._finish, host, found))

    def _finish(self, host: str, found: list[str] | Exception) -> None:
        lookup = self._running.pop(host)
        lookup.found = found
        lookup.over.set()


class _Lookup:
    """One of them: what came of it, once it is over."""

    def __init__(self) -> None:
        self.over = anyio.Event()
        self.found: list[str] | Exception
