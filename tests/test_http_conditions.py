"""Asking again: `ETag` and `If-None-Match`, `Prefer: wait` and `Preference-Applied`."""

from __future__ import annotations

from typing import Any

import anyio
import httpx2
import pytest

from cortex_tasks.http.conditions import LONGEST_WAIT
from tests.engine_setting import virtual_time
from tests.http_setting import Api, Obstinate, echo, endless, failing, serving


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return virtual_time(request.param)


def paths(task_id: str) -> list[str]:
    return [f"/api/tasks/{task_id}", f"/api/tasks/{task_id}/result", "/api/tasks?status=completed"]


async def settled(api: Api) -> str:
    """Give a task that runs and reports no more."""
    task_id = await api.running("endless")
    while (record := await api.engine.get(task_id)).message != "Looking at it":
        await api.engine.wait_change(task_id, record.seq)
    return task_id


class Later:
    """An answer that is waited for beside the law."""

    def __init__(self, api: Api, path: str, **headers: str) -> None:
        self._api, self._path, self._headers = api, path, headers
        self.came = anyio.Event()
        self.answer: httpx2.Response

    async def run(self) -> None:
        headers = {name.replace("_", "-"): value for name, value in self._headers.items()}
        self.answer = await self._api.get(self._path, headers=headers)
        self.came.set()


async def test_what_is_unchanged_is_not_sent_again() -> None:
    async with serving(echo) as api:
        task_id = await api.ended("echo", {"value": 7})
        for path in paths(task_id):
            whole = await api.get(path)
            tag = whole.headers["etag"]
            assert whole.status_code == 200
            for sent in (tag, f"W/{tag}", f'"other", {tag}', "*"):
                again = await api.get(path, headers={"If-None-Match": sent})
                assert (again.status_code, again.content) == (304, b"")
                assert again.headers["etag"] == tag
                assert "content-type" not in again.headers
            lines = [("If-None-Match", '"other"'), ("If-None-Match", tag), ("If-None-Match", '"x"')]
            again = await api.get(path, headers=lines)  # one list in three lines
            assert (again.status_code, again.content) == (304, b"")
            for sent in ('"other"', tag.strip('"'), ""):
                again = await api.get(path, headers={"If-None-Match": sent})
                assert (again.status_code, again.content) == (200, whole.content)
            head = await api.ask("HEAD", path)
            assert (head.headers["etag"], head.content) == (tag, b"")


async def test_a_change_is_another_etag() -> None:
    async with serving(echo, endless) as api:
        task_id = await settled(api)
        before = {path: (await api.get(path)).headers.get("etag") for path in paths(task_id)}
        await api.ended("echo")
        detail, _, listed = paths(task_id)
        known = {"If-None-Match": str(before[detail])}
        assert (await api.get(detail, headers=known)).status_code == 304
        known = {"If-None-Match": str(before[listed])}
        assert (await api.get(listed, headers=known)).status_code == 200
        await api.engine.cancel(task_id)
        known = {"If-None-Match": str(before[detail])}
        changed = await api.get(detail, headers=known)
        assert (changed.status_code, changed.json()["status"]) == (200, "cancelled")


async def test_what_depends_on_the_time_of_day_has_no_etag() -> None:
    async with serving(echo) as api:
        await api.ended("echo")
        found = await api.get("/api/tasks?q=older:1h", headers={"If-None-Match": "*"})
        assert found.status_code == 200
        assert "etag" not in found.headers


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [
        ("wait=7", 7),
        ("respond-async, wait=7", 7),
        ('Wait = "7"; foo=1', 7),
        ("wait=9999", int(LONGEST_WAIT)),
        ("wait=7, wait=20", 7),
        (r'foo="a, wait=1, \" , wait=2", wait="7"', 7),
        ('wait="7", foo="a", wait=8', 7),
        ('foo="7", wait=8, bar="', 8),
    ],
)
async def test_a_wait_may_be_preferred_and_the_answer_says_how_long(
    prefer: str, applied: int
) -> None:
    async with serving(endless) as api:
        task_id = await settled(api)
        for path in paths(task_id)[:2]:
            began = anyio.current_time()
            answer = await api.get(path, headers={"Prefer": prefer})
            assert answer.headers["preference-applied"] == f"wait={applied}"
            assert anyio.current_time() - began == pytest.approx(applied)


@pytest.mark.parametrize(
    "prefer",
    [
        "",
        "wait",
        "wait=",
        "wait=-1",
        "wait=soon",
        "await=7",
        'foo="a, wait=1"',
        'foo="\\", wait=1, "',
        'foo="\\", wait=1',
    ],
)
async def test_a_preference_that_cannot_be_read_is_passed_over(prefer: str) -> None:
    async with serving(endless) as api:
        task_id = await settled(api)
        began = anyio.current_time()
        answer = await api.get(paths(task_id)[0], headers={"Prefer": prefer})
        assert answer.status_code == 200
        assert "preference-applied" not in answer.headers
        assert anyio.current_time() < began + 1


async def test_the_query_counts_over_the_preference() -> None:
    async with serving(endless) as api:
        task_id = await settled(api)
        began = anyio.current_time()
        path = f"{paths(task_id)[0]}?wait=3"
        answer = await api.get(path, headers={"Prefer": "wait=30"})
        assert "preference-applied" not in answer.headers
        assert anyio.current_time() - began == pytest.approx(3)


async def test_a_result_is_waited_for_until_there_is_one_or_never_will_be() -> None:
    body = Obstinate()
    async with serving(body.task_type(), failing) as api:
        task_id = (await api.engine.submit("obstinate")).id
        await body.begun.wait()
        began = anyio.current_time()
        still = await api.get(f"/api/tasks/{task_id}/result?wait=5")
        assert (still.status_code, still.headers["retry-after"]) == (202, "1")
        assert anyio.current_time() - began == pytest.approx(5)
        later = Later(api, f"/api/tasks/{task_id}/result", prefer="wait=30")
        async with anyio.create_task_group() as group:
            group.start_soon(later.run)
            await anyio.wait_all_tasks_blocked()
            assert not later.came.is_set()
            body.let_go.set()
        assert (later.answer.status_code, later.answer.content) == (200, b"{}")
        assert later.answer.headers["preference-applied"] == "wait=30"
        failed = (await api.engine.submit("failing")).id
        ended = await api.get(f"/api/tasks/{failed}/result?wait=30")
        assert (ended.status_code, ended.json()["status"]) == (400, "failed")


async def test_a_result_is_waited_for_whatever_the_client_knows_of_the_task() -> None:
    body = Obstinate()
    async with serving(body.task_type()) as api:
        task_id = (await api.engine.submit("obstinate")).id
        await body.begun.wait()
        came: list[httpx2.Response] = []

        async def ask() -> None:
            sent = {"prefer": "wait=30", "if-none-match": '"1-of-old"'}
            came.append(await api.get(f"/api/tasks/{task_id}/result", headers=sent))

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            assert came == []
            body.let_go.set()
        assert came[0].status_code == 200


async def test_who_knows_the_task_waits_for_a_change_and_is_told_if_none_came() -> None:
    async with serving(endless) as api:
        task_id = await settled(api)
        path = paths(task_id)[0]
        tag = (await api.get(path)).headers["etag"]
        began = anyio.current_time()
        unchanged = await api.get(f"{path}?wait=5", headers={"If-None-Match": tag})
        assert unchanged.status_code == 304
        assert anyio.current_time() - began == pytest.approx(5)
        later = Later(api, path, prefer="wait=30", if_none_match=tag)
        async with anyio.create_task_group() as group:
            group.start_soon(later.run)
            await anyio.wait_all_tasks_blocked()
            assert not later.came.is_set()
            await api.engine.cancel(task_id)
        assert later.answer.json()["cancel_requested_at"] is not None
        assert later.answer.headers["etag"] != tag


async def test_who_knows_an_older_task_is_answered_at_once() -> None:
    async with serving(endless) as api:
        task_id = await settled(api)
        began = anyio.current_time()
        path = f"{paths(task_id)[0]}?wait=30"
        answer = await api.get(path, headers={"If-None-Match": '"older"'})
        assert answer.status_code == 200
        assert anyio.current_time() < began + 1
