"""What surrounds every request: its id, limits on its head, and an answer for every error.

Pure ASGI, around the whole application: nothing below it answers an error, and nothing that is
raised below it reaches the server.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..engine.current import SURROUNDING
from .bodies import discard_rest
from .problems import Headers, Problem, Table, problem_of

log = logging.getLogger("cortex_tasks.http")

HEADERS = "cortex_tasks.headers"  # in the scope: the request's headers as a dict, each once
NAMED_BY = "cortex_tasks.named_by"  # in the scope: what lines of the log that are about it name

MAX_HEADERS = 32 * 1024  # bytes of all names and values
MAX_TARGET = 8 * 1024  # bytes of path and query

_SANE_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:@/+=-]{0,127}")

GONE = Problem(400, "Body cut off", "The connection ended before the body did.")

# Answers are for the program that asked, unless they say otherwise: never kept on the way, never
# taken for a page.
_USUALLY: Headers = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))


class Envelope:
    """ASGI middleware; `problems` says which errors are answers."""

    def __init__(self, app: ASGIApp, problems: Table) -> None:
        self._app = app
        self._problems = problems

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = scope[HEADERS] = _by_name(scope["headers"])
        request_id = headers.get(b"x-request-id", b"")
        if not _SANE_ID.fullmatch(request_id):
            request_id = b"req_" + os.urandom(8).hex().encode()
        started = False

        async def send_stamped(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                given = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", request_id),
                    *(header for header in _USUALLY if header[0] not in given),
                ]
            await send(message)

        scope[NAMED_BY] = {"request_id": request_id.decode("ascii")}
        token = SURROUNDING.set(scope[NAMED_BY])
        try:
            _check_head(scope)
            await self._app(scope, receive, send_stamped)
        except ClientDisconnect:
            # Nobody reads it. But a middleware of a program that has us mounted may insist.
            if not started:
                await _answer(GONE, scope, receive, send_stamped)
        except Exception as error:
            problem = problem_of(error, self._problems, scope["query_string"])
            if problem is None:
                problem = _unforeseen(error, scope, request_id)
            if started:  # too late to say so; a broken answer must not look like a whole one
                raise
            await _answer(problem, scope, receive, send_stamped)
        finally:
            with suppress(ValueError):  # closed by another than who ran it
                SURROUNDING.reset(token)


def _check_head(scope: Scope) -> None:
    # The server's own limit does not hold for a head that arrives in one piece.
    if sum([len(name) + len(value) for name, value in scope["headers"]]) > MAX_HEADERS:
        raise Problem(
            431, "Headers too large", f"The headers are larger than {MAX_HEADERS:,} bytes."
        )
    if len(scope["path"]) + len(scope["query_string"]) > MAX_TARGET:
        raise Problem(414, "URL too long", f"The URL is longer than {MAX_TARGET:,} bytes.")


def _by_name(lines: Sequence[tuple[bytes, bytes]]) -> Mapping[bytes, bytes]:
    """Give each header once: the values of those that came in several lines are one list (RFC 9110,
    5.3), or one line of cookies, which HTTP/2 may divide.
    """
    found = dict(lines)
    if len(found) < len(lines):
        found = {}
        for name, value in lines:
            between = b"; " if name == b"cookie" else b", "
            found[name] = found[name] + between + value if name in found else value
    return found


def _unforeseen(error: Exception, scope: Scope, request_id: bytes) -> Problem:
    named = request_id.decode("ascii")
    # The path is the client's text: written so that it cannot forge lines of the log.
    log.error("%s %r failed (request %s)", scope["method"], scope["path"], named, exc_info=error)
    return Problem(
        500,
        "Internal error",
        f"The server failed on this request. Its log says more, under {named}.",
        extra={"request_id": named},
    )


async def _answer(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    body = problem.body()
    head = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        *problem.headers,
    ]
    await send({"type": "http.response.start", "status": problem.status, "headers": head})
    if scope["method"] == "HEAD":
        body = b""
    await send({"type": "http.response.body", "body": body, "more_body": True})
    await discard_rest(scope, receive)
    await send({"type": "http.response.body", "body": b"", "more_body": False})
