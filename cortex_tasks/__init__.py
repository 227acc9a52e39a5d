"""Background tasks that really stop, lose nothing, and tell the truth. See README.md."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .backends.json_backend import JsonBackend
    from .backends.memory import MemoryBackend
    from .engine.context import ChildContext, TaskContext
    from .engine.engine import TaskEngine
    from .engine.errors import (
        AttemptOver,
        CallerError,
        ChildCrashed,
        CortexTasksError,
        EngineError,
        EngineNotRunning,
        EventsMissed,
        IdempotencyConflict,
        InvalidParameters,
        NotImportable,
        NotJson,
        QueueFull,
        ResultNotReady,
        StorageCorrupt,
        StorageError,
        StorageFull,
        StorageInUse,
        TaskAlreadyFinal,
        TaskCancelled,
        TaskEnded,
        TaskFailed,
        TaskNotFound,
        TaskNotRevivable,
        TaskTypeError,
        TooLarge,
        UnknownTaskType,
    )
    from .engine.handles import TaskHandle
    from .engine.lifecycle import TaskStatus
    from .engine.records import AttemptRecord, TaskEvent, TaskPage, TaskRecord
    from .engine.registry import TaskType, task_type
    from .engine.retrying import Backoff, RetryLater
    from .engine.settings import Limits, Retention
    from .engine.surroundings import Surroundings

__all__ = [
    "AttemptOver",
    "AttemptRecord",
    "Backoff",
    "CallerError",
    "ChildContext",
    "ChildCrashed",
    "CortexTasksError",
    "EngineError",
    "EngineNotRunning",
    "EventsMissed",
    "IdempotencyConflict",
    "InvalidParameters",
    "JsonBackend",
    "Limits",
    "MemoryBackend",
    "NotImportable",
    "NotJson",
    "QueueFull",
    "ResultNotReady",
    "Retention",
    "RetryLater",
    "StorageCorrupt",
    "StorageError",
    "StorageFull",
    "StorageInUse",
    "Surroundings",
    "TaskAlreadyFinal",
    "TaskCancelled",
    "TaskContext",
    "TaskEnded",
    "TaskEngine",
    "TaskEvent",
    "TaskFailed",
    "TaskHandle",
    "TaskNotFound",
    "TaskNotRevivable",
    "TaskPage",
    "TaskRecord",
    "TaskStatus",
    "TaskType",
    "TaskTypeError",
    "TooLarge",
    "UnknownTaskType",
    "task_type",
]

# Where each name is to be found. It is looked up when it is first asked for, so that importing one
# part of the package (its pytest plugin, in every run of pytest) does not load all the others.
_PUBLIC = {
    "backends.json_backend": ("JsonBackend",),
    "backends.memory": ("MemoryBackend",),
    "engine.context": ("ChildContext", "TaskContext"),
    "engine.engine": ("TaskEngine",),
    "engine.errors": (
        "AttemptOver",
        "CallerError",
        "ChildCrashed",
        "CortexTasksError",
        "EngineError",
        "EngineNotRunning",
        "EventsMissed",
        "IdempotencyConflict",
        "InvalidParameters",
        "NotImportable",
        "NotJson",
        "QueueFull",
        "ResultNotReady",
        "StorageCorrupt",
        "StorageError",
        "StorageFull",
        "StorageInUse",
        "TaskAlreadyFinal",
        "TaskCancelled",
        "TaskEnded",
        "TaskFailed",
        "TaskNotFound",
        "TaskNotRevivable",
        "TaskTypeError",
        "TooLarge",
        "UnknownTaskType",
    ),
    "engine.handles": ("TaskHandle",),
    "engine.lifecycle": ("TaskStatus",),
    "engine.records": ("AttemptRecord", "TaskEvent", "TaskPage", "TaskRecord"),
    "engine.registry": ("TaskType", "task_type"),
    "engine.retrying": ("Backoff", "RetryLater"),
    "engine.settings": ("Limits", "Retention"),
    "engine.surroundings": ("Surroundings",),
}
_HOME = {name: home for home, names in _PUBLIC.items() for name in names}


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(f".{home}", __name__), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
