"""One request on its way through: who may ask, what was asked, and the answer.

A handler is `async def (call) -> Answer`: it asks one question and encodes the answer. Everything
around that is the same for all and happens here, in this order: the method, the key, the
parameters.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

import msgspec
from starlette.types import Receive, Scope, Send

from .auth import Admission, authorise, readmit
from .bodies import Body, BodyLimit
from .envelope import HEADERS
from .headers import Header
from .idempotency import idempotency_key
from .keys import ApiKey, Permission
from .measuring import ROUTE
from .parameters import Parameters
from .problems import Headers, Problem

if TYPE_CHECKING:
    from .services import Services

P = TypeVar("P")

JSON = b"application/json"
_BODILESS = (204, 304)  # statuses of answers that have no body, and so none of a type or a length


class Answer(msgspec.Struct, frozen=True):
    """What a handler gives back."""

    body: bytes
    status: int = 200
    headers: Headers = ()
    content_type: bytes = JSON


class Streamed(Protocol):
    """What a handler gives back instead, if its answer goes on: it sends itself."""

    async def answer(self, scope: Scope, receive: Receive, send: Send, /) -> None:
        """Send all of it, head and body."""
        ...


class Call(Generic[P]):
    """What a handler is given.

    `params` is the struct that its endpoint names, or None. `admission` is None where no key is
    asked for.
    """

    __slots__ = ("admission", "idempotency_key", "params", "receive", "scope", "services")

    def __init__(
        self,
        services: Services,
        scope: Scope,
        receive: Receive,
        params: P,
        idempotency_key: str | None = None,
        admission: Admission | None = None,
    ) -> None:
        self.services = services
        self.scope = scope
        self.receive = receive
        self.params = params
        self.idempotency_key = idempotency_key  # only where the endpoint heeds it
        self.admission = admission

    @property
    def key(self) -> ApiKey | None:
        """The key that it came with; None where none is asked for."""
        return None if self.admission is None else self.admission.key

    def check_again(self) -> None:
        """Raise a Problem if the key has been revoked since: for what was held back for long."""
        if self.services.keys is not None and self.admission is not None:
            readmit(self.services.keys, self.admission)

    def path(self, name: str) -> str:
        """Give a part of the path by its name in the endpoint's path."""
        part: str = self.scope["path_params"][name]
        return part


Handler = Callable[[Call[Any]], Awaitable[Answer | Streamed]]

# What a request may carry: "large" is JSON as large as an upload, "task" as the parameters of a
# task; a "form" with a file is the handler's to read, and so are the parameters that come with it.
BodyKind = Literal["none", "json", "large", "task", "form"]


class Media(msgspec.Struct, frozen=True):
    """An answer's body that is no JSON."""

    content_type: str
    description: str
    example: str | None = None


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the route table: all that there is to say about a call to the API."""

    method: str
    path: str
    handler: Handler
    permission: Permission | None  # None: anybody may ask
    summary: str
    description: str = ""  # more than the summary; without it, what the handler's docstring says
    tag: str | None = "Tasks"  # where the description of the API has it; None: for people, nowhere
    params: type[msgspec.Struct] | None = None
    body: BodyKind = "none"
    idempotent: bool = False  # whether it heeds the header `Idempotency-Key`
    secret: bool = False  # its parameters count in the body alone: logs and histories keep URLs
    takes: tuple[Header, ...] = ()  # other headers of a request that it heeds
    answers: tuple[tuple[int, Any], ...]  # a status and the type of its JSON or a Media, 1 or more
    gives: tuple[tuple[int, Header], ...] = ()  # headers of an answer with that status
    problems: tuple[int, ...] = ()  # statuses besides those that any call may answer


def encode(value: Any) -> bytes:
    """Write JSON."""
    return _ENCODER.encode(value)


_ENCODER = msgspec.json.Encoder()


class Resource:
    """All endpoints of one path, as an ASGI application."""

    def __init__(self, services: Services, endpoints: Iterable[Endpoint]) -> None:
        self._services = services
        self._by_method = {
            endpoint.method: (endpoint, _parameters(endpoint)) for endpoint in endpoints
        }
        if "GET" in self._by_method:
            self._by_method["HEAD"] = self._by_method["GET"]
        self.methods = tuple(self._by_method)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or raise what stands for the answer."""
        endpoint, parameters = self._by_method[scope["method"]]
        scope[ROUTE].append(endpoint.path)
        services = self._services
        admission = None
        if endpoint.permission is not None:
            admission = authorise(
                services.keys, scope, endpoint.permission, cookies=services.has_page
            )
        repeat = idempotency_key(scope["headers"]) if endpoint.idempotent else None
        params = None
        if parameters is not None and endpoint.body != "form":
            body = b""
            if endpoint.body != "none":
                limit = services.limits[endpoint.body]
                body = await _read_json(scope, receive, limit)
            query = b"" if endpoint.secret else scope["query_string"]
            params = parameters.read(query, body)
        answer = await endpoint.handler(Call(services, scope, receive, params, repeat, admission))
        if not isinstance(answer, Answer):
            await answer.answer(scope, receive, send)
            return
        head = list(answer.headers)
        if answer.status not in _BODILESS:
            size = b"%d" % len(answer.body)
            head += ((b"content-type", answer.content_type), (b"content-length", size))
        await send({"type": "http.response.start", "status": answer.status, "headers": head})
        shown = b"" if scope["method"] == "HEAD" else answer.body
        await send({"type": "http.response.body", "body": shown, "more_body": False})


def _parameters(endpoint: Endpoint) -> Parameters[Any] | None:
    if endpoint.params is None:
        return None
    return Parameters(endpoint.params, home="body" if endpoint.secret else "query")


async def _read_json(scope: Scope, receive: Receive, limit: BodyLimit) -> bytes:
    body = await Body(scope, receive, limit).read()
    kind = scope[HEADERS].get(b"content-type", JSON).partition(b";")[0].strip().lower()
    if body and kind != JSON and not (kind.startswith(b"application/") and kind.endswith(b"+json")):
        raise Problem(
            415,
            "Not JSON",
            "The body must be JSON, with the header `Content-Type: application/json`; "
            "or leave it out and give the parameters in the query string.",
        )
    return body
