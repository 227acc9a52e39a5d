"""The long poll: answered when there is news, and never in anybody's way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from cortex_tasks.engine.registry import task_type
from cortex_tasks.http.conditions import LONGEST_WAIT
from tests.engine_setting import an_engine, virtual_time
from tests.http_setting import Api, Obstinate, RawCall, assert_problem, client_of, echo, serving


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return virtual_time(request.param)


class Told:
    """A task that does what it is told, when it is told."""

    def __init__(self) -> None:
        self.begun = anyio.Event()
        self.report = anyio.Event()
        self.finish = anyio.Event()


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def draining() -> anyio.Event:
    return anyio.Event()


@pytest.fixture
async def api(told: Told, draining: anyio.Event) -> AsyncIterator[Api]:
    @task_type("told")
    async def body(ctx: Any) -> str:
        told.begun.set()
        await told.report.wait()
        await ctx.progress(percent=50, message="Half of it")
        await told.finish.wait()
        return "done"

    async with serving(body, echo, draining=draining) as api:
        yield api


async def begun(api: Api, told: Told) -> str:
    task_id = (await api.engine.submit("told")).id
    await told.begun.wait()
    return task_id


class Poll:
    """A poll that waits beside the law."""

    def __init__(self, api: Api, path: str) -> None:
        self._api, self._path = api, path
        self.answered = anyio.Event()
        self.task: dict[str, Any] = {}

    async def run(self) -> None:
        response = await self._api.get(self._path)
        self.task = response.json()
        self.answered.set()


async def test_it_is_answered_when_the_task_changes(api: Api, told: Told) -> None:
    task_id = await begun(api, told)
    poll = Poll(api, f"/api/tasks/{task_id}?wait=30")
    async with anyio.create_task_group() as group:
        group.start_soon(poll.run)
        await anyio.wait_all_tasks_blocked()
        assert not poll.answered.is_set()
        told.report.set()
        await poll.answered.wait()
    assert (poll.task["status"], poll.task["message"]) == ("running", "Half of it")


async def test_it_is_answered_when_the_task_ends_with_its_result(api: Api, told: Told) -> None:
    task_id = await begun(api, told)
    told.report.set()
    async with anyio.create_task_group() as group:
        while (await api.engine.get(task_id)).message != "Half of it":
            await api.engine.wait_change(task_id, (await api.engine.get(task_id)).seq)
        poll = Poll(api, f"/api/tasks/{task_id}?wait=30")
        group.start_soon(poll.run)
        await anyio.wait_all_tasks_blocked()
        told.finish.set()
        await poll.answered.wait()
    assert (poll.task["status"], poll.task["result"]) == ("completed", "done")


async def test_a_task_that_has_ended_is_not_waited_for(api: Api) -> None:
    task_id = await api.ended("echo", {"value": 1})
    before = anyio.current_time()
    task = (await api.get(f"/api/tasks/{task_id}?wait=30")).json()
    assert (task["result"], anyio.current_time()) == (1, before)


@pytest.mark.parametrize(("asked", "waited"), [("7", 7), ("0.5", 0.5), ("9999", LONGEST_WAIT)])
async def test_without_news_it_is_answered_after_the_wait_and_none_is_too_long(
    api: Api, told: Told, asked: str, waited: float
) -> None:
    task_id = await begun(api, told)
    before = anyio.current_time()
    task = (await api.get(f"/api/tasks/{task_id}?wait={asked}")).json()
    assert task["status"] == "running"
    assert anyio.current_time() - before == pytest.approx(waited)


@pytest.mark.parametrize("query", ["", "?wait=0", "?wait="])
async def test_who_does_not_ask_to_wait_does_not(api: Api, told: Told, query: str) -> None:
    task_id = await begun(api, told)
    before = anyio.current_time()
    assert (await api.get(f"/api/tasks/{task_id}{query}")).json()["status"] == "running"
    assert anyio.current_time() == before


@pytest.mark.parametrize("wait", ["-1", "nan", "soon"])
async def test_a_wait_that_makes_no_sense_is_refused(api: Api, wait: str) -> None:
    task_id = await api.ended("echo")
    problem = assert_problem(await api.get(f"/api/tasks/{task_id}?wait={wait}"), 422)
    assert problem["errors"][0]["loc"] == ["query", "wait"]


async def test_draining_answers_every_poll_with_what_there_is(
    api: Api, told: Told, draining: anyio.Event
) -> None:
    task_id = await begun(api, told)
    before = anyio.current_time()
    poll = Poll(api, f"/api/tasks/{task_id}?wait=30")
    async with anyio.create_task_group() as group:
        group.start_soon(poll.run)
        await anyio.wait_all_tasks_blocked()
        draining.set()
        await poll.answered.wait()
    assert poll.task["status"] == "running"
    assert (await api.get(f"/api/tasks/{task_id}?wait=30")).json()["status"] == "running"
    assert anyio.current_time() - before < 1
    assert (await api.get("/health")).status_code == 503


async def test_a_client_that_goes_away_ends_its_poll_and_nothing_else(api: Api, told: Told) -> None:
    task_id = await begun(api, told)
    call = RawCall(api.app, "GET", f"/api/tasks/{task_id}?wait=30")
    call.send_body(b"")
    before = anyio.current_time()
    async with anyio.create_task_group() as group:
        group.start_soon(call.run)
        await anyio.wait_all_tasks_blocked()
        call.go_away()
        await call.ended.wait()
    assert (call.status, call.json()["status"]) == (200, "running")
    assert anyio.current_time() - before < 1
    assert (await api.engine.get(task_id)).status == "running"


async def test_a_task_that_is_cleaned_up_during_the_wait_is_404() -> None:
    body = Obstinate()
    async with serving(body.task_type()) as api:
        task_id = (await api.engine.submit("obstinate")).id
        await body.begun.wait()
        response: Any = None

        async def poll() -> None:
            nonlocal response
            response = await api.get(f"/api/tasks/{task_id}?wait=30")

        async with anyio.create_task_group() as group:
            group.start_soon(poll)
            await anyio.wait_all_tasks_blocked()
            # As if it had ended and gone between two looks.
            api.engine._actors.ledger.catalogue.drop(task_id)
            api.engine._actors.ledger._wake(task_id)
        assert_problem(response, 404, task_id)
        body.let_go.set()


async def test_leaving_the_engine_answers_every_poll() -> None:
    body = Obstinate()
    engine = an_engine(body.task_type(), drain_grace=0)
    async with anyio.create_task_group() as group:
        async with serving(engine=engine) as api:
            task_id = (await api.engine.submit("obstinate")).id
            await body.begun.wait()
            poll = Poll(api, f"/api/tasks/{task_id}?wait=30")
            group.start_soon(poll.run)
            await anyio.wait_all_tasks_blocked()
            body.let_go.set()
        await poll.answered.wait()
    assert poll.task["id"] == task_id


async def test_many_may_wait_for_the_same_task(api: Api, told: Told) -> None:
    task_id = await begun(api, told)
    polls = [Poll(api, f"/api/tasks/{task_id}?wait=30") for _ in range(20)]
    async with anyio.create_task_group() as group:
        for poll in polls:
            group.start_soon(poll.run)
        await anyio.wait_all_tasks_blocked()
        told.report.set()
    assert {poll.task["message"] for poll in polls} == {"Half of it"}


async def test_a_client_that_stops_waiting_for_its_cancel_takes_nothing_back() -> None:
    body = Obstinate()
    async with serving(body.task_type()) as api:
        task_id = (await api.engine.submit("obstinate")).id
        await body.begun.wait()
        with anyio.move_on_after(0.5):  # as a server does that cuts off a request
            await api.delete(f"/api/tasks/{task_id}")
        body.let_go.set()
        assert (await api.engine.wait(task_id)).status == "cancelled"
        async with client_of(api.app) as another:
            assert (await another.delete(f"/api/tasks/{task_id}")).status_code == 200
