"""What strangers send to a real server: each gets an answer or is closed, and harms nobody else."""

from __future__ import annotations

import contextlib
import json
import random
import re
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.http_process import PATIENCE, Server, a_server

GET_HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
UPGRADE = (
    b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
UPGRADE_TO_HTTP_2 = GET_HEALTH.replace(
    b"Host", b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: \r\nUpgrade: h2c\r\nHost"
)
HTTP_2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
POST_JSON = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
CHUNKED = POST_JSON + b"Transfer-Encoding: chunked\r\n\r\n"
SIZED = POST_JSON + b"Content-Length: %d\r\n\r\n"
CLEANUP = b"/api/tasks/cleanup"


@pytest.fixture(scope="module", params=["trio", "asyncio"])
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def server(loop: str) -> Iterator[Server]:
    """One server for all laws that do not end it; nothing in them is an error of its own."""
    with a_server(loop) as server:
        yield server
        assert server.stop() == 0
        assert "Traceback" not in server.log()


def read_all(connection: socket.socket) -> bytes:
    """Read until the server closes, however it does."""
    pieces = []
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(65536):
            pieces.append(piece)
    return b"".join(pieces)


def read_answer(connection: socket.socket) -> tuple[bytes, bytes]:
    """Read one answer, and not a byte more; gives head and body."""
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(1)
        assert piece, head
        head += piece
    body = b""
    length = re.search(rb"content-length: (\d+)", head)
    while length and len(body) < int(length.group(1)):
        body += connection.recv(int(length.group(1)) - len(body))
    return head, body


def open_files(server: Server) -> list[Path]:
    return list(Path(f"/proc/{server.process.pid}/fd").iterdir())


def throw(server: Server, attack: bytes) -> bytes:
    """Send something and nothing more; gives what comes back before the end."""
    with server.connect() as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(attack)
            connection.shutdown(socket.SHUT_WR)
        return read_all(connection)


def assert_problem(answer: bytes, status: int) -> None:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d" % status), head
    assert b"content-type: application/problem+json" in head.lower()
    problem = json.loads(body)
    assert problem["status"] == status
    assert problem["detail"]


# -- what is no request of HTTP/1.1 --------------------------------------------------------------


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a client that speaks TLS
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /health HTTP/1.1\r\n\r\n",  # no host
        b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET /hea",
        SIZED % (CLEANUP, 50) + b"{",
        CHUNKED % CLEANUP + b"zz\r\n",
    ],
)
def test_what_cannot_be_read_is_answered_with_a_problem(server: Server, nonsense: bytes) -> None:
    assert_problem(throw(server, nonsense), 400)
    assert server.is_well()


def test_a_head_that_is_too_large_is_refused_in_pieces_and_in_one(server: Server) -> None:
    head = GET_HEALTH[:-2] + b"X-Long: " + b"y" * 45_000 + b"\r\n\r\n"
    assert_problem(throw(server, head), 431)
    with server.connect() as connection:
        for at in range(0, len(head), 1000):
            connection.sendall(head[at : at + 1000])
        connection.shutdown(socket.SHUT_WR)
        assert_problem(read_all(connection), 431)
    assert server.is_well()


def test_a_head_of_a_fair_size_is_read_in_pieces_and_in_one(server: Server) -> None:
    head = GET_HEALTH[:-2] + b"X-Long: " + b"y" * 30_000 + b"\r\n\r\n"
    with server.connect() as connection:
        connection.sendall(head)
        assert read_answer(connection)[0].startswith(b"HTTP/1.1 200")
        for at in range(0, len(head), 1000):
            connection.sendall(head[at : at + 1000])
        assert read_answer(connection)[0].startswith(b"HTTP/1.1 200")


