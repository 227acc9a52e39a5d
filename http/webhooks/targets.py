"""Which addresses a hook may have: of the world, not of this machine or its network.

A server that posts to whatever URL it is given can be made to talk to its neighbours. So a name is
looked up at every attempt, every address that it has must be a public one, and the connection is
made to that very address: a name that is looked up twice may change in between.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

from ...engine.errors import CallerError

LookUp = Callable[[str], Awaitable[Sequence[str]]]  # see Lookups.addresses

LONGEST_URL = 2_000
_NO_HOST = re.compile(r"[^\w.:%-]")  # a character that neither a name nor an address has
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the last four bytes are an IPv4 address
# Not of the world by IANA's registries, whatever the Python that runs knows of them.
_OF_NO_WORLD = (
    IPv4Network("192.0.0.0/24"),  # some clouds answer for their machines there
    IPv4Network("192.88.99.0/24"),
    IPv6Network("3fff::/20"),
    IPv6Network("5f00::/16"),
    IPv6Network("100:0:0:1::/64"),
)


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
    if not parts.netloc.isascii():  # no header could name it
        raise TargetRefused(
            f"{parts.hostname} has letters that are not ASCII: give the name in its form xn--…"
        )
    if _NO_HOST.search(parts.hostname):
        raise TargetRefused(f"{parts.hostname!r} is no name that a host can have")
    if parts.username is not None or parts.password is not None:
        raise TargetRefused("the URL of a webhook holds no user name or password")
    if parts.fragment:
        raise TargetRefused("the URL of a webhook has no part behind a #")
    return parts


async def addresses_of(
    parts: SplitResult, look_up: LookUp, *, allow_private: bool
) -> Sequence[str]:
    """Look the host up, and give the addresses to connect to. Raises TargetRefused, and OSError
    for a name that cannot be looked up.
    """
    host = parts.hostname or ""
    try:
        written = _as_address(host)
        addresses = [written] if written is not None else await look_up(host)
    except UnicodeError:
        raise TargetRefused(f"{host!r} is no name that a host can have") from None
    if not allow_private:
        for address in addresses:
            _check_public(host, address)
    return addresses


def check_target(url: str, *, allow_private: bool) -> None:
    """Refuse a URL that can be told to be wrong without looking it up: before it is kept.

    Raises TargetRefused.
    """
    host = (check_url(url).hostname or "").removesuffix(".")  # with the dot it is the same name
    if allow_private:
        return
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761: always this machine
        _check_public(host, "127.0.0.1")
    address = _as_address(host)
    if address is not None:  # of a name, where it is may change, and is looked at in every attempt
        _check_public(host, address)


def _as_address(host: str) -> str | None:
    """Give the address that a host is written as, also as 127.1, 0x7f000001 or 2130706433; None
    for a name.
    """
    try:
        return str(ip_address(host.partition("%")[0]))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return None


def _check_public(host: str, address: str) -> None:
    if not _is_public(address):
        raise TargetRefused(
            f"{host} is at {address}, which is no public address. A server that is to "
            "tell its own network is started with --webhooks-to-private"
        )


def _behind_nat64(ip: IPv6Address) -> IPv4Address | None:
    return IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None


def _is_public(address: str) -> bool:
    ip = ip_address(address.partition("%")[0])
    if ip.version == 6:
        if ip.is_site_local:
            return False
        # An IPv4 address in other clothes is what it is underneath.
        teredo = None if ip.teredo is None else ip.teredo[1]
        for inner in (ip.ipv4_mapped, ip.sixtofour, teredo, _behind_nat64(ip)):
            if inner is not None:
                return _is_public(str(inner))
    if any(ip in network for network in _OF_NO_WORLD if network.version == ip.version):
        return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved
