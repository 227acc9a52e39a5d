"""Reading long lists page by page, while tasks come and go."""

from __future__ import annotations

import httpx2
import pytest

from cortex_tasks.client import AsyncClient, UnusableSetting
from tests.client_setting import a_task, json


class Tasks:
    """An older server of nothing but a list, the newest first: it gives no cursor."""

    def __init__(self, number: int) -> None:
        self.ids = [f"task_{n}" for n in range(number, 0, -1)]

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        limit, offset = (int(request.url.params.get(name, 0)) for name in ("limit", "offset"))
        shown = [a_task() | {"task_id": each} for each in self.ids[offset : offset + limit]]
        return json({"tasks": shown, "total": len(self.ids)})

    def client(self) -> AsyncClient:
        return AsyncClient("http://there", "k", transport=httpx2.MockTransport(self))


@pytest.mark.parametrize("submitted", [1, 2, 3, 5, 7])
async def test_without_cursors_too_no_task_comes_twice_and_none_is_left_out_as_others_come(
    submitted: int,
) -> None:
    server = Tasks(9)
    before, found = list(server.ids), list[str]()
    async with server.client() as client:
        async for task in client.iterate_tasks(page_size=3):
            found.append(task.task_id)
            if len(found) in (1, 4):
                server.ids[:0] = [f"new_{len(found)}_{n}" for n in range(submitted)]
    assert len(found) == len(set(found))
    assert [each for each in found if each in before] == before


@pytest.mark.parametrize("size", [0, -1])
async def test_pages_of_nothing_are_refused(size: int) -> None:
    async with Tasks(2).client() as client:
        with pytest.raises(UnusableSetting, match="page_size"):
            client.iterate_tasks(page_size=size)
