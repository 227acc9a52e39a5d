"""The description of the API (OpenAPI 3.1), made of the rows that serve it and of their structs.

What a row says is what is described: nothing is written down here a second time, so nothing can
be missing or left over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from . import headers
from .calls import Endpoint, Media
from .describing import ABOUT, PATH_PARTS, TAGS, problem_schemas
from .examples import Examples
from .headers import Header
from .keys import Permission
from .parameters import fields_of
from .problem_titles import TITLES, meanings
from .problems import PASSING
from .schemas import Schemas

JSON, PROBLEM_JSON, FORM = "application/json", "application/problem+json", "multipart/form-data"

Json = dict[str, Any]


def describe(
    endpoints: Iterable[Endpoint],
    examples: Examples,
    *,
    version: str,
    signing_in: Mapping[str, Mapping[str, str]],
) -> Json:
    """Give the OpenAPI document, without `servers`, of the rows that are meant for programs.

    signing_in: the ways to show a key, by their names; none where no keys are asked for.
    """
    rows = [row for row in endpoints if row.tag is not None]
    writer = _Writer(examples, list(signing_in))
    paths: dict[str, Json] = {}
    for row in rows:
        path = re.sub(r":\w+}", "}", row.path)
        paths.setdefault(path, {})[row.method.lower()] = writer.operation(row)
    used = {row.tag for row in rows}
    components: Json = {
        "schemas": problem_schemas() | dict(sorted(writer.schemas.components.items())),
        "responses": {_name_of(status): _problem(status) for status in sorted(writer.problems)},
        "headers": {each.name: _header(each) for each in writer.headers.values()},
    }
    if signing_in:
        components["securitySchemes"] = dict(signing_in)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Cortex tasks",
            "version": version,
            "description": ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "tags": [{"name": tag, "description": said} for tag, said in TAGS.items() if tag in used],
        "paths": paths,
        "components": components,
    }


def problems_of(row: Endpoint, *, guarded: bool) -> set[int]:
    """Give every status with which a row may answer with a problem."""
    found = {400, 414, 431, 500, 503, *row.problems}
    if guarded and row.permission is not None:
        found |= {401, 403}
    if row.params is not None or heeded(row):
        found |= {422}
    if row.body != "none":
        found |= {408, 413, 415}
    if row.permission is Permission.MANAGE:
        found |= {507}
    return found - {status for status, _ in row.answers if status >= HTTPStatus.BAD_REQUEST}


class _Writer:
    """Writes operations, and collects the components that they refer to."""

    def __init__(self, examples: Examples, signing_in: list[str]) -> None:
        self._examples = examples
        self._signing_in = signing_in
        self.schemas = Schemas()
        self.problems: set[int] = set()
        self.headers: dict[str, Header] = {headers.REQUEST_ID.name: headers.REQUEST_ID}

    def operation(self, row: Endpoint) -> Json:
        """Describe one call."""
        said = [row.description or (row.handler.__doc__ or "").strip()]
        if row.params is not None and row.params.__doc__:
            said.append(f"Parameters: {row.params.__doc__.strip()}")
        operation: Json = {
            "operationId": row.handler.__name__,
            "tags": [row.tag],
            "summary": row.summary,
            "security": [],
        }
        if self._signing_in and row.permission is not None:
            said.append(f"Needs a key that may `{row.permission}`.")
            operation["security"] = [{scheme: [str(row.permission)]} for scheme in self._signing_in]
        operation["description"] = "\n\n".join(said)
        operation["parameters"] = [*_of_path(row), *self._of_query(row), *_of_head(row)]
        if row.body != "none" and row.params is not None:
            operation["requestBody"] = self._body(row)
        operation["responses"] = self._answers(row)
        return operation

    def _of_query(self, row: Endpoint) -> Iterator[Json]:
        if row.params is None or row.secret:
            return
        example = self._examples.shown(row.params)
        written = msgspec.json.schema_components((row.params,))[1][row.params.__name__]
        for field in fields_of(row.params):
            if not field.fits_query:
                continue
            own, *others = field.names
            schema = self.schemas.parameter(field)
            if row.body != "none":
                # Viewers fill it in, and what the query says counts over the body.
                schema.pop("default", None)
            described: Json = {
                "name": own,
                "in": "query",
                "required": field.required and row.body == "none",
                "schema": schema,
            }
            if said := written["properties"][own].get("description"):
                described["description"] = said
            if example.get(own) is not None:
                described = _with_example(described, example[own])
            yield described
            for name in others:
                older = described | {
                    "name": name,
                    "required": False,
                    "deprecated": True,
                    "description": f"Another name of `{own}`.",
                }
                older.pop("example", None)
                older["schema"] = {k: v for k, v in schema.items() if k != "default"}
                yield older

    def _body(self, row: Endpoint) -> Json:
        assert row.params is not None
        schema = self.schemas.body(row.params)
        required = any(
            field.required and (row.secret or not field.fits_query)
            for field in fields_of(row.params)
        )
        said = "The parameters as JSON."
        if not row.secret:
            said += " One that is also in the query counts as it is there."
        if row.body != "form":
            content: Json = {"schema": schema, "example": self._examples.shown(row.params)}
            return {"description": said, "required": required, "content": {JSON: content}}
        fields = self.schemas.components.pop(row.params.__name__)
        file = {"type": "string", "format": "binary", "description": "The document, with its name."}
        form = fields | {"properties": {"file": file, **fields["properties"]}, "required": ["file"]}
        return {
            "description": "A form with the file, and the parameters that are not in the query.",
            "required": True,
            "content": {FORM: {"schema": form}},
        }

    def _answers(self, row: Endpoint) -> Json:
        answers: dict[str, Json] = {}
        for status in dict.fromkeys(status for status, _ in row.answers):
            given = [headers.REQUEST_ID, *(each for of, each in row.gives if of == status)]
            self.headers |= {each.name: each for each in given}
            shapes = [shape for of, shape in row.answers if of == status]
            answers[str(status)] = {
                "description": _said_of(shapes, status),
                "headers": {each.name: _refer("headers", each.name) for each in given},
            }
            if content := self._content(shapes):
                answers[str(status)]["content"] = content
        problems = problems_of(row, guarded=bool(self._signing_in))
        self.problems |= problems
        self.headers |= {each.name: each for of in problems for each in _headers_of(of)}
        refused = {str(each): _refer("responses", _name_of(each)) for each in sorted(problems)}
        return answers | refused

    def _content(self, shapes: list[Any]) -> Json:
        content: Json = {}
        json = [shape for shape in shapes if not isinstance(shape, Media) and shape is not None]
        if json:
            schemas = [self.schemas.answer(shape) for shape in json]
            content[JSON] = {"schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas}}
            shown = [self._examples.shown(shape) for shape in json]
            content[JSON]["examples"] = {
                f"example{number}": {"value": value} for number, value in enumerate(shown, 1)
            }
        for shape in shapes:
            if isinstance(shape, Media):
                content[shape.content_type] = {"schema": {"type": "string"}}
                if shape.content_type == "application/octet-stream":
                    content[shape.content_type]["schema"]["format"] = "binary"
                if shape.example is not None:
                    content[shape.content_type]["example"] = shape.example
        return content


def _of_path(row: Endpoint) -> Iterator[Json]:
    for name in re.findall(r"{(\w+)", row.path):
        said, example = PATH_PARTS[name]
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "description": said,
            "schema": {"type": "string"},
            "example": example,
        }


def heeded(row: Endpoint) -> tuple[Header, ...]:
    """Give the headers of a request that a row heeds."""
    return (headers.IDEMPOTENCY_KEY, *row.takes) if row.idempotent else row.takes


def _of_head(row: Endpoint) -> Iterator[Json]:
    for each in heeded(row):
        described = {"name": each.name, "in": "header", "required": False, **_header(each)}
        yield _with_example(described, described.pop("example"))


def _with_example(described: Json, example: Any) -> Json:
    """Give a parameter its example, of which viewers make no value unless one is needed.

    What stands as `example` is filled in by Swagger UI, and sent: one and the same
    `Idempotency-Key` with each call that is tried, say. The schema's own are not.
    """
    if described["required"]:
        return described | {"example": example}
    return described | {"schema": described["schema"] | {"examples": [example]}}


def _header(header: Header) -> Json:
    example: Any = header.example
    if header.schema.get("type") == "integer":
        example = int(example)
    return {
        "description": header.description,
        "schema": dict(header.schema),
        "example": example,
    }


def _said_of(shapes: list[Any], status: int) -> str:
    said = []
    for shape in shapes:
        if isinstance(shape, Media):
            said.append(shape.description)
        elif isinstance(shape, type) and issubclass(shape, msgspec.Struct) and shape.__doc__:
            said.append(shape.__doc__.strip())
    return " Or: ".join(said) or HTTPStatus(status).phrase


def _problem(status: int) -> Json:
    schema = "InvalidParameters" if status == HTTPStatus.UNPROCESSABLE_ENTITY else "Problem"
    return {
        "description": meanings(status),
        "headers": {each.name: _refer("headers", each.name) for each in _headers_of(status)},
        "content": {
            PROBLEM_JSON: {"schema": _refer("schemas", schema), "examples": _kinds_of(status)}
        },
    }


def _headers_of(status: int) -> list[Header]:
    given = [headers.REQUEST_ID]
    if status == HTTPStatus.UNAUTHORIZED:
        given.append(headers.WWW_AUTHENTICATE)
    if status in PASSING:
        given.append(headers.RETRY_AFTER)
    return given


def _kinds_of(status: int) -> Json:
    """Give an example of each problem with this status."""
    kinds = {title: meaning for (of, title), meaning in TITLES.items() if of == status}
    return {
        re.sub(r"\W", "", title.title()): {
            "summary": title,
            "value": {"detail": meaning, "title": title, "status": status},
        }
        for title, meaning in kinds.items()
    }


def _name_of(status: int) -> str:
    return re.sub(r"\W", "", HTTPStatus(status).phrase.title())


def _refer(kind: str, name: str) -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}
