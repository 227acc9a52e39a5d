"""Submitting a task of any type that no operation starts: those that other packages bring."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ..engine.errors import InvalidParameters
from ..engine.exact_json import is_large
from ..engine.intake import Step
from ..engine.registry import TaskType
from ..engine.surroundings import encode_in_thread
from .calls import Answer, Call, encode
from .parameters import alias
from .wire import TaskView, view

# Where a task of a type is asked for that an operation starts, under keys of its own.
OPERATIONS = {
    "document_processing": "/api/documents/process-pending",
    "relationship_analysis": "/api/graph/relationships/analyze",
    "community_detection": "/api/graph/communities/detect",
    "community_summarization": "/api/graph/communities/summarize",
}


class NewTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task to be. `params` is what its type takes: most take an object. Of `delay` (seconds) and
    `run_at` at most one; `then` are the steps after it, each the name of a type or an object with
    `task_type` and `params`.
    """

    task_type: Annotated[str, Meta(extra=alias("type"))]
    params: Any = None
    delay: Annotated[float, Meta(ge=0)] | None = None
    run_at: datetime | None = None
    priority: Annotated[int, Meta(ge=-1000, le=1000)] = 0
    dedupe_key: str | None = None
    then: list[str | NewStep] | None = None


class NewStep(msgspec.Struct, frozen=True, kw_only=True):
    """A task that follows once the one before it has completed."""

    task_type: str
    params: Any = None
    delay: Annotated[float, Meta(ge=0)] | None = None


class TaskSubmitted(TaskView, frozen=True):
    """The task as it was taken; `deduplicated`, if it was there already."""

    deduplicated: bool


async def submit_task(call: Call[NewTask]) -> Answer:
    """Submit a task; the answer comes once it is kept."""
    wanted = call.params
    follow = [
        NewStep(task_type=step) if isinstance(step, str) else step for step in wanted.then or ()
    ]
    steps: list[Step] = [(step.task_type, step.params, None, step.delay or 0.0) for step in follow]
    if call.services.has_library:
        for name in (wanted.task_type, *(step.task_type for step in follow)):
            if name in OPERATIONS:
                raise InvalidParameters(
                    f"a {name} task is started by POST {OPERATIONS[name]}", path="$.task_type"
                )
    engine = call.services.engine
    try:
        handle = await engine.submit(
            wanted.task_type,
            wanted.params,
            delay=wanted.delay,
            run_at=wanted.run_at,
            priority=wanted.priority,
            dedupe_key=wanted.dedupe_key,
            then=steps,
            idempotency_key=call.idempotency_key,
        )
    except InvalidParameters as error:
        placed = partial(_placed, error, wanted, follow, engine.task_types)
        large = is_large([wanted.params, *(step.params for step in follow)])
        raise (await encode_in_thread(placed) if large else placed()) from None
    shown = msgspec.structs.asdict(view(handle.record))
    return Answer(encode(TaskSubmitted(**shown, deduplicated=handle.deduplicated)))


def _placed(
    error: InvalidParameters,
    wanted: NewTask,
    follow: Sequence[NewStep],
    task_types: Iterable[TaskType[Any, Any]],
) -> InvalidParameters:
    """Give the error with the place in the body, where it is parameters that do not fit."""
    declared = {each.name: each for each in task_types}
    places: dict[str, NewTask | NewStep] = {"$.params": wanted}
    places |= {f"$.then[{number}].params": step for number, step in enumerate(follow)}
    for place, task in places.items():
        try:
            if task.task_type in declared:
                declared[task.task_type].encode_params(task.params)
        except InvalidParameters as misfit:
            return InvalidParameters(str(misfit), path=place + misfit.path.removeprefix("$"))
    return error
