"""What a law about the description of the API stands on: the description of all rows, and a check
of any answer against it.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import httpx2
from openapi_schema_validator import OAS31Validator

from cortex_tasks.http.calls import Endpoint
from cortex_tasks.http.describing import signing_in
from cortex_tasks.http.examples import Examples
from cortex_tasks.http.library_examples import LIBRARY_EXAMPLES
from cortex_tasks.http.library_routes import LIBRARY_ENDPOINTS
from cortex_tasks.http.openapi import describe
from cortex_tasks.http.routes import TASK_ENDPOINTS
from cortex_tasks.http.session_routes import SESSION_ENDPOINTS
from cortex_tasks.http.task_examples import TASK_EXAMPLES
from cortex_tasks.http.webhook_examples import WEBHOOK_EXAMPLES
from cortex_tasks.http.webhook_routes import WEBHOOK_ENDPOINTS

Json = dict[str, Any]
ROWS = (*TASK_ENDPOINTS, *SESSION_ENDPOINTS, *LIBRARY_ENDPOINTS, *WEBHOOK_ENDPOINTS)
DESCRIBED = [row for row in ROWS if row.tag is not None]
WAYS = signing_in(True, page=True)
EXAMPLES = Examples({**TASK_EXAMPLES, **LIBRARY_EXAMPLES, **WEBHOOK_EXAMPLES})


@cache
def document() -> Json:
    """The description of everything there is, with keys, as a client gets it."""
    made = describe(ROWS, EXAMPLES, version="1.2.3", signing_in=WAYS)
    text = json.dumps(made | {"servers": [{"url": "/"}]})
    return dict(json.loads(text))


def described_path(row: Endpoint) -> str:
    return re.sub(r":\w+}", "}", row.path)


def operation(row: Endpoint) -> Json:
    """What the document says of a row."""
    return dict(document()["paths"][described_path(row)][row.method.lower()])


@cache
def _strict() -> Json:
    """The document, in which no object may have a field that is not named."""
    made: Json = json.loads(json.dumps(document()))
    for schema in made["components"]["schemas"].values():
        if "properties" in schema:
            schema["additionalProperties"] = False
    return made


def resolved(part: Json) -> Json:
    """The part itself, or the one that it refers to."""
    if "$ref" not in part:
        return part
    found: Any = _strict()
    for step in part["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return dict(found)


def faults(value: Any, schema: Json) -> list[str]:
    """Everything in a value that the schema does not allow, extra fields among it."""
    errors = _validator(json.dumps(schema)).iter_errors(value)
    return [f"{error.json_path}: {error.message[:300]}" for error in errors]


@cache
def _validator(schema: str) -> OAS31Validator:
    whole = json.loads(schema) | {"components": _strict()["components"]}
    return OAS31Validator(whole, format_checker=OAS31Validator.FORMAT_CHECKER)


@cache
def _patterns() -> list[tuple[str, re.Pattern[str], str]]:
    found = []
    for row in DESCRIBED:
        path = re.sub(r"\\{\w+:path\\}", ".+", re.escape(row.path).replace(r"\:", ":"))
        path = re.sub(r"\\{\w+\\}", "[^/]+", path)
        found.append((row.method, re.compile(path), described_path(row)))
    return found


def template_of(method: str, path: str) -> str | None:
    """The path of the table that is asked for, the first that fits."""
    return next(
        (shown for of, pattern, shown in _patterns() if of == method and pattern.fullmatch(path)),
        None,
    )


def undescribed(response: httpx2.Response) -> list[str]:
    """Say all in which an answer is not as the description has it; of unknown calls, nothing."""
    request = response.request
    method = "GET" if request.method == "HEAD" else request.method
    template = template_of(method, request.url.path)
    if template is None or b"There is nothing at this path." in response.content:
        return []
    answers = document()["paths"][template][method.lower()]["responses"]
    if str(response.status_code) not in answers:
        return [f"status {response.status_code} is not described"]
    answer = resolved(answers[str(response.status_code)])
    content = answer.get("content", {})
    kind = response.headers.get("content-type", "").partition(";")[0]
    missing = [name for name in response.headers if name in CHECKED and not _has(answer, name)]
    found = [f"header {name} is not described" for name in missing]
    if kind not in content:
        return [*found, f"content type {kind!r} is not described"] if kind or content else found
    if kind.endswith("json") and request.method != "HEAD":
        found += faults(json.loads(response.content), content[kind]["schema"])
    return found


# Headers that are part of the API; others are of HTTP itself.
CHECKED = {
    "x-request-id", "retry-after", "etag", "preference-applied", "content-disposition",
    "set-cookie", "www-authenticate", "last-modified",
}  # fmt: skip


def _has(answer: Json, name: str) -> bool:
    return name in {each.lower() for each in answer.get("headers", {})}


async def hold_to_description(response: httpx2.Response) -> None:
    """An event hook for a client: every answer that it gets is one that is described."""
    await response.aread()
    asked = f"{response.request.method} {response.request.url}"
    assert not (found := undescribed(response)), f"{asked} → {response.status_code}: {found}"
