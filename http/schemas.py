"""The JSON schemas of structs, made of their types: what is decoded and encoded describes itself.

msgspec makes them; what it leaves open is said here: that a time is written as RFC 3339 has it,
that an answer brings all of its fields, and by which older names a parameter goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import inspect

from .parameters import Field, fields_of

REFERENCE = "#/components/schemas/{name}"
Schema = dict[str, Any]


class Schemas:
    """Collects the schemas that a description refers to, each once and by its struct's name."""

    def __init__(self) -> None:
        self.components: dict[str, Schema] = {}

    def answer(self, shape: Any) -> Schema:
        """Give the schema of what is answered."""
        found = self._add(shape)
        for struct in _structs(inspect.type_info(shape), set()):
            schema = self.components[struct.cls.__name__]
            fields = msgspec.structs.fields(struct.cls)
            required = [field.encode_name for field in fields if field.default is not msgspec.UNSET]
            if required:
                schema["required"] = required
        return found

    def body(self, shape: type[msgspec.Struct]) -> Schema:
        """Give the schema of parameters in a body, the other names of each among them."""
        found = self._add(shape)
        schema = self.components[shape.__name__]
        for field in fields_of(shape):
            own, *others = field.names
            for name in others:
                schema["properties"][name] = {
                    **schema["properties"][own],
                    "description": f"Another name of `{own}`.",
                    "deprecated": True,
                }
        return found

    def parameter(self, field: Field) -> Schema:
        """Give the schema of a parameter in the query, where there is no null."""
        schema = dict(self._add(field.type))
        options = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
        if options:
            del schema["anyOf"]
            schema |= options[0] if len(options) == 1 else {"anyOf": options}
        schema.pop("description", None)
        self._leave_out_objects(schema)
        if field.default is not None and field.default is not msgspec.NODEFAULT:
            schema["default"] = msgspec.to_builtins(field.default)
        return schema

    def _leave_out_objects(self, schema: Schema) -> None:
        """Leave out of a list in the query what cannot be written there."""
        for part in [schema, *schema.get("anyOf", ())]:
            options = part.get("items", {}).get("anyOf", [])
            fit = [each for each in options if not self._is_object(each)]
            if len(fit) < len(options):
                part["items"] = fit[0] if len(fit) == 1 else {"anyOf": fit}

    def _is_object(self, schema: Schema) -> bool:
        name = schema.get("$ref", "").rpartition("/")[2]
        return bool(self.components.get(name, schema).get("type") == "object")

    def _add(self, shape: Any) -> Schema:
        (schema,), components = msgspec.json.schema_components((shape,), ref_template=REFERENCE)
        found: Schema = schema
        for struct in _structs(inspect.type_info(shape), set()):
            _say_times(struct, components[struct.cls.__name__])
        for name, component in components.items():
            component.pop("title", None)
            if not component.get("required", True):
                del component["required"]
            self.components.setdefault(name, component)
        return found


def _structs(info: inspect.Type, seen: set[type]) -> Iterator[inspect.StructType]:
    """Yield each struct that the type is made of, once."""
    if isinstance(info, inspect.StructType):
        if info.cls in seen:
            return
        seen.add(info.cls)
        yield info
    for part in _parts(info):
        yield from _structs(part, seen)


def _parts(info: inspect.Type) -> Iterable[inspect.Type]:
    match info:
        case inspect.StructType():
            return [field.type for field in info.fields]
        case inspect.UnionType():
            return info.types
        case inspect.Metadata():
            return [info.type]
        case inspect.CollectionType():
            return [info.item_type]
        case inspect.TupleType():
            return info.item_types
        case inspect.DictType():
            return [info.value_type]
        case _:
            return ()


def _say_times(struct: inspect.StructType, schema: Schema) -> None:
    for field in struct.fields:
        plain = field.type.type if isinstance(field.type, inspect.Metadata) else field.type
        options = plain.types if isinstance(plain, inspect.UnionType) else (plain,)
        if any(isinstance(each, inspect.DateTimeType) for each in options):
            written = schema["properties"][field.encode_name]
            for each in written.get("anyOf", (written,)):
                if each.get("type") == "string":
                    each["format"] = "date-time"
