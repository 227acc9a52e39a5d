"""The server: engine, library, keys and connections put together, from start to stop."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import anyio
import msgspec

from ..engine.engine import TaskEngine
from ..engine.errors import CortexTasksError
from ..engine.registry import TaskType
from ..engine.settings import Limits, Retention
from ..engine.storage import Backend
from ..engine.tracing import Tracer
from ..jobs.library.checking import LIBRARY_FILE
from .app import UPLOAD_LIMIT, create_app, own_version
from .extras import from_extra
from .keys import FIRST_KEY, KeyStore
from .listening import bind
from .serving import serve
from .stopping import StopSignals
from .webhooks.dispatch import Webhooks
from .webhooks.outbox import OUTBOX_FILE, Outbox
from .webhooks.posting import Poster
from .webhooks.signing import Secrets

with from_extra("server"):
    from starlette.types import ASGIApp

with from_extra("jobs"):
    from ..jobs.builtin import builtin_task_types
    from ..jobs.library import Library

log = logging.getLogger("cortex_tasks.http")

ADMIN_KEY_VARIABLE = "ADMIN_API_KEY"
MARGIN = 10.0  # seconds beyond all graces before a stopping server kills itself


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a server is to run."""

    data: Path = Path("data")  # the folder of everything that is kept
    host: str = "127.0.0.1"
    port: int = 8000  # 0: any that is free
    loop: Literal["trio", "asyncio"] = "trio"
    grace: float = 10.0  # seconds that running tasks get when the server stops
    request_grace: float = 3.0  # seconds that open requests get before
    upload_limit: int = UPLOAD_LIMIT  # bytes
    limits: Limits = Limits()
    retention: Retention = Retention()  # for how long ended tasks are kept
    keep_alive: float = 20.0  # seconds for which an idle connection is kept
    access_log: bool = False
    open_metrics: bool = False  # /metrics without a key
    trace: bool = False  # make spans of OpenTelemetry; see ../tracing
    page: bool = True  # serve the page at `/`
    webhooks_to_private: bool = False  # whether they may tell this machine and its network


class Ready(msgspec.Struct, frozen=True):
    """What there is to say once the server answers."""

    url: str
    data: Path
    first_key: str | None  # an admin key made just now, as there was none: shown this once


class DataFolderUnusable(CortexTasksError):
    """The data folder cannot be made, or written to."""


def run_server(
    settings: ServerSettings,
    backend: Backend,
    *,
    on_ready: Callable[[Ready], None] | None = None,
    task_types: Iterable[TaskType[Any, Any]] = (),
) -> None:
    """Run a server with the library and the four jobs, until a signal stops it.

    backend: keeps the tasks; it is opened and closed here. on_ready: called once the server
    answers; without it, what there is to say is printed. task_types: more that it runs, submitted
    by `POST /api/tasks`. The key in the environment's ADMIN_API_KEY is accepted, and never stored.

    Raises CannotListen, DataFolderUnusable, StorageError (the data folder is in use by another
    server, or what it holds cannot be read), TaskTypeError (two types have one name), and
    ModuleNotFoundError that names a missing extra.
    """
    more = tuple(task_types)
    anyio.run(_run, settings, backend, on_ready or announce, more, backend=settings.loop)


async def _run(
    settings: ServerSettings,
    backend: Backend,
    on_ready: Callable[[Ready], None],
    task_types: tuple[TaskType[Any, Any], ...],
) -> None:
    folder = _data_folder(settings.data)
    keys = _keys(settings)
    draining = anyio.Event()
    tracer, traced = _tracing() if settings.trace else (None, _untraced)

    def ready(url: str) -> None:
        first_key = keys.create_first()
        try:
            on_ready(Ready(url, folder, first_key))
        except BaseException:
            if first_key is not None:  # nobody has seen it: the next start makes another
                keys.revoke(FIRST_KEY)
            raise

    patience = settings.request_grace + settings.grace + MARGIN
    with (
        anyio.CancelScope() as everything,
        StopSignals(draining, everything.cancel, patience=patience),
        bind(settings.host, settings.port) as listener,  # before anything is begun
    ):
        _warn_of_a_lost_library(folder)
        async with (
            Library(folder / LIBRARY_FILE) as library,
            TaskEngine(
                [*builtin_task_types(library), *task_types],
                backend=backend,
                drain_grace=settings.grace,
                limits=settings.limits,
                retention=settings.retention,
                tracer=tracer,
            ) as engine,
            _telling(engine, folder, allow_private=settings.webhooks_to_private) as webhooks,
        ):
            app = create_app(
                engine,
                library=library,
                keys=keys,
                draining=draining,
                webhooks=webhooks,
                upload_limit=settings.upload_limit,
                open_metrics=settings.open_metrics,
                page=settings.page,
            )
            await serve(
                traced(app),
                listener=listener,
                draining=draining,
                on_ready=ready,
                grace=settings.request_grace,
                keep_alive=settings.keep_alive,
                access_log=settings.access_log,
            )


def _warn_of_a_lost_library(folder: Path) -> None:
    """Say that one will be made, if this folder must have had one."""
    path = folder / LIBRARY_FILE
    if path.exists() and path.stat().st_size > 0:
        return
    if (folder / OUTBOX_FILE).exists():  # as it does from the first start on
        log.warning(
            "%s is not there or empty, though this folder has been served before: an empty library "
            "is made. If it was not removed on purpose, stop the server and put it back.",
            path,
        )


def _tracing() -> tuple[Tracer, Callable[[ASGIApp], ASGIApp]]:
    from ..tracing import TracedRequests, Tracing  # noqa: PLC0415  of another extra

    return Tracing(), TracedRequests


def _untraced(app: ASGIApp) -> ASGIApp:
    return app


@asynccontextmanager
async def _telling(
    engine: TaskEngine, folder: Path, *, allow_private: bool
) -> AsyncIterator[Webhooks]:
    secrets = Secrets.in_folder(folder)
    async with Poster(secrets, allow_private=allow_private, version=own_version()) as poster:
        webhooks = Webhooks(
            Outbox(folder / OUTBOX_FILE),
            post=poster.post,
            secrets=secrets,
            allow_private=allow_private,
        )
        async with webhooks.running(engine):
            yield webhooks


def _data_folder(path: Path) -> Path:
    folder = path.absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise DataFolderUnusable(
            f"The data folder {folder} cannot be made: {error.strerror}. Choose another one."
        ) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise DataFolderUnusable(
            f"The data folder {folder} cannot be written to. Choose another one, or let this user "
            "write there."
        )
    return folder


def announce(ready: Ready) -> None:
    """Print where the server is, and the first key."""
    lines = [f"Cortex tasks at {ready.url}, data in {ready.data}"]
    if ready.first_key is not None:
        lines.append(f"API key (shown only now; only its hash is kept): {ready.first_key}")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _keys(settings: ServerSettings) -> KeyStore:
    admin_key = os.environ.get(ADMIN_KEY_VARIABLE, "").strip()
    return KeyStore.in_folder(settings.data, admin_key=admin_key or None)
