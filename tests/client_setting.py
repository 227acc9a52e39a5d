"""A server that answers as a law tells it, for laws about the client."""

from __future__ import annotations

from typing import Any

import httpx2
import msgspec

from cortex_tasks.client import AsyncClient


class Server:
    """Answers as it is told, one answer after the other, and keeps what it was asked."""

    def __init__(self, *answers: httpx2.Response | Exception) -> None:
        self._answers = list(answers)
        self.asked: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def client(self, **options: Any) -> AsyncClient:
        transport = httpx2.MockTransport(self)
        return AsyncClient("http://there/prefix", "k", transport=transport, **options)

    @property
    def keys(self) -> set[str | None]:
        return {request.headers.get("idempotency-key") for request in self.asked}


def a_task(status: str = "completed", seq: int = 1) -> dict[str, Any]:
    return {"task_id": "task_1", "task_type": "t", "status": status, "seq": seq}


def json(value: Any, status: int = 200, **headers: str) -> httpx2.Response:
    given = {"content-type": "application/json", **headers}
    return httpx2.Response(status, content=msgspec.json.encode(value), headers=given)


def problem(status: int, title: str = "Not available", **headers: str) -> httpx2.Response:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return json({"detail": "Not now", "title": title, "status": status}, status, **given)


def events(*frames: str) -> httpx2.Response:
    text = "".join(f"{frame}\n\n" for frame in frames)
    return httpx2.Response(200, text=text, headers={"content-type": "text/event-stream"})
