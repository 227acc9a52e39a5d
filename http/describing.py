"""What the description of the API says in words of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from .cookies import NAME
from .problems import FieldError
from .schemas import REFERENCE

ABOUT = """\
Background tasks that are kept, really cancelled, and truthful about it.

**Keys.** A request carries its key as `X-API-Key: KEY` or `Authorization: Bearer KEY`; the first
counts when both are sent. A key may `read`, or `manage`, which includes it.

**Parameters** of a call with a body may stand in the query, in a JSON body, or some here and some
there; the query wins. Unknown ones are ignored. Numbers and booleans may be written as text.

**Answers** are JSON in UTF-8; times are RFC 3339 in UTC. New fields may come with any version:
ignore what you do not know. What answers `GET` answers `HEAD` too. Every answer has an
`X-Request-ID`.

**Errors** are problems of RFC 9457, `application/problem+json`: `detail` is for a person to act on;
`title` and `status` tell kinds apart. A wrong method is a 405 that names the right ones in `Allow`.

**Tasks** are followed until their `status` is `completed`, `failed` or `cancelled`.
`GET /api/tasks/{task_id}?wait=30` answers as soon as the task changes, so that nobody has to poll.
"""

TAGS: Mapping[str, str] = {
    "Operations": "What starts tasks, and what stops them all.",
    "Tasks": "Every task, from when it was submitted until it is cleaned up.",
    "Documents": "What the tasks work on.",
    "Graph": "The entities and relationships that were found in the documents.",
    "Communities": "Entities that belong together.",
    "Webhooks": "Which other programs are told when tasks end.",
    "Server": "How the server stands.",
}

_HEADERS: Mapping[str, Mapping[str, str]] = {
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "Made by `cortex-tasks keys create`.",
    },
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "The same key, as a bearer token.",
    },
}

_COOKIE: Mapping[str, Mapping[str, str]] = {
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": NAME.decode(),
        "description": "The same key, as the page keeps it in a browser; where its address names "
        f"a port, that is in the name too: `{NAME.decode()}_8000`. It counts for its own page "
        "alone, unless nothing is to change.",
    },
}


def signing_in(guarded: bool, *, page: bool) -> Mapping[str, Mapping[str, str]]:
    """Give the ways in which a key may be shown, of a server that asks for keys or does not."""
    if not guarded:
        return {}
    return {**_HEADERS, **_COOKIE} if page else _HEADERS


# The parts of paths by their names: what they are, and an example.
PATH_PARTS: Mapping[str, tuple[str, str]] = {
    "hook_id": ("Which webhook.", "wh_5d1f0a7c93e2b846"),
    "delivery_id": ("Which of its deliveries.", "evt_01k5s3c7v9m2x4n8_1234"),
    "task_id": ("The task's id.", "task_01k5s3c7v9m2x4n8"),
    "task_type": ("The name of the task type.", "community_detection"),
    "document_id": ("The document's id.", "doc_7f3a9c21"),
    "community_id": ("The community's number, or `comm_` and the number.", "comm_5"),
    "name": ("The entity's name; what is no letter or digit is percent-encoded.", "Blue Whale"),
}

_MEMBERS: Mapping[str, Any] = {
    "detail": {"type": "string", "description": "What went wrong, for a person to act on."},
    "title": {"type": "string", "description": "The kind of problem, the same each time."},
    "status": {
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "description": "The HTTP status; of a task that ended without a result, the task's.",
    },
    "request_id": {"type": "string", "description": "Where a bug is to be looked for in the log."},
    "task_id": {"type": "string", "description": "The task that has no result."},
    "error": {"type": ["string", "null"], "description": "Why that task failed, if it did."},
}


def problem_schemas() -> dict[str, Any]:
    """Give the schemas of errors."""
    problem = {
        "type": "object",
        "description": "An error (RFC 9457).",
        "properties": dict(_MEMBERS),
        "required": ["detail", "title", "status"],
    }
    (refused,), components = msgspec.json.schema_components(
        (list[FieldError],), ref_template=REFERENCE
    )
    invalid = problem | {
        "description": "An error (RFC 9457) that says of each parameter what is wrong with it.",
        "properties": {**_MEMBERS, "errors": refused},
    }
    return {"Problem": problem, "InvalidParameters": invalid, **components}
