"""A key that is revoked, or a browser that is signed out, while an answer is held back or goes on:
nothing more is told.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from cortex_tasks.http.keys import ApiKey, KeyStore
from cortex_tasks.http.streams import PING_EVERY
from tests.engine_setting import virtual_time
from tests.http_setting import (
    Api,
    Obstinate,
    assert_problem,
    client_of,
    echo,
    endless,
    serving,
)
from tests.sse_setting import Stream, following

EVENTS = "/api/tasks/events"
OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return virtual_time(request.param)


class CountedKeys(KeyStore):
    """Keys that count how often they are asked."""

    looks = 0
    checks = 0

    def version(self) -> object:
        self.looks += 1
        return super().version()

    def check(self, presented: str | bytes) -> ApiKey | None:
        self.checks += 1
        return super().check(presented)


class KeysOfOurOwn:
    """What an embedding program may have: nothing but `check`."""

    def __init__(self, keys: KeyStore) -> None:
        self.check = keys.check


@pytest.fixture
def keys(tmp_path: Path) -> CountedKeys:
    return CountedKeys(tmp_path / "keys.json")


@pytest.fixture
def elsewhere(tmp_path: Path) -> KeyStore:
    """The same keys, as another process has them."""
    return KeyStore(tmp_path / "keys.json")


@pytest.fixture
async def api(keys: CountedKeys) -> AsyncIterator[Api]:
    async with serving(echo, endless, keys=keys) as api:
        yield api


async def settled(api: Api) -> str:
    """Give a task that runs and reports no more."""
    task_id = await api.running("endless")
    while (record := await api.engine.get(task_id)).message != "Looking at it":
        await api.engine.wait_change(task_id, record.seq)
    return task_id


async def cookie_of(api: Api, key: str) -> str:
    """Sign a browser in; gives its cookie."""
    async with client_of(api.app) as browser:
        answer = await browser.post("/api/session", json={"key": key}, headers=OWN_PAGE)
    pair: str = answer.headers["set-cookie"].partition(";")[0]
    return pair


async def sign_out(api: Api, cookie: str) -> None:
    answer = await api.delete("/api/session", headers={"Cookie": cookie, **OWN_PAGE})
    assert answer.status_code == 200


async def over(stream: Stream) -> None:
    """Wait for the end of a stream; it must be said, and come soon."""
    with anyio.fail_after(PING_EVERY + 1):
        await stream.ended.wait()
    assert stream.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


# -- streams -------------------------------------------------------------------------------------


@pytest.mark.parametrize("carried", ["x_api_key", "authorization", "cookie"])
@pytest.mark.parametrize("path", [EVENTS, "one"])
async def test_a_stream_tells_a_revoked_key_nothing_of_what_comes_then(
    api: Api, keys: KeyStore, elsewhere: KeyStore, path: str, carried: str
) -> None:
    key = keys.create("short-lived")
    task_id = await api.running("endless")
    cookie = await cookie_of(api, key)
    value = {"authorization": f"Bearer {key}", "cookie": cookie}.get(carried, key)
    asked = f"/api/tasks/{task_id}/events" if path == "one" else path
    async with following(api.app, asked, **{carried: value}) as stream:
        await api.ended("echo", {"value": 1})
        before = stream.text
        elsewhere.revoke("short-lived")
        await api.engine.cancel(task_id)
        await over(stream)
        assert stream.text == before
    headers = {carried.replace("_", "-"): value}
    assert_problem(await api.get(asked, headers=headers), 401, "Invalid API key")


async def test_the_stream_of_another_key_goes_on(
    api: Api, keys: KeyStore, elsewhere: KeyStore
) -> None:
    keys.create("short-lived")
    async with following(api.app, EVENTS, x_api_key=keys.create("me")) as stream:
        elsewhere.revoke("short-lived")
        await api.ended("echo", {"value": 1})
        await stream.until("task", status="completed")


async def test_a_silent_stream_of_a_revoked_key_ends_in_place_of_a_ping(
    api: Api, keys: KeyStore, elsewhere: KeyStore
) -> None:
    async with following(api.app, EVENTS, x_api_key=keys.create("short-lived")) as stream:
        elsewhere.revoke("short-lived")
        await over(stream)
        assert b"ping" not in stream.text


async def test_what_a_slow_client_has_not_taken_by_then_is_not_told_either(
    api: Api, keys: KeyStore, elsewhere: KeyStore
) -> None:
    async with following(api.app, EVENTS, x_api_key=keys.create("short-lived")) as stream:
        stream.held = anyio.Event()
        first = await api.ended("echo", {"value": 1})
        await api.ended("echo", {"value": 2})
        elsewhere.revoke("short-lived")
        stream.held.set()
        await over(stream)
        assert {event.data.get("task_id", first) for event in stream.events} == {first}


async def test_the_past_is_not_told_to_a_key_that_was_revoked_right_after_it_was_let_in(
    api: Api, keys: KeyStore, elsewhere: KeyStore
) -> None:
    key = keys.create("short-lived")
    async with following(api.app, EVENTS, x_api_key=keys.create("me")) as another:
        await api.ended("echo", {"value": 1})
        await another.until("task", status="completed")  # the keys have been looked at
    check = keys.check

    def check_and_revoke(presented: str | bytes) -> ApiKey | None:
        found = check(presented)
        elsewhere.revoke("short-lived")
        keys.check = check  # type: ignore[method-assign]  # this once
        return found

    keys.check = check_and_revoke  # type: ignore[method-assign]
    async with following(api.app, f"{EVENTS}?last_event_id=0", x_api_key=key) as stream:
        await over(stream)
    assert (stream.status, stream.events) == (200, [])


async def test_keys_that_cannot_be_read_are_no_way_in_for_a_stream_either(
    api: Api, keys: KeyStore, tmp_path: Path
) -> None:
    key = keys.create("me")
    async with following(api.app, EVENTS, x_api_key=key) as stream:
        before = stream.text
        (tmp_path / "keys.json").write_text("no keys")
        await api.ended("echo", {"value": 1})
        await over(stream)
        assert stream.text == before
    assert_problem(await api.get(EVENTS, headers={"X-API-Key": key}), 503)


async def test_keys_of_a_program_that_know_nothing_but_check_are_heeded_too(
    keys: KeyStore, elsewhere: KeyStore
) -> None:
    async with serving(echo, keys=KeysOfOurOwn(keys)) as api:  # type: ignore[arg-type]
        key = keys.create("short-lived")
        async with following(api.app, EVENTS, x_api_key=key) as stream:
            await api.ended("echo", {"value": 1})
            await stream.until("task", status="completed")
            before = stream.text
            elsewhere.revoke("short-lived")
            await api.ended("echo", {"value": 2})
            await over(stream)
            assert stream.text == before


async def test_however_many_follow_the_keys_are_looked_at_once_for_a_change(
    api: Api, keys: CountedKeys
) -> None:
    key = keys.create("me")
    async with AsyncExitStack() as stack:
        streams = []
        for _ in range(50):
            stream = await stack.enter_async_context(following(api.app, EVENTS, x_api_key=key))
            streams.append(stream)
        keys.looks = keys.checks = 0
        before = api.engine.seq
        await api.ended("echo", {"value": 1})
        for stream in streams:
            await stream.until("task", status="completed")
        changes = api.engine.seq - before
        assert keys.looks <= changes + 1  # and one, if time passes meanwhile
        assert keys.checks == 0


# -- signing out ---------------------------------------------------------------------------------


async def test_signing_out_ends_what_the_cookie_opened_and_nothing_that_the_key_did(
    api: Api, keys: KeyStore
) -> None:
    key = keys.create("me")
    cookie, another = await cookie_of(api, key), await cookie_of(api, keys.create("you"))
    async with (
        following(api.app, EVENTS, x_api_key=key) as of_key,
        following(api.app, EVENTS, cookie=another) as of_another,
        following(api.app, EVENTS, cookie=cookie) as of_cookie,
    ):
        before = anyio.current_time()
        await sign_out(api, cookie)
        await over(of_cookie)
        assert anyio.current_time() == before
        await api.ended("echo", {"value": 1})
        await of_key.until("task", status="completed")
        await of_another.until("task", status="completed")


async def test_who_signs_in_with_another_key_is_followed_up_by_none_of_the_old_streams(
    api: Api, keys: KeyStore
) -> None:
    cookie = await cookie_of(api, keys.create("me"))
    new = keys.create("new")
    async with following(api.app, EVENTS, cookie=cookie) as stream:
        headers = {"Cookie": cookie, **OWN_PAGE}
        answer = await api.post("/api/session", json={"key": new}, headers=headers)
        assert answer.status_code == 200
        await over(stream)


async def test_a_browser_that_stays_signed_in_with_that_key_comes_back(
    api: Api, keys: KeyStore
) -> None:
    cookie = await cookie_of(api, keys.create("me"))
    async with following(api.app, EVENTS, cookie=cookie) as stream:
        await sign_out(api, cookie)
        await over(stream)
    async with following(api.app, EVENTS, cookie=cookie) as again:
        await again.until("ready")


# -- long polls ----------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["", "/result"])
@pytest.mark.parametrize("news", [True, False])
async def test_a_long_poll_tells_a_revoked_key_nothing(
    api: Api, keys: KeyStore, elsewhere: KeyStore, what: str, news: bool
) -> None:
    task_id = await settled(api)
    headers = {"X-API-Key": keys.create("short-lived")}
    answers: list[httpx2.Response] = []

    async def poll() -> None:
        answers.append(await api.get(f"/api/tasks/{task_id}{what}?wait=30", headers=headers))

    async with anyio.create_task_group() as group:
        group.start_soon(poll)
        await anyio.wait_all_tasks_blocked()
        elsewhere.revoke("short-lived")
        if news:
            await api.engine.cancel(task_id)
    assert_problem(answers[0], 401, "Invalid API key")


async def test_nor_that_the_task_has_gone(keys: KeyStore, elsewhere: KeyStore) -> None:
    body = Obstinate()
    async with serving(body.task_type(), keys=keys) as api:
        task_id = (await api.engine.submit("obstinate")).id
        await body.begun.wait()
        headers = {"X-API-Key": keys.create("short-lived")}
        answers: list[httpx2.Response] = []

        async def poll() -> None:
            answers.append(await api.get(f"/api/tasks/{task_id}?wait=30", headers=headers))

        async with anyio.create_task_group() as group:
            group.start_soon(poll)
            await anyio.wait_all_tasks_blocked()
            elsewhere.revoke("short-lived")
            # As if it had ended and gone between two looks.
            api.engine._actors.ledger.catalogue.drop(task_id)
            api.engine._actors.ledger._wake(task_id)
        body.let_go.set()
    assert_problem(answers[0], 401, "Invalid API key")
