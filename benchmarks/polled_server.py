"""A server process for the benchmarks: the API or a bare route, on the same Hypercorn."""

from __future__ import annotations

import sys

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from cortex_tasks import MemoryBackend, TaskEngine
from cortex_tasks.http.app import create_app
from cortex_tasks.http.listening import bind
from cortex_tasks.http.serving import serve

from .engine_speed import Text, sleeper, word_count
from .full_store import FOR_EVER, FullBackend, make_records


async def _bare(_request: Request) -> JSONResponse:
    return JSONResponse({"task_id": "task_1", "status": "completed", "progress_percent": 100})


async def _run(kind: str, records: int) -> None:
    backend = FullBackend(make_records(records)) if kind == "list" else MemoryBackend()
    async with TaskEngine([word_count, sleeper], backend=backend, retention=FOR_EVER) as engine:
        polled = "/api/tasks?limit=50"
        if kind != "list":
            handle = await engine.submit(word_count, Text("a b c"))
            await handle.wait()
            polled = f"/api/tasks/{handle.id}"
        app = (
            create_app(engine)
            if kind != "bare"
            else Starlette(routes=[Route("/api/tasks/{task_id}", _bare)])
        )
        with bind("127.0.0.1", 0) as listener:
            await serve(
                app,
                listener=listener,
                draining=anyio.Event(),
                on_ready=lambda url: print(f"{url}{polled}", flush=True),
                grace=1.0,
            )


if __name__ == "__main__":
    _loop, _kind, _count = [*sys.argv[1:], "0"][:3]
    anyio.run(_run, _kind, int(_count), backend=_loop)
