"""Values as JSON that says all that they said, or an error that names the path and the reason.

Encoding alone would turn NaN into null, bytes into text, a set into a list, and say nothing. So
what was encoded is read back and compared, which costs less than a microsecond where it is small.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final

import msgspec

from .json_faults import Fault, find_loss, find_misfit, find_unwritable, is_same

_encode = msgspec.json.Encoder().encode
_plain = msgspec.json.Decoder()

_SMALL: Final = 1_000  # parts, or so many times 64 characters: well under a millisecond
_PIECE: Final = 20_000  # the same, of one piece of a large value: a few milliseconds
_SLICE: Final = 500  # parts that are weighed together
_ATOMS: Final = frozenset({int, float, bool, type(None)})
_LISTS: Final = (list, tuple, set, frozenset)
_BYTES: Final = (bytes, bytearray, memoryview, msgspec.Raw)
_DEEP: Final = 400  # levels of nesting that no reader comes near the end of its stack with
_SPARE: Final = 200  # frames that a reader may stand deeper than we do


class Unwanted(Exception):
    """Nobody wants the rest of what was being encoded."""


class ExactJson:
    """Encodes and decodes values of one type. Raises Fault for what JSON would not keep."""

    def __init__(self, wanted: Any, decoder: msgspec.json.Decoder[Any] | None = None) -> None:
        """Take a type that msgspec decodes; raises TypeError for any other."""
        self.wanted = wanted
        self.decode = (decoder or msgspec.json.Decoder(wanted)).decode

    def encode(self, value: Any, *, as_given: bool = False) -> bytes:
        """Give the value as JSON that is read back as the value.

        as_given: also fine is what is equal when read back as no type at all, as a dict with texts
        that stands for an object with dates is.
        """
        try:
            return self._encode(value, as_given)
        except RecursionError as error:
            raise find_unwritable(value, error) from None

    def encode_in_pieces(self, value: Any, go_on: Callable[[], bool]) -> bytes:
        """Do the same for a large value, in a thread: piece by piece, since nothing else runs
        during a call of msgspec. Raises Unwanted soon after `go_on` has given False.
        """
        try:
            return b"".join(_pieces(value, self, go_on))
        except RecursionError as error:  # it has no end: so no piece of it is ever small
            raise find_unwritable(value, error) from None

    def _encode(self, value: Any, as_given: bool) -> bytes:
        try:
            encoded = _encode(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise find_unwritable(value, error) from None
        is_raw = type(value) is msgspec.Raw
        if is_raw:
            _check_raw(encoded)
        try:
            back = self._read_back(encoded)
        except msgspec.DecodeError as error:
            raise find_misfit(value, error) from None
        if not is_raw and not is_same(value, back):
            backs = (back, _plain.decode(encoded)) if as_given else (back,)
            loss = find_loss(value, backs)
            if loss is not None:
                raise loss
        return encoded

    def _read_back(self, encoded: bytes) -> Any:
        if len(encoded) > _DEEP and encoded.count(b"[") + encoded.count(b"{") > _DEEP:
            return _deeper(_SPARE, self.decode, encoded)
        return self.decode(encoded)


def is_large(value: Any) -> bool:
    """Whether encoding the value would hold up an event loop for longer than a hop to a thread."""
    return _weight(value, _SMALL) > _SMALL


def _weight(value: Any, enough: int) -> int:
    """About how many parts there are; not counted on beyond `enough`."""
    weight, waiting = 0, [value]
    while waiting and weight <= enough:
        one = waiting.pop()
        kind = type(one)
        if kind in _ATOMS:
            continue
        if kind is str:
            weight += len(one) >> 6
        elif isinstance(one, msgspec.Struct):
            weight += 1
            waiting += [getattr(one, name, None) for name in one.__struct_fields__]
        elif isinstance(one, dict):
            weight += len(one)
            if weight <= enough:
                waiting += one.values()
        elif isinstance(one, _LISTS):
            weight += len(one)
            if weight <= enough:
                waiting += one
        elif isinstance(one, _BYTES):
            weight += memoryview(one).nbytes >> 6
        else:
            weight += 1
            waiting += [getattr(one, name, None) for name in getattr(one, "__dict__", ())]
    return weight


def _pieces(value: Any, exact: ExactJson, go_on: Callable[[], bool]) -> Iterator[bytes]:
    """The JSON of a value, a piece at a time."""
    if not go_on():
        raise Unwanted
    kind = type(value)
    if _weight(value, _PIECE) <= _PIECE:
        yield exact.encode(value)
        return
    wanted = _without_none(exact.wanted)
    if (kind is list or kind is tuple) and (inner := _inner(wanted, list)) is not None:
        yield from _pieces_of_list(value, inner, go_on)
    elif kind is dict and (inner := _inner(wanted, dict)) is not None and _has_texts_as_keys(value):
        yield from _pieces_of_dict(value, inner, go_on)
    elif (wanted is Any or wanted is kind) and _is_plain_struct(kind):
        yield from _pieces_of_struct(value, wanted is kind, go_on)
    else:
        yield exact.encode(value)


def _pieces_of_list(
    value: list[Any] | tuple[Any, ...], inner: Any, go_on: Callable[[], bool]
) -> Iterator[bytes]:
    one, some = ExactJson(inner), ExactJson(list[inner])
    opening = b"["
    for start in range(0, len(value), _SLICE):
        part = list(value[start : start + _SLICE])
        if not go_on():
            raise Unwanted
        if _weight(part, _PIECE) <= _PIECE:
            yield opening + _moved(start, some, part)[1:-1]
            opening = b","
            continue
        for index, item in enumerate(part, start):
            yield opening
            yield from _within(index, _pieces(item, one, go_on))
            opening = b","
    yield b"]"


def _pieces_of_dict(
    value: dict[str, Any], inner: Any, go_on: Callable[[], bool]
) -> Iterator[bytes]:
    one, some = ExactJson(inner), ExactJson(dict[str, inner])
    items, opening = iter(value.items()), b"{"
    while part := dict(islice(items, _SLICE)):
        if not go_on():
            raise Unwanted
        if _weight(part, _PIECE) <= _PIECE:
            yield opening + some.encode(part)[1:-1]
            opening = b","
            continue
        for key, item in part.items():
            yield opening + _key(key) + b":"
            yield from _within(key, _pieces(item, one, go_on))
            opening = b","
    yield b"}"


def _pieces_of_struct(
    value: msgspec.Struct, declared: bool, go_on: Callable[[], bool]
) -> Iterator[bytes]:
    opening = b"{"
    for field in msgspec.structs.fields(value):
        yield opening + _key(field.encode_name) + b":"
        one = ExactJson(field.type if declared else Any)
        yield from _within(field.encode_name, _pieces(getattr(value, field.name), one, go_on))
        opening = b","
    yield b"}"


def _is_plain_struct(kind: type) -> bool:
    """Whether it is written as all of its fields, and read back from them without more ado."""
    if not issubclass(kind, msgspec.Struct) or hasattr(kind, "__post_init__"):
        return False
    config = kind.__struct_config__
    return config.tag is None and not (config.array_like or config.omit_defaults)


def _has_texts_as_keys(value: dict[Any, Any]) -> bool:
    """Otherwise only the whole tells whether two keys are the same text."""
    return all(type(key) is str for key in value)


def _without_none(wanted: Any) -> Any:
    arguments = [one for one in typing.get_args(wanted) if one is not type(None)]
    if typing.get_origin(wanted) in (typing.Union, types.UnionType) and len(arguments) == 1:
        return arguments[0]
    return wanted


def _inner(wanted: Any, container: type) -> Any:
    """The type of what a list or dict of the wanted type holds; None where that is not known."""
    if wanted is Any or wanted is object or wanted is container:
        return Any
    arguments = typing.get_args(wanted)
    if typing.get_origin(wanted) is not container or not arguments:
        return None
    return arguments[-1] if container is list or arguments[0] is str else None


def _key(key: str) -> bytes:
    return _anything.encode(key)


def _moved(start: int, exact: ExactJson, part: list[Any]) -> bytes:
    """Encode a part of a list; a fault in it has its place in the whole."""
    try:
        return exact.encode(part)
    except Fault as fault:
        if fault.steps and isinstance(fault.steps[0], int):
            fault.steps[0] += start
        raise


def _within(step: int | str, pieces: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from pieces
    except Fault as fault:
        fault.steps.insert(0, step)
        raise


def _deeper(frames: int, decode: Callable[[bytes], Any], encoded: bytes) -> Any:
    """Decode with less of the stack left, as whoever reads it later may have to."""
    return decode(encoded) if frames == 0 else _deeper(frames - 1, decode, encoded)


def _check_raw(encoded: bytes) -> None:
    """Refuse what was given as JSON of its own making (msgspec.Raw) and is none."""
    try:
        _plain.decode(encoded)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Fault([], f"what the msgspec.Raw holds is not JSON: {error}") from None


_anything: Final = ExactJson(Any)
