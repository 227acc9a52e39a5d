"""Talking to a server through the client; what goes wrong is said with what to do about it.

CommandFailed
├── Unreachable     no server answers there, or it went away
└── Refused         the server said no (`http_status`, and its own `detail` as the text)
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, TypeVar

import msgspec

from .. import client
from ..client import calls, sending
from ..client.patience import Patience
from .exits import CommandFailed, Exit, ExtraMissing
from .screen import note

T = TypeVar("T")

# A cancel is answered only once the body has stopped or its grace is over, so the server may think.
ANSWER_TIMEOUT = 60.0
PATIENCE = 30.0  # seconds for which a server may be away while a task is followed
HOW_TO_GET_A_KEY = (
    "Make one where the server's data folder is, with "
    "`cortex-tasks keys create --name me --permissions read,manage`, then put it into "
    "CORTEX_TASKS_API_KEY or name its file with --key-file."
)


class Unreachable(CommandFailed):
    """No answer came; nothing is known about what the server did."""


class Refused(CommandFailed):
    """The server answered with an error."""

    def __init__(self, message: str, http_status: int) -> None:
        super().__init__(message, Exit.NOT_FOUND if http_status == 404 else Exit.FAILED)
        self.http_status = http_status

    @property
    def may_pass(self) -> bool:
        """Whether it may be granted later: a proxy misses its server, or that is in trouble."""
        return self.http_status == HTTPStatus.TOO_MANY_REQUESTS or self.http_status >= 500


@contextmanager
def search_as_usage() -> Iterator[None]:
    """A search that the server cannot read is a mistake of who typed it, as a wrong option is."""
    try:
        yield
    except Refused as refused:
        if refused.http_status == HTTPStatus.UNPROCESSABLE_ENTITY:
            raise CommandFailed(str(refused), Exit.USAGE) from None
        raise


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
    """One server, and the key that we show it. The key goes nowhere else, and into no message.

    Nothing is tried twice: a person sees at once what is wrong. Only what follows a task goes on,
    and what asks how it ended.
    """

    def __init__(self, url: str, key: str | None) -> None:
        try:
            import httpx2  # noqa: F401, PLC0415 - of an extra: the server runs without it

            from ..client import Client  # noqa: PLC0415 - which needs it
        except ModuleNotFoundError as error:
            raise ExtraMissing(error.name, "cli") from None
        with _explained():
            self._client = Client(url, key or "", timeout=ANSWER_TIMEOUT, repeats=0)
        self.url = self._client.url

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
        sent = None if file is None else calls.File(*file)
        call = calls.Call[Any](
            method=method, path=path, query=given, body=json, file=sent, answer=Any
        )
        with _explained():
            return self._answer(call)

    def ask_patiently(self, path: str) -> Answer:
        """Ask for what is there, over a restart of the server too; raises as `follow` does."""
        call = calls.Call[Any](method="GET", path=path, answer=Any)
        patience = Patience(PATIENCE)
        with _explained():
            while True:
                try:
                    return self._answer(call)
                except (client.Unreachable, client.ServerTrouble) as failure:
                    new = patience.new
                    pause = patience.pause_after(failure, time.monotonic())
                    if pause is None:
                        raise
                    if new:
                        _note_interruption(failure)
                time.sleep(pause)

    def follow(self, task_id: str) -> Iterator[client.Task]:
        """Yield the task at each change, the last time once it is final, over restarts too.

        Raises Refused for an unknown task, and Unreachable when a server that went away stays away.
        """
        changes = self._client.follow(
            task_id, patience=PATIENCE, on_interruption=_note_interruption
        )
        with _explained(), changes:
            for event in changes:
                if isinstance(event, client.Changed | client.Ended):
                    yield event.task

    def _answer(self, call: calls.Call[Any]) -> Answer:
        answer = self._client.connection.ask(call)
        return Answer(answer.status, answer.content)


def connect(arguments: argparse.Namespace) -> Connection:
    """Open the connection that the command line asks for."""
    return Connection(arguments.url, _key(arguments.key_file))


def in_path(name: str) -> str:
    """Write a name as a part of a path; see `sending.in_path`."""
    with _explained():
        return sending.in_path(name)


def path_of_task(task_id: str, more: str = "") -> str:
    """Give the path of a task; see `calls.path_of_task`."""
    with _explained():
        return calls.path_of_task(task_id, more)


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
    return key.strip() or None


def _note_interruption(error: client.ClientError) -> None:
    note(f"{error}\nThe task is kept over a restart; trying again …")


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what the client raises into what a person can act on."""
    try:
        yield
    except client.UnusableSetting as error:
        raise CommandFailed(str(error), Exit.USAGE) from None
    except client.TlsFailed as error:
        raise Unreachable(str(error)) from None
    except client.CannotConnect as error:
        raise Unreachable(
            f"{error}: start one with `cortex-tasks serve`, "
            "or name another with --url or CORTEX_TASKS_URL"
        ) from None
    except client.Unreachable as error:
        raise Unreachable(f"{error}: look with `cortex-tasks list`") from None
    except (client.NotAuthenticated, client.NotPermitted) as error:
        raise Refused(f"{error}. {HOW_TO_GET_A_KEY}", error.status) from None
    except client.Refused as error:
        raise Refused(str(error), error.status) from None
    except client.ClientError as error:
        raise CommandFailed(str(error)) from None
