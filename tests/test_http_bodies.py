"""Bodies: never more and never longer than is allowed, and refused so that it shows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from cortex_tasks.http.app import create_app
from cortex_tasks.http.bodies import LINGER, Body, BodyLimit
from cortex_tasks.http.problems import Problem
from cortex_tasks.jobs.library import Library
from tests.engine_setting import virtual_time
from tests.http_setting import Api, RawCall, client_of, echo, serving
from tests.small_world import small_world

CLEANUP = "/api/tasks/cleanup"
JSON = "application/json"
FORM = "multipart/form-data; boundary=edge"
HEAD = b'--edge\r\ncontent-disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
END = b"\r\n--edge--\r\n"


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return virtual_time(request.param)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with serving(echo, json_limit=100, json_seconds=30) as api:
        yield api


class Uploads(Api):
    library: Library


@pytest.fixture
async def uploads() -> AsyncIterator[Uploads]:
    async with small_world() as (engine, library):
        app = create_app(engine, library=library, upload_limit=1000, upload_seconds=60)
        async with client_of(app) as client:
            uploads = Uploads(engine, app, client)
            uploads.library = library
            yield uploads


async def test_a_body_that_is_announced_as_too_large_is_refused_before_it_is_read(
    api: Api,
) -> None:
    call = RawCall(api.app, "POST", CLEANUP, content_type=JSON, content_length="101")
    async with anyio.create_task_group() as group:
        group.start_soon(call.run)
        await call.answered.wait()
        assert (call.status, call.received) == (413, 0)
        call.go_away()


async def test_a_body_that_grows_too_large_is_refused_when_it_does(api: Api) -> None:
    call = RawCall(api.app, "POST", CLEANUP, content_type=JSON, transfer_encoding="chunked")
    async with anyio.create_task_group() as group:
        group.start_soon(call.run)
        call.send_body(b" " * 60, more=True)
        await anyio.wait_all_tasks_blocked()
        assert not call.answered.is_set()
        call.send_body(b" " * 60, more=True)
        await call.answered.wait()
        assert call.status == 413
        call.go_away()


async def test_a_body_that_does_not_come_is_not_waited_for_longer_than_allowed(api: Api) -> None:
    call = RawCall(api.app, "POST", CLEANUP, content_type=JSON, content_length="20")
    started = anyio.current_time()
    async with anyio.create_task_group() as group:
        group.start_soon(call.run)
        call.send_body(b"{", more=True)
        await call.answered.wait()
        assert call.status == 408
        assert anyio.current_time() - started == pytest.approx(30)


async def test_what_follows_a_refused_body_is_thrown_away_until_it_ends(api: Api) -> None:
    call = RawCall(api.app, "POST", CLEANUP, content_type=JSON, content_length="5000")
    async with anyio.create_task_group() as group:
        group.start_soon(call.run)
        await call.answered.wait()
        for _ in range(40):
            call.send_body(b"x" * 100, more=True)
        call.send_body(b"", more=False)
        await call.ended.wait()
        assert call.received == 41


async def test_but_not_for_ever(api: Api) -> None:
    call = RawCall(api.app, "POST", CLEANUP, content_type=JSON, content_length="5000")
    started = anyio.current_time()
    await call.run()
    assert anyio.current_time() - started == pytest.approx(LINGER)
    assert call.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


@pytest.mark.parametrize("body", [b'{"max_age_hours": 0}', b"nonsense"])
async def test_a_refusal_after_the_whole_body_waits_for_nothing(api: Api, body: bytes) -> None:
    call = RawCall(api.app, "POST", CLEANUP, content_type=JSON, content_length=str(len(body)))
    call.send_body(body)
    started = anyio.current_time()
    await call.run()
    assert call.status in (400, 422)
    assert anyio.current_time() == started


async def test_a_call_that_takes_no_body_waits_for_none(api: Api) -> None:
    call = RawCall(api.app, "GET", "/nowhere")
    started = anyio.current_time()
    await call.run()
    assert (call.status, anyio.current_time()) == (404, started)


async def test_a_client_that_goes_away_in_the_middle_is_answered_and_changes_nothing(
    uploads: Uploads,
) -> None:
    call = RawCall(uploads.app, "POST", "/api/upload", content_type=FORM, content_length="900")
    call.send_body(HEAD + b"half of", more=True)
    call.go_away()
    await call.run()
    assert (call.status, call.json()["title"]) == (400, "Body cut off")
    assert (await uploads.library.documents.page()).total == 0


async def test_an_upload_comes_in_pieces_of_any_size(uploads: Uploads) -> None:
    call = RawCall(uploads.app, "POST", "/api/upload?start_processing=0", content_type=FORM)
    whole = HEAD + b"piece by piece" + END
    for at in range(len(whole)):
        call.send_body(whole[at : at + 1], more=True)
    call.send_body(b"")
    await call.run()
    assert call.status == 200
    content = (await uploads.library.documents.content(call.json()["id"])).content
    assert content == b"piece by piece"


async def test_an_upload_is_cut_off_as_soon_as_it_is_too_large(uploads: Uploads) -> None:
    call = RawCall(
        uploads.app, "POST", "/api/upload", content_type=FORM, transfer_encoding="chunked"
    )
    async with anyio.create_task_group() as group:
        group.start_soon(call.run)
        call.send_body(HEAD, more=True)
        sent = 0
        while not call.answered.is_set():
            call.send_body(b"x" * 1000, more=True)
            sent += 1
            await anyio.wait_all_tasks_blocked()
        assert call.status == 413
        assert sent < 100
        call.go_away()
    assert (await uploads.library.documents.page()).total == 0


@pytest.mark.parametrize("size", [1_001, 100_000])
async def test_an_upload_that_is_too_large_is_told_the_limit_of_a_document(
    uploads: Uploads, size: int
) -> None:
    """Just over it, and by more than a form adds to its file."""
    call = RawCall(uploads.app, "POST", "/api/upload", content_type=FORM)
    call.send_body(HEAD + b"x" * size + END)
    await call.run()
    assert call.status == 413
    assert call.json()["detail"] == "The body is larger than the 1,000 bytes that are taken here."


async def test_an_upload_that_stalls_is_given_up(uploads: Uploads) -> None:
    call = RawCall(uploads.app, "POST", "/api/upload", content_type=FORM, content_length="900")
    call.send_body(HEAD, more=True)
    started = anyio.current_time()
    async with anyio.create_task_group() as group:
        group.start_soon(call.run)
        await call.answered.wait()
        assert call.status == 408
        assert anyio.current_time() - started == pytest.approx(60)


def announced(length: bytes) -> Body:
    async def never() -> Any:
        raise AssertionError("it was read")

    scope = {"type": "http", "headers": [(b"content-length", length)]}
    return Body(scope, never, BodyLimit(size=100, seconds=1))


def test_a_length_of_more_digits_than_python_reads_is_too_large() -> None:
    with pytest.raises(Problem) as refused:
        announced(b"9" * 5_000)
    assert refused.value.status == 413
    announced(b"0" * 5_000 + b"99")
