"""Runs the body of a `runs="process"` type: this function is what the child process is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from .context import ChildContext
from .registry import TaskType


def run_process_body(
    declared: TaskType[Any, Any],
    params: bytes,
    task_id: str,
    attempt: int,
    last_attempt: bool,
    resumed: bytes | None,
    *,
    report: Callable[..., None],
    save: Callable[[Any], None],
) -> bytes:
    """Run the body and give its result as JSON, encoded here so that the parent need not."""
    ctx = ChildContext(task_id, declared.name, attempt, report, save, resumed, last_attempt)
    arguments = (declared.decode_params(msgspec.Raw(params)),) if declared.takes_params else ()
    return declared.encode_result(declared.body(ctx, *arguments))
