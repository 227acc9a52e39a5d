"""One attempt to tell a hook: one POST, to an address that was checked, with a signature."""

from __future__ import annotations

import logging
import math
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self
from urllib.parse import SplitResult

import anyio

from ..extras import from_extra
from .lookups import Lookups
from .model import Delivery, Hook, Outcome
from .signing import HEADER, Secrets, sign
from .targets import TargetRefused, addresses_of, check_url

with from_extra("server"):
    import httpx2

log = logging.getLogger("cortex_tasks.webhooks")

PATIENCE = 10.0  # seconds until an attempt is given up, whatever has come by then
MOST_ADDRESSES = 4  # of a name, that are tried in an attempt, one after the other
LONGEST_ERROR = 300  # characters
_GONE = 410  # the receiver says that it will never want it


class Poster:
    """Posts to hooks. An async context manager, entered in the loop that it is used in."""

    def __init__(
        self,
        secrets: Secrets,
        *,
        allow_private: bool,
        version: str,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._secrets = secrets
        self._allow_private = allow_private
        self._agent = f"cortex-tasks/{version}"
        self._lookups: Lookups
        # Never a client of httpx2's: it writes each URL into the log, and a webhook's may hold a
        # secret. It keeps cookies, and could follow a redirect to where nobody has looked, too.
        self._transport = transport or httpx2.AsyncHTTPTransport(
            verify=_trusted(),
            trust_env=False,  # a proxy would look the name up anew, for itself
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=0),
        )

    async def __aenter__(self) -> Self:
        self._lookups = Lookups()
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._transport.__aexit__(kind, error, trace)

    async def post(self, hook: Hook, delivery: Delivery, now: datetime) -> Outcome:
        """Try once. Never raises for what the other side does; safe to cancel."""
        try:
            # The limits of httpx2 are of each read: an answer that drips would hold it for ever.
            with anyio.fail_after(PATIENCE):
                return await self._post(hook, delivery, now)
        except TargetRefused as refused:
            return Outcome(None, str(refused)[:LONGEST_ERROR])
        except (TimeoutError, httpx2.TimeoutException) as error:
            return Outcome(None, f"{type(error).__name__}: no answer within {PATIENCE:.0f} s")
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            return Outcome(None, f"{type(error).__name__}: {_words_of(error)}"[:LONGEST_ERROR])
        except Exception as error:
            # A fault of ours, which the other side may have found out how to bring about: it costs
            # this attempt, and not the server.
            log.exception("webhook %s: an attempt failed by a fault of this server", hook.id)
            return Outcome(None, f"a fault of this server: {type(error).__name__}")

    async def _post(self, hook: Hook, delivery: Delivery, now: datetime) -> Outcome:
        parts = check_url(hook.url)
        addresses = await addresses_of(
            parts, self._lookups.addresses, allow_private=self._allow_private
        )
        signature = sign(self._secrets.of(hook.id), delivery.body, int(now.timestamp()))
        headers = {
            "Host": parts.netloc,
            "Content-Type": "application/json",
            "User-Agent": self._agent,
            HEADER: signature,
            "X-Cortex-Event": delivery.event,
            "X-Cortex-Delivery": delivery.id,
        }
        tried = addresses[:MOST_ADDRESSES]
        patience = httpx2.Timeout(PATIENCE)
        if len(tried) > 1:  # so that the last has its time too
            patience.connect = PATIENCE / (len(tried) + 1)
        for address in tried:
            request = httpx2.Request(
                "POST",
                _addressed(parts, address),
                content=delivery.body,
                headers=headers,
                extensions={
                    "sni_hostname": parts.hostname or "",
                    "timeout": patience.as_dict(),
                },
            )
            try:
                response = await self._transport.handle_async_request(request)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):  # nothing has been sent
                if address == tried[-1]:
                    raise
                continue
            try:
                return _outcome(response, now)
            finally:
                await response.aclose()  # beyond its head it may be without end: never read
        raise OSError(f"{parts.hostname} has no address")


def _trusted() -> ssl.SSLContext:
    """Give whom to trust: by SSL_CERT_FILE or SSL_CERT_DIR, if they are set. Nobody, where they
    cannot be read: plain HTTP needs none.
    """
    try:
        return httpx2.create_ssl_context()
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        log.warning(
            "the certificates that SSL_CERT_FILE or SSL_CERT_DIR names cannot be used (%s: %s): "
            "until that is mended and the server started again, no webhook is told by https",
            *(type(error).__name__, error),
        )
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _addressed(parts: SplitResult, address: str) -> str:
    shown = f"[{address}]" if ":" in address else address
    if parts.port is not None:
        shown = f"{shown}:{parts.port}"
    return parts._replace(netloc=shown).geturl()


def _words_of(error: BaseException) -> str:
    """Say what went wrong: some libraries say it only in what is behind their error."""
    behind: BaseException | None = error
    while behind is not None:
        if said := str(behind):
            return said
        behind = behind.__cause__ or behind.__context__
    return "the connection was closed"


def _outcome(response: httpx2.Response, now: datetime) -> Outcome:
    status = response.status_code
    if response.is_success:
        return Outcome(status, None)
    why = f"HTTP {status}"
    if response.is_redirect:
        why += ": redirects are not followed; give the hook the final URL"
    after = _after(response.headers.get("retry-after", ""), now)
    return Outcome(status, why, retry_after=after, hopeless=status == _GONE)


def _after(retry_after: str, now: datetime) -> timedelta | None:
    """Read how long to wait, in seconds or until a date (RFC 9110); None for what is neither."""
    try:
        seconds = float(retry_after)
    except ValueError:
        seconds = _seconds_until(retry_after, now)
    if not math.isfinite(seconds) or seconds < 0:
        return None
    return timedelta(seconds=min(seconds, 86_400.0))


def _seconds_until(date: str, now: datetime) -> float:
    try:
        then = parsedate_to_datetime(date)
    except (ValueError, OverflowError, TypeError, IndexError):  # as it meets what is no date
        return math.nan
    # A date without a zone is meant as in Greenwich.
    then = then.replace(tzinfo=UTC) if then.tzinfo is None else then
    return max(0.0, (then - now).total_seconds())
