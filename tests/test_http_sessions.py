"""Signing in: where the key goes, what the cookie opens, what another site cannot do with it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx2
import pytest

from cortex_tasks.http.app import create_app
from cortex_tasks.http.keys import KeyStore
from tests.http_setting import Api, a_key_store, assert_problem, client_of, echo, endless, serving

OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}
OLD_BROWSER = {"Origin": "http://testserver"}
OTHERS: list[dict[str, str]] = [
    {},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://testserver"},
    {"Origin": "http://elsewhere.example"},
    {"Origin": "http://testserver:8080"},
    {"Origin": "null"},
    {"Origin": ""},
]


async def sign_in(api: Api, key: str, **options: Any) -> httpx2.Response:
    return await api.post("/api/session", json={"key": key}, headers=OWN_PAGE, **options)


@pytest.mark.parametrize("permission", ["read", "manage"])
async def test_the_cookie_opens_what_the_key_opens(permission: str, tmp_path: Path) -> None:
    keys = a_key_store(tmp_path)
    key = keys.create("me", [permission])
    async with serving(endless, keys=keys) as api:
        assert_problem(await api.get("/api/session"), 401)
        signed_in = await sign_in(api, f" {key}\n")
        assert signed_in.status_code == 200
        assert key not in signed_in.text
        allowed = ["read"] if permission == "read" else ["read", "manage"]
        assert signed_in.json() == {"name": "me", "permissions": allowed}
        assert (await api.get("/api/session")).json() == signed_in.json()
        task_id = await api.running("endless")
        assert (await api.get(f"/api/tasks/{task_id}")).status_code == 200
        cancelled = await api.delete(f"/api/tasks/{task_id}", headers=OWN_PAGE)
        assert cancelled.status_code == (403 if permission == "read" else 200)


async def test_no_script_and_no_other_site_gets_the_cookie(tmp_path: Path) -> None:
    keys = a_key_store(tmp_path)
    key = keys.create("me")
    async with serving(keys=keys) as api:
        (cookie,) = (await sign_in(api, key)).headers.get_list("set-cookie")
        attributes = cookie.split("; ")[1:]
        assert sorted(attributes) == ["HttpOnly", "Path=/", "SameSite=Strict"]
        assert key not in cookie


@pytest.mark.parametrize(
    ("url", "origin"),
    [("https://testserver", None), ("http://testserver", "https://testserver")],
    ids=["by https", "by https to a proxy"],
)
async def test_a_cookie_that_came_by_https_is_never_sent_without(
    url: str, origin: str | None, tmp_path: Path
) -> None:
    keys = a_key_store(tmp_path)
    async with serving(keys=keys) as api:
        headers = OWN_PAGE | ({} if origin is None else {"Origin": origin})
        answer = await api.post(
            f"{url}/api/session", json={"key": keys.create("me")}, headers=headers
        )
        assert answer.headers["set-cookie"].endswith("; Secure")


@pytest.mark.parametrize(
    ("prefix", "path"),
    [
        ("/a/b", "/a/b/"),
        ("/user/ada@example.org/tasks", "/user/ada@example.org/tasks/"),
        ("/user/ada%40example.org/tasks", "/user/ada%40example.org/tasks/"),
        ("/caf%C3%A9/50%25", "/caf%C3%A9/50%25/"),
        ("/a/b;c/d", "/a/"),
        ("/a;b", "/"),
    ],
)
async def test_under_a_prefix_the_cookie_stays_there(
    prefix: str, path: str, tmp_path: Path
) -> None:
    from starlette.applications import Starlette  # noqa: PLC0415
    from starlette.routing import Mount  # noqa: PLC0415

    keys = a_key_store(tmp_path)
    async with serving(echo) as api:
        app = create_app(api.engine, keys=keys)
        host = Starlette(routes=[Mount(unquote(prefix), app=app)])
        async with client_of(host) as client:
            answer = await client.post(f"{prefix}/api/session", json={"key": keys.create("me")})
            assert f"Path={path};" in answer.headers["set-cookie"]
            cookie = answer.headers["set-cookie"].partition(";")[0]
            told = await client.get(f"{prefix}/api/tasks", headers={"Cookie": cookie})
            assert told.status_code == 200


async def test_behind_a_proxy_that_takes_the_prefix_away_the_cookie_is_for_what_it_was(
    tmp_path: Path,
) -> None:
    keys = a_key_store(tmp_path)
    async with serving(echo) as api:
        app = create_app(api.engine, keys=keys)

        async def told_of_prefix(scope: Any, receive: Any, send: Any) -> None:
            await app({**scope, "root_path": "/user/ada@example.org/50%"}, receive, send)

        async with client_of(told_of_prefix) as client:
            answer = await client.post("/api/session", json={"key": keys.create("me")})
            assert "Path=/user/ada@example.org/50%25/;" in answer.headers["set-cookie"]


@pytest.mark.parametrize("key", ["cortex_ro_wrong", "ключ", "x" * 2048])
async def test_a_wrong_key_gets_no_cookie(key: str, tmp_path: Path) -> None:
    keys = a_key_store(tmp_path)
    keys.create("me")
    async with serving(keys=keys) as api:
        answer = await sign_in(api, key)
        assert_problem(answer, 401, "Invalid API key")
        assert "set-cookie" not in answer.headers
        assert_problem(await api.get("/api/tasks"), 401, "API key required")


async def test_a_key_in_the_url_is_not_even_looked_at(tmp_path: Path) -> None:
    keys = a_key_store(tmp_path)
    key = keys.create("me")
    async with serving(keys=keys) as api:
        answer = await api.post(f"/api/session?key={key}", headers=OWN_PAGE)
        problem = assert_problem(answer, 422)
        assert problem["errors"] == [{"loc": ["body", "key"], "msg": "This parameter is required"}]


async def test_the_key_is_in_no_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    keys = a_key_store(tmp_path)
    key = keys.create("me")
    async with serving(keys=keys) as api:
        await sign_in(api, key)
        await sign_in(api, key[:-1])
        await api.get("/api/tasks")
    assert key[:-1] not in caplog.text


@pytest.mark.parametrize("headers", OTHERS)
async def test_another_site_changes_nothing_by_the_cookie(
    headers: dict[str, str], tmp_path: Path
) -> None:
    keys = a_key_store(tmp_path)
    key = keys.create("me")
    async with serving(endless, keys=keys) as api:
        await sign_in(api, key)
        task_id = await api.running("endless")
        path = f"/api/tasks/{task_id}"
        assert_problem(await api.delete(path, headers=headers), 403, "page of this server")
        assert_problem(await api.post("/api/tasks/cleanup", headers=headers), 403)
        assert (await api.get(path, headers=headers)).json()["status"] == "running"
        # A key in the header is the caller's own doing, wherever the call was made.
        told = await api.delete(path, headers=headers | {"X-API-Key": key})
        assert told.status_code == 200


@pytest.mark.parametrize("headers", [OWN_PAGE, OLD_BROWSER])
async def test_our_own_page_changes_what_its_key_may(
    headers: dict[str, str], tmp_path: Path
) -> None:
    keys = a_key_store(tmp_path)
    async with serving(keys=keys) as api:
        await sign_in(api, keys.create("me"))
        assert (await api.post("/api/tasks/cleanup", headers=headers)).status_code == 200


@pytest.mark.parametrize("headers", [each for each in OTHERS if each])
async def test_another_site_signs_nobody_in_or_out(headers: dict[str, str], tmp_path: Path) -> None:
    keys = a_key_store(tmp_path)
    key = keys.create("theirs")
    async with serving(keys=keys) as api:
        answer = await api.post("/api/session", json={"key": key}, headers=headers)
        assert_problem(answer, 403)
        assert "set-cookie" not in answer.headers
        assert "set-cookie" not in (await api.delete("/api/session", headers=headers)).headers


async def test_signing_out_takes_the_cookie_back(tmp_path: Path) -> None:
    keys = a_key_store(tmp_path)
    async with serving(keys=keys) as api:
        await sign_in(api, keys.create("me"))
        assert (await api.delete("/api/session", headers=OWN_PAGE)).status_code == 200
        assert_problem(await api.get("/api/tasks"), 401)


async def test_a_revoked_key_is_signed_out_at_once_and_a_restart_signs_nobody_out(
    tmp_path: Path,
) -> None:
    keys = a_key_store(tmp_path)
    async with serving(keys=keys) as api:
        cookie = (await sign_in(api, keys.create("me"))).headers["set-cookie"].partition(";")[0]
    async with serving(keys=a_key_store(tmp_path)) as api:
        assert (await api.get("/api/tasks", headers={"Cookie": cookie})).status_code == 200
        divided = [("Cookie", cookie), ("Cookie", "another=1")]  # as HTTP/2 may
        assert (await api.get("/api/tasks", headers=divided)).status_code == 200
        keys.revoke("me")
        assert_problem(await api.get("/api/tasks", headers={"Cookie": cookie}), 401, "Invalid")


@pytest.mark.parametrize("value", ["", "=", "%%%", "a", "é", "x" * 3000, "cortex_rw_clear"])
async def test_a_cookie_that_holds_no_key_opens_nothing(value: str, tmp_path: Path) -> None:
    keys = a_key_store(tmp_path)
    keys.create("me")
    async with serving(keys=keys) as api:
        cookie = b"other=1; cortex_session=" + value.encode()
        assert_problem(await api.get("/api/tasks", headers={b"cookie": cookie}), 401)


async def test_servers_on_two_ports_of_a_host_keep_their_cookies_apart(tmp_path: Path) -> None:
    keys = [KeyStore.in_folder(tmp_path / name) for name in ("one", "other")]
    secrets = [each.create("me") for each in keys]
    async with serving(keys=keys[0]) as one, serving(keys=keys[1]) as other:
        jar = {}
        for api, secret, host in ((one, secrets[0], "h:8000"), (other, secrets[1], "h:8001")):
            answer = await api.post(
                "/api/session", json={"key": secret}, headers=OWN_PAGE | {"Host": host}
            )
            name, _, value = answer.headers["set-cookie"].partition(";")[0].partition("=")
            jar[name] = value
        assert sorted(jar) == ["cortex_session_8000", "cortex_session_8001"]
        cookies = "; ".join(f"{name}={value}" for name, value in jar.items())
        one.client.cookies.clear()
        other.client.cookies.clear()
        for api, host in ((one, "h:8000"), (other, "h:8001"), (one, "[::1]:8000")):
            seen = await api.get("/api/tasks", headers={"Host": host, "Cookie": cookies})
            assert seen.status_code == 200
        for host in ("h:8001", "h", "[::1]"):
            seen = await one.get("/api/tasks", headers={"Host": host, "Cookie": cookies})
            assert_problem(seen, 401)
        # Nor is one signed out of the one by the other.
        for host, gone in (("h:8000", "cortex_session_8000=;"), ("h", "cortex_session=;")):
            sent = OWN_PAGE | {"Host": host, "Cookie": cookies}
            out = await one.delete("/api/session", headers=sent)
            assert out.headers["set-cookie"].startswith(gone)
        plain = {"Cookie": f"cortex_session={jar['cortex_session_8000']}"}
        for host, status in (("h:8000", 401), ("h", 200), ("[::1]", 200)):
            seen = await one.get("/api/tasks", headers={"Host": host} | plain)
            assert seen.status_code == status


async def test_where_no_key_is_asked_for_nobody_has_to_sign_in() -> None:
    async with serving() as api:
        everything = {"name": None, "permissions": ["read", "manage"]}
        assert (await api.get("/api/session")).json() == everything
        answer = await sign_in(api, "whatever")
        assert answer.json() == everything
        assert "set-cookie" not in answer.headers


async def test_without_the_page_no_cookie_counts(tmp_path: Path) -> None:
    keys = a_key_store(tmp_path)
    async with serving(keys=keys) as api:
        cookie = (await sign_in(api, keys.create("me"))).headers["set-cookie"].partition(";")[0]
    async with serving(keys=keys, page=False) as api:
        assert_problem(await api.get("/api/tasks", headers={"Cookie": cookie}), 401)
        assert_problem(await api.get("/api/session", headers={"Cookie": cookie}), 404)
        assert_problem(await api.get("/"), 404)
