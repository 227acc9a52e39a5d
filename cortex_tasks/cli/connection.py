"""Talking to a server: one request, one answer; what goes wrong is said with what to do about it.

CommandFailed
├── Unreachable     no server answers there, or it went away
└── Refused         the server said no (`http_status`, and its own `detail` as the text)
"""

from __future__ import annotations

import argparse
import os
import ssl
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from .exits import CommandFailed, Exit, ExtraMissing

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")

CONNECT_TIMEOUT = 5.0
# A cancel is answered only once the body has stopped or its grace is over, so the server may think.
ANSWER_TIMEOUT = 60.0
HOW_TO_GET_A_KEY = (
    "Make one where the server's data folder is, with "
    "`cortex-tasks keys create --name me --permissions read,manage`, then put it into "
    "CORTEX_TASKS_API_KEY or name its file with --key-file."
)
UNUSABLE_SURROUNDINGS = (
    "what the environment says of proxies (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY) or of certificates "
    "(SSL_CERT_FILE) cannot be used"
)
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Unreachable(CommandFailed):
    """No answer came; nothing is known about what the server did."""


class Refused(CommandFailed):
    """The server answered with an error."""

    def __init__(self, message: str, http_status: int) -> None:
        super().__init__(message, Exit.NOT_FOUND if http_status == 404 else Exit.FAILED)
        self.http_status = http_status


class Answer(msgspec.Struct, frozen=True):
    """What the server said."""

    http_status: int
    body: bytes

    def read(self, wanted: type[T]) -> T:
        """Decode the body; raises CommandFailed if it is not what this version understands."""
        try:
            return msgspec.json.decode(self.body, type=wanted)
        except (msgspec.DecodeError, RecursionError) as error:
            raise CommandFailed(
                f"the server's answer is not one that this version understands: {error}"
            ) from None


class Connection:
    """One server, and the key that we show it. The key goes nowhere else, and into no message."""

    def __init__(self, url: str, key: str | None) -> None:
        try:
            import httpx2  # noqa: PLC0415 - of an extra: the server runs without it
        except ModuleNotFoundError as error:
            raise ExtraMissing(error.name, "cli") from None
        scheme, host = _parts(url)
        self.url = url.rstrip("/")
        self._failures = (httpx2.HTTPError, httpx2.InvalidURL)
        try:
            self._client = httpx2.Client(
                headers={"X-API-Key": key} if key else {},
                timeout=httpx2.Timeout(ANSWER_TIMEOUT, connect=CONNECT_TIMEOUT),
                # Loading the certificates of the world takes longer than most answers; over plain
                # HTTP a context that trusts nobody will do.
                verify=scheme == "https" or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
                # No proxy leads to this machine itself.
                trust_env=host not in LOOPBACK,
            )
        except (ValueError, ImportError, OSError, httpx2.InvalidURL) as error:
            raise CommandFailed(f"{UNUSABLE_SURROUNDINGS}: {error}", Exit.USAGE) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def ask(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, Any] | None = None,
        json: dict[str, Any] | None = None,
        file: tuple[str, IO[bytes]] | None = None,
    ) -> Answer:
        """Ask once. Raises Unreachable or Refused; any 2xx is an answer."""
        given = {name: value for name, value in (params or {}).items() if value is not None}
        try:
            response = self._client.request(
                method,
                self.url + path,
                params=given,
                json=json,
                files={"file": file} if file else None,
            )
        except self._failures as error:
            raise self._unreachable(error) from None
        if not response.is_success:
            raise self._refused(response)
        if "json" not in response.headers.get("content-type", ""):
            raise CommandFailed(f"what answers at {self.url} is not a Cortex task server")
        return Answer(response.status_code, response.content)

    def _unreachable(self, error: Exception) -> Unreachable:
        import httpx2  # noqa: PLC0415 - as above

        match error:
            case httpx2.ConnectError() | httpx2.ConnectTimeout():
                return Unreachable(
                    f"no server at {self.url}: start one with `cortex-tasks serve`, "
                    "or name another with --url or CORTEX_TASKS_URL"
                )
            case httpx2.TimeoutException():
                return Unreachable(
                    f"{self.url} did not answer within {ANSWER_TIMEOUT:.0f} s; "
                    "what was asked may still be done: look with `cortex-tasks list`"
                )
            case _:
                return Unreachable(
                    f"the connection to {self.url} broke ({str(error) or type(error).__name__}); "
                    "what was asked may have been done: look with `cortex-tasks list`"
                )

    def _refused(self, response: httpx2.Response) -> Refused:
        status = response.status_code
        try:
            detail = str(msgspec.json.decode(response.content)["detail"])
        except (msgspec.DecodeError, RecursionError, TypeError, KeyError):
            if 300 <= status < 500:  # a proxy or a server of another kind
                detail = f"what answers at {self.url} is not a Cortex task server (HTTP {status})"
            else:
                detail = f"{self.url} answered HTTP {status} without a reason: see the server's log"
        if status in (401, 403):
            detail = f"{detail}. {HOW_TO_GET_A_KEY}"
        return Refused(detail, status)


def connect(arguments: argparse.Namespace) -> Connection:
    """Open the connection that the command line asks for."""
    return Connection(arguments.url, _key(arguments.key_file))


def in_path(name: str) -> str:
    """Write a name so that it is one part of a path, whatever is in it."""
    return quote(name, safe="")


def _parts(url: str) -> tuple[str, str]:
    """The scheme and the host of what must be a server's URL."""
    with suppress(ValueError):  # a port that is none, a name that no host can have
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            parts.hostname.encode("idna")  # as it will be looked up
            return parts.scheme, parts.hostname
    raise CommandFailed(f"{url!r} is not the URL of a server", Exit.USAGE)


def _key(file: str | None) -> str | None:
    """The key: from the file if one is named, else from the variable.

    There is no option that takes the key itself: other users see the command lines of processes.
    """
    if file is None:
        key = os.environ.get("CORTEX_TASKS_API_KEY", "")
    else:
        try:
            key = Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise CommandFailed(f"cannot read the key file {file}: {reason}", Exit.USAGE) from None
    key = key.strip()
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise CommandFailed("the API key holds characters that no key has", Exit.USAGE)
    return key or None
