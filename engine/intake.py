"""Makes submissions of what callers ask for, once all of it is checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from .errors import InvalidParameters
from .messages import Submission
from .records import ChainStep
from .registry import Registry, TaskType
from .settings import Limits
from .submissions import (
    check_idempotency_key,
    check_key,
    check_priority,
    checked_delay,
    fingerprint,
    fingerprint_of,
)

# A step of a chain: a type, with its parameters, with the key that it holds while it is under way,
# with the time (in seconds, or a timedelta) between the end of the step before and its start.
_Task = TaskType[Any, Any] | str
Step = (
    _Task
    | tuple[_Task, Any]
    | tuple[_Task, Any, str | None]
    | tuple[_Task, Any, str | None, float | timedelta]
)
Then = Sequence[Step]


class Intake:
    """Checks what was asked for against the types that are registered and the limits."""

    def __init__(self, registry: Registry, limits: Limits, new_task_id: Callable[[], str]) -> None:
        self._registry = registry
        self._limits = limits
        self._new_task_id = new_task_id

    def submissions(
        self,
        wanted: list[tuple[_Task, Any]],
        start: datetime | timedelta | None,
        priority: int,
        dedupe_key: str | None,
        then: Then,
        request: tuple[str, object] | None,
    ) -> list[tuple[TaskType[Any, Any], Submission]]:
        """Make one of each pair of type and parameters, which share all else.

        request: its idempotency key, and what it asked for, if that is not all of this.
        Raises UnknownTaskType and InvalidParameters.
        """
        steps = tuple(self._step(step) for step in then)
        if dedupe_key is not None:
            check_key(dedupe_key)
        key, said = request or (None, None)
        if key is not None:
            check_idempotency_key(key)
        check_priority(priority)
        made = []
        for task, params in wanted:
            declared = self._registry.find(task)
            encoded = self._encode(declared, params)
            asked = None
            if key is not None and said is not None:
                asked = fingerprint_of(said)
            elif key is not None:
                asked = fingerprint(declared.name, encoded, dedupe_key, steps, start, priority)
            submission = Submission(
                self._new_task_id(),
                declared.name,
                encoded,
                dedupe_key,
                steps,
                start,
                priority,
                key,
                asked,
            )
            made.append((declared, submission))
        return made

    def _step(self, step: Step) -> ChainStep:
        parts = step if isinstance(step, tuple) else (step,)
        task, params, dedupe_key, delay = (*parts, None, None, None)[:4]
        if dedupe_key is not None:
            check_key(dedupe_key)
        wait = None if delay is None else checked_delay(delay)
        declared = self._registry.find(task)
        return ChainStep(declared.name, self._encode(declared, params), dedupe_key, wait)

    def _encode(self, declared: TaskType[Any, Any], params: Any) -> msgspec.Raw:
        encoded = declared.encode_params(params)
        size, limit = memoryview(encoded).nbytes, self._limits.max_params_bytes
        if size > limit:
            raise InvalidParameters(
                f"the parameters of {declared.name!r} are {size:,} bytes of JSON, over the limit "
                f"of {limit:,} (Limits.max_params_bytes)"
            )
        return encoded
