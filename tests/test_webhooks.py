"""Webhooks: what they are told, when, how often, and what outlives a restart."""

from __future__ import annotations

import logging
from copy import deepcopy
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from cortex_tasks import JsonBackend, MemoryBackend
from cortex_tasks.engine.current import SURROUNDING, log_context
from cortex_tasks.engine.surroundings import offload_inline
from cortex_tasks.http.webhooks.dispatch import (
    AT_ONCE,
    DeliveryNotFound,
    HookNotFound,
    TooManyHooks,
)
from cortex_tasks.http.webhooks.model import (
    WAITS,
    Delivery,
    DeliveryState,
    Hook,
    HookEvent,
    Outcome,
)
from cortex_tasks.http.webhooks.posting import PATIENCE, Poster
from cortex_tasks.http.webhooks.signing import Secrets
from cortex_tasks.http.webhooks.targets import TargetRefused
from cortex_tasks.testing.injected import START
from tests.engine_setting import virtual_time
from tests.webhook_setting import ALL, BROKEN, DONE, URL, Receiver, good, telling


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return virtual_time(request.param)


async def test_a_hook_is_told_of_each_end_that_it_asked_for(tmp_path: Path) -> None:
    async with telling(tmp_path) as told:
        await told.webhooks.add(URL, ALL)
        good, bad = await told.ended("good"), await told.ended("bad")
        endless = await told.engine.submit("endless")
        await endless.cancel()
        bodies = await told.receiver.wait_told(3)
        by_event = {body["event"]: body["data"] for body in bodies}
        assert by_event == {
            "task.completed": {"task_id": good, "task_type": "good", "message": "Completed"},
            "task.failed": {
                "task_id": bad,
                "task_type": "bad",
                "error": (await told.engine.get(bad)).error,
            },
            "task.cancelled": {
                "task_id": endless.id,
                "task_type": "endless",
                "message": "Task cancelled",
            },
        }
        assert len({body["id"] for body in bodies}) == 3
        assert all(set(body) == {"id", "event", "created_at", "data"} for body in bodies)


async def test_a_hook_is_told_nothing_else(tmp_path: Path) -> None:
    async with telling(tmp_path) as told:
        await told.ended("bad")  # before its time
        hook, _ = await told.webhooks.add(URL, [HookEvent.FAILED])
        await told.ended("good")
        late = await told.ended("bad")
        [body] = await told.receiver.wait_told(1)
        assert body["data"]["task_id"] == late
        assert len(await told.settled(hook.id)) == 1


async def test_a_failed_attempt_is_repeated_to_the_letter_later_each_time_for_almost_a_day(
    tmp_path: Path,
) -> None:
    async with telling(tmp_path, BROKEN) as told:
        hook, _ = await told.webhooks.add(URL, ALL)
        await told.ended("good")
        [dead] = await told.settled(hook.id)
        assert (dead.state, dead.attempts) == (DeliveryState.DEAD, len(WAITS) + 1)
        assert (dead.last_status, dead.last_error) == (500, "HTTP 500")
        times = [now for _, _, now in told.receiver.told]
        for wait, (before, after) in zip(WAITS, pairwise(times), strict=True):
            assert wait * 0.9 <= after - before <= wait * 1.1 + timedelta(seconds=1)
        assert timedelta(hours=20) < times[-1] - times[0] < timedelta(hours=28)
        assert len({delivery.body for _, delivery, _ in told.receiver.told}) == 1
        assert len({delivery.id for _, delivery, _ in told.receiver.told}) == 1


