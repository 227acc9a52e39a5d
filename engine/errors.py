"""Everything the engine raises, named by whose fault it is.

CortexTasksError
├── CallerError                     the call cannot be carried out as it was made
│   ├── UnknownTaskType             no such type is registered (lists those that are)
│   ├── InvalidParameters           the parameters do not fit the type (names the field)
│   ├── NotJson                     JSON cannot keep the value whole (names the path and the reason)
│   ├── TooLarge                    the value is over a limit (names it)
│   ├── AttemptOver                 a checkpoint came from an attempt that is not under way
│   ├── TaskNotFound                no such id, or it has been cleaned up
│   ├── TaskAlreadyFinal            a cancel came after the end
│   ├── TaskNotRevivable            a retry was asked for of a task that cannot have one
│   ├── ResultNotReady              the task has not completed (yet, or ever)
│   ├── QueueFull                   the type's queue is at its limit: try later
│   ├── NotImportable               a function that a child process could not find
│   └── EventsMissed                the follower fell behind what is kept
├── TaskEnded                       raised to whoever asks for a result that will never be
│   ├── TaskFailed
│   └── TaskCancelled
└── EngineError                     the engine or what it stands on cannot serve
    ├── EngineNotRunning            not entered yet, draining, or left
    ├── TaskTypeError               a task type is declared wrongly
    ├── StorageError                the backend cannot keep or read what it must
    │   ├── StorageFull             no room: what was asked is refused, nothing is lost
    │   ├── StorageInUse            another process holds the same folder
    │   └── StorageCorrupt          what is on disk is not what was written
    └── ChildCrashed                a child process died without an answer

A task's own failure is data in its record, never an exception inside the supervisor.
"""

from __future__ import annotations

from typing import Any


class CortexTasksError(Exception):
    """Root of all errors of this package; its text is for a person to act on."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _made_again, (type(self), self.args), self.__dict__


def _made_again(kind: type[CortexTasksError], args: tuple[Any, ...]) -> CortexTasksError:
    """Make a copy that comes out of another process, without what made the first one's text."""
    error = kind.__new__(kind, *args)
    super(CortexTasksError, error).__init__(*args)
    return error


class CallerError(CortexTasksError):
    """The call cannot be carried out as it was made; nothing has changed."""


class UnknownTaskType(CallerError):
    """The task type is not registered with this engine."""

    def __init__(self, name: str, registered: list[str]) -> None:
        known = ", ".join(sorted(registered)) or "none"
        super().__init__(f"unknown task type {name!r}; registered types: {known}")
        self.name = name


class InvalidParameters(CallerError):
    """The parameters do not fit the task type; `path` is the field, as in `$.text`."""

    def __init__(self, message: str, *, path: str = "$") -> None:
        super().__init__(message)
        self.path = path


class NotJson(CallerError, ValueError):
    """JSON cannot keep the value so that it comes back whole; `path` is where, as in `$.text`."""

    def __init__(self, message: str, path: str = "$") -> None:
        super().__init__(message, path)
        self.path = path

    def __str__(self) -> str:
        return str(self.args[0])


class TooLarge(CallerError, ValueError):
    """The value is larger than the engine was set to keep; the text names the limit."""


class AttemptOver(CallerError):
    """The attempt that wanted to save a checkpoint is over: it was cut short, or has ended."""

    def __init__(self, task_id: str, attempt: int) -> None:
        super().__init__(task_id, attempt)
        self.task_id = task_id
        self.attempt = attempt

    def __str__(self) -> str:
        return f"Attempt {self.attempt} of task {self.task_id!r} is over: no checkpoint is kept."


class TaskNotFound(CallerError):
    """No task has this id, or it had one and has been cleaned up."""

    def __init__(self, task_id: str) -> None:
        super().__init__(f"Task {task_id!r} not found. It may have been cleaned up.")
        self.task_id = task_id


class TaskAlreadyFinal(CallerError):
    """The task had already completed or failed when the cancel came."""

    def __init__(self, task_id: str, status: str) -> None:
        super().__init__(f"Task {task_id!r} is already {status}; it cannot be cancelled.")
        self.task_id = task_id
        self.status = status


class TaskNotRevivable(CallerError):
    """The task is neither failed nor cancelled, another one does its work, or its parameters are
    lost: no retry.
    """

    def __init__(self, task_id: str, reason: str) -> None:
        super().__init__(f"Task {task_id!r} cannot be tried again: {reason}")
        self.task_id = task_id


class ResultNotReady(CallerError):
    """The task has not completed: there is no result to read."""

    def __init__(self, task_id: str, status: str) -> None:
        super().__init__(f"Task {task_id!r} is {status}; it has no result.")
        self.task_id = task_id
        self.status = status


class IdempotencyConflict(CallerError):
    """This idempotency key came before, with another request; nothing was submitted."""

    def __init__(self, task_id: str) -> None:
        super().__init__(
            f"this idempotency key was used for another request, which made {task_id}: use a new "
            "key for each request, and repeat a request with exactly what it asked for before"
        )
        self.task_id = task_id


class QueueFull(CallerError):
    """So many tasks of this type wait already that no more are taken; try again later."""

    def __init__(self, task_type: str, limit: int) -> None:
        super().__init__(
            f"The queue of {task_type!r} is full: {limit} tasks are pending. "
            "Try again later, or raise max_pending."
        )
        self.task_type = task_type
        self.limit = limit


class NotImportable(CallerError, ValueError):
    """The function cannot be found by name in a child process (a lambda, a closure, a local)."""


class EventsMissed(CallerError):
    """The follower asked for changes that are no longer kept; `oldest` is the first that is."""

    def __init__(self, wanted: int, oldest: int) -> None:
        super().__init__(
            f"Changes from {wanted} on were asked for, but only those from {oldest} on are kept. "
            "Read the list of tasks, then follow from its sequence number."
        )
        self.wanted = wanted
        self.oldest = oldest


class TaskEnded(CortexTasksError):
    """The task ended without a result."""

    def __init__(self, task_id: str, message: str) -> None:
        super().__init__(message)
        self.task_id = task_id


class TaskFailed(TaskEnded):
    """The task's body failed; the text is the error that its record keeps."""


class TaskCancelled(TaskEnded):
    """The task was cancelled before it had a result."""


class EngineError(CortexTasksError):
    """The engine, or something it stands on, cannot serve."""


class EngineNotRunning(EngineError):
    """The engine has not been entered, is draining, or has been left."""


class TaskTypeError(EngineError):
    """A task type is declared in a way that cannot work."""


class StorageError(EngineError):
    """The backend could not keep or read what it must; the text says what to do."""


class StorageFull(StorageError):
    """There is no room: this commit was refused whole, and what was kept before is intact."""


class StorageInUse(StorageError):
    """Another process holds the same storage."""


class StorageCorrupt(StorageError):
    """What is stored is not what was written; nothing was changed."""


class ChildCrashed(EngineError):
    """A child process died without an answer (exit code or signal in the text)."""
