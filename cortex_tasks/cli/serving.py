"""The command `serve`: a server with everything embedded, its data in one folder."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..backends.json_backend import JsonBackend
from ..backends.memory import MemoryBackend
from ..engine.logs import JsonLines, TextLines
from ..engine.storage import Backend
from .arguments import (
    Commands,
    add_command,
    add_data,
    add_flag,
    add_option,
    names,
    one_of,
    seconds,
    whole_number,
)
from .bounds import add_bounds, retention_of
from .exits import CommandFailed, Exit
from .plugins import load_backend, load_task_types
from .screen import flush_output, print_fields, print_text

TASKS_FOLDER = "tasks"  # in the data folder
WHERE_TASKS_ARE = {"json": "JSON files", "memory": "memory: they end with this server"}


def add_to(commands: Commands) -> None:
    """Add the command."""
    command = add_command(commands, "serve", serve, "run a server until Ctrl-C")
    add_option(command, "--host", default="127.0.0.1", help="the address to listen on")
    add_option(
        command,
        "--port",
        read=whole_number(0, 65535),
        default="8000",
        help="the port to listen on; 0 takes any that is free",
    )
    add_data(command)
    add_option(
        command,
        "--backend",
        default="json",
        help="where tasks are kept: json (files in the data folder), memory, or one that another "
        "package brings, as a registered name or MODULE:FUNCTION",
    )
    add_option(
        command,
        "--types",
        read=names,
        default="",
        help="task types of other packages, a comma list of registered names or MODULE:NAME",
    )
    add_option(
        command,
        "--loop",
        read=one_of("trio", "asyncio"),
        default="trio",
        help="the event loop to run on: trio or asyncio",
    )
    add_option(
        command,
        "--grace",
        read=seconds,
        default="10",
        help="seconds that running tasks get when the server stops",
    )
    add_option(
        command,
        "--upload-limit",
        read=whole_number(1, 100_000),
        default="50",
        help="the largest upload, in MB",
    )
    add_bounds(command)
    add_flag(
        command,
        "--webhooks-to-private",
        help="let webhooks tell this machine and its own network too",
    )
    add_option(
        command,
        "--log-format",
        read=one_of("auto", "text", "json"),
        default="auto",
        help="lines of the log as text or json; auto: text in a terminal, else json",
    )
    add_option(
        command,
        "--log-level",
        read=one_of("debug", "info", "warning", "error"),
        default="info",
        help="the least that the server and the tasks' own ctx.log write to the log; of libraries "
        "only warnings are written, and errors",
    )
    add_flag(command, "--access-log", help="write a line to the log for each request")
    add_flag(command, "--trace", help="make spans of OpenTelemetry, for the SDK that is set up")
    add_flag(command, "--open-metrics", help="give /metrics to whoever asks, without a key")
    add_flag(command, "--page", default=True, help="serve the page at /, beside the API")


def serve(arguments: argparse.Namespace) -> int:
    """Serve until told to stop."""
    with _missing_extra_named():
        from ..http import server  # noqa: PLC0415 - of an extra: the client runs without it
    _log_to_standard_error(arguments.log_format, arguments.log_level)
    data = Path(arguments.data)
    settings = server.ServerSettings(
        data=data,
        host=arguments.host,
        port=arguments.port,
        loop=arguments.loop,
        grace=arguments.grace,
        upload_limit=arguments.upload_limit * 2**20,
        limits=arguments.limits,
        retention=retention_of(arguments),
        access_log=arguments.access_log,
        webhooks_to_private=arguments.webhooks_to_private,
        open_metrics=arguments.open_metrics,
        trace=arguments.trace,
        page=arguments.page,
    )

    def announce(ready: server.Ready) -> None:
        where = WHERE_TASKS_ARE.get(arguments.backend, f"the backend {arguments.backend}")
        tasks = f"tasks in {where}; on {arguments.loop}"
        page = f"{ready.url}/" if settings.page else None
        _announce(ready.url, page, ready.data, tasks, ready.first_key)

    task_types = load_task_types(arguments.types)
    backend = _backend(arguments.backend, data)
    try:
        with _missing_extra_named():
            server.run_server(settings, backend, on_ready=announce, task_types=task_types)
    except KeyboardInterrupt:  # before it listened to signals, so before it began
        return Exit.INTERRUPTED
    return Exit.DONE


@contextmanager
def _missing_extra_named() -> Iterator[None]:
    """The server's own error names the library and its extra; a module of ours is a bug."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("cortex_tasks"):
            raise
        raise CommandFailed(str(error)) from None


def _backend(kind: str, data: Path) -> Backend:
    match kind:
        case "memory":
            return MemoryBackend(numbering_from=int(time.time() * 1000))
        case "json":
            return JsonBackend(data / TASKS_FOLDER)
        case _:
            return load_backend(kind, data / TASKS_FOLDER)


def _announce(url: str, page: str | None, data: Path, tasks: str, first_key: str | None) -> None:
    """Say where the server is and how to get in; the first line is for programs to wait for."""
    print_text(f"Cortex tasks at {url}")
    create = "cortex-tasks keys create --name NAME --permissions read,manage"
    if Path("data").absolute() != data:
        create += f" --data {data}"
    fields = [("data", f"{data} ({tasks})")]
    if page is not None:
        fields.insert(0, ("page", f"{page} in a browser; it asks for a key"))
    if first_key is not None:
        fields.append(("key", f"{first_key}\nmade now and shown only now; only its hash is kept"))
        fields.append(("use it", f"export CORTEX_TASKS_API_KEY={first_key}"))
    fields += [("more keys", create), ("stop", "Ctrl-C")]
    print_fields((f"  {name}", value) for name, value in fields)
    flush_output()  # into a file or a pipe it would else come when the server ends


def _log_to_standard_error(log_format: str, level: str) -> None:
    if log_format == "auto":
        log_format = "text" if sys.stderr.isatty() else "json"
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if log_format == "json" else TextLines())
    wanted = logging.getLevelNamesMapping()[level.upper()]
    # A library may tell at a lower level what is nobody's business: URLs, say.
    logging.basicConfig(level=max(wanted, logging.WARNING), handlers=[handler])
    logging.getLogger("cortex_tasks").setLevel(wanted)
    # Asked for by an option of its own, whatever else is written.
    logging.getLogger("cortex_tasks.access").setLevel(logging.INFO)
