"""A span for each request, named as the semantic conventions for HTTP have it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from opentelemetry import context, propagate, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider
from opentelemetry.util.types import AttributeValue

# Types of ASGI, which need no library.
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_ROUTE: Final = "cortex_tasks.route"  # in the scope: where our application says its route


class TracedRequests:
    """An ASGI application around another, ours or one that has ours in it.

    A request that has a trace context (`traceparent`) goes on with that trace. The span has the
    path of the route as its name, never that which was asked for, and no query.
    """

    def __init__(self, app: App, tracer_provider: TracerProvider | None = None) -> None:
        self._app = app
        self._tracer = trace.get_tracer("cortex_tasks", tracer_provider=tracer_provider)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
        carrier = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        parent = propagate.extract(carrier)
        span = self._tracer.start_span(
            method, context=parent, kind=SpanKind.SERVER, attributes=_request(scope, method)
        )

        async def send_noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                _note_answer(span, scope, method, message["status"])
            await send(message)

        token = context.attach(trace.set_span_in_context(span, parent))
        try:
            await self._app(scope, receive, send_noted)
        except Exception as error:
            span.record_exception(error)
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise
        finally:
            context.detach(token)
            span.end()


def _request(scope: Scope, method: str) -> dict[str, AttributeValue]:
    about: dict[str, AttributeValue] = {
        "http.request.method": method,
        "url.path": scope["path"],
        "url.scheme": scope.get("scheme", "http"),
    }
    if method == "_OTHER":
        about["http.request.method_original"] = str(scope["method"])
    if scope.get("server"):
        host, port = scope["server"]
        about["server.address"] = str(host)
        if port is not None:
            about["server.port"] = port
    return about


def _note_answer(span: Span, scope: Scope, method: str, status: int) -> None:
    span.set_attribute("http.response.status_code", status)
    route = scope.get(_ROUTE)
    if route:
        span.set_attribute("http.route", route[-1])
        span.update_name(f"{method} {route[-1]}")
    if status >= 500:
        span.set_attribute("error.type", str(status))
        span.set_status(Status(StatusCode.ERROR))
