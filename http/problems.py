"""What went wrong, as HTTP says it (RFC 9457): one table from error classes to answers.

Every error that reaches a client is a Problem: raised as one here in http/, or made of an error of
a lower layer by the table. What is in no table is a bug: it is logged, and the client gets a 500
that names the request and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.exceptions import HTTPException

from ..engine.errors import (
    CallerError,
    EngineError,
    IdempotencyConflict,
    InvalidParameters,
    QueueFull,
    ResultNotReady,
    StorageFull,
    TaskAlreadyFinal,
    TaskEnded,
    TaskNotFound,
    TaskNotRevivable,
    UnknownTaskType,
)

Headers = tuple[tuple[bytes, bytes], ...]
Table = Mapping[type[Exception], tuple[int, str]]

RETRY_LATER: Headers = ((b"retry-after", b"5"),)
PASSING = (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.INSUFFICIENT_STORAGE)

# Looked up along the error's own line of ancestors, the nearest first.
PROBLEMS: Table = {
    TaskNotFound: (404, "Task not found"),
    TaskAlreadyFinal: (400, "Task has ended"),
    TaskNotRevivable: (400, "Task cannot be tried again"),
    TaskEnded: (400, "Task ended without a result"),
    ResultNotReady: (409, "Result not ready"),
    InvalidParameters: (422, "Invalid parameters"),
    IdempotencyConflict: (422, "Idempotency key used for another request"),
    UnknownTaskType: (422, "Unknown task type"),
    QueueFull: (503, "Queue full"),
    StorageFull: (507, "Storage full"),
    CallerError: (400, "Bad request"),
    EngineError: (503, "Not available"),
}


class FieldError(msgspec.Struct, frozen=True):
    """One parameter that cannot be used: where it came from and its name, and what is wrong."""

    loc: tuple[str | int, ...]
    msg: str


class Problem(Exception):
    """An answer that is an error. `extra` members stand beside `detail`, `title` and `status`."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        *,
        headers: Headers = (),
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail
        self.headers = headers
        self.extra = extra or {}

    def body(self) -> bytes:
        """Give the problem as JSON."""
        members = {"detail": self.detail, "title": self.title, "status": self.status}
        return msgspec.json.encode(members | dict(self.extra))


def title_of(status: int) -> str:
    """Give the title of an error that has none but its status."""
    first, *others = HTTPStatus(status).phrase.split()
    return " ".join([first, *(word.lower() for word in others)])


def invalid_parameters(*errors: FieldError) -> Problem:
    """Refuse parameters, telling each one that is wrong."""
    said = (f"{_name(error)}: {error.msg}" for error in errors)
    return Problem(422, "Invalid parameters", "; ".join(said), extra={"errors": errors})


def problem_of(error: Exception, table: Table, query: bytes = b"") -> Problem | None:
    """Give the answer that stands for the error; None for an error that nobody foresaw.

    query: the request's, to tell from where a parameter came that a lower layer refused.
    """
    error = _only(error)
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        return _of_starlette(error)
    for kind in type(error).__mro__:
        if kind in table:
            status, title = table[kind]
            headers = RETRY_LATER if status in PASSING else ()
            return Problem(status, title, str(error), headers=headers, extra=_errors(error, query))
    return None


def _only(error: Exception) -> Exception:
    """Take an error out of the groups that task groups wrap around it."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _errors(error: Exception, query: bytes) -> Mapping[str, Any]:
    if not isinstance(error, InvalidParameters):
        return {}
    path = error.path.removeprefix("$").removeprefix(".")
    given = [name for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True)]
    source = "query" if path in given else "body"
    return {"errors": [FieldError((source, path) if path else (source,), str(error))]}


def _of_starlette(error: HTTPException) -> Problem:
    title = title_of(error.status_code)
    detail = error.detail
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    if allowed := headers.get("allow"):
        headers["allow"] = ", ".join(sorted(allowed.split(", ")))
        detail = f"This path answers {headers['allow']} only."
    elif error.status_code == HTTPStatus.NOT_FOUND and detail == HTTPStatus.NOT_FOUND.phrase:
        detail = "There is nothing at this path."
    encoded = tuple((name.encode(), value.encode("latin-1")) for name, value in headers.items())
    return Problem(error.status_code, title, detail, headers=encoded)


def _name(error: FieldError) -> str:
    return ".".join(str(part) for part in error.loc[1:]) or str(error.loc[0])
