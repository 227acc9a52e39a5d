# Written by `python -m tests.client_twins`: change its twin, async_connection.py, and run that.

"""One server, asked one thing after the other: repeats what may be, raises what went wrong."""

from __future__ import annotations

import math
import os
import time
from contextlib import nullcontext
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx2

from .calls import Answer, Call
from .errors import ClientError, UnusableSetting
from .settings import FAILURES, SURROUNDINGS, Settings, headers_of

T = TypeVar("T")


class Connection:
    """Asks. Several may ask at once; who is cancelled has asked no less."""

    def __init__(self, settings: Settings, transport: httpx2.BaseTransport | None = None) -> None:
        self.settings = settings
        self._transport = transport
        self._process = os.getpid()
        self._of_parent: httpx2.Client | None = None
        self._http = self._connected()

    def _connected(self) -> httpx2.Client:
        try:
            return httpx2.Client(**self.settings.of_http(), transport=self._transport)
        except (ValueError, ImportError, OSError, httpx2.InvalidURL) as error:
            raise UnusableSetting(f"{SURROUNDINGS}: {error}") from None

    @property
    def http(self) -> httpx2.Client:
        """What carries the requests. Raises UnusableSetting once it is closed."""
        if self._http.is_closed:
            raise UnusableSetting("this client is closed; make another")
        if self._process != os.getpid() and self._transport is None:
            # On connections that a fork has made common, each would read the other's answers. They
            # are not closed here: that would end the parent's.
            self._of_parent, self._http = self._http, self._connected()
            self._process = os.getpid()
        return self._http

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close; closing twice is fine."""
        self._http.close()

    def carry_out(self, call: Call[T]) -> T:
        """Ask, and give what the answer holds."""
        return _read(call, self.ask(call))

    def carry_out_once(self, call: Call[T], *, within: float = math.inf) -> T:
        """Do the same, but never again; no answer in so many seconds is a NoAnswerInTime."""
        seconds = self.settings.time_for(call, within)
        outcome: Answer | ClientError = self.settings.no_answer(TimeoutError(), seconds)
        with nullcontext(within):
            outcome = self._once(call, self.settings.request_of(call, within), seconds)
        if isinstance(outcome, ClientError):
            raise outcome
        return _read(call, outcome)

    def ask(self, call: Call[Any]) -> Answer:
        """Ask, again if need be. Raises a ClientError for whatever is no good answer."""
        options = self.settings.request_of(call)
        seconds, repeats = self.settings.time_for(call), 0
        while True:
            outcome = self._once(call, options, seconds)
            if isinstance(outcome, Answer):
                return outcome
            pause = self.settings.pause_before(call, outcome, repeats)
            if pause is None:
                raise outcome
            time.sleep(pause)
            repeats += 1

    def _once(
        self, call: Call[Any], options: dict[str, Any], seconds: float
    ) -> Answer | ClientError:
        try:
            response = self.http.request(call.method, self.settings.url + call.path, **options)
        except FAILURES as error:
            return self.settings.no_answer(error, seconds)
        answer = Answer(response.status_code, headers_of(response), response.content)
        return self.settings.fault_of(call, answer) or answer


def _read(call: Call[T], answer: Answer) -> T:
    read: T = answer.content if call.answer is None else answer.read(call.answer)  # type: ignore[assignment]  # a call without a type is of bytes
    return read
