"""How many requests there were, of which call, and how long each took to be answered."""

from __future__ import annotations

from collections import Counter
from typing import Final

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..engine.statistics import DURATIONS, Histogram

# In the scope: a list to which whoever answers adds the path of its route, as the table has it.
ROUTE: Final = "cortex_tasks.route"

UNMATCHED: Final = "unmatched"  # stands for every path that is in no table: there is no end of them
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BOUNDS: Final = tuple(bound for bound in DURATIONS if bound <= 500.0)  # 1 ms to 500 s


class RequestStatistics:
    """What has been counted since the application was made; to be read."""

    def __init__(self) -> None:
        self.answers: Counter[tuple[str, str, int]] = Counter()  # by method, route and status
        self.seconds: dict[tuple[str, str], Histogram] = {}  # until the answer began
        self.cut_off: Counter[tuple[str, str]] = Counter()  # ended without an answer
        self.open = 0  # streams and long polls among them

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request's answer has begun."""
        self.answers[method, route, status] += 1
        histogram = self.seconds.get((method, route))
        if histogram is None:
            histogram = self.seconds[method, route] = Histogram(_BOUNDS)
        histogram.add(seconds)


class Measured:
    """ASGI middleware around everything else."""

    def __init__(self, app: ASGIApp, statistics: RequestStatistics) -> None:
        self._app = app
        self._statistics = statistics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and count it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        statistics = self._statistics
        route: list[str] = []
        scope[ROUTE] = route
        method = scope["method"] if scope["method"] in _METHODS else "other"
        began, answered = anyio.current_time(), False

        async def send_counted(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start" and not answered:
                answered = True
                seconds = anyio.current_time() - began
                statistics.answered(method, _name(route), message["status"], seconds)
            await send(message)

        statistics.open += 1
        try:
            await self._app(scope, receive, send_counted)
        finally:
            statistics.open -= 1
            if not answered:
                statistics.cut_off[method, _name(route)] += 1


def _name(route: list[str]) -> str:
    return route[-1] if route else UNMATCHED
