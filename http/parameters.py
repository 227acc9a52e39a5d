"""Parameters from the query string and the JSON body, decoded into one struct; the query wins.

A parameter struct declares each field's type, bounds and default, so that the same struct can
describe itself to clients. Other spellings that clients use are its field's aliases:
`Annotated[int, Meta(ge=2, extra=alias("min_community_size"))]`.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl

import msgspec

from .problems import FieldError, Problem, invalid_parameters

P = TypeVar("P", bound=msgspec.Struct)

MAX_QUERY_FIELDS = 100

_AT_PATH = re.compile(r" - at `\$(.*)`$", re.DOTALL)
_WORDS = {
    **dict.fromkeys(("true", "1", "yes", "on", "t", "y"), True),
    **dict.fromkeys(("false", "0", "no", "off", "f", "n"), False),
}


def alias(*names: str) -> dict[str, Any]:
    """Give the `extra` of a Meta for a parameter that has other names too; the first given wins."""
    return {"aliases": names}


class Parameters(Generic[P]):
    """Reads the struct `shape` out of requests.

    Every field that does not fit is reported, not only the first. Unknown names are ignored, unless
    the struct has `forbid_unknown_fields`; of a name that comes twice in the query the last counts,
    unless the field takes a list. An empty value in the query is none. `home`: where one that is
    missing is said to be missing.
    """

    def __init__(self, shape: type[P], *, home: str = "query") -> None:
        self._shape = shape
        self._home = home
        self._fields = fields_of(shape)
        self._known: set[str] | None = None
        if shape.__struct_config__.forbid_unknown_fields:
            self._known = {name for field in self._fields for name in field.names}
        # Most requests bring none at all.
        self._defaults: P | None = None
        if all(not field.required for field in self._fields):
            self._defaults = shape()

    def read(self, query: bytes, body: bytes = b"") -> P:
        """Decode; raises a Problem: 422 for what does not fit, 400 for a body that is no JSON."""
        if self._defaults is not None and not query and not body:
            return self._defaults
        return self._convert(_of_query(query), _of_body(body))

    def read_form(self, query: bytes, form: Mapping[str, str]) -> P:
        """Decode the query and a form's fields; raises a Problem for what does not fit."""
        return self._convert(_of_query(query), {name: text for name, text in form.items() if text})

    def _convert(self, query: Mapping[str, list[str]], body: Mapping[str, Any]) -> P:
        values: dict[str, Any] = {}
        errors = list(self._unknown(query, body))
        for field in self._fields:
            source, name, value = field.find(query, body)
            if source is None:
                if field.required:
                    errors.append(
                        FieldError((self._home, field.name), "This parameter is required")
                    )
                continue
            try:
                values[field.name] = field.convert(value)
            except msgspec.ValidationError as error:
                errors.append(_explain(error, source, name))
            except (ValueError, OverflowError, RecursionError) as error:
                errors.append(FieldError((source, name), str(error)))
        if errors:
            raise invalid_parameters(*errors)
        return self._shape(**values)

    def _unknown(self, query: Mapping[str, Any], body: Mapping[str, Any]) -> Iterator[FieldError]:
        if self._known is None:
            return
        for source, given in (("query", query), ("body", body)):
            for name in given:
                if name not in self._known:
                    known = ", ".join(field.name for field in self._fields)
                    yield FieldError((source, name), f"Unknown here; there are {known}")


class Field:
    """One field of a parameter struct; `names`: its own, and then its aliases."""

    def __init__(self, field: msgspec.structs.FieldInfo) -> None:
        self.name = field.name
        self.type = field.type
        self.required = field.required
        self.default = field.default
        plain = set(_plain_types(field.type))
        self.names = (field.encode_name, *_aliases(field.type))
        self.takes_list = list in plain or tuple in plain
        self.takes_lists_alone = plain <= {list, tuple, types.NoneType}
        # An object cannot be written in a query; elsewhere it is JSON.
        self.fits_query = not plain <= {dict, types.NoneType}
        self.takes_bool = bool in plain
        self.takes_null = types.NoneType in plain

    def find(
        self, query: Mapping[str, list[str]], body: Mapping[str, Any]
    ) -> tuple[str | None, str, Any]:
        """Give where the value is from, by which name, and the value."""
        for name in self.names:
            given = [text for text in query.get(name, ()) if text]
            if given:
                several = self.takes_lists_alone or (self.takes_list and len(given) > 1)
                return "query", name, given if several else given[-1]
        for name in self.names:
            value = body.get(name)
            if value is not None:
                return "body", name, value
        return None, self.name, None

    def convert(self, value: Any) -> Any:
        """Decode the value; text is read as what the field takes."""
        if self.takes_bool and isinstance(value, str):
            value = _WORDS.get(value.strip().lower(), value)
        return msgspec.convert(value, self.type, strict=False)


def fields_of(shape: type[msgspec.Struct]) -> list[Field]:
    """Give the fields of a parameter struct."""
    return [Field(field) for field in msgspec.structs.fields(shape)]


def _plain_types(declared: Any) -> Iterator[Any]:
    origin = typing.get_origin(declared)
    if origin is typing.Annotated:
        yield from _plain_types(typing.get_args(declared)[0])
    elif origin in (typing.Union, types.UnionType):
        for member in typing.get_args(declared):
            yield from _plain_types(member)
    else:
        yield origin or declared


def _aliases(declared: Any) -> Iterator[str]:
    if typing.get_origin(declared) is typing.Annotated:
        for note in typing.get_args(declared)[1:]:
            if isinstance(note, msgspec.Meta) and note.extra:
                yield from note.extra.get("aliases", ())
    elif typing.get_origin(declared) in (typing.Union, types.UnionType):
        for member in typing.get_args(declared):
            yield from _aliases(member)


def _of_query(query: bytes) -> dict[str, list[str]]:
    if not query:
        return {}
    try:
        pairs = parse_qsl(
            query.decode("latin-1"), keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS
        )
    except ValueError:
        raise invalid_parameters(
            FieldError(("query",), f"More than {MAX_QUERY_FIELDS} parameters")
        ) from None
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _of_body(body: bytes) -> dict[str, Any]:
    if not body.strip():
        return {}
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Problem(400, "Malformed JSON", f"The body is not JSON: {error}") from None
    if decoded is None:
        return {}
    if not isinstance(decoded, dict):
        raise invalid_parameters(FieldError(("body",), "Expected an object with the parameters"))
    return decoded


def _explain(error: msgspec.ValidationError, source: str, name: str) -> FieldError:
    text = str(error)
    inner = _AT_PATH.search(text)
    if inner is None:
        return FieldError((source, name), text)
    path = re.findall(r"[^.\[\]]+", inner.group(1))
    steps = tuple(int(part) if part.isdigit() else part for part in path)
    return FieldError((source, name, *steps), text[: inner.start()])