def test_http_2_is_refused_so_that_the_client_sees_why(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(HTTP_2)
        for _ in range(100):  # as a client does that has not looked yet
            connection.sendall(bytes([0, 0, 8, 6, 0, 0, 0, 0, 0]) + b"x" * 8)
        assert_problem(read_all(connection), 505)
    assert server.is_well()


@pytest.mark.parametrize("upgrade", [UPGRADE, UPGRADE_TO_HTTP_2])
def test_an_upgrade_is_passed_over(server: Server, upgrade: bytes) -> None:
    with server.connect() as connection:
        for _ in range(3):
            connection.sendall(upgrade)
            head, body = read_answer(connection)
            assert head.startswith(b"HTTP/1.1 200")
            assert json.loads(body)["status"] == "healthy"


@pytest.mark.parametrize("tail", [b"x", b"\x81\x85", b"\x00" * 200, GET_HEALTH])
def test_an_upgrade_with_a_tail_harms_nobody_else(server: Server, tail: bytes) -> None:
    throw(server, UPGRADE + tail)
    throw(server, UPGRADE.replace(b"13", b"12") + tail)
    throw(server, UPGRADE_TO_HTTP_2 + tail)
    assert server.is_well()


def test_requests_that_were_mutated_on_the_way_harm_nobody_else(server: Server) -> None:
    chance = random.Random(20260315)
    body = b'{"max_age_hours": 5}'
    seeds = [
        GET_HEALTH,
        UPGRADE + b"x",
        UPGRADE_TO_HTTP_2,
        HTTP_2 + HTTP_2,
        SIZED % (CLEANUP, len(body)) + body,
        CHUNKED % CLEANUP + b"14\r\n" + body + b"\r\n0\r\n\r\n",
    ]
    for _ in range(300):
        throw(server, mutated(chance, chance.choice(seeds)))
    assert server.is_well()


def mutated(chance: random.Random, request: bytes) -> bytes:
    changed = bytearray(request)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(changed))
        match chance.randrange(4):
            case 0:
                changed[at] = chance.randrange(256)
            case 1:
                del changed[at : at + chance.randint(1, 10)]
            case 2:
                changed[at:at] = chance.randbytes(chance.randint(1, 10))
            case _:
                changed += changed[at:]
        if not changed:
            changed = bytearray(b"x")
    return bytes(changed)


# -- what is one, but not of the usual kind ------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        b"http://127.0.0.1:8000/health",
        b"HTTP://x/health?a=b",
        b"https://me:secret@x/health",
    ],
)
def test_a_target_may_be_a_whole_url(server: Server, target: bytes) -> None:
    answer = throw(server, GET_HEALTH.replace(b"/health", target))
    assert answer.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("target", [b"http://x", b"http://x?a=b", b"/"])
def test_a_target_without_a_path_leads_to_the_page(server: Server, target: bytes) -> None:
    answer = throw(server, GET_HEALTH.replace(b"/health", target))
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"<!doctype html>" in answer.lower()


def test_the_host_in_a_target_counts_and_not_the_header(server: Server) -> None:
    answer = throw(server, GET_HEALTH.replace(b"/health", b"http://right:1234/host"))
    assert answer.endswith(b'["right:1234"]')


@pytest.mark.parametrize("target", [b"http://x/no", b"ftp://x/health", b"*", b"x"])
def test_a_target_that_leads_nowhere_is_404(server: Server, target: bytes) -> None:
    assert throw(server, GET_HEALTH.replace(b"/health", target)).startswith(b"HTTP/1.1 404")


def test_a_connection_serves_many_requests_also_refused_ones(server: Server) -> None:
    refused = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
    with server.connect() as connection:
        for request, status in [(GET_HEALTH, b"200"), (refused, b"404"), (GET_HEALTH, b"200")] * 3:
            connection.sendall(request)
            head, _ = read_answer(connection)
            assert head.startswith(b"HTTP/1.1 " + status)
            assert b"hypercorn" not in head.lower()


def test_requests_sent_ahead_are_answered_in_their_order(server: Server) -> None:
    not_found = GET_HEALTH.replace(b"/health", b"/nowhere")
    with server.connect() as connection:
        connection.sendall((GET_HEALTH + not_found) * 20)
        for status in [b"200", b"404"] * 20:
            assert read_answer(connection)[0].startswith(b"HTTP/1.1 " + status)


@pytest.mark.parametrize("path", [b"/pieces", b"/file"])
def test_an_answer_in_pieces_leaves_the_connection_for_the_next(
    server: Server, path: bytes
) -> None:
    request = GET_HEALTH.replace(b"/health", path)
    with server.connect() as connection:
        for _ in range(3):
            connection.sendall(request)
            head, body = read_answer(connection)
            assert head.startswith(b"HTTP/1.1 200")
            while b"chunked" in head and not body.endswith(b"0\r\n\r\n"):
                body += connection.recv(65536)
            assert body


def test_an_answer_that_breaks_off_does_not_look_like_a_whole_one(loop: str) -> None:
    with a_server(loop) as server, server.connect() as connection:
        connection.sendall(GET_HEALTH.replace(b"/health", b"/failing-halfway"))
        answer = read_all(connection)
        assert answer.startswith(b"HTTP/1.1 200")
        assert not answer.endswith(b"0\r\n\r\n")
        assert server.is_well()
        assert "the moon is full" in server.log()


def test_a_client_may_ask_before_it_sends_its_body(server: Server) -> None:
    asking = SIZED % (CLEANUP, 2)
    with server.connect() as connection:
        connection.sendall(asking[:-2] + b"Expect: 100-continue\r\n\r\n")
        assert read_answer(connection)[0].startswith(b"HTTP/1.1 100")
        connection.sendall(b"{}")
        assert read_answer(connection)[0].startswith(b"HTTP/1.1 200")


