"""The whole server as a process of its own, for attacks: keys, library, four jobs, JSON files.

Put together as `cortex_tasks serve` does it, with limits so low that an attack reaches them, and a
few calls of its own beside the API: `POST /start/{task type}` submits and gives an id,
`POST /forget` removes every task that has ended, `POST /settle` gives memory back to the system.
Run as a program: `python -m tests.attacked_process LOOP OPTIONS`, its options as JSON.
"""

from __future__ import annotations

import ctypes
import gc
import json
import logging
import re
import socket
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from cortex_tasks.backends.json_backend import JsonBackend
from cortex_tasks.engine.children import ChildPool
from cortex_tasks.engine.context import TaskContext
from cortex_tasks.engine.engine import TaskEngine
from cortex_tasks.engine.registry import task_type
from cortex_tasks.engine.settings import Retention
from cortex_tasks.http.app import create_app
from cortex_tasks.http.keys import KeyStore
from cortex_tasks.http.listening import UNHEARD_MILLISECONDS, bind
from cortex_tasks.http.serving import serve
from cortex_tasks.http.stopping import StopSignals
from cortex_tasks.jobs.builtin import builtin_task_types
from cortex_tasks.jobs.library import Library
from cortex_tasks.jobs.library.checking import LIBRARY_FILE

KEY = "cortex_admin_of-these-attacks-alone"
BIG = 2_000_000  # bytes of the result of `big`
UPLOAD_LIMIT = 20_000  # bytes
JSON_LIMIT = 5_000  # bytes
TASKS = "tasks"  # the journal's folder
COMPACT = 500_000  # bytes: soon, so that what it leaves behind is seen
IDLE = 1.0  # seconds for which a child is kept that has nothing to do


@task_type("quick", concurrency=8)
async def quick(ctx: TaskContext) -> dict[str, int]:
    await ctx.progress(percent=50, message="Halfway")
    return {"attempt": ctx.attempt}


@task_type("big")
async def big(ctx: TaskContext) -> str:
    return "x" * BIG


# A task says that there was nothing for it to do; or of a stranger's document, that it is no text.
_EXPECTED = re.compile(r"\bfailed: NothingDone: |\bdoc_\w+ \(.*\) failed: ", re.DOTALL)


def log_what_should_not_be() -> None:
    """Log all, but for what tasks rightly say of themselves and of strangers' documents."""
    handler = logging.StreamHandler()
    handler.addFilter(lambda record: not _EXPECTED.search(record.getMessage()))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)


def settle() -> None:
    """Collect what can be, and give free pages back: a measure that is not glibc's to decide."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


async def main(
    folder: str,
    patience: float,
    grace: float,
    keep_alive: float,
    body_seconds: float,
    unheard: int = UNHEARD_MILLISECONDS,
) -> None:
    draining = anyio.Event()
    place = Path(folder)
    with (
        anyio.CancelScope() as all_of_it,
        StopSignals(draining, all_of_it.cancel, patience=patience),
        bind("127.0.0.1", 0) as listener,
    ):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, unheard)
        async with (
            Library(place / LIBRARY_FILE) as library,
            TaskEngine(
                [quick, big, *builtin_task_types(library)],
                backend=JsonBackend(place / TASKS, compact_after=COMPACT),
                drain_grace=grace,
                children=ChildPool(idle_timeout=IDLE),
                retention=Retention(max_age=None, max_count=None),  # only `/forget` forgets
                watchdog=None,  # whether the loop is held up is the machine's to decide, and timing
            ) as engine,
        ):

            async def start(request: Request) -> Response:
                return JSONResponse((await engine.submit(request.path_params["name"])).id)

            async def forget(request: Request) -> Response:
                return JSONResponse(await engine.cleanup(timedelta(0)))

            async def settled(request: Request) -> Response:
                settle()
                return JSONResponse(engine.count())

            api = create_app(
                engine,
                library=library,
                keys=KeyStore.in_folder(place, admin_key=KEY),
                draining=draining,
                upload_limit=UPLOAD_LIMIT,
                json_limit=JSON_LIMIT,
                upload_seconds=body_seconds,
                json_seconds=body_seconds,
            )
            routes = [
                Route("/start/{name}", start, methods=["POST"]),
                Route("/forget", forget, methods=["POST"]),
                Route("/settle", settled, methods=["POST"]),
                Mount("", app=api),
            ]
            await serve(
                Starlette(routes=routes),
                listener=listener,
                draining=draining,
                grace=grace,
                keep_alive=keep_alive,
                on_ready=lambda url: print(url, flush=True),  # noqa: T201
            )


if __name__ == "__main__":
    log_what_should_not_be()
    options: dict[str, Any] = json.loads(sys.argv[2])
    anyio.run(lambda: main(**options), backend=sys.argv[1])
