"""Requests that nobody should send, to every row of the route tables: refused, and no harm done."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from random import Random
from typing import Any
from urllib.parse import quote

import anyio
import msgspec
import pytest

from cortex_tasks.http.app import create_app
from cortex_tasks.http.calls import Endpoint
from cortex_tasks.http.library_routes import LIBRARY_ENDPOINTS
from cortex_tasks.http.routes import TASK_ENDPOINTS
from tests.engine_setting import virtual_time
from tests.http_setting import PROBLEM, client_of
from tests.small_world import add_texts, small_world
from tests.torture import FULL, count

ENDPOINTS = (*TASK_ENDPOINTS, *LIBRARY_ENDPOINTS)
ROUNDS = 2_000 if FULL else 100  # for each row
ANY_CALL = {400, 404, 405, 408, 413, 414, 415, 422, 431}  # statuses that any call may answer

TEXTS = (
    "", " ", "0", "-1", "1e999", "NaN", "true", "null", "[]", "{}", "\0", "\n", "é", "\u202e", "😀",
    "..", "../../etc/passwd", "%00", "%", "&=;#?", "' OR 1=1 --", "<script>", "9" * 5_000,
    "x" * 9_000, "task_" + "0" * 24, "comm_1", "2024-01-01", "\ud800",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 10**30, 1e308, 0.5, [], [[]], {}, {"a": {}}, [None] * 1_000, *TEXTS,
)  # fmt: skip
BODIES = (
    b"", b"{", b"[]", b"null", b"\xff\xfe", b"\x00" * 100, b"[" * 5_000, b'{"a":' * 3_000,
    b'{"a":1}{"a":2}', b'"\\ud800"', b"--edge\r\n", b"1" * 10_000,
)  # fmt: skip
KINDS = (
    "application/json", "text/plain", "multipart/form-data", "multipart/form-data; boundary=edge",
    "application/x-www-form-urlencoded", "application/json; charset=utf-16", "", "x" * 500,
)  # fmt: skip


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return virtual_time(request.param)


def quoted(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


class Stranger:
    """Makes requests to one row, by chance alone."""

    def __init__(self, endpoint: Endpoint, chance: Random) -> None:
        self._endpoint = endpoint
        self._chance = chance
        fields = msgspec.structs.fields(endpoint.params) if endpoint.params else ()
        self._names = ["wait", "limit", *(field.encode_name for field in fields)]

    def target(self) -> str:
        path = re.sub(r"\{[^}]*\}", lambda _: self._part(), self._endpoint.path)
        pairs = [
            f"{self._name()}={quoted(self._chance.choice(TEXTS))}"
            for _ in range(self._chance.choice((0, 1, 2, 5)))
        ]
        return path + ("?" + "&".join(pairs) if pairs else "")

    def content(self) -> bytes:
        if self._chance.random() < 0.5:
            return self._chance.choice(BODIES)
        values = {self._name(): self._chance.choice(VALUES) for _ in range(3)}
        return json.dumps(values).encode()

    def headers(self) -> dict[str, str]:
        headers = {"content-type": self._chance.choice(KINDS)}
        if self._chance.random() < 0.2:
            headers["idempotency-key"] = self._chance.choice(("", "k", '"k"', "\x7f", "x" * 300))
        return headers

    def method(self) -> str:
        usual = self._chance.random() < 0.9
        return self._endpoint.method if usual else self._chance.choice(("PUT", "PATCH", "OPTIONS"))

    def _part(self) -> str:
        return quoted(self._chance.choice([text for text in TEXTS if text]))

    def _name(self) -> str:
        return quoted(self._chance.choice([*self._names, *TEXTS]))


def cases() -> Iterator[Any]:
    for endpoint in ENDPOINTS:
        yield pytest.param(endpoint, id=f"{endpoint.method} {endpoint.path}")


@pytest.mark.parametrize("endpoint", list(cases()))
async def test_whatever_is_sent_is_answered_as_the_table_says_and_harms_nobody(
    endpoint: Endpoint,
) -> None:
    declared = {status for status, _ in endpoint.answers} | set(endpoint.problems) | ANY_CALL
    stranger = Stranger(endpoint, Random(endpoint.method + endpoint.path))
    async with small_world() as (engine, library):
        await add_texts(library, copies=1)
        draining = anyio.Event()
        if endpoint.path.endswith("/events"):
            draining.set()  # a stream would have no end
        app = create_app(engine, library=library, draining=draining)
        async with client_of(app) as client:
            for _ in range(ROUNDS):
                method, target = stranger.method(), stranger.target()
                content, headers = stranger.content(), stranger.headers()
                answer = await client.request(method, target, content=content, headers=headers)
                said = f"{method} {target[:300]} {headers} {content[:300]!r}: {answer.text[:300]}"
                assert answer.status_code in declared, said
                assert answer.status_code < 500, said
                if answer.status_code >= 400:
                    assert answer.headers["content-type"] == PROBLEM, said
                    problem = answer.json()
                    assert problem["title"], said
                    assert problem["detail"], said
                    assert len(answer.content) < 50_000, said
            for task in (await engine.list()).records:
                assert (await engine.wait(task.id)).final
        async with client_of(create_app(engine, library=library)) as client:
            assert (await client.get("/api/tasks")).status_code == 200
            assert (await client.get("/health")).json()["status"] == "healthy"
    count("hostile requests, each answered as the route table says", ROUNDS)
