"""The HTTP API as a Starlette application, to serve or to mount in another one."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, NoReturn

import anyio
import msgspec

from ..engine.engine import TaskEngine
from .extras import from_extra

with from_extra("server"):
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import RedirectResponse
    from starlette.routing import Route

    from .auth import Keys
    from .bodies import BodyLimit
    from .calls import Endpoint, Resource
    from .describing import signing_in
    from .documentation import Description
    from .envelope import Envelope
    from .examples import Examples
    from .measuring import Measured
    from .openapi import describe
    from .page import DOCS, PAGE, routes_of
    from .problems import PROBLEMS
    from .routes import METRICS_PATH, TASK_ENDPOINTS
    from .services import Services
    from .session_routes import SESSION_ENDPOINTS
    from .task_examples import TASK_EXAMPLES

if TYPE_CHECKING:
    from ..jobs.library import Library
    from .webhooks.dispatch import Webhooks

MEGABYTE = 2**20
UPLOAD_LIMIT = 50 * MEGABYTE
FORM_WRAPPING = 64 * 1024  # bytes of a form that are not its file


def create_app(
    engine: TaskEngine,
    *,
    library: Library | None = None,
    keys: Keys | None = None,
    draining: anyio.Event | None = None,
    webhooks: Webhooks | None = None,
    upload_limit: int = UPLOAD_LIMIT,
    upload_seconds: float = 600.0,
    json_limit: int = MEGABYTE,
    json_seconds: float = 30.0,
    open_metrics: bool = False,
    page: bool = True,
) -> Starlette:
    """Make the application; the engine and the library are the caller's to enter and to leave.

    library: without one, only the task routes and /health are served.
    keys: a KeyStore, or anything with its `check` (and `version`, for the sake of many streams);
    without, no key is asked for, and whoever reaches the application may do everything.
    webhooks: kept and told where they are running; without them there are no routes for them.
    draining: set it when the server is to stop: requests that wait for a task are answered then.
    upload_limit, json_limit: bytes of a body. upload_seconds, json_seconds: how long it may take.
    open_metrics: whether /metrics is given without a key.
    page: whether to serve the page at `/`, and to take its cookie for a key.

    Served under a prefix (`Mount("/cortex", create_app(…))`), its paths follow the prefix.
    """
    services = Services(
        engine,
        keys,
        draining=draining or anyio.Event(),
        version=own_version(),
        limits={
            "json": BodyLimit(json_limit, json_seconds),
            "large": BodyLimit(upload_limit, upload_seconds),
            # Its parameters, and besides them what any other request may hold.
            "task": BodyLimit(
                min(upload_limit, engine.limits.max_params_bytes + json_limit), upload_seconds
            ),
            "form": BodyLimit(upload_limit, upload_seconds, FORM_WRAPPING),
        },
        has_page=page,
    )
    endpoints, problems, examples = TASK_ENDPOINTS, PROBLEMS, TASK_EXAMPLES
    if page:
        endpoints = (*endpoints, *SESSION_ENDPOINTS)
    if library is not None:
        # Not before there is one: what the library stands on is another extra.
        from ..jobs.operations import Operations  # noqa: PLC0415
        from .library_examples import LIBRARY_EXAMPLES  # noqa: PLC0415
        from .library_routes import LIBRARY_ENDPOINTS, LIBRARY_PROBLEMS  # noqa: PLC0415

        services.add_library(library, Operations(engine, library))
        endpoints = (*endpoints, *LIBRARY_ENDPOINTS)
        problems = {**problems, **LIBRARY_PROBLEMS}
        examples = {**examples, **LIBRARY_EXAMPLES}
    if webhooks is not None:
        # Nor are they kept everywhere.
        from .webhook_examples import WEBHOOK_EXAMPLES  # noqa: PLC0415
        from .webhook_routes import WEBHOOK_ENDPOINTS, WEBHOOK_PROBLEMS  # noqa: PLC0415

        services.add_webhooks(webhooks)
        endpoints = (*endpoints, *WEBHOOK_ENDPOINTS)
        problems = {**problems, **WEBHOOK_PROBLEMS}
        examples = {**examples, **WEBHOOK_EXAMPLES}
    if open_metrics:
        endpoints = tuple(map(_opened, endpoints))
    services.describe = Description(
        partial(
            describe,
            endpoints,
            Examples(examples),
            version=services.version,
            signing_in=signing_in(keys is not None, page=page),
        )
    )
    app = Starlette(
        routes=[
            *_routes(services, endpoints),
            *(routes_of(PAGE) if page else ()),
            *routes_of(DOCS),
            Route(f"{DOCS.page}/", RedirectResponse(f"..{DOCS.page}", 308), name="docs_slash"),
        ],
        middleware=[
            Middleware(Measured, statistics=services.requests),
            Middleware(Envelope, problems=problems),
        ],
        exception_handlers={HTTPException: _pass_on},
    )
    app.router.redirect_slashes = False  # another path of the API is another thing: 404
    return app


def _routes(services: Services, endpoints: Iterable[Endpoint]) -> list[Route]:
    """Make one route of all endpoints of a path, so that a wrong method is told all right ones."""
    paths = list(dict.fromkeys(endpoint.path for endpoint in endpoints))
    by_path = {path: [row for row in endpoints if row.path == path] for path in paths}
    routes = []
    for path, rows in by_path.items():
        resource = Resource(services, rows)
        name = rows[0].handler.__name__
        routes.append(Route(path, resource, methods=resource.methods, name=name))
    return routes


def _opened(endpoint: Endpoint) -> Endpoint:
    if endpoint.path != METRICS_PATH:
        return endpoint
    return msgspec.structs.replace(endpoint, permission=None)


async def _pass_on(_request: Request, error: Exception) -> NoReturn:
    raise error  # to the envelope, which answers all errors alike


def own_version() -> str:
    """The version of the installed distribution."""
    try:
        return version("cortex-tasks")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unknown"
