"""The calls by which a person steers: try a task again."""

from __future__ import annotations

from .calls import Answer, Call, encode
from .wire import view


async def retry_task(call: Call[None]) -> Answer:
    """Have a failed or cancelled task tried again."""
    return Answer(encode(view(await call.services.engine.retry(call.path("task_id")))))
