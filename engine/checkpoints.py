"""What a task saves on its way, so that a later attempt goes on from there: JSON, kept whole."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import msgspec

from .errors import NotJson
from .exact_json import ExactJson
from .json_faults import Fault


def encode_checkpoint(value: Any, *, in_pieces: bool = False) -> bytes:
    """Give the value as JSON that reads back as it was, as its own type if that has fields.

    Raises NotJson with the path of what would not.
    """
    kind = type(value)
    has_fields = issubclass(kind, msgspec.Struct) or dataclasses.is_dataclass(kind)
    wanted: Any = kind if has_fields else Any
    exact = _exact(wanted)
    try:
        return exact.encode_in_pieces(value, _always) if in_pieces else exact.encode(value)
    except Fault as fault:
        path = fault.place()
        message = f"the checkpoint cannot be written as JSON: {path}: {fault}"
        raise NotJson(message, path) from None


def decode_checkpoint(encoded: bytes | msgspec.Raw | None, wanted: Any = Any) -> Any:
    """Give it as the wanted type; None where there is none."""
    return None if encoded is None else _exact(wanted).decode(encoded)


@functools.lru_cache(maxsize=100)
def _exact(wanted: Any) -> ExactJson:
    return ExactJson(wanted)


def _always() -> bool:
    return True
