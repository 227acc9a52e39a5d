"""A place runs attempts one after another, and loses none to what becomes of its coroutine."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import msgspec
import pytest

from cortex_tasks.engine.attempts import Attempt
from cortex_tasks.engine.leftovers import Leftovers
from cortex_tasks.engine.lifecycle import TaskStatus
from cortex_tasks.engine.messages import Heard, Outcome, Run, Succeeded
from cortex_tasks.engine.places import Place

from .engine_setting import EMPTY, a_record, virtual_time


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return virtual_time(request.param)


# Trio has no cancellation that is not a scope's.
asyncio_alone = pytest.mark.parametrize("anyio_backend", [virtual_time("asyncio")], ids=["asyncio"])


def an_attempt(number: int = 1) -> Attempt:
    return Attempt(Run(a_record(number, TaskStatus.RUNNING), EMPTY))


def success(attempt: Attempt) -> Outcome:
    return Succeeded(attempt.record.id, 1, msgspec.Raw(b"1"), None)


class Listener:
    """What a place says, and what it says it to."""

    def __init__(self) -> None:
        self.posted: list[str] = []
        self.over: list[str] = []
        self.may_post = anyio.Event()
        self.may_post.set()
        self.reported: list[str] = []

    def a_place(self, carry_out: Any) -> Place:
        return Place(
            carry_out=carry_out,
            post=self._post,
            overdue=self._report,
            cancel_grace=5,
            over=lambda place, attempt: self.over.append(attempt.record.id),
        )

    async def _post(self, outcome: Heard) -> None:
        await self.may_post.wait()
        assert isinstance(outcome, Succeeded)
        self.posted.append(outcome.task_id)

    async def _report(self, attempt: Attempt) -> None:
        self.reported.append(attempt.record.id)


async def test_what_a_place_is_given_is_over_also_when_the_place_is_ended() -> None:
    async def carry_out(attempt: Attempt) -> Outcome:
        await anyio.sleep_forever()
        return success(attempt)

    for begins in (True, False):
        listener = Listener()
        place = listener.a_place(carry_out)
        async with anyio.create_task_group() as group:
            if begins:
                group.start_soon(place.run)
                await anyio.wait_all_tasks_blocked()
            place.give_nowait(an_attempt())
            if begins:
                await anyio.wait_all_tasks_blocked()
            else:
                group.start_soon(place.run)
            group.cancel_scope.cancel()
        assert listener.over == ["old_1"]
        assert listener.posted == []


async def test_a_place_that_is_ended_leaves_no_child_of_a_body_behind() -> None:
    running: list[str] = []

    async def child() -> None:
        running.append("child")
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(3)
            running.remove("child")

    left: list[Any] = []

    async def carry_out(attempt: Attempt) -> Outcome:
        group = anyio.create_task_group()
        await group.__aenter__()
        left.append(group)
        group.start_soon(child)
        await anyio.wait_all_tasks_blocked()
        attempt.leftovers = Leftovers()
        group.cancel_scope.cancel()
        return success(attempt)

    listener = Listener()
    place = listener.a_place(carry_out)
    place.give_nowait(an_attempt())
    async with anyio.create_task_group() as group:
        group.start_soon(place.run)
        await anyio.sleep(1)
        assert running == ["child"]
        assert listener.over == []
        group.cancel_scope.cancel()
    assert running == []
    assert listener.over == ["old_1"]


@asyncio_alone
async def test_an_outcome_is_posted_even_if_asyncio_cancels_the_one_who_posts_it() -> None:
    cancelled: list[Any] = []

    async def carry_out(attempt: Attempt) -> Outcome:
        cancelled.append(asyncio.current_task())
        return success(attempt)

    listener = Listener()
    listener.may_post = anyio.Event()
    place = listener.a_place(carry_out)
    place.give_nowait(an_attempt(1))
    async with anyio.create_task_group() as group:
        group.start_soon(place.run)
        await anyio.sleep(1)
        place.give_nowait(an_attempt(2))
        cancelled[0].cancel()
        await anyio.sleep(1)
        assert listener.over == ["old_1"]  # one at a time
        listener.may_post.set()
        await anyio.sleep(1)
        assert listener.posted == listener.over == ["old_1", "old_2"]
        group.cancel_scope.cancel()
