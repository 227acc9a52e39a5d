"""Where in a value lies what JSON cannot keep, and why: looked for only once something is wrong."""

from __future__ import annotations

import dataclasses
import enum
import math
import re
from collections.abc import Iterable, Iterator, Sequence, Set
from datetime import datetime
from typing import Any, Final

import msgspec

Step = Any
"""An index, a key or the name of a field; `...` stands for those that are not told."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_PLACE: Final = re.compile(r" - at `(?:key in )?(.+?)`$", re.DOTALL)
_STEP: Final = re.compile(r"\[(\d+|\.\.\.)\]|\.([^.\[]+)")
_DEEPEST: Final = 100_000  # steps after which a fault is not followed any further


class Fault(Exception):
    """A place in a value, as steps from its top, and what is wrong there."""

    def __init__(self, steps: Sequence[Step], reason: str) -> None:
        super().__init__(steps, reason)
        self.steps = list(steps)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason

    def place(self) -> str:
        """The place as people write it: `$.scores[3]`."""
        steps = self.steps
        if len(steps) > 40:
            steps = [*steps[:20], ..., *steps[-19:]]
        return "$" + "".join(_show(step) for step in steps)


class Misfit(Fault):
    """A place in a value that the declared type does not allow; `error` is msgspec's."""

    def __init__(self, steps: Sequence[Step], error: msgspec.DecodeError, text: str) -> None:
        super().__init__(steps, f"it does not fit the declared type: {text}")
        self.error = error


def find_unwritable(value: Any, error: Exception) -> Fault:
    """Say what in the value could not be encoded, from the error that this raised."""
    steps: list[Step] = []
    inside = {id(value)}
    while len(steps) < _DEEPEST:
        for step, part in _parts(value):
            try:
                _encode({part.key: None} if isinstance(part, _Key) else part)
            except Exception as cause:  # noqa: BLE001  whatever it is, it is what is looked for
                found, error = (step, part), cause
                break
        else:
            break
        steps.append(found[0])
        value = found[1]
        if id(value) in inside and _is_container(value):
            return Fault(steps, "it is inside itself, so it would have no end")
        inside.add(id(value))
    return Fault(steps, _why_unwritable(value, error))


def find_misfit(value: Any, error: msgspec.DecodeError) -> Fault:
    """Say what in the value does not fit the declared type, from the error of decoding it."""
    not_finite = find_not_finite(value)
    if not_finite is not None:
        return not_finite
    text = str(error)
    steps: list[Step] = []
    place = _PLACE.search(text)
    if place is not None:
        text = text[: place.start()]
        for index, name in _STEP.findall(place[1]):
            steps.append(name or (int(index) if index.isdigit() else ...))
    return Misfit(steps, error, text)


def find_not_finite(value: Any) -> Fault | None:
    """Find the first NaN or infinity: JSON has none, and msgspec writes null for them."""
    if _is_finite(value):
        return None
    waiting: list[tuple[tuple[Step, ...], Any]] = [((), value)]
    while waiting:
        steps, one = waiting.pop()
        if isinstance(one, float):
            if not math.isfinite(one):
                return Fault(steps, _why_changed(one, ()))
        else:
            parts = [((*steps, step), part) for step, part in _parts(one)]
            waiting += reversed(parts)
    return None


def _is_finite(value: Any) -> bool:
    """Whether no number in the value is NaN or infinite: told of a million parts in half a second,
    as it is nearly always so, and no place has to be told then.
    """
    waiting = [value]
    while waiting:
        one = waiting.pop()
        kind = type(one)
        if kind is str or kind is int:
            continue
        if kind is dict:
            waiting += one.values()
        elif kind is list or kind is tuple:
            waiting += one
        elif isinstance(one, float):
            if not math.isfinite(one):
                return False
        else:
            waiting += [part for _, part in _parts(one)]
    return True


def find_loss(value: Any, backs: Sequence[Any]) -> Fault | None:
    """Find the first part of the value that none of `backs`, which were read back, gives again.

    A tuple may come back as a list, and an object with fields as a dict of them.
    """
    if any(is_same(value, back) for back in backs):
        return None
    if isinstance(value, msgspec.Raw):
        return _find_loss_of_raw(value, backs)
    if isinstance(value, list | tuple):
        lists = [back for back in backs if isinstance(back, list | tuple)]
        if any(len(back) == len(value) for back in lists):
            return _first_loss(
                (step, part, [back[step] for back in lists if len(back) == len(value)])
                for step, part in enumerate(value)
            )
    elif isinstance(value, dict):
        return _find_loss_of_key(value, backs)
    elif (fields := _fields(value)) is not None:
        shapes = [shape for back in backs if (shape := _by_name(back, type(value))) is not None]
        if shapes:
            return _first_loss(
                (name, part, [shape[name] for shape in shapes if name in shape])
                for name, part in fields.items()
            )
    return Fault([], _why_changed(value, backs))


def _find_loss_of_raw(value: msgspec.Raw, backs: Sequence[Any]) -> Fault | None:
    try:
        plain = _decode(value)
    except msgspec.DecodeError as error:
        return Fault([], f"what the msgspec.Raw holds is not JSON: {error}")
    if any(is_same(plain, back) for back in backs):
        return None
    return Fault([], "what the msgspec.Raw holds is not what would come back")