# -- too much, too slow, and gone ----------------------------------------------------------------


def test_a_body_over_the_limit_is_refused_so_that_the_client_sees_it(server: Server) -> None:
    """Also by a client that sends all of it before it looks."""
    body = b" " * 3_000_000
    headers = {"Content-Type": "application/json"}
    status, problem = server.ask("POST", "/api/tasks/cleanup", body, **headers)
    assert (status, problem["status"]) == (413, 413)


@pytest.mark.parametrize("request_", [CHUNKED % b"/health", CHUNKED % b"/nowhere"])
def test_a_body_without_end_that_nobody_reads_ends_its_connection(
    server: Server, request_: bytes
) -> None:
    with server.connect() as connection:
        connection.sendall(request_.replace(b"POST /health", b"GET /health"))
        with pytest.raises(ConnectionError):  # or it would never end, or time out
            while True:
                connection.sendall(b"1\r\nx\r\n" * 10_000)
    assert server.is_well()


def test_who_says_nothing_or_half_of_it_is_closed_when_its_time_is_up(loop: str) -> None:
    with a_server(loop, keep_alive=0.2) as server:
        slow_body = server.connect()
        slow_body.sendall(SIZED % (CLEANUP, 2) + b"{")
        for request in [b"", GET_HEALTH[:-4], GET_HEALTH]:
            with server.connect() as connection:
                connection.sendall(request)
                assert read_all(connection).startswith(
                    b"HTTP/1.1 200" if request == GET_HEALTH else b""
                )
        # All of which took longer than is allowed for a head. A body has a time of its own.
        slow_body.sendall(b"}")
        assert read_answer(slow_body)[0].startswith(b"HTTP/1.1 200")
        slow_body.close()


def test_more_connections_than_the_process_may_hold_are_served_in_their_turn(loop: str) -> None:
    with a_server(loop) as server, contextlib.ExitStack() as others:
        assert server.is_well()
        limit = max(int(file.name) for file in open_files(server)) + 6
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (limit, limit))
        crowd = [others.enter_context(server.connect()) for _ in range(20)]
        for connection in crowd:
            connection.sendall(GET_HEALTH)
        assert read_answer(crowd[0])[0].startswith(b"HTTP/1.1 200")
        for connection in crowd:
            connection.close()
        assert server.is_well()


def test_a_client_that_goes_away_during_its_cancel_takes_nothing_back(server: Server) -> None:
    task_id = server.start("obstinate")
    path = f"/api/tasks/{task_id}"
    with server.connect() as connection:
        connection.sendall(f"DELETE {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        while not server.ask("GET", f"{path}?wait=0.1")[1]["message"].startswith("Cancel"):
            pass
    server.ask("POST", "/let-go")
    while (task := server.ask("GET", f"{path}?wait=60")[1])["status"] == "running":
        pass
    assert task["status"] == "cancelled"


def test_a_client_that_goes_away_during_a_long_poll_stops_nothing(server: Server) -> None:
    task_id = server.start("endless")
    for _ in range(5):
        with server.connect() as connection:
            poll = f"GET /api/tasks/{task_id}?wait=60 HTTP/1.1\r\nHost: x\r\n\r\n"
            connection.sendall(poll.encode())
    assert server.ask("GET", f"/api/tasks/{task_id}")[1]["status"] == "running"
    status, answer = server.ask("DELETE", f"/api/tasks/{task_id}")
    assert (status, answer["status"]) == (200, "cancelled")


def test_an_answer_that_goes_on_ends_with_the_connection_that_nonsense_closes(
    server: Server,
) -> None:
    """The server's log, which the fixture reads, has no word of it."""
    with server.connect() as connection:
        connection.sendall(CHUNKED.replace(b"POST", b"GET") % b"/api/tasks/events")
        read_answer(connection)
        connection.sendall(b"zz\r\n")
        for _ in range(20):  # each changes before its eyes
            server.start("quick")
        read_all(connection)
    assert server.is_well()


def test_a_connection_leaves_nothing_behind(server: Server) -> None:
    before = len(open_files(server))
    stream = GET_HEALTH.replace(b"/health", b"/stream")
    for attack in [GET_HEALTH * 3, UPGRADE + b"x", HTTP_2, SIZED % (b"/nowhere", 9), b"x", b""]:
        throw(server, attack)
    for attack in [stream, stream + GET_HEALTH, GET_HEALTH * 100, CHUNKED % b"/nowhere"]:
        with server.connect() as connection:  # and gone in the middle of the answer
            connection.sendall(attack)
            connection.recv(100)
    given_up = time.monotonic() + PATIENCE
    while len(open_files(server)) > before:  # the last of them may still be on its way out
        assert server.is_well()
        assert time.monotonic() < given_up
