"""Which files the library takes, and what it calls their types."""

from __future__ import annotations

from pathlib import PurePath

from ..methods.formats import EXTENSIONS, SUPPORTED_TYPES
from .errors import UnsupportedFileType


def file_type_of(filename: str) -> str:
    """Give the type that the name's ending stands for. Raises UnsupportedFileType."""
    return supported_type(PurePath(filename).suffix)


def supported_type(ending: str) -> str:
    """Give the type for an ending, with or without its dot, in either case."""
    known = EXTENSIONS.get(ending.removeprefix(".").lower())
    if known is None:
        raise UnsupportedFileType(ending[:40], SUPPORTED_TYPES)
    return known