def _find_loss_of_key(value: dict[Any, Any], backs: Sequence[Any]) -> Fault | None:
    shapes = [shape for back in backs if (shape := _by_name(back, None)) is not None]
    for key, part in value.items():
        found = [shape[key] for shape in shapes if key in shape]
        if not found:
            return Fault([key], _why_lost(key, backs))
        loss = find_loss(part, found)
        if loss is not None:
            loss.steps.insert(0, key)
            return loss
    return None if shapes else Fault([], _why_changed(value, backs))


def _first_loss(parts: Iterator[tuple[Step, Any, list[Any]]]) -> Fault | None:
    for step, part, backs in parts:
        if not backs:  # a default that its type does not write
            continue
        loss = find_loss(part, backs)
        if loss is not None:
            loss.steps.insert(0, step)
            return loss
    return None


def is_same(value: Any, back: Any) -> bool:
    """Whether both are equal. Equality may be of any make; none that raises is one."""
    try:
        return bool(value == back)
    except RecursionError:
        raise
    except Exception:  # noqa: BLE001
        return False


def _parts(value: Any) -> Iterator[tuple[Step, Any]]:
    """What a value holds, and where."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield key, _Key(key)
            yield key, part
    elif isinstance(value, list | tuple | set | frozenset):
        yield from enumerate(value)
    else:
        yield from (_fields(value) or {}).items()


class _Key:
    """A key to be looked at on its own."""

    def __init__(self, key: Any) -> None:
        self.key = key


def _fields(value: Any) -> dict[str, Any] | None:
    """The fields that an object is written with, by the names that they are written under."""
    kind = type(value)
    if isinstance(value, msgspec.Struct):
        names = zip(kind.__struct_encode_fields__, kind.__struct_fields__, strict=True)
        return {written: getattr(value, name, None) for written, name in names}
    if dataclasses.is_dataclass(kind):
        fields = [field.name for field in dataclasses.fields(value)]
    elif hasattr(kind, "__attrs_attrs__"):
        fields = [field.name for field in kind.__attrs_attrs__]
    else:
        return None
    return {name: getattr(value, name, None) for name in fields}


def _by_name(back: Any, kind: type | None) -> dict[Any, Any] | None:
    """What was read back as a dict of its parts: a dict itself, or an object of the same type."""
    if isinstance(back, dict):
        return back
    if kind is not None and type(back) is not kind:
        if isinstance(back, list) and getattr(kind, "__struct_config__", None):
            return dict(zip(kind.__struct_encode_fields__, back, strict=False))  # type: ignore[attr-defined]
        return None
    return _fields(back)


def _is_container(value: Any) -> bool:
    return isinstance(value, list | tuple | dict) or _fields(value) is not None


def _show(step: Step) -> str:
    if step is ...:
        return "[...]"
    if isinstance(step, str) and step.isidentifier():
        return f".{step}"
    return f"[{_short(step)}]"


def _why_unwritable(value: Any, error: Exception) -> str:
    if isinstance(value, _Key) and not isinstance(value.key, str):
        return f"the key {_short(value.key)} is no text: make it one"
    if isinstance(error, RecursionError):
        return "it is nested too deeply: refer to things by id or index instead of nesting them"
    if isinstance(error, UnicodeEncodeError):
        return (
            f"the text has a lone surrogate at position {error.start}, which is no character: "
            "replace it, or keep bytes under a declared type"
        )
    if isinstance(error, ValueError) and isinstance(value, int):
        return "the whole number has too many digits: make it text"
    kind = type(value)
    name = (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )
    if name.startswith("numpy."):
        return f"{name} is no JSON: make it plain with .item() or .tolist()"
    if isinstance(value, str | int | float):
        return f"{name} is not written as JSON: make it plain text or a plain number"
    if isinstance(value, Iterable):
        return f"{name} is no JSON: make it a list or a dict"
    return f"{name} is no JSON: make it a dict, a dataclass or a msgspec.Struct"


def _why_changed(value: Any, backs: Sequence[Any]) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        shown = "NaN" if math.isnan(value) else "infinity"
        return f"{shown} is not JSON: use None or a text"
    came, name = type(backs[0]).__name__, type(value).__name__
    shown = f"{came} ({_short(backs[0])})" if came != name else _short(backs[0])
    if isinstance(value, enum.Enum) and not _is_enum_of_one_kind(type(value)):
        # Such a type cannot be declared either, so it is no help to ask for that.
        advice = "its values are neither all texts nor all whole numbers: give .name or .value"
        return f"{name} would come back as {shown}: {advice}"
    if isinstance(value, datetime) and isinstance(backs[0], datetime):
        # In an hour that comes twice, Python takes no time of a ZoneInfo for that of an offset.
        return f"datetime would come back as {shown}: turn it into UTC first"
    instead = "a list" if isinstance(value, Set) else "text"
    return f"{name} would come back as {shown}: declare the type, or make it {instead}"


def _is_enum_of_one_kind(kind: type[enum.Enum]) -> bool:
    kinds = {type(member.value) for member in kind}
    return kinds in ({int}, {str})


def _why_lost(key: Any, backs: Sequence[Any]) -> str:
    if isinstance(key, str):
        return f"{type(backs[0]).__name__} has no such field, so it would be lost"
    advice = "declare the type of the keys, or make it text"
    return f"the key {_short(key)} would come back as text: {advice}"


def _short(value: Any) -> str:
    try:
        shown = repr(value)
    except Exception:  # noqa: BLE001  a repr may be of any make
        return "…"
    return shown if len(shown) <= 60 else shown[:60] + "…"
