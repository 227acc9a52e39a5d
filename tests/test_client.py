"""The client against the real server: what it asks is done, what it gives is true."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx2
import msgspec
import pytest

from cortex_tasks.client import (
    AsyncClient,
    CannotConnect,
    Changed,
    Client,
    ClientError,
    Conflict,
    Ended,
    InvalidRequest,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    NotReady,
    TaskHasNoResult,
    TlsFailed,
    UnusableSetting,
    WaitTimedOut,
)
from cortex_tasks.engine.context import TaskContext
from cortex_tasks.engine.registry import TaskType, task_type
from cortex_tasks.http.app import create_app
from cortex_tasks.http.serving import serve
from tests.cli_server import SampleServer, sample_server
from tests.documents import ROOT
from tests.engine_setting import an_engine
from tests.http_setting import a_key_store, endless
from tests.small_world import add_texts, small_world


@pytest.fixture(params=["trio", "asyncio"])
def sample(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SampleServer]:
    """A server whose tasks a law steers, on one loop or the other."""
    with sample_server(request.param, tmp_path) as sample:
        yield sample


@contextmanager
def blocking(sample: SampleServer, *permissions: str) -> Iterator[Client]:
    key = sample.keys.create("me", permissions or ("read", "manage"))
    with Client(sample.url, key) as client:
        yield client


class Point(msgspec.Struct):
    x: int


def test_a_task_is_submitted_waited_for_and_read(sample: SampleServer) -> None:
    with blocking(sample) as client:
        task = client.submit("echo", {"x": 1}, then=["gated"], priority=3)
        ended = client.wait(task.task_id)
        assert (ended.status, ended.priority, ended.result) == ("completed", 3, {"x": 1})
        assert client.result(task.task_id) == {"x": 1}
        assert client.result(task.task_id, Point) == Point(1)
        assert ended.next_task_id is not None
        sample.open_gate()
        assert client.wait(ended.next_task_id).previous_task_id == task.task_id


def test_a_wait_that_is_over_shows_the_task_as_it_is(sample: SampleServer) -> None:
    task_id = sample.submit("gated")
    with blocking(sample) as client:
        with pytest.raises(WaitTimedOut, match=r"still running \(40%\)") as caught:
            client.wait(task_id, timeout=0)
        assert isinstance(caught.value, TimeoutError)
        assert caught.value.task.progress_current == 2
        with pytest.raises(NotReady, match="no result yet"):
            client.result(task_id)


def test_a_task_without_a_result_says_why(sample: SampleServer) -> None:
    with blocking(sample) as client:
        failed = client.wait(sample.submit("fails"))
        with pytest.raises(TaskHasNoResult) as caught:
            client.result(failed.task_id)
        assert caught.value.task_status == "failed"
        assert caught.value.error == failed.error
        gated = sample.submit("gated")
        assert client.cancel(gated).stopped
        with pytest.raises(TaskHasNoResult) as caught:
            client.result(gated)
        assert caught.value.task_status == "cancelled"
        assert client.retry(failed.task_id).task_id == failed.task_id


def test_lists_are_filtered_and_read_page_by_page_without_a_double(sample: SampleServer) -> None:
    ids = [sample.submit("echo", {"n": n}) for n in range(7)]
    with blocking(sample) as client:
        for each in ids:
            client.wait(each)
        assert [task.task_id for task in client.iterate_tasks(page_size=3)] == ids[::-1]
        assert client.list_tasks(q="type:echo status:completed", limit=2).total == 7
        found = client.iterate_tasks(task_type="echo", page_size=2)
        first = next(found)
        client.wait(sample.submit("echo"))  # moves every page by one
        assert [first.task_id, *(task.task_id for task in found)] == ids[::-1]
        assert client.list_tasks(status="failed").tasks == []


def test_what_the_server_says_no_to_is_told_by_kind(sample: SampleServer) -> None:
    with blocking(sample, "read") as client:
        with pytest.raises(NotFound, match="may have been cleaned up") as missing:
            client.get_task("task_of nobody?&%")
        assert missing.value.title == "Task not found"
        assert missing.value.request_id is not None
        with pytest.raises(NotPermitted, match="MANAGE"):
            client.clean_up()
        with pytest.raises(InvalidRequest) as wrong:
            client.list_tasks(limit=-1)
        assert [error.loc for error in wrong.value.errors] == [("query", "limit")]
        for refused in (missing, wrong):
            assert isinstance(refused.value, ClientError)
    with Client(sample.url, "wrong") as nobody:
        with pytest.raises(NotAuthenticated, match="Invalid API key"):
            nobody.list_tasks()
        assert nobody.health().healthy


def test_the_key_comes_from_the_surroundings_and_is_shown_nowhere(
    sample: SampleServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    key = sample.keys.create("me")
    monkeypatch.setenv("CORTEX_TASKS_API_KEY", f"{key}\n")
    monkeypatch.setenv("CORTEX_TASKS_URL", sample.url + "/")
    with caplog.at_level(logging.DEBUG), Client() as client:
        client.list_tasks()
        with pytest.raises(NotFound) as caught:
            client.get_task("nobody")
        shown = [client, client.connection, client.connection.settings, client.connection.http]
        told = " ".join(map(repr, [*shown, caught.value, vars(caught.value)]))
    assert client.url == sample.url
    assert key not in told
    assert key not in caplog.text


@pytest.mark.parametrize("url", ["nonsense", "ftp://x", "http://", "http://x:0", "http://\0"])
def test_what_is_no_url_or_no_key_is_told_at_once(url: str) -> None:
    with pytest.raises(UnusableSetting, match="URL"):
        Client(url)
    with pytest.raises(UnusableSetting, match="characters") as caught:
        Client("http://x", "clé")
    assert "clé" not in str(caught.value)


def test_where_nobody_listens_it_says_so(sample: SampleServer) -> None:
    with blocking(sample) as client:
        sample.hang_up()
        client.connection.settings.repeats = 0
        with pytest.raises(CannotConnect, match="no server at"):
            client.list_tasks()
        sample.listen_again()
        assert client.list_tasks().total == 0


def test_following_tells_each_change_up_to_the_end(sample: SampleServer) -> None:
    task_id = sample.submit("gated")
    told = []
    with blocking(sample) as client, client.follow(task_id) as changes:
        for event in changes:
            assert isinstance(event, Changed | Ended)
            told.append((type(event), event.task.status))
            if len(told) == 1:
                sample.open_gate()
    assert told[0] == (Changed, "running")
    assert told[-1] == (Ended, "completed")


def test_following_goes_on_over_a_server_that_goes_away_and_misses_nothing(
    sample: SampleServer,
) -> None:
    task_id = sample.submit("gated")
    interruptions: list[ClientError] = []
    seqs = []

    def back_soon(error: ClientError) -> None:
        interruptions.append(error)
        sample.open_gate()
        sample.wait(task_id)
        sample.listen_again()

    with (
        blocking(sample) as client,
        client.follow(task_id, on_interruption=back_soon) as changes,
    ):
        for event in changes:
            assert isinstance(event, Changed | Ended)
            if isinstance(event, Changed):
                seqs.append(event.task.seq)
            if len(seqs) == 1:
                sample.hang_up()
    assert len(interruptions) == 1
    assert seqs == sorted(set(seqs))
    assert sample.get(task_id).seq == seqs[-1]


def test_a_list_and_what_follows_it_make_a_whole(sample: SampleServer) -> None:
    with blocking(sample) as client:
        before = client.list_tasks()
        mine = [sample.submit("echo", {"n": n}) for n in range(3)]
        ended = set()
        with client.follow(task_type="echo", last_event_id=before.seq) as changes:
            for event in changes:
                assert isinstance(event, Changed)
                assert event.task.task_id in mine
                ended |= {event.task.task_id} if event.task.final else set()
                if len(ended) == 3:
                    break


def test_a_search_is_followed_as_it_is_listed(sample: SampleServer) -> None:
    with blocking(sample) as client:
        before = client.list_tasks().seq
        sample.submit("fails")
        mine = client.wait(sample.submit("echo")).task_id
        with client.follow(q="type:echo status:completed", last_event_id=before) as changes:
            event = next(changes)
    assert isinstance(event, Changed)
    assert (event.task.task_id, event.task.status) == (mine, "completed")


MANY = 101  # connections, where httpx2 allows 100 by itself


def test_however_many_are_followed_a_call_gets_through(sample: SampleServer) -> None:
    task_id = sample.submit("gated")
    with blocking(sample) as client, ExitStack() as followed:
        for _ in range(MANY):
            next(followed.enter_context(client.follow(task_id, patience=0)))
        assert client.health().healthy


def test_following_what_is_not_there_says_so(sample: SampleServer) -> None:
    with blocking(sample) as client, client.follow("nobody") as changes:
        with pytest.raises(NotFound, match="cleaned up"):
            next(changes)


@asynccontextmanager
async def awaited(folder: Path, *task_types: TaskType[Any, Any]) -> AsyncIterator[AsyncClient]:
    """A server on the loop of the law, and a client of it."""
    keys, draining, urls = a_key_store(folder), anyio.Event(), list[str]()
    async with an_engine(*task_types, drain_grace=0) as engine:
        app = create_app(engine, keys=keys, draining=draining)
        async with anyio.create_task_group() as nursery:
            listening = anyio.Event()

            def note(url: str) -> None:
                urls.append(url)
                listening.set()

            nursery.start_soon(partial(serve, app, port=0, draining=draining, on_ready=note))
            await listening.wait()
            async with AsyncClient(urls[0], keys.create("me")) as client:
                yield client
            draining.set()


async def test_a_program_that_awaits_waits_and_follows_too(tmp_path: Path) -> None:
    gate = anyio.Event()

    @task_type("gated", concurrency=9)
    async def gated(ctx: TaskContext) -> None:
        await ctx.progress(percent=40)
        await gate.wait()

    with anyio.fail_after(60):
        async with awaited(tmp_path, gated, endless) as client:
            task_id = (await client.submit("gated")).task_id
            seen = []

            async def follow() -> None:
                async with client.follow(task_id) as changes:
                    async for event in changes:
                        assert isinstance(event, Changed | Ended)
                        seen.append(event.task.status)
                        if event.task.progress_percent == 40:
                            gate.set()

            async with anyio.create_task_group() as nursery:
                nursery.start_soon(follow)
                assert (await client.wait(task_id)).status == "completed"
            assert seen[-1] == "completed"
            lasting = (await client.submit("endless")).task_id
            async with client.follow(lasting) as left_early:
                await anext(left_early)
            with anyio.move_on_after(0) as cut:
                await client.wait(lasting)
            assert cut.cancelled_caught
            ids = [task.task_id async for task in client.iterate_tasks(page_size=1)]
            assert ids == [lasting, task_id]
            assert (await client.cancel(lasting)).stopped


async def test_a_program_that_awaits_follows_as_many(tmp_path: Path) -> None:
    async with awaited(tmp_path, endless) as client, AsyncExitStack() as followed:
        task_id = (await client.submit("endless")).task_id
        for _ in range(MANY):
            changes = client.follow(task_id, patience=0)
            await anext(await followed.enter_async_context(changes))
        assert (await client.health()).healthy


async def test_https_where_http_is_spoken_is_told_from_no_server(tmp_path: Path) -> None:
    async with awaited(tmp_path, endless) as client:
        async with AsyncClient(client.url.replace("http:", "https:"), repeats=0) as secure:
            with pytest.raises(TlsFailed, match="the URL begins with http://"):
                await secure.health()


@asynccontextmanager
async def library_client(folder: Path) -> AsyncIterator[AsyncClient]:
    """A client and an application in the same run, under a prefix, with documents in it."""
    async with small_world() as (engine, library):
        await add_texts(library, copies=2)
        keys = a_key_store(folder)
        app = create_app(engine, library=library, keys=keys)
        transport = httpx2.ASGITransport(app)
        async with AsyncClient("http://here", keys.create("me"), transport=transport) as client:
            yield client


async def test_the_library_and_the_four_jobs_are_at_hand(tmp_path: Path) -> None:
    async with library_client(tmp_path) as client:
        started = await client.process_pending(
            concurrency=2, chain=["relationship_analysis", "community_detection"]
        )
        assert started.task_id is not None
        assert started.pending_count == 4
        task = await client.wait(started.task_id)
        while task.next_task_id:
            task = await client.wait(task.next_task_id)
        assert (task.task_type, task.status) == ("community_detection", "completed")
        assert (await client.process_pending()).task_id is None
        summary = await client.summarize()
        assert (await client.wait(summary.task_id or "")).status == "completed"
        page = await client.list_communities()
        assert page.total == len(page.communities) > 0
        community = await client.get_community(page.communities[0].id)
        assert community.summary
        assert community.entities
        assert (await client.search_communities(community.name or "")).total > 0
        entity = (await client.list_entities(search="whale")).entities[0]
        assert (await client.get_entity(entity.name)).mentioned_in
        assert len((await client.get_picture(limit=5)).nodes) == 5
        assert (await client.graph_status()).community_count == page.total
        assert (await client.stats()).document_count == 4
        assert (await client.instance_status()).safe_to_redeploy
        assert (await client.analyze(mode="rebuild")).task_id
        assert (await client.detect(min_size=2)).task_id
        assert isinstance((await client.abort()).tasks_cancelled, list)
        assert (await client.delete_community(community.id)).deleted == 1
        assert (await client.delete_communities()).deleted == page.total - 1


async def test_documents_come_in_and_go_out_as_they_were(tmp_path: Path) -> None:
    sample = ROOT / "docs" / "sample" / "jargon" / "Unix.md"
    async with library_client(tmp_path) as client:
        taken = await client.upload(sample, source="here", start_processing=False)
        assert (taken.filename, taken.source, taken.task_id) == ("Unix.md", "here", None)
        assert await client.download(taken.document_id) == sample.read_bytes()
        assert (await client.get_text(taken.document_id)).content == sample.read_text()
        with pytest.raises(Conflict):
            await client.upload(sample.read_bytes(), filename="Unix.md", start_processing=False)
        with sample.open("rb") as opened:
            again = await client.upload(opened, filename="other.md", start_processing=False)
        assert again.document_id != taken.document_id
        with pytest.raises(UnusableSetting, match="filename"):
            await client.upload(b"no name")
        typed = await client.add_text("Typed.", title="By hand", start_processing=False)
        assert (await client.get_document(typed.document_id)).status == "pending"
        assert (await client.list_documents(limit=2)).total == 7
        assert (await client.list_pending()).pending_count == 7
        assert (await client.delete_document(typed.document_id)).deleted


async def test_the_server_is_looked_at_as_a_whole(tmp_path: Path) -> None:
    async with library_client(tmp_path) as client:
        assert (await client.health()).healthy
        overview = await client.overview()
        assert overview.counts["running"] == 0
        types = await client.list_task_types()
        assert len(types.task_types) == types.total == 4
        assert (await client.clean_up(max_age_hours=1)).removed == 0
