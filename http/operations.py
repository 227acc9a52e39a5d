"""The calls that start the four jobs, and the one that stops them all."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from .calls import Answer, Call, encode
from .parameters import alias
from .wire import TaskView, view


class ProcessParams(msgspec.Struct, frozen=True):
    """How many documents at a time; what follows, as a comma list or a list."""

    concurrency: Annotated[int, Meta(ge=1, le=50)] = 2
    collection_id: str | None = None
    chain: str | list[str] | None = None


class AnalyzeParams(msgspec.Struct, frozen=True):
    """What to analyse; `rebuild` is an older way to say the mode."""

    collection_id: str | None = None
    mode: Literal["incremental", "rebuild"] | None = None
    rebuild: bool = False
    chain: str | list[str] | None = None


class DetectParams(msgspec.Struct, frozen=True):
    """How small a community may be."""

    min_size: Annotated[int, Meta(ge=2, le=20, extra=alias("min_community_size"))] = 3
    collection_id: str | None = None


class SummarizeParams(msgspec.Struct, frozen=True):
    """Which communities (5, "5", "comm_5", or several; none is all), and whether to write anew."""

    community_ids: int | str | list[int | str] | None = None
    force_regenerate: bool = False


class InstanceView(msgspec.Struct, frozen=True):
    """Whether stopping this server would interrupt anyone's work, and whose."""

    safe_to_redeploy: bool
    reasons: list[str]
    running_task_count: int
    running_tasks: list[TaskView]


async def process_pending(call: Call[ProcessParams]) -> Answer:
    """Process the documents that wait."""
    wanted = call.params
    started = await call.services.operations.process_pending(
        concurrency=wanted.concurrency,
        collection_id=wanted.collection_id,
        chain=wanted.chain,
        idempotency_key=call.idempotency_key,
    )
    return Answer(encode(started))


async def analyze(call: Call[AnalyzeParams]) -> Answer:
    """Find relationships across documents."""
    wanted = call.params
    started = await call.services.operations.analyze(
        collection_id=wanted.collection_id,
        mode=wanted.mode,
        rebuild=wanted.rebuild,
        chain=wanted.chain,
        idempotency_key=call.idempotency_key,
    )
    return Answer(encode(started))


async def detect(call: Call[DetectParams]) -> Answer:
    """Detect communities."""
    started = await call.services.operations.detect(
        min_size=call.params.min_size,
        collection_id=call.params.collection_id,
        idempotency_key=call.idempotency_key,
    )
    return Answer(encode(started))


async def summarize(call: Call[SummarizeParams]) -> Answer:
    """Summarise communities."""
    started = await call.services.operations.summarize(
        community_ids=call.params.community_ids,
        force_regenerate=call.params.force_regenerate,
        idempotency_key=call.idempotency_key,
    )
    return Answer(encode(started))


async def abort(call: Call[None]) -> Answer:
    """Stop every task of the four types."""
    return Answer(encode(await call.services.operations.abort()))


async def show_instance(call: Call[None]) -> Answer:
    """Tell whether a restart now would interrupt anyone's work."""
    found = await call.services.operations.instance_status()
    status = InstanceView(
        safe_to_redeploy=found.safe_to_redeploy,
        reasons=found.reasons,
        running_task_count=found.running_task_count,
        running_tasks=[view(record) for record in found.running_tasks],
    )
    return Answer(encode(status))