async def test_an_attempt_is_given_up_in_time_whatever_drips_in() -> None:
    class Dripping(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            # As of an answer that comes byte by byte: the client limits only each read.
            await anyio.sleep_forever()
            raise AssertionError

    hook = Hook(id="wh_1", url="http://127.0.0.1/", events=ALL, created_at=START, since_seq=0)
    delivery = Delivery(
        id="evt_1",
        hook_id=hook.id,
        event=HookEvent.FAILED,
        task_id="task_1",
        created_at=START,
        body=b"{}",
    )
    async with Poster(
        Secrets(b"m" * 32), allow_private=True, version="1", transport=Dripping()
    ) as poster:
        begun = anyio.current_time()
        with anyio.fail_after(10 * PATIENCE):
            outcome = await poster.post(hook, delivery, START)
    assert outcome == Outcome(None, f"TimeoutError: no answer within {PATIENCE:.0f} s")
    assert anyio.current_time() - begun == PATIENCE


async def test_what_is_told_belongs_to_no_request(tmp_path: Path) -> None:
    seen: list[dict[str, object]] = []

    class Listening(Receiver):
        async def post(self, hook: Hook, delivery: Delivery, now: datetime) -> Outcome:
            seen.append(log_context())
            return await super().post(hook, delivery, now)

    async with telling(tmp_path, receiver=Listening(DONE)) as told:
        token = SURROUNDING.set({"request_id": "req_that_adds"})
        hook, _ = await told.webhooks.add(URL, ALL)
        SURROUNDING.reset(token)
        await told.ended("good")
        await told.settled(hook.id)
    assert seen == [{}]


async def test_a_receiver_that_asks_for_more_time_gets_it(tmp_path: Path) -> None:
    busy = Outcome(429, "HTTP 429", retry_after=timedelta(hours=2))
    async with telling(tmp_path, busy, DONE) as told:
        hook, _ = await told.webhooks.add(URL, ALL)
        await told.ended("good")
        [done] = await told.settled(hook.id)
        assert (done.state, done.attempts) == (DeliveryState.DELIVERED, 2)
        (_, _, first), (_, _, second) = told.receiver.told
        assert second - first >= timedelta(hours=2)


async def test_a_receiver_that_is_gone_is_not_asked_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with telling(tmp_path, Outcome(410, "HTTP 410", hopeless=True)) as told:
        hook, secret = await told.webhooks.add(URL, ALL)
        await told.ended("good")
        [dead] = await told.settled(hook.id)
        assert (dead.state, dead.attempts) == (DeliveryState.DEAD, 1)
    assert "given up after 1 attempts" in caplog.text
    assert secret not in caplog.text


async def test_what_is_dead_is_told_again_when_someone_asks_for_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    async with telling(tmp_path, Outcome(410, "HTTP 410", hopeless=True), DONE) as told:
        hook, _ = await told.webhooks.add(URL, ALL)
        await told.ended("good")
        [dead] = await told.settled(hook.id)
        await told.webhooks.try_again(hook.id, dead.id)
        [again] = await told.settled(hook.id)
        assert (again.state, again.id, again.body) == (
            DeliveryState.DELIVERED,
            dead.id,
            dead.body,
        )
        with pytest.raises(DeliveryNotFound):
            await told.webhooks.try_again(hook.id, "evt_unheard")


async def test_what_is_owed_outlives_a_restart(tmp_path: Path) -> None:
    def backend() -> JsonBackend:
        return JsonBackend(tmp_path / "tasks", offload=offload_inline)

    receiver = Receiver(BROKEN)
    async with telling(tmp_path, backend=backend(), receiver=receiver) as told:
        hook, _ = await told.webhooks.add(URL, ALL)
        task_id = await told.ended("good")
        await receiver.wait_told(1)
        await anyio.sleep(1)  # it has written down what came of that
    async with telling(tmp_path, backend=backend()) as told:
        [body] = await told.receiver.wait_told(1)
        assert body["data"]["task_id"] == task_id
        [[again, delivery, _]] = told.receiver.told
        assert (again, delivery.attempts) == (hook, 1)
        [done] = await told.settled(hook.id)
        assert done.id == receiver.told[0][1].id


async def test_what_ended_and_was_not_yet_written_down_is_found_in_the_records(
    tmp_path: Path,
) -> None:
    """As when the process is killed when a task has just ended."""

    def backend() -> JsonBackend:
        return JsonBackend(tmp_path / "tasks", offload=offload_inline)

    async with telling(tmp_path, backend=backend()) as told:
        hook, _ = await told.webhooks.add(URL, ALL)
        known = await told.ended("good")
        await told.settled(hook.id)
    outbox = (tmp_path / "webhooks.db").read_bytes()
    async with telling(tmp_path, backend=backend()) as told:
        missed = await told.ended("good")
        await told.settled(hook.id)
    (tmp_path / "webhooks.db").write_bytes(outbox)
    async with telling(tmp_path, backend=backend()) as told:
        [body] = await told.receiver.wait_told(1)
        assert body["data"]["task_id"] == missed
        told_of = {each.task_id for each in await told.settled(hook.id)}
        assert told_of == {known, missed}


@pytest.mark.parametrize("anew_from", [0, 7, 1_000_000])
async def test_tasks_that_are_others_than_the_outbox_knew_are_told(
    tmp_path: Path, anew_from: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with telling(tmp_path) as told:
        for _ in range(5):
            await told.ended("good")  # before the hook's time
        hook, _ = await told.webhooks.add(URL, ALL)
        before = await told.ended("good")
        await told.settled(hook.id)
    backend = MemoryBackend(numbering_from=anew_from)
    async with telling(tmp_path, backend=backend) as told:
        after = [await told.ended("good") for _ in range(3)]
        bodies = await told.receiver.wait_told(3)
        assert [each["data"]["task_id"] for each in bodies] == after
        assert [each.task_id for each in await told.settled(hook.id)] == [before, *after]
    assert ("the outbox knows of changes" in caplog.text) == (anew_from < 15)


async def test_a_backup_of_the_tasks_beside_a_newer_outbox_has_nothing_told_twice(
    tmp_path: Path,
) -> None:
    tasks = MemoryBackend()
    async with telling(tmp_path, backend=tasks) as told:
        hook, _ = await told.webhooks.add(URL, ALL)
        known = await told.ended("good")
        await told.settled(hook.id)
    backup = deepcopy(tasks)
    async with telling(tmp_path, backend=tasks) as told:
        newer, _ = await told.webhooks.add(URL, ALL)
        lost = await told.ended("good")
        await told.settled(newer.id)
        await told.settled(hook.id)
    async with telling(tmp_path, backend=backup) as told:
        after = await told.ended("good")
        await told.receiver.wait_told(2)
        assert [each.task_id for each in await told.settled(hook.id)] == [known, lost, after]
        assert [each.task_id for each in await told.settled(newer.id)] == [lost, after]
        assert {delivery.task_id for _, delivery, _ in told.receiver.told} == {after}


async def test_an_end_is_put_into_the_outbox_once_however_often_it_is_found(
    tmp_path: Path,
) -> None:
    backend = MemoryBackend()
    async with telling(tmp_path, backend=backend) as told:
        hook, _ = await told.webhooks.add(URL, ALL)
        await told.ended("good")
        await told.settled(hook.id)
        told.webhooks._position = 0
        await told.webhooks._catch_up()
        assert len(await told.settled(hook.id)) == 1
        assert len(told.receiver.told) == 1


async def test_a_receiver_that_does_not_answer_holds_up_nobody_else(tmp_path: Path) -> None:
    async with telling(tmp_path) as told:
        stuck, _ = await told.webhooks.add(URL, [HookEvent.COMPLETED])
        told.receiver.open = anyio.Event()
        for _ in range(AT_ONCE + 3):
            await told.ended("good")
        await told.receiver.wait_told(AT_ONCE)
        told.receiver.open, waiting = anyio.Event(), told.receiver.open
        told.receiver.open.set()
        other, _ = await told.webhooks.add(URL + "/other", [HookEvent.FAILED])
        await told.ended("bad")
        assert len(await told.settled(other.id)) == 1
        of_stuck = [hook for hook, _, _ in told.receiver.told if hook.id == stuck.id]
        assert len(of_stuck) == AT_ONCE
        waiting.set()
        assert len(await told.settled(stuck.id)) == AT_ONCE + 3


async def test_a_hook_that_is_removed_is_told_nothing_more(tmp_path: Path) -> None:
    async with telling(tmp_path, BROKEN) as told:
        hook, _ = await told.webhooks.add(URL, ALL)
        await told.ended("good")
        await told.receiver.wait_told(1)
        await told.webhooks.remove(hook.id)
        await told.ended("good")
        await anyio.sleep(80_000)
        assert len(told.receiver.told) == 1
        for use in (
            told.webhooks.remove(hook.id),
            told.webhooks.test(hook.id),
            told.webhooks.try_again(hook.id, "evt"),
        ):
            with pytest.raises(HookNotFound):
                await use
    async with telling(tmp_path) as told:
        assert told.webhooks.hooks() == []


async def test_a_test_is_sent_once_and_kept_nowhere(tmp_path: Path) -> None:
    async with telling(tmp_path, BROKEN) as told:
        hook, _ = await told.webhooks.add(URL, [HookEvent.FAILED])
        assert await told.webhooks.test(hook.id) == BROKEN
        [body] = await told.receiver.wait_told(1)
        assert body["event"] == "webhook.test"
        assert await told.webhooks.deliveries(hook.id, state=None, limit=10) == []


async def test_a_follower_that_fell_behind_the_history_misses_nothing(tmp_path: Path) -> None:
    async with telling(tmp_path) as told:
        hook, _ = await told.webhooks.add(URL, ALL)
        wanted: list[dict[str, Any]] = [{} for _ in range(100)]
        handles = await told.engine.submit_many(good, wanted)
        for handle in handles:
            await handle.wait()
        await told.receiver.wait_told(100)
        ids = [delivery.task_id for _, delivery, _ in told.receiver.told]
        assert sorted(ids) == sorted(handle.id for handle in handles)
        assert hook.id


async def test_there_may_be_a_hundred_hooks(tmp_path: Path) -> None:
    async with telling(tmp_path) as told:
        for number in range(100):
            await told.webhooks.add(f"{URL}/{number}", ALL)
        with pytest.raises(TooManyHooks):
            await told.webhooks.add(URL, ALL)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "receiver.example",
        "ftp://receiver.example/",
        "file:///etc/passwd",
        "https://",
        "https://user:word@receiver.example/",
        "https://receiver.example:99999/",
        "https://receiver.example:0/",
        "https://receiver.example/ a",
        "https://receiver.example/\x00",
        "https://receiver.example/#here",
        "https://[::1/",
        "https://receiver.example/" + "a" * 2000,
    ],
)
async def test_a_url_that_nobody_can_be_told_at_is_refused(tmp_path: Path, url: str) -> None:
    async with telling(tmp_path) as told:
        with pytest.raises(TargetRefused):
            await told.webhooks.add(url, ALL)
        assert told.webhooks.hooks() == []


async def test_what_the_block_raises_comes_out_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="as it is"):
        async with telling(tmp_path):
            raise LookupError("as it is")
