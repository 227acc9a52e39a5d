"""Which addresses a hook may have: of the world, not of this machine or its network.

A server that posts to whatever URL it is given can be made to talk to its neighbours. So a name is
looked up at every attempt, every address that it has must be a public one, and the connection is
made to that very address: a name that is looked up twice may change in between.
"""

from __future__ import annotations

import socket
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

import anyio

from ...engine.errors import CallerError

LONGEST_URL = 2_000


class TargetRefused(CallerError):
    """This URL is none that a webhook may have."""


def check_url(url: str) -> SplitResult:
    """Give the parts of a URL that a hook may have, as far as can be told without looking it up.

    Raises TargetRefused.
    """
    if len(url) > LONGEST_URL or not url.isprintable() or any(each.isspace() for each in url):
        raise TargetRefused(
            f"the URL of a webhook is printable text without spaces, at most {LONGEST_URL:,} "
            "characters long"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise TargetRefused(f"{url!r} is no URL: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise TargetRefused(f"{url!r} is no URL of the form https://host/path")
    if parts.username is not None or parts.password is not None:
        raise TargetRefused("the URL of a webhook holds no user name or password")
    if parts.fragment:
        raise TargetRefused("the URL of a webhook has no part behind a #")
    return parts


async def address_of(parts: SplitResult, *, allow_private: bool) -> str:
    """Look the host up, and give the address to connect to. Raises TargetRefused, and OSError for
    a name that cannot be looked up.
    """
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise TargetRefused(f"{host!r} is no name that a host can have") from None
    addresses = [str(each[4][0]) for each in found]
    if not allow_private:
        for address in addresses:
            if not _is_public(address):
                raise TargetRefused(
                    f"{host} is at {address}, which is no public address. A server that is to "
                    "tell its own network is started with --webhooks-to-private"
                )
    return addresses[0]


def _is_public(address: str) -> bool:
    ip = ip_address(address.partition("%")[0])
    if ip.version == 6:
        # An IPv4 address in other clothes is what it is underneath.
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo and ip.teredo[1])
        if inner:
            ip = inner
    return ip.is_global and not ip.is_multicast and not ip.is_reserved
