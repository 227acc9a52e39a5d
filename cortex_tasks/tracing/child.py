"""How the trace goes on in a child process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import msgspec
from opentelemetry import context
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ..engine.records import TraceContext

W3C = TraceContextTextMapPropagator()


def carried() -> TraceContext | None:
    """Write down the span that is current here; None if there is none."""
    carrier: dict[str, str] = {}
    W3C.inject(carrier)
    parent = carrier.get("traceparent")
    return None if parent is None else TraceContext(parent, carrier.get("tracestate", ""))


def context_of(kept: TraceContext | None) -> Context:
    """Read what was written down."""
    if kept is None:
        return Context()
    carrier = {"traceparent": kept.parent}
    if kept.state:
        carrier["tracestate"] = kept.state
    return W3C.extract(carrier, context=Context())


class InTrace(msgspec.Struct, frozen=True):
    """Within this, spans are children of the one that was written down. Can be pickled."""

    parent: TraceContext

    def __call__(self) -> AbstractContextManager[None]:
        """Give what is to be entered."""
        return _attached(context_of(self.parent))


@contextmanager
def _attached(wanted: Context) -> Iterator[None]:
    token = context.attach(wanted)
    try:
        yield
    finally:
        context.detach(token)
