"""How an engine is traced: what a tracer is asked, and told. None is known here by name.

`cortex_tasks.tracing` has one for OpenTelemetry. Where an engine has none, tracing costs nothing.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TypeVar

from .messages import Outcome
from .observing import Observer
from .records import TaskRecord, TraceContext

log = logging.getLogger("cortex_tasks.engine")

T = TypeVar("T")


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

        A context variable that is set when it is entered must be as before when it is left. With
        AROUND_IN_CHILD (current.py) it reaches what the body runs in a child process.
        """
        ...


@contextmanager
def noted(tracer: Tracer, record: TaskRecord) -> Iterator[Callable[[Outcome], None]]:
    """`tracer.running`, of a tracer that may raise after all: the body runs, and it is logged."""
    note = _unharmed(lambda: tracer.running(record))
    ended = None if note is None else _unharmed(note.__enter__)

    def say(outcome: Outcome) -> None:
        if ended is not None:
            _unharmed(lambda: ended(outcome))

    try:
        yield say
    finally:
        raised = sys.exc_info()
        if note is not None and ended is not None:
            try:
                note.__exit__(*raised)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                if error is not raised[1]:  # handed on, as a generator does
                    log.exception("the tracer failed")


def _unharmed(ask: Callable[[], T]) -> T | None:
    try:
        return ask()
    except KeyboardInterrupt:  # meant for the whole program
        raise
    except BaseException:
        log.exception("the tracer failed")
        return None
