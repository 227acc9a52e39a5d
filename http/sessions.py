"""How the page signs in: the key comes once, and goes back into a cookie that no script reads."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from .auth import asked_by_own_page, known_key
from .calls import Answer, Call, encode
from .cookies import LONGEST_KEY, cookie_gone, cookie_with, key_in_cookie
from .envelope import HEADERS
from .keys import ApiKey, Permission
from .problems import Problem


class SignIn(msgspec.Struct, frozen=True):
    """The API key to sign in with."""

    key: Annotated[str, Meta(min_length=1, max_length=LONGEST_KEY)]


class Session(msgspec.Struct, frozen=True):
    """Whose key it is and what it allows; `name` is null where no key is asked for."""

    name: str | None
    permissions: tuple[Permission, ...]


class SignedOut(msgspec.Struct, frozen=True):
    """That the cookie is gone."""

    message: str


async def sign_in(call: Call[SignIn]) -> Answer:
    """Check a key, and give it back as a cookie in place of an earlier one."""
    _refuse_other_sites(call)
    keys = call.services.keys
    if keys is None:
        return Answer(encode(_session(None)))
    secret = call.params.key.strip()
    key = known_key(keys, secret.encode())
    earlier = key_in_cookie(call.scope[HEADERS])
    if earlier != secret.encode():
        call.services.visits.sign_out(earlier)
    cookie = (b"set-cookie", cookie_with(secret, call.scope))
    return Answer(encode(_session(key)), headers=(cookie,))


async def show_session(call: Call[None]) -> Answer:
    """Tell whose key the request came with."""
    return Answer(encode(_session(call.key)))


async def sign_out(call: Call[None]) -> Answer:
    """Take the cookie back, and end the streams that it opened."""
    _refuse_other_sites(call)
    call.services.visits.sign_out(key_in_cookie(call.scope[HEADERS]))
    cookie = (b"set-cookie", cookie_gone(call.scope))
    return Answer(encode(SignedOut("Signed out")), headers=(cookie,))


def _session(key: ApiKey | None) -> Session:
    if key is None:
        return Session(None, tuple(Permission))
    return Session(key.name, tuple(each for each in Permission if key.allows(each)))


def _refuse_other_sites(call: Call[SignIn] | Call[None]) -> None:
    """Let no other site sign a person in with its own key, or out."""
    headers = call.scope[HEADERS]
    by_browser = b"sec-fetch-site" in headers or b"origin" in headers
    if by_browser and not asked_by_own_page(headers):
        raise Problem(403, "Asked by another site", "Only the page of this server signs in or out.")
