"""The route table, third part: what the page signs in and out with."""

from __future__ import annotations

from . import sessions
from .calls import Endpoint
from .keys import Permission

SESSION_ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        method="POST",
        path="/api/session",
        handler=sessions.sign_in,
        permission=None,
        summary="Sign in: check a key, and keep it in a cookie",
        params=sessions.SignIn,
        body="json",
        secret=True,
        answers=((200, sessions.Session),),
        problems=(401, 403),
    ),
    Endpoint(
        method="GET",
        path="/api/session",
        handler=sessions.show_session,
        permission=Permission.READ,
        summary="Tell whose key this is, and what it allows",
        answers=((200, sessions.Session),),
    ),
    Endpoint(
        method="DELETE",
        path="/api/session",
        handler=sessions.sign_out,
        permission=None,
        summary="Sign out: take the cookie back",
        answers=((200, sessions.SignedOut),),
        problems=(403,),
    ),
)
