"""What strangers send, made of a seed: the same seed is the same attack, in any process.

Each attack begins with a request of the route table that would be answered, and spoils it.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from random import Random

import msgspec

from cortex_tasks.http.calls import Endpoint
from cortex_tasks.http.library_routes import LIBRARY_ENDPOINTS
from cortex_tasks.http.routes import TASK_ENDPOINTS

from .attacked_process import JSON_LIMIT, KEY, UPLOAD_LIMIT

ENDPOINTS = (*TASK_ENDPOINTS, *LIBRARY_ENDPOINTS)
NAMES = (b"1", b"comm_1", b"task_000001", b"doc_1", b"Alpha%20Station", b"%00", b"%ff", b"..%2f..")
JSONS = (
    b"{}", b'{"max_age_hours": 5}', b'{"min_size": 3, "collection_id": "a"}', b'{"chain": "x"}',
    b'{"community_ids": [1, "comm_2"]}', b'{"concurrency": 2}', b'{"mode": "rebuild"}',
    b'{"content": "The Rail Network connects Alpha Station.", "start_processing": false}',
)  # fmt: skip
FORM = (
    b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
    b"Alpha Station is part of the Rail Network.\r\n"
    b'--edge\r\nContent-Disposition: form-data; name="start_processing"\r\n\r\nfalse\r\n'
    b"--edge--\r\n"
)
ODD_LINES = (
    b"Content-Length: 5", b"Content-Length: -1", b"Content-Length: +5", b"Content-Length: 5, 5",
    b"Content-Length: 0x5", b"Content-Length: " + b"9" * 5_000, b"Content-Length:",
    b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: \x0b",
    b"Transfer-Encoding: chunked, chunked", b"Transfer-Encoding: identity", b"Expect: 100-continue",
    b"Expect: the impossible", b"Host: x", b"Host: a\x00b", b"Host:", b"Connection: close",
    b"Connection: keep-alive, Upgrade, , ,", b"Connection: \xff", b"Upgrade: h2c", b"Upgrade:",
    b"Upgrade: websocket", b"X-API-Key: ", b"X-API-Key: \xff\xfe", b"Authorization: Bearer",
    b"Authorization: Basic Og==", b"Content-Type: multipart/form-data", b"Content-Type: \x80/\x80",
    b"Content-Type: multipart/form-data; boundary=" + b"e" * 3_000, b"Cookie: " + b"a=b;" * 2_000,
    b"X-Request-ID: \x1b[2J", b" folded", b"no colon", b": no name", b"na me: x", b"X: a\rb",
    b"X: \x00", b"Range: bytes=0-,0-,0-", b"Trailer: Content-Length", b"X-HTTP-Method: DELETE",
)  # fmt: skip
ODD_CHUNKS = (
    b"zz\r\nx\r\n", b"-1\r\nx\r\n", b"ffffffffffffffff\r\nx\r\n", b"f" * 500 + b"\r\n", b"\r\n",
    b"1\r\nxx\r\n", b"1;" + b"e" * 9_000 + b"\r\nx\r\n", b"1;a=\"\r\n\"\r\nx\r\n", b"0x1\r\nx\r\n",
    b"1\nx\n", b"0\r\nContent-Length: 5\r\n\r\n", b"0\r\n" + b"T: x\r\n" * 3_000 + b"\r\n",
    b"00000001\r\nx\r\n", b"0\r\n\r\n0\r\n\r\n", b" 1\r\nx\r\n", b"1\r\n",
)  # fmt: skip
ODD_TARGETS = (
    b"*", b"//", b"/..//../health", b"x", b"http://x/health", b"http://[::1/health", b"/\xff",
    b"https://a@b@c/health", b"/health?" + b"a=b&" * 2_500, b"/health#x",
    b"/api/tasks?limit=" + b"9" * 999, b"/" + b"a/" * 4_000, b"/%", b"/health\x00",
    b"/api/tasks?status=%ed%a0%80", b"x:443",
)  # fmt: skip
METHODS = (b"HEAD", b"OPTIONS", b"PUT", b"TRACE", b"CONNECT", b"PRI", b"get", b"M" * 300, b"G\x00T")
WEBSOCKET = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAA\r\n"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Ending(enum.StrEnum):
    """What a client does when it has said everything."""

    READ = "says that it is done, and reads what there is"
    STAY = "keeps the connection, and reads until the server closes it"
    LEAVE = "closes it without reading"
    RESET = "cuts it off"


class Step(msgspec.Struct, frozen=True):
    """Some bytes; before them, perhaps, the client waits until it has heard something."""

    data: bytes
    hear: bool = False


class Attack(msgspec.Struct, frozen=True):
    """One connection's worth."""

    seed: int
    kind: str
    steps: tuple[Step, ...]
    ending: Ending


