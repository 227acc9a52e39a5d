"""The calls by which a person steers: try a task again, pause a task type."""

from __future__ import annotations

from ..engine.errors import UnknownTaskType
from .calls import Answer, Call, encode
from .overview import show_type
from .problems import Problem
from .wire import view


async def retry_task(call: Call[None]) -> Answer:
    """Have a failed or cancelled task tried again."""
    return Answer(encode(view(await call.services.engine.retry(call.path("task_id")))))


async def pause_type(call: Call[None]) -> Answer:
    """Start no more tasks of a type."""
    return await _set_paused(call, paused=True)


async def resume_type(call: Call[None]) -> Answer:
    """Start tasks of a type again."""
    return await _set_paused(call, paused=False)


async def _set_paused(call: Call[None], *, paused: bool) -> Answer:
    engine, name = call.services.engine, call.path("task_type")
    try:
        await (engine.pause(name) if paused else engine.resume(name))
        return Answer(encode(show_type(engine.overview.of_type(name))))
    except UnknownTaskType as error:
        raise Problem(404, "Unknown task type", str(error)) from None
