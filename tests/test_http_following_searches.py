"""Following the tasks that fit a search: those that a list with the same `q` shows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import anyio
import pytest

from tests.engine_setting import virtual_time
from tests.http_setting import Api, assert_problem, echo, endless, failing, serving
from tests.sse_setting import Stream, following

EVENTS = "/api/tasks/events"


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return virtual_time(request.param)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with serving(echo, failing, endless, draining=anyio.Event()) as api:
        yield api


def searched(search: str, more: str = "") -> str:
    return f"{EVENTS}?q={quote(search)}{more}"


def told(stream: Stream) -> list[tuple[str, str]]:
    return [(event.data["task_id"], event.data["status"]) for event in stream.events[1:]]


async def test_a_search_is_followed_and_the_change_that_leaves_it_is_told(api: Api) -> None:
    async with (
        following(api.app, searched("type:echo,endless status:running")) as running,
        following(api.app, searched("type:failing status:failed")) as failed,
        following(api.app, searched("status:failed", "&type=echo")) as narrowed,
        following(api.app, searched("newer:1h type:echo")) as new,
        following(api.app, searched("older:1h")) as old,
    ):
        one, two = await api.ended("echo", {"value": 1}), await api.ended("failing")
        await anyio.wait_all_tasks_blocked()
    assert told(running) == [(one, "running"), (one, "completed")]
    assert told(failed) == [(two, "failed")]
    assert {task_id for task_id, _ in told(new)} == {one}
    assert told(narrowed) == told(old) == []


async def test_words_are_looked_for_in_what_a_task_says_as_it_changes(api: Api) -> None:
    async with following(api.app, searched('"looking at it"')) as stream:
        task_id = await api.running("endless")
        await stream.until("task", task_id=task_id, status="running")
        await api.engine.cancel(task_id)
        await api.ended("failing")
        await anyio.wait_all_tasks_blocked()
    *before, last = [event.data["message"] for event in stream.events[1:]]
    assert set(before) == {"Looking at it"}
    assert last != "Looking at it"


@pytest.mark.parametrize("search", ["type:echo", "status:completed", "status:running type:failing"])
async def test_who_comes_back_misses_nothing_that_fits(api: Api, search: str) -> None:
    start = api.engine.seq
    async with following(api.app, searched(search)) as whole:
        for value in range(3):
            await api.ended("echo", {"value": value})
            await api.ended("failing")
        await anyio.wait_all_tasks_blocked()
    for known in range(start, api.engine.seq + 1):
        async with following(api.app, searched(search), last_event_id=str(known)) as stream:
            await anyio.wait_all_tasks_blocked()
        expected = [event for event in whole.events if event.seq > known]
        assert [event for event in stream.events[1:] if event in expected] == expected
        assert stream.seqs == sorted(set(stream.seqs))


async def test_a_search_that_nobody_understands_is_refused(api: Api) -> None:
    for search, said in (
        ("colour:red", "no qualifier"),
        ("x" * 5_000, "q"),
        ("older:soon", "older"),
    ):
        assert_problem(await api.get(searched(search)), 422, said)
