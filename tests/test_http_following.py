"""Following tasks by server-sent events: every change once, in order, and an end that is said."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import anyio
import pytest

from cortex_tasks.engine.context import TaskContext
from cortex_tasks.engine.registry import TaskType, task_type
from cortex_tasks.http import feed
from cortex_tasks.http.followers import LONGEST_PAUSE, SLICE
from cortex_tasks.http.streams import PING_EVERY
from tests.engine_setting import virtual_time
from tests.http_setting import Api, assert_problem, echo, endless, failing, serving
from tests.sse_setting import Stream, following

EVENTS = "/api/tasks/events"


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return virtual_time(request.param)


class Steps:
    """A task that reports once for each time it is told to."""

    def __init__(self) -> None:
        self._send, self._receive = anyio.create_memory_object_stream[int](100)

    def go_on(self, *percents: int) -> None:
        for percent in percents:
            self._send.send_nowait(percent)

    def task_type(self) -> TaskType[Any, Any]:
        @task_type("steps")
        async def steps(ctx: TaskContext) -> str:
            async for percent in self._receive:
                if percent == 100:
                    break
                await ctx.progress(percent=percent, message=f"{percent} done")
                await anyio.sleep(1)
            return "done"

        return steps

    def close(self) -> None:
        self._send.close()
        self._receive.close()


@pytest.fixture
async def steps() -> AsyncIterator[Steps]:
    steps = Steps()
    yield steps
    steps.close()


@pytest.fixture
def draining() -> anyio.Event:
    return anyio.Event()


@pytest.fixture
async def api(steps: Steps, draining: anyio.Event) -> AsyncIterator[Api]:
    async with serving(steps.task_type(), echo, failing, endless, draining=draining) as api:
        yield api


def of(task_id: str) -> str:
    return f"/api/tasks/{task_id}/events"


async def settled(api: Api) -> str:
    """Give a task that runs and reports no more."""
    task_id = await api.running("endless")
    while (record := await api.engine.get(task_id)).message != "Looking at it":
        await api.engine.wait_change(task_id, record.seq)
    return task_id


# -- one task ------------------------------------------------------------------------------------


async def test_a_stream_tells_the_present_then_each_change_then_the_end(
    api: Api, steps: Steps
) -> None:
    task_id = await api.running("steps")
    async with following(api.app, of(task_id)) as stream:
        steps.go_on(10, 20, 100)
        await stream.ended.wait()
    assert stream.sent[0]["status"] == 200
    headers = dict(stream.sent[0]["headers"])
    assert headers[b"content-type"] == b"text/event-stream"
    assert headers[b"cache-control"] == b"no-store"
    assert stream.text.startswith(b"retry: 1000\n\n")
    names = [event.name for event in stream.events]
    assert names == ["ready", "task", "task", "task", "task", "end"]
    told = [event.data for event in stream.events if event.name == "task"]
    assert [task["progress"] for task in told] == [0, 10, 20, 100]
    assert [task["status"] for task in told] == ["running"] * 3 + ["completed"]
    assert [task["seq"] for task in told] == stream.seqs == sorted(set(stream.seqs))
    final = (await api.get(f"/api/tasks/{task_id}")).json()
    assert stream.events[-1].data == told[-1]
    assert told[-1].items() <= final.items()
    assert stream.sent[-1]["more_body"] is False


async def test_a_stream_of_a_task_that_has_ended_says_so_and_closes(api: Api) -> None:
    task_id = await api.ended("failing")
    async with following(api.app, of(task_id)) as stream:
        await stream.ended.wait()
    assert [event.name for event in stream.events] == ["ready", "task", "end"]
    assert stream.events[-1].data["error"] == "ValueError: the moon is full"


async def test_other_tasks_are_not_in_the_stream_of_one(api: Api, steps: Steps) -> None:
    task_id = await api.running("steps")
    async with following(api.app, of(task_id)) as stream:
        await api.ended("echo", {"value": 1})
        steps.go_on(100)
        await stream.ended.wait()
    assert {event.data["task_id"] for event in stream.events[1:]} == {task_id}


async def test_a_task_that_is_cleaned_up_ends_its_stream(api: Api) -> None:
    task_id = await api.running("endless")
    async with following(api.app, f"{of(task_id)}?last_event_id=0") as stream:
        await api.engine.cancel(task_id)
        await stream.ended.wait()
        known = stream.events[-1].seq
    assert await api.engine.cleanup(timedelta(0)) == 1
    assert_problem(await api.get(of(task_id), headers={"Last-Event-ID": str(known)}), 404, task_id)


async def test_many_follow_one_task_and_each_is_told_everything(api: Api, steps: Steps) -> None:
    task_id = await api.running("steps")
    async with anyio.create_task_group() as group:
        streams = []

        async def follow() -> None:
            async with following(api.app, of(task_id)) as stream:
                streams.append(stream)
                await stream.ended.wait()

        for _ in range(50):
            group.start_soon(follow)
        await anyio.wait_all_tasks_blocked()
        steps.go_on(10, 20, 100)
    assert len({stream.text for stream in streams}) == 1
    assert len(streams[0].seqs) == 4


# -- all tasks -----------------------------------------------------------------------------------


async def test_the_stream_of_all_begins_with_what_comes_next(api: Api) -> None:
    await api.ended("echo", {"value": 1})
    seq = (await api.get("/api/tasks")).json()["seq"]
    async with following(api.app, EVENTS) as stream:
        task_id = await api.ended("echo", {"value": 2})
        await stream.until("task", status="completed")
        await api.engine.cleanup(timedelta(0))
        await stream.until("removed", task_id=task_id)
    assert (stream.events[0].name, stream.events[0].seq) == ("ready", seq)
    assert stream.seqs == list(range(seq + 1, api.engine.seq + 1))


async def test_filters_are_those_of_the_list_and_leaving_one_is_told(api: Api) -> None:
    async with (
        following(api.app, f"{EVENTS}?type=echo") as typed,
        following(api.app, f"{EVENTS}?status=running") as running,
        following(api.app, f"{EVENTS}?status=failed&task_type=echo") as neither,
        following(api.app, f"{EVENTS}?status=nonsense") as nonsense,
    ):
        echoed = await api.ended("echo", {"value": 1})
        failed = await api.ended("failing")
        await anyio.wait_all_tasks_blocked()
    assert {event.data["task_id"] for event in typed.events[1:]} == {echoed}
    shown = [(event.data["task_id"], event.data["status"]) for event in running.events[1:]]
    assert shown == [
        (echoed, "running"), (echoed, "completed"), (failed, "running"), (failed, "failed"),
    ]  # fmt: skip
    assert neither.seqs == nonsense.seqs == []


# -- coming back ---------------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["", "type=echo", "status=running", "status=completed&type=echo"])
async def test_who_comes_back_is_told_exactly_what_was_missed(api: Api, query: str) -> None:
    start = api.engine.seq
    path = f"{EVENTS}?{query}"
    async with following(api.app, path) as whole:
        for number in range(3):
            await api.ended("echo", {"value": number})
            await api.ended("failing")
        await anyio.wait_all_tasks_blocked()
        for known in range(start, api.engine.seq + 1):
            async with following(api.app, path, last_event_id=str(known)) as stream:
                await anyio.wait_all_tasks_blocked()
                expected = [event for event in whole.events if event.seq > known]
                assert stream.events[0].seq == known
                # Of tasks of which nothing older is known it may tell that they do not match.
                odd = [event for event in stream.events[1:] if event not in expected]
                assert [event for event in stream.events[1:] if event not in odd] == expected
                assert "status" in query or not odd
                assert len({event.data["task_id"] for event in odd}) == len(odd)
                more = await api.ended("echo", {"value": known})
                await stream.until("task", task_id=more, status="completed")
                assert stream.seqs == sorted(set(stream.seqs))
                break_at = stream.events[-1].seq
                assert break_at == api.engine.seq
            if known > start + 3:
                break


async def test_who_comes_back_to_one_task_is_told_exactly_what_was_missed(
    api: Api, steps: Steps
) -> None:
    task_id = await api.running("steps")
    async with following(api.app, f"{of(task_id)}?last_event_id=0") as whole:
        steps.go_on(10, 20)
        await whole.until("task", message="20 done")
        await api.ended("echo", {"value": 1})
        for known in range(api.engine.seq + 1):
            async with following(api.app, f"{of(task_id)}?last_event_id={known}") as stream:
                await anyio.wait_all_tasks_blocked()
                expected = [event for event in whole.events[1:] if event.seq > known]
                assert stream.events[1:] == expected
        steps.go_on(100)
        await whole.ended.wait()


async def test_the_header_counts_over_the_query(api: Api) -> None:
    task_id = await api.ended("echo", {"value": 1})
    seq = (await api.engine.get(task_id)).seq
    path = f"{of(task_id)}?last_event_id=0"
    async with following(api.app, path, last_event_id=str(seq)) as stream:
        await stream.ended.wait()
    assert [event.name for event in stream.events] == ["ready", "end"]


@pytest.mark.parametrize("path", [EVENTS, "one"])
async def test_who_knows_a_change_that_never_was_is_told_to_begin_anew(api: Api, path: str) -> None:
    task_id = await settled(api)
    async with following(
        api.app, of(task_id) if path == "one" else path, last_event_id="1000000"
    ) as stream:
        await anyio.wait_all_tasks_blocked()
    names = [event.name for event in stream.events]
    assert names == (["ready", "reset", "task"] if path == "one" else ["ready", "reset"])
    assert stream.events[0].seq == stream.events[1].seq == api.engine.seq
    assert stream.events[1].data["seq"] == api.engine.seq
    assert "load anew" in stream.events[1].data["detail"]


@pytest.mark.parametrize("bad", ["-1", "x", "1.5", "9" * 30, "٣"])
async def test_what_is_no_number_of_a_change_is_refused(api: Api, bad: str) -> None:
    headers = {"Last-Event-ID": bad.encode()}
    for path in (EVENTS, of(await api.ended("echo"))):
        assert_problem(await api.get(path, headers=headers), 422, "Last-Event-ID")
        assert_problem(await api.get(path, params={"last_event_id": bad}), 422, "last_event_id")


# -- everything else -----------------------------------------------------------------------------


async def test_a_stream_is_found_before_a_task_of_that_name_and_unknown_tasks_are_404(
    api: Api, draining: anyio.Event
) -> None:
    assert_problem(await api.get(of("task_unknown")), 404, "task_unknown")
    draining.set()
    assert (await api.get(EVENTS)).headers["content-type"] == "text/event-stream"


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("text/event-stream", 200),
        ("text/html, */*;q=0.1", 200),
        ("text/event-stream;q=0.01, */*;q=0", 200),
        ("application/json", 406),
        ("text/event-stream;q=0", 406),
        ("*/*, text/event-stream; q=0.0", 406),
        ("text/*;q=0.000, */*", 406),
    ],
)
async def test_a_client_that_takes_no_events_is_told_so(
    api: Api, draining: anyio.Event, accept: str, status: int
) -> None:
    draining.set()
    answer = await api.get(EVENTS, headers={"Accept": accept})
    assert answer.status_code == status
    if status == 406:
        assert_problem(answer, 406, "text/event-stream")


async def test_head_has_the_head_alone(api: Api) -> None:
    for path in (EVENTS, of(await api.running("endless"))):
        answer = await api.ask("HEAD", path)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-type"] == "text/event-stream"


async def test_a_silent_stream_shows_that_it_lives(api: Api) -> None:
    async with following(api.app, EVENTS) as stream:
        while stream.text.count(b"event: ping\ndata: {}\n\n") < 3:
            await stream.news.wait()
    assert stream.events[1:] == []
    assert PING_EVERY == 15.0


async def test_a_client_that_goes_away_is_followed_no_longer(api: Api) -> None:
    task_id = await api.running("endless")
    async with following(api.app, of(task_id)), following(api.app, EVENTS):
        pass
    assert (await api.engine.get(task_id)).status == "running"


@pytest.mark.parametrize("path", [EVENTS, "one"])
async def test_a_server_that_stops_ends_all_streams(
    api: Api, draining: anyio.Event, path: str
) -> None:
    task_id = await settled(api)
    before = anyio.current_time()
    async with following(api.app, of(task_id) if path == "one" else path) as stream:
        draining.set()
        await stream.ended.wait()
        assert stream.sent[-1]["more_body"] is False
    assert anyio.current_time() < before + 1
    assert (await api.engine.get(task_id)).status == "running"


async def test_a_client_that_reads_nothing_is_cut_loose_and_holds_up_nobody(
    api: Api, steps: Steps
) -> None:
    task_id = await api.running("steps")
    async with (
        following(api.app, of(task_id)) as slow,
        following(api.app, of(task_id)) as quick,
    ):
        slow.held = anyio.Event()
        began = anyio.current_time()
        steps.go_on(10, 20)
        await quick.until("task", message="20 done")
        assert anyio.current_time() < began + 5
        await slow.ended.wait()
        assert anyio.current_time() < began + 20
        assert slow.sent[-1]["more_body"] is True  # nothing more can be said to it
        steps.go_on(30)
        await quick.until("task", message="30 done")


async def test_a_client_that_is_too_far_behind_is_cut_loose_at_once(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "MOST_BEHIND", 1_000)
    async with following(api.app, EVENTS) as slow, following(api.app, EVENTS) as quick:
        slow.held = anyio.Event()
        began = anyio.current_time()
        for number in range(4):
            await api.engine.submit_many("echo", [{"value": number}] * 200)
            await anyio.wait_all_tasks_blocked()
        await slow.ended.wait()
        assert anyio.current_time() < began + 5
        assert not quick.ended.is_set()


async def test_many_followers_are_told_of_what_comes_in_quick_succession_at_once(api: Api) -> None:
    streams: list[Stream] = []
    done = anyio.Event()

    async def follow() -> None:
        async with following(api.app, EVENTS) as stream:
            streams.append(stream)
            await done.wait()

    async with anyio.create_task_group() as group:
        for _ in range(100):
            group.start_soon(follow)
        await anyio.wait_all_tasks_blocked()
        for number in range(20):
            await api.ended("echo", {"value": number})
        await anyio.sleep(3 * LONGEST_PAUSE)
        done.set()
    assert len({stream.text for stream in streams}) == 1
    assert streams[0].seqs == list(range(1, api.engine.seq + 1))
    assert len(streams[0].sent) < len(streams[0].seqs) / 2


async def test_what_comes_while_one_is_told_of_the_past_comes_once_and_in_its_place(
    api: Api,
) -> None:
    await api.engine.submit_many("echo", [{"value": 1}] * 100)
    await api.ended("echo", {"value": 2})
    async with following(api.app, EVENTS) as live:
        assert live.events[0].seq > SLICE
        held = anyio.Event()
        stream = Stream(api.app, EVENTS, last_event_id="0")
        stream.held = held
        async with anyio.create_task_group() as group:
            group.start_soon(stream.run)
            await anyio.wait_all_tasks_blocked()
            await api.ended("echo", {"value": 3})
            stream.held = None
            held.set()
            await api.ended("echo", {"value": 4})
            await live.until("task", seq=api.engine.seq)
            await stream.until("task", seq=api.engine.seq)
            stream.go_away()
    assert stream.seqs == list(range(1, api.engine.seq + 1))