def attack_of(seed: int) -> Attack:
    """Make the attack of a seed."""
    return _Stranger(seed).attack()


def sound_requests() -> tuple[Attack, ...]:
    """One request for each row of the tables, as it should be."""
    stranger = _Stranger(0)
    return tuple(
        Attack(0, "sound", (Step(b"".join(stranger.request_of(row))),), Ending.READ)
        for row in ENDPOINTS
    )


class _Stranger:
    """Makes one attack, by chance alone."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._chance = Random(f"wire {seed}")

    def attack(self) -> Attack:
        kinds: dict[Callable[[], list[Step]], int] = {
            self._mutated: 40, self._odd_heads: 14, self._odd_chunks: 12, self._too_much: 8,
            self._many: 8, self._answered_early: 7, self._upgrade: 6, self._http_2: 5,
        }  # fmt: skip
        kind = self._chance.choices(list(kinds), list(kinds.values()))[0]
        steps = kind()
        # A connection that stays costs seconds, until the server's patience is at its end.
        ending = self._chance.choices(list(Ending), [70, 3, 12, 15])[0]
        return Attack(self._seed, kind.__name__.strip("_"), tuple(steps), ending)

    # -- kinds -----------------------------------------------------------------------------------

    def _mutated(self) -> list[Step]:
        """Bytes that are changed, lost, repeated, or another request's."""
        return self._delivered(self._spoiled(self._request()))

    def _odd_heads(self) -> list[Step]:
        """Lines that no head should have, targets and methods that nobody should ask for."""
        line, *rest = self._request().split(b"\r\n")
        method, target, version = line.split(b" ")
        match self._chance.randrange(6):
            case 0:
                target = self._chance.choice(ODD_TARGETS)
            case 1:
                method = self._chance.choice(METHODS)
            case 2:
                version = self._chance.choice(
                    (b"HTTP/1.0", b"HTTP/0.9", b"HTTP/3", b"HTP/1.1", b"")
                )
            case _:
                for _ in range(self._chance.randint(1, 3)):
                    rest.insert(self._chance.randint(0, 3), self._chance.choice(ODD_LINES))
        end = self._chance.choice((b"\r\n",) * 9 + (b"\n",))
        return self._delivered(end.join([b" ".join((method, target, version)), *rest]))

    def _odd_chunks(self) -> list[Step]:
        """A body in chunks, with chunks among them that are none."""
        head, body = self._with_body()
        head = re.sub(rb"Content-Length: \d+", b"Transfer-Encoding: chunked", head)
        chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in self._cut(body) if part]
        chunks.append(b"0\r\n\r\n")
        for _ in range(self._chance.randint(0, 2)):
            chunks.insert(self._chance.randint(0, len(chunks)), self._chance.choice(ODD_CHUNKS))
        return self._delivered(head + b"".join(chunks))

    def _too_much(self) -> list[Step]:
        """More of a head, a target or a body than is taken."""
        much = b"y" * self._chance.choice((JSON_LIMIT + 1, UPLOAD_LIMIT * 6, 1_500_000))
        head, _ = self._with_body()
        sized = re.sub(rb"Content-Length: \d+", b"Content-Length: %d" % len(much), head)
        chunked = re.sub(rb"Content-Length: \d+", b"Transfer-Encoding: chunked", head)
        get = self._request(b"GET")
        match self._chance.randrange(5):
            case 0:
                return self._delivered(get[:-2] + b"X-Much: " + much[:80_000] + b"\r\n\r\n")
            case 1:
                return self._delivered(
                    get.replace(b" HTTP/1.1", b"?a=" + much[:80_000] + b" HTTP/1.1")
                )
            case 2:
                return self._delivered(
                    get[:-2] + b"X: y\r\n" * self._chance.choice((200, 9_000)) + b"\r\n"
                )
            case 3:
                return self._delivered(sized + much)
            case _:
                small = b"1\r\ny\r\n" * 3_000
                return self._delivered(
                    chunked + self._chance.choice((b"%x\r\n" % len(much) + much, small))
                )

    def _many(self) -> list[Step]:
        """Requests sent ahead, perhaps a spoiled one among them."""
        requests = [self._request() for _ in range(self._chance.randint(2, 12))]
        if self._chance.random() < 0.5:
            at = self._chance.randrange(len(requests))
            requests[at] = self._spoiled(requests[at])
        return self._delivered(b"".join(requests))

    def _answered_early(self) -> list[Step]:
        """A body that comes after the answer to its head."""
        head = self._chance.choice(
            (
                b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n",
                b"PUT /health HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n",
                b"POST /api/tasks/cleanup HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n",  # 401
                b"POST /api/upload HTTP/1.1\r\nHost: x\r\nX-API-Key: " + KEY.encode()
                + b"\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n",  # 415
            )
        )  # fmt: skip
        announced = self._chance.choice((1, 100, 70_000, 1_500_000))
        sent = self._chance.choice((announced, announced // 2, announced + 50, 0))
        return [Step(head % announced), Step(b"z" * sent, hear=True), Step(self._request())]

    def _upgrade(self) -> list[Step]:
        """To what is not spoken here, with something after it."""
        line, _, rest = self._request().partition(b"\r\n")
        upgrade = line + b"\r\n" + self._chance.choice((WEBSOCKET, H2C)) + rest
        if self._chance.random() < 0.4:
            upgrade = self._spoiled(upgrade)
        tails = (b"", b"x", b"\x81\x85", b"\x88\x00", PREFACE + self._frames(), self._request())
        return [Step(upgrade), Step(self._chance.choice(tails), hear=self._chance.random() < 0.3)]

    def _http_2(self) -> list[Step]:
        """The other protocol, from its first bytes on."""
        start = PREFACE if self._chance.random() < 0.7 else self._spoiled(PREFACE)
        return self._delivered(start + self._frames())

    # -- parts -----------------------------------------------------------------------------------

    def _request(self, method: bytes | None = None) -> bytes:
        """One that would be answered."""
        rows = [row for row in ENDPOINTS if method is None or row.method.encode() == method]
        return b"".join(self.request_of(self._chance.choice(rows)))

    def _with_body(self) -> tuple[bytes, bytes]:
        """Head and body of one that has a body."""
        rows = [row for row in ENDPOINTS if row.body != "none"]
        return self.request_of(self._chance.choice(rows))

    def request_of(self, row: Endpoint) -> tuple[bytes, bytes]:
        """Head and body of a request to a row, that is answered."""
        path = re.sub(rb"\{[^}]*\}", lambda _: self._chance.choice(NAMES), row.path.encode())
        head = b"%b %b HTTP/1.1\r\nHost: x\r\nX-API-Key: %b\r\n" % (
            row.method.encode(),
            path,
            KEY.encode(),
        )
        if row.body == "none":
            return head + b"\r\n", b""
        kind, body = b"application/json", self._chance.choice(JSONS)
        if row.body == "form":
            kind, body = b"multipart/form-data; boundary=edge", FORM
        lines = b"Content-Type: %b\r\nContent-Length: %d\r\n\r\n" % (kind, len(body))
        return head + lines, body

    def _frames(self) -> bytes:
        """Frames of HTTP/2, as far as anybody can tell."""
        frames = []
        for _ in range(self._chance.randint(0, 20)):
            payload = self._chance.randbytes(self._chance.choice((0, 4, 8, 100)))
            size = len(payload) if self._chance.random() < 0.8 else self._chance.randrange(1 << 24)
            kind, flags = self._chance.randrange(11), self._chance.randrange(256)
            stream = self._chance.choice((0, 1, 3, 2**31 - 1))
            frames.append(
                size.to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
            )
            frames.append(payload)
        return b"".join(frames)

    def _spoiled(self, request: bytes) -> bytes:
        changed = bytearray(request)
        for _ in range(self._chance.randint(1, 4)):
            at = self._chance.randrange(len(changed) + 1)
            upto = at + self._chance.randint(1, 12)
            match self._chance.randrange(7):
                case 0 if at < len(changed):
                    changed[at] ^= 1 << self._chance.randrange(8)
                case 1:
                    changed[at : at + 1] = self._chance.choice(
                        (b"\r", b"\n", b"\0", b" ", b":", b"\xff")
                    )
                case 2:
                    del changed[at:upto]
                case 3:
                    changed[at:at] = self._chance.randbytes(upto - at)
                case 4:
                    changed[at:at] = changed[at:upto] * self._chance.choice((1, 1, 500))
                case 5:
                    del changed[at:]
                case _:
                    other = self._request()
                    changed[at:] = other[self._chance.randrange(len(other)) :]
        return bytes(changed)

    def _cut(self, data: bytes) -> list[bytes]:
        places = sorted(
            self._chance.randint(0, len(data)) for _ in range(self._chance.randint(1, 4))
        )
        return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]

    def _delivered(self, data: bytes) -> list[Step]:
        """In one piece, in a few, byte by byte at its start, or not to its end."""
        match self._chance.randrange(8):
            case 0:
                return [Step(piece) for piece in self._cut(data)]
            case 1:
                start = self._chance.randint(1, 60)
                return [*(Step(data[at : at + 1]) for at in range(start)), Step(data[start:])]
            case 2:
                return [Step(data[: self._chance.randint(0, len(data))])]
            case _:
                return [Step(data)]
