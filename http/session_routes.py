"""The route table, third part: what the page signs in and out with."""

from __future__ import annotations

from . import sessions
from .calls import Endpoint
from .headers import SET_COOKIE
from .keys import Permission

SESSION_ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        method="POST",
        path="/api/session",
        handler=sessions.sign_in,
        permission=None,
        summary="Sign in: check a key, and keep it in a cookie",
        tag="Server",
        params=sessions.SignIn,
        body="json",
        secret=True,
        answers=((200, sessions.Session),),
        gives=((200, SET_COOKIE),),
        problems=(401, 403),
    ),
    Endpoint(
        method="GET",
        path="/api/session",
        handler=sessions.show_session,
        permission=Permission.READ,
        summary="Tell whose key this is, and what it allows",
        tag="Server",
        answers=((200, sessions.Session),),
    ),
    Endpoint(
        method="DELETE",
        path="/api/session",
        handler=sessions.sign_out,
        permission=None,
        summary="Sign out: take the cookie back",
        tag="Server",
        answers=((200, sessions.SignedOut),),
        gives=((200, SET_COOKIE),),
        problems=(403,),
    ),
)
