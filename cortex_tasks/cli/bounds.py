"""What `serve` may be told of its engine: for how long it keeps tasks, and its limits."""

from __future__ import annotations

import argparse
from datetime import timedelta

from ..engine.settings import Limits, Retention
from .arguments import add_option, bad_value, names

FOR_EVER = "forever"
_USUAL = Retention()


def add_bounds(command: argparse.ArgumentParser) -> None:
    """Add the options."""
    assert _USUAL.max_age is not None
    add_option(
        command,
        "--keep-days",
        read=_days,
        default=str(_USUAL.max_age.days),
        help=f"days that a task is kept after its end, or {FOR_EVER}",
    )
    add_option(
        command,
        "--keep-count",
        read=_count,
        default=str(_USUAL.max_count),
        help=f"how many ended tasks are kept at most, or {FOR_EVER}",
    )
    add_option(
        command,
        "--limits",
        read=_limits,
        default="",
        help="other limits of the engine than its own, a comma list of NAME=NUMBER such as "
        "max_result_bytes=1000000000; docs/limits.md names them",
    )


def retention_of(arguments: argparse.Namespace) -> Retention:
    """Give what was said of for how long tasks are kept."""
    return Retention(max_age=arguments.keep_days, max_count=arguments.keep_count)


def _days(text: str) -> timedelta | None:
    if text == FOR_EVER:
        return None
    try:
        return Retention(max_age=timedelta(days=float(text))).max_age
    except (ValueError, OverflowError):
        raise bad_value(text, f"not a number of days, or {FOR_EVER}") from None


def _count(text: str) -> int | None:
    if text == FOR_EVER:
        return None
    try:
        return Retention(max_count=int(text)).max_count
    except ValueError:
        raise bad_value(text, f"not a whole number of 0 or more, or {FOR_EVER}") from None


def _limits(text: str) -> Limits:
    given: dict[str, int] = {}
    for each in names(text):
        name, _, number = each.partition("=")
        if name not in Limits.__struct_fields__:
            known = ", ".join(Limits.__struct_fields__)
            raise bad_value(text, f"{name!r} is not one of {known}")
        try:
            given[name] = int(number)
        except ValueError:
            raise bad_value(text, f"{name} needs a whole number, as in {name}=1000") from None
    try:
        return Limits(**given)
    except ValueError as error:
        raise bad_value(text, str(error)) from None
