"""What can go wrong between a client and its server.

ClientError
├── UnusableSetting      what was given cannot be used: a URL, a key, surroundings (proxies,
│                        certificates), what could never be sent, a client that is closed
├── Unreachable          no answer came; nothing is known about what the server did
│   ├── CannotConnect    nothing was asked: nobody listens there, or no connection is free
│   │   └── TlsFailed    a certificate that is refused, or no TLS there: never tried again
│   └── NoAnswerInTime   it may still be doing what was asked
├── NotUnderstood        what answered is no Cortex task server, or one of another age
├── WaitTimedOut         the task was still under way when the time to wait was over (`task`)
└── Refused              the server said no: `status`, `title`, `detail`, `request_id`, `errors`
    ├── NotAuthenticated 401: there is no key, or one that is not known
    ├── NotPermitted     403: the key may not do that
    ├── NotFound         404
    ├── Conflict         409
    ├── InvalidRequest   400, 413, 415, 422 and their like: another request has to be made
    │   ├── TaskHasNoResult  the task failed or was cancelled (`task_status`, `error`)
    ├── NotReady         the task has no result yet (`task_status`, `progress_percent`)
    └── ServerTrouble    500 and above: try again later (`retry_after`)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from .models import TaskDetail


class ClientError(Exception):
    """The root of all."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _made_again, (type(self), self.args), self.__dict__


def _made_again(kind: type[ClientError], args: tuple[Any, ...]) -> ClientError:
    """Make a copy that comes out of another process, without what made the first one's text."""
    error = kind.__new__(kind, *args)
    super(ClientError, error).__init__(*args)
    return error


class UnusableSetting(ClientError, ValueError):
    """What was given cannot be used, or the client is closed; nothing was sent."""


class Unreachable(ClientError, ConnectionError):
    """No answer came; nothing is known about what the server did."""


class CannotConnect(Unreachable):
    """Nothing was asked: nobody listens there, or there is no connection for it."""


class TlsFailed(CannotConnect):
    """Nothing was asked: who is there has a certificate that is refused, or speaks no TLS."""


class NoAnswerInTime(Unreachable):
    """It may still be doing what was asked."""


class NotUnderstood(ClientError):
    """What answered is no Cortex task server, or one that this version does not understand."""


class WaitTimedOut(ClientError, TimeoutError):
    """The time to wait was over; `task` is the task as it was last seen."""

    def __init__(self, task: TaskDetail) -> None:
        super().__init__(f"{task.task_id} is still {task.status} ({task.progress_percent:g}%)")
        self.task = task


class FieldError(msgspec.Struct, frozen=True):
    """One parameter that the server cannot use: where it came from and its name, and why not."""

    loc: tuple[str | int, ...] = ()
    msg: str = ""


class ProblemDocument(msgspec.Struct, frozen=True):
    """An error as the server writes it (RFC 9457); other members are passed over."""

    detail: str
    title: str = ""
    status: int | str = 0
    errors: tuple[FieldError, ...] = ()
    request_id: str | None = None
    task_id: str | None = None
    error: str | None = None


class Refused(ClientError):
    """The server said no. The text of the error is its own `detail`, for a person to act on."""

    def __init__(
        self,
        status: int,
        problem: ProblemDocument,
        *,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(problem.detail)
        self.status = status
        self.title = problem.title
        self.detail = problem.detail
        self.errors = problem.errors
        self.request_id = request_id or problem.request_id  # what the server's log calls it
        self.retry_after = retry_after  # seconds; None: the server said nothing about it


class NotAuthenticated(Refused):
    """There is no key, or one that the server does not know."""


class NotPermitted(Refused):
    """The key may not do that."""


class NotFound(Refused):
    """There is no such thing, or nothing at that path."""


class Conflict(Refused):
    """It is there already."""


class InvalidRequest(Refused):
    """The same request will never be accepted; `errors` says of each parameter what is wrong."""


class TaskHasNoResult(InvalidRequest):
    """The task failed or was cancelled."""

    def __init__(self, status: int, problem: ProblemDocument, *, request_id: str | None) -> None:
        super().__init__(status, problem, request_id=request_id)
        self.task_id = problem.task_id
        self.task_status = str(problem.status)
        self.error = problem.error  # why it failed


class NotReady(Refused):
    """The task has no result yet."""


class ServerTrouble(Refused):
    """The server cannot do it now, or failed at it."""


_BY_STATUS: dict[int, type[Refused]] = {
    401: NotAuthenticated,
    403: NotPermitted,
    404: NotFound,
    409: Conflict,
    429: ServerTrouble,
}


def refusal(
    status: int, problem: ProblemDocument, *, request_id: str | None, retry_after: float | None
) -> Refused:
    """Give the error that stands for what the server answered."""
    if status == 400 and problem.task_id is not None and isinstance(problem.status, str):
        return TaskHasNoResult(status, problem, request_id=request_id)
    kind = _BY_STATUS.get(status) or (ServerTrouble if status >= 500 else InvalidRequest)
    return kind(status, problem, request_id=request_id, retry_after=retry_after)
