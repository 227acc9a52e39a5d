"""Turning the pages of a list over HTTP, while tasks come and go."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from cortex_tasks.client import AsyncClient
from cortex_tasks.engine.cursors import write_cursor
from cortex_tasks.engine.lifecycle import TaskStatus
from tests.engine_setting import a_record
from tests.http_setting import Api, assert_problem, echo, failing, serving

# A cursor such as a page ends with.
SOME = write_cursor(1, a_record(1, TaskStatus.COMPLETED))


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with serving(echo, failing) as api:
        yield api


async def a_page(api: Api, cursor: str, **query: Any) -> dict[str, Any]:
    answer = await api.get("/api/tasks", params={"limit": 2, "cursor": cursor, **query})
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def ids(found: dict[str, Any]) -> list[str]:
    return [task["task_id"] for task in found["tasks"]]


async def test_who_asks_without_a_cursor_is_answered_as_ever(api: Api) -> None:
    for number in range(3):
        await api.ended("echo", {"value": number})
    for query in ("", "?limit=2", "?limit=2&offset=1", "?q=type:echo&limit=1", "?cursor="):
        assert list((await api.get(f"/api/tasks{query}")).json()) == ["tasks", "total", "seq"]


@pytest.mark.parametrize(
    "query",
    [
        {"status": "completed"},
        {"task_type": "echo"},
        {"type": "echo", "status": "completed"},
        {"q": "type:echo status:completed,failed"},
        {"q": "newer:1h", "task_type": "echo"},
        {"q": "task_"},
    ],
    ids=str,
)
async def test_pages_do_not_move_while_tasks_come_and_go(api: Api, query: dict[str, str]) -> None:
    made = [await api.ended("echo", {"value": number}) for number in range(5)]
    first = await a_page(api, "start", **query)
    assert (ids(first), first["total"]) == (made[:2:-1], 5)
    await api.ended("echo", {"value": "new"})
    await api.ended("echo", {"value": "newer"})
    second = await a_page(api, first["next"], **query)
    assert (ids(second), second["total"]) == ([made[2], made[1]], 7)
    third = await a_page(api, second["next"], **query)
    assert (ids(third), third["next"]) == (made[:1], None)


async def test_a_cursor_holds_when_the_task_that_it_names_has_been_cleaned_up(api: Api) -> None:
    kept = [await api.ended("echo", {"value": number}) for number in range(4)]
    first = await a_page(api, "start")
    # As a cleanup does of a task that ended longer ago than the others.
    api.engine._actors.ledger.catalogue.drop(kept[2])
    assert ids(await a_page(api, first["next"])) == kept[1::-1]
    await api.engine.cleanup(timedelta(0))
    assert await a_page(api, first["next"]) | {"seq": 0} == {
        "tasks": [],
        "total": 0,
        "seq": 0,
        "next": None,
        "newer": 0,
    }


@pytest.mark.parametrize("q", [None, "type:echo", "type:echo status:completed,failed", "task_"])
async def test_a_page_says_how_many_are_before_it_and_the_first_may_be_any(
    api: Api, q: str | None
) -> None:
    made = [await api.ended("echo", {"value": number}) for number in range(6)]
    query = {} if q is None else {"q": q}
    second = await a_page(api, "start", offset=2, **query)
    assert (ids(second), second["newer"]) == ([made[3], made[2]], 2)
    new = await api.ended("echo", {"value": "new"})
    third = await a_page(api, second["next"], **query)
    assert (ids(third), third["newer"], third["next"]) == ([made[1], made[0]], 5, None)
    first = await a_page(api, "start", **query)
    assert (ids(first), first["newer"]) == ([new, made[5]], 0)
    beyond = await a_page(api, "start", offset=9, **query)
    assert (beyond["tasks"], beyond["newer"], beyond["total"], beyond["next"]) == ([], 7, 7, None)


async def test_without_a_limit_the_rest_comes_at_once(api: Api) -> None:
    made = [await api.ended("echo", {"value": number}) for number in range(5)]
    first = await a_page(api, "start")
    rest = (await api.get("/api/tasks", params={"cursor": first["next"]})).json()
    assert (ids(rest), rest["next"]) == (made[2::-1], None)


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("cursor=nonsense", "cursor"),
        ("cursor=task_1", "cursor"),
        ("cursor=%00", "cursor"),
        ("cursor=" + "x" * 2_000, "cursor"),
        (f"cursor={SOME}&offset=1", "offset"),
        ("cursor=start&limit=0", "limit"),
    ],
)
@pytest.mark.parametrize("more", ["", "&status=unknown", "&q=status:failed"])
async def test_what_makes_no_sense_is_refused_and_named(
    api: Api, query: str, parameter: str, more: str
) -> None:
    seen = (await api.get("/api/tasks")).headers["etag"]
    answer = await api.get(f"/api/tasks?{query}{more}", headers={"If-None-Match": seen})
    problem = assert_problem(answer, 422)
    assert problem["errors"][0]["loc"] == ["query", parameter]


async def test_a_page_that_is_unchanged_is_not_sent_again(api: Api) -> None:
    await api.ended("echo", {"value": 1})
    answer = await api.get("/api/tasks?cursor=start&limit=1")
    headers = {"If-None-Match": answer.headers["etag"]}
    assert (await api.get("/api/tasks?cursor=start&limit=1", headers=headers)).status_code == 304


async def test_the_client_goes_through_all_while_tasks_come_and_go(api: Api) -> None:
    made = [await api.ended("echo", {"value": number}) for number in range(7)]
    found = []
    transport = httpx2.ASGITransport(api.app)
    async with AsyncClient("http://there", "k", transport=transport) as client:
        async for task in client.iterate_tasks(page_size=2, q="type:echo"):
            found.append(task.task_id)
            if len(found) == 3:
                await api.ended("echo", {"value": "new"})
                api.engine._actors.ledger.catalogue.drop(made[-1])
                api.engine._actors.ledger.catalogue.drop(made[-4])
    assert found == made[::-1]
