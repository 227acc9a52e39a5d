"""How a client talks: to whom, with which key, how long it waits and what it repeats."""

from __future__ import annotations

import math
import os
import secrets
import ssl
from collections.abc import Mapping
from typing import Any

import httpx2
import msgspec

from .address import address_of
from .calls import Answer, Call
from .connecting import cannot_connect
from .errors import (
    CannotConnect,
    ClientError,
    NoAnswerInTime,
    NotReady,
    NotUnderstood,
    ProblemDocument,
    ServerTrouble,
    Unreachable,
    UnusableSetting,
    refusal,
)
from .models import Progress
from .patience import pause_after, retry_after
from .sending import in_body, in_header, in_query, seconds

URL_VARIABLE, KEY_VARIABLE = "CORTEX_TASKS_URL", "CORTEX_TASKS_API_KEY"
DEFAULT_URL = "http://127.0.0.1:8000"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
CONNECT_TIMEOUT = 5.0
# Each stream that is followed holds a connection: no number of them may keep a call from its own.
LIMITS = httpx2.Limits(max_connections=None, max_keepalive_connections=20)
SURROUNDINGS = (
    "what the environment says of proxies (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY) or of certificates "
    "(SSL_CERT_FILE) cannot be used"
)
NO_SERVER_OF_OURS = "is not a Cortex task server"

FAILURES = (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError)


class Settings:
    """Of one client. The key, and who one is in the URL, are in no text that this gives."""

    def __init__(self, url: str | None, key: str | None, *, timeout: float, repeats: int) -> None:
        given = url or os.environ.get(URL_VARIABLE) or DEFAULT_URL
        self.timeout = seconds("timeout", timeout)
        self.repeats = repeats
        self._address = address_of(given)
        self.url = self._address.url
        self._key = _sendable(os.environ.get(KEY_VARIABLE, "") if key is None else key)

    def __repr__(self) -> str:
        return f"Settings({self.url!r})"

    def of_http(self) -> dict[str, Any]:
        """Give the options of the HTTP client. Raises UnusableSetting."""
        return {
            "headers": {"X-API-Key": self._key} if self._key else {},
            "auth": self._address.user,
            "timeout": httpx2.Timeout(self.timeout, connect=CONNECT_TIMEOUT),
            "limits": LIMITS,
            # Loading the certificates of the world takes longer than most answers; over plain
            # HTTP a context that trusts nobody will do.
            "verify": httpx2.create_ssl_context()
            if self._address.scheme == "https"
            else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            # No proxy leads to this machine itself. (What SSL_CERT_FILE says is heeded above.)
            "trust_env": self._address.host not in LOOPBACK,
        }

    def time_for(self, call: Call[Any], within: float = math.inf) -> float:
        """Give the seconds for which an answer is waited for."""
        return min(self.timeout + call.seconds, within)

    def request_of(self, call: Call[Any], within: float = math.inf) -> dict[str, Any]:
        """Give the options of one request, the same each time that it is repeated."""
        options: dict[str, Any] = {"params": in_query(call.query)}
        headers = {}
        if call.body is not None:
            headers["content-type"] = "application/json"
            options["content"] = in_body(call.body)
        if call.file is not None:
            options["files"] = {"file": (call.file.name, call.file.content)}
        if call.idempotent:
            key = call.idempotency_key or secrets.token_hex(16)
            headers["idempotency-key"] = in_header("idempotency_key", key)
        time = self.time_for(call, within)
        if time != self.timeout:
            options["timeout"] = httpx2.Timeout(time, connect=min(time, CONNECT_TIMEOUT))
        return options | {"headers": headers}

    def pause_before(self, call: Call[Any], failure: ClientError, repeats: int) -> float | None:
        """Give the seconds to wait before the call is repeated; None: it is not.

        Only what cannot do harm twice is: what reads, and what the server knows by its key.
        """
        safe = call.method == "GET" or call.idempotent
        passing = isinstance(failure, Unreachable) or (
            isinstance(failure, ServerTrouble) and failure.status in (429, 502, 503, 504)
        )
        if not (safe and passing and repeats < self.repeats and _rewind(call)):
            return None
        return pause_after(repeats, failure)

    def no_answer(self, error: Exception, waited: float) -> ClientError:
        """Give the error that says why no answer came within so many seconds."""
        match error:
            case httpx2.ConnectError() | httpx2.ConnectTimeout():
                return cannot_connect(self.url, error)
            case httpx2.PoolTimeout():  # of a transport that was given; ours has no limit
                return CannotConnect(
                    f"all connections to {self.url} that the transport allows are taken, and none "
                    f"came free within {waited:.0f} s; nothing was asked"
                )
            case httpx2.InvalidURL():
                return UnusableSetting(f"what was asked makes no URL: {error}")
            case httpx2.TimeoutException() | TimeoutError():
                return NoAnswerInTime(
                    f"{self.url} did not answer within {waited:.0f} s; what was asked may still "
                    "be done"
                )
            case _:
                return Unreachable(
                    f"the connection to {self.url} broke ({str(error) or type(error).__name__}); "
                    "what was asked may have been done"
                )

    def fault_of(self, call: Call[Any], answer: Answer) -> ClientError | None:
        """Give the error that stands for an answer; None for one that is good."""
        if not (200 <= answer.status < 300 or answer.status in call.also_good):
            return self.refused(answer)
        if call.answer is not None and "json" not in answer.headers.get("content-type", ""):
            return NotUnderstood(f"what answers at {self.url} {NO_SERVER_OF_OURS}")
        return None

    def refused(self, answer: Answer) -> ClientError:
        """Give the error that the server's no stands for."""
        try:
            problem = msgspec.json.decode(answer.content, type=ProblemDocument)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            if answer.status < 500 and answer.status != 429:  # a proxy, or a server of another kind
                return NotUnderstood(
                    f"what answers at {self.url} {NO_SERVER_OF_OURS} (HTTP {answer.status})"
                )
            problem = ProblemDocument(
                f"{self.url} answered HTTP {answer.status} without a reason: see the server's log"
            )
        return refusal(
            answer.status,
            problem,
            request_id=answer.headers.get("x-request-id"),
            retry_after=retry_after(answer.headers),
        )


def not_ready(answer: Answer) -> NotReady:
    """Give the error for a result that is not there yet."""
    progress = answer.read(Progress)
    said = f"{progress.task_id} is {progress.status} ({progress.progress_percent:.0f}%)"
    return NotReady(
        answer.status,
        ProblemDocument(f"{said}: no result yet", title="Result not ready"),
        request_id=answer.headers.get("x-request-id"),
        retry_after=retry_after(answer.headers),
    )


def headers_of(response: httpx2.Response) -> Mapping[str, str]:
    """Give the headers by their names in lower case."""
    return {name.lower(): value for name, value in response.headers.items()}


def _sendable(key: str) -> str:
    key = key.strip()
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise UnusableSetting("the API key holds characters that no key has")
    return key


def _rewind(call: Call[Any]) -> bool:
    """Go back to where the file was; gives whether it is all there to be sent again."""
    return call.file is None or isinstance(call.file.content, bytes)
