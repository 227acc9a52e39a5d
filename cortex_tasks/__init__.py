"""Background tasks that really stop, lose nothing, and tell the truth. See README.md."""

from __future__ import annotations

from .backends.json_backend import JsonBackend
from .backends.memory import MemoryBackend
from .engine.context import ChildContext, TaskContext
from .engine.engine import TaskEngine
from .engine.errors import (
    CallerError,
    ChildCrashed,
    CortexTasksError,
    EngineError,
    EngineNotRunning,
    EventsMissed,
    InvalidParameters,
    NotImportable,
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
    TaskTypeError,
    UnknownTaskType,
)
from .engine.handles import TaskHandle
from .engine.lifecycle import TaskStatus
from .engine.records import TaskEvent, TaskPage, TaskRecord
from .engine.registry import TaskType, task_type
from .engine.settings import Limits, Retention
from .engine.surroundings import Surroundings

__all__ = [
    "CallerError",
    "ChildContext",
    "ChildCrashed",
    "CortexTasksError",
    "EngineError",
    "EngineNotRunning",
    "EventsMissed",
    "InvalidParameters",
    "JsonBackend",
    "Limits",
    "MemoryBackend",
    "NotImportable",
    "QueueFull",
    "ResultNotReady",
    "Retention",
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
    "TaskPage",
    "TaskRecord",
    "TaskStatus",
    "TaskType",
    "TaskTypeError",
    "UnknownTaskType",
    "task_type",
]
