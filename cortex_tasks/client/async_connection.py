"""One server, asked one thing after the other: repeats what may be, raises what went wrong."""

from __future__ import annotations

import math
import os
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio
import httpx2
from anyio import move_on_after

from .calls import Answer, Call
from .errors import ClientError, UnusableSetting
from .settings import FAILURES, SURROUNDINGS, Settings, headers_of

T = TypeVar("T")


class AsyncConnection:
    """Asks. Several may ask at once; who is cancelled has asked no less."""

    def __init__(
        self, settings: Settings, transport: httpx2.AsyncBaseTransport | None = None
    ) -> None:
        self.settings = settings
        self._transport = transport
        self._process = os.getpid()
        self._of_parent: httpx2.AsyncClient | None = None
        self._http = self._connected()

    def _connected(self) -> httpx2.AsyncClient:
        try:
            return httpx2.AsyncClient(**self.settings.of_http(), transport=self._transport)
        except (ValueError, ImportError, OSError, httpx2.InvalidURL) as error:
            raise UnusableSetting(f"{SURROUNDINGS}: {error}") from None

    @property
    def http(self) -> httpx2.AsyncClient:
        """What carries the requests. Raises UnusableSetting once it is closed."""
        if self._http.is_closed:
            raise UnusableSetting("this client is closed; make another")
        if self._process != os.getpid() and self._transport is None:
            # On connections that a fork has made common, each would read the other's answers. They
            # are not closed here: that would end the parent's.
            self._of_parent, self._http = self._http, self._connected()
            self._process = os.getpid()
        return self._http

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close; closing twice is fine."""
        await self._http.aclose()

    async def carry_out(self, call: Call[T]) -> T:
        """Ask, and give what the answer holds."""
        return _read(call, await self.ask(call))

    async def carry_out_once(self, call: Call[T], *, within: float = math.inf) -> T:
        """Do the same, but never again; no answer in so many seconds is a NoAnswerInTime."""
        seconds = self.settings.time_for(call, within)
        outcome: Answer | ClientError = self.settings.no_answer(TimeoutError(), seconds)
        with move_on_after(within):
            outcome = await self._once(call, self.settings.request_of(call, within), seconds)
        if isinstance(outcome, ClientError):
            raise outcome
        return _read(call, outcome)

    async def ask(self, call: Call[Any]) -> Answer:
        """Ask, again if need be. Raises a ClientError for whatever is no good answer."""
        options = self.settings.request_of(call)
        seconds, repeats = self.settings.time_for(call), 0
        while True:
            outcome = await self._once(call, options, seconds)
            if isinstance(outcome, Answer):
                return outcome
            pause = self.settings.pause_before(call, outcome, repeats)
            if pause is None:
                raise outcome
            await anyio.sleep(pause)
            repeats += 1

    async def _once(
        self, call: Call[Any], options: dict[str, Any], seconds: float
    ) -> Answer | ClientError:
        try:
            response = await self.http.request(
                call.method, self.settings.url + call.path, **options
            )
        except FAILURES as error:
            return self.settings.no_answer(error, seconds)
        answer = Answer(response.status_code, headers_of(response), response.content)
        return self.settings.fault_of(call, answer) or answer


def _read(call: Call[T], answer: Answer) -> T:
    read: T = answer.content if call.answer is None else answer.read(call.answer)  # type: ignore[assignment]  # a call without a type is of bytes
    return read
