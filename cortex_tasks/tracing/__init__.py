"""Spans of OpenTelemetry: for each submit, task and attempt, and for each request.

    tracing = Tracing()
    engine = TaskEngine(types, backend=…, tracer=tracing)
    app = TracedRequests(create_app(engine))

Needs `cortex-tasks[otel]`, the API alone: what becomes of the spans is for the SDK that the program
sets up. Without one nothing is recorded.
"""

from __future__ import annotations

try:
    import opentelemetry.trace  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "Tracing needs opentelemetry-api, which is not installed: pip install 'cortex-tasks[otel]'",
        name=error.name,
    ) from None

from .requests import TracedRequests
from .tasks import Tracing

__all__ = ["TracedRequests", "Tracing"]
