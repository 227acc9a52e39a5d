"""A server process for the request benchmark: the API or a bare route, on the same Hypercorn."""

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

from .engine_speed import Text, word_count


async def _bare(_request: Request) -> JSONResponse:
    return JSONResponse({"task_id": "task_1", "status": "completed", "progress_percent": 100})


async def _run(kind: str) -> None:
    async with TaskEngine([word_count], backend=MemoryBackend()) as engine:
        handle = await engine.submit(word_count, Text("a b c"))
        await handle.wait()
        app = (
            create_app(engine)
            if kind == "api"
            else Starlette(routes=[Route("/api/tasks/{task_id}", _bare)])
        )
        with bind("127.0.0.1", 0) as listener:
            await serve(
                app,
                listener=listener,
                draining=anyio.Event(),
                on_ready=lambda url: print(f"{url}/api/tasks/{handle.id}", flush=True),
                grace=1.0,
            )


if __name__ == "__main__":
    anyio.run(_run, sys.argv[2], backend=sys.argv[1])
