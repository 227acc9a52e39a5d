"""How an engine is traced: what a tracer is asked, and told. None is known here by name.

`cortex_tasks.tracing` has one for OpenTelemetry. Where an engine has none, tracing costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from .messages import Outcome
from .observing import Observer
from .records import TaskRecord, TraceContext


class Tracer(Observer, Protocol):
    """Notes submits and attempts while they last, and as an observer what has become of them.

    Called in the event loop: it must not block, and must not raise.
    """

    def submitting(
        self, task_type: str, task_ids: Sequence[str]
    ) -> AbstractContextManager[TraceContext | None]:
        """Around a submit; gives what the records are to keep, and the steps of their chains."""
        ...

    def running(self, record: TaskRecord) -> AbstractContextManager[Callable[[Outcome], None]]:
        """Around a body, in the coroutine that runs it; what it gives is told how that ended.

        A context variable that is set when it is entered must be as before when it is left.
        """
        ...
