"""What people ask of the four jobs, decided: which task to submit, under which key, or none.

HTTP and the command line translate to and from this; an embedding program may call it as it is.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable

import anyio
import msgspec

from ..engine.engine import TaskEngine
from ..engine.errors import InvalidParameters, TaskAlreadyFinal, TaskNotFound
from ..engine.handles import TaskHandle
from ..engine.intake import Step
from ..engine.lifecycle import TaskStatus
from ..engine.records import TaskRecord
from . import (
    community_detection,
    community_summarization,
    document_processing,
    relationship_analysis,
)
from .chains import STEPS, parse_chain
from .community_detection import CommunityDetection
from .community_summarization import CommunitySummarization
from .document_processing import DocumentProcessing
from .library import Library
from .relationship_analysis import Mode, RelationshipAnalysis
from .scopes import key_of, processing_key

FOUR = (document_processing.NAME, *STEPS)
_ENDED = "has ended: this request came before, and is not carried out again"
ABORT_ROUNDS = 10  # each stops what is there; a chain's next step may turn up in between

_COMMUNITY_ID = re.compile(r"\s*(?:comm_)?(\d{1,18})\s*", re.ASCII)


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """The task that does what was asked for; `deduplicated`, if it was under way already."""

    task_id: str
    status: TaskStatus
    message: str
    deduplicated: bool
    chain: tuple[str, ...]  # what follows that task, which may be less than was asked for now


class ProcessingStarted(Started, frozen=True, kw_only=True):
    """The same of document_processing."""

    pending_count: int
    concurrency: int


class NothingPending(msgspec.Struct, frozen=True, kw_only=True):
    """No document waits, and no task is processing any: there is no task."""

    message: str = "No pending documents to process"
    pending_count: int = 0


class SummarizationStarted(Started, frozen=True, kw_only=True):
    """The same of community_summarization; what it does is in its result."""

    results: list[str] = []
    total_processed: int = 0


class Aborted(msgspec.Struct, frozen=True, kw_only=True):
    """What an abort has stopped."""

    documents_cancelled: int  # that were being processed
    chain_tasks_cancelled: int  # of the three types that may follow in a chain
    tasks_cancelled: list[str]  # of all four types
    tasks_still_running: list[str]  # told to stop, but ignoring it beyond their grace
    tasks_removed: list[str] = []  # records stay
    docling_workers_killed: int = 0  # there are none
    documents_reset: int  # pending again: nothing of them was stored


class InstanceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the process can be replaced now without stopping anyone's work."""

    safe_to_redeploy: bool
    reasons: list[str]  # why not, for people; empty when it is safe
    running_task_count: int
    running_tasks: list[TaskRecord]


class Operations:
    """The operations on an engine that runs the four jobs over a library.

    All raise InvalidParameters for what does not fit, QueueFull, EngineNotRunning and
    StorageError, and have then started nothing. With an `idempotency_key`, a request that is
    repeated is given the task that it was given before, as it is now, as `deduplicated`;
    IdempotencyConflict for a key that came with another request.
    """

    def __init__(self, engine: TaskEngine, library: Library) -> None:
        self._engine = engine
        self._library = library

    async def process_pending(
        self,
        *,
        concurrency: int = 2,
        collection_id: str | None = None,
        chain: str | Iterable[str] | None = None,
        idempotency_key: str | None = None,
        asked: object = None,
    ) -> ProcessingStarted | NothingPending:
        """Process all pending documents, or those of one collection; then the chain.

        While a task of this scope is under way, and is followed by this chain or none was asked
        for, it is that task; never one that is told to stop. Where nothing is pending no task is
        made, and the idempotency key stays unused. asked: what the key is for, if more than this.
        """
        asked_for = parse_chain(chain)
        asked = asked or ["process_pending", concurrency, collection_id, asked_for]
        earlier = await self._task_of(idempotency_key, asked)
        intake = await self._library.processing.intake(collection_id=collection_id)
        key = processing_key(collection_id, intake.generation)
        alive = [each for each in await self._alive(document_processing.NAME) if _holds(each, key)]
        staying = [each for each in alive if each.cancel_requested_at is None]
        fitting = [each for each in staying if asked_for in ((), _chain_of(each))]
        count = intake.pending_count
        if earlier is not None:
            record, deduplicated = earlier, True
        elif not count and not alive:
            return NothingPending()
        elif fitting and idempotency_key is None:
            record, deduplicated = fitting[0], True
        else:
            # Nothing under way will be followed by this chain: a task of its own waits for what
            # the others have claimed, takes up the rest, and is followed by it. A task that fits
            # is given by its key, and so remembers this request by that of the request.
            dedupe_key = fitting[0].dedupe_key if fitting else "/".join((key, *asked_for))
            handle = await self._engine.submit(
                document_processing.NAME,
                DocumentProcessing(concurrency=concurrency, collection_id=collection_id),
                dedupe_key=dedupe_key,
                then=self._steps(asked_for, collection_id),
                idempotency_key=idempotency_key,
                asked=asked,
            )
            record, deduplicated = handle.record, handle.deduplicated
        return ProcessingStarted(
            task_id=record.id,
            status=record.status,
            message=_about_processing(record, count, asked_for, deduplicated=deduplicated),
            deduplicated=deduplicated,
            chain=_chain_of(record),
            pending_count=count,
            concurrency=concurrency,
        )

    async def analyze(
        self,
        *,
        collection_id: str | None = None,
        mode: Mode | None = None,
        rebuild: bool = False,
        chain: str | Iterable[str] | None = None,
        idempotency_key: str | None = None,
    ) -> Started:
        """Find relationships across documents; then the chain. A `mode` counts over `rebuild`."""
        mode = mode or ("rebuild" if rebuild else "incremental")
        params = RelationshipAnalysis(collection_id=collection_id, mode=mode)
        steps = self._steps(parse_chain(chain), collection_id)
        handle = await self._engine.submit(
            relationship_analysis.NAME,
            params,
            dedupe_key=key_of(params),
            then=steps,
            idempotency_key=idempotency_key,
        )
        return _started(handle, "Relationship analysis")

    async def detect(
        self,
        *,
        min_size: int = 3,
        collection_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Started:
        """Detect communities."""
        params = CommunityDetection(min_size=min_size, collection_id=collection_id)
        handle = await self._engine.submit(
            community_detection.NAME,
            params,
            dedupe_key=key_of(params),
            idempotency_key=idempotency_key,
        )
        return _started(handle, "Community detection")

    async def summarize(
        self,
        *,
        community_ids: Iterable[int | str] | int | str | None = None,
        force_regenerate: bool = False,
        idempotency_key: str | None = None,
    ) -> SummarizationStarted:
        """Summarise these communities, or all of them."""
        ids = None if community_ids is None else parse_community_ids(community_ids)
        params = CommunitySummarization(community_ids=ids, force_regenerate=force_regenerate)
        handle = await self._engine.submit(
            community_summarization.NAME,
            params,
            dedupe_key=key_of(params),
            idempotency_key=idempotency_key,
        )
        started = _started(handle, "Community summarization")
        return SummarizationStarted(**msgspec.structs.asdict(started))

    async def abort(self) -> Aborted:
        """Stop every pending or running task of the four types; returns once they have stopped.

        What was being processed is pending again; what was stored stays, and so do the records.
        """
        claimed = await self._library.processing.claimed()
        told: dict[str, TaskRecord | None] = {}  # None: it ended before it heard
        for _ in range(ABORT_ROUNDS):
            alive = [each for name in FOUR for each in await self._alive(name)]
            fresh = [record for record in alive if record.id not in told]
            if not fresh:
                break
            async with anyio.create_task_group() as group:
                for record in fresh:
                    group.start_soon(self._stop, record, told)
        await self._library.processing.release_abandoned()  # where a task could not do it itself
        stopped = [record for record in told.values() if record is not None]
        cancelled = [each for each in stopped if each.status is TaskStatus.CANCELLED]
        return Aborted(
            documents_cancelled=len(claimed),
            chain_tasks_cancelled=sum(each.type in STEPS for each in cancelled),
            tasks_cancelled=[each.id for each in cancelled],
            tasks_still_running=[each.id for each in stopped if each not in cancelled],
            documents_reset=await self._library.processing.count_pending(claimed),
        )

    async def instance_status(self) -> InstanceStatus:
        """Tell whether anyone's work would be stopped by ending this process."""
        running = (await self._engine.list(status=TaskStatus.RUNNING)).records
        reasons = [
            f"{record.type} {record.id} is running ({record.progress_percent} %)"
            for record in running
        ]
        return InstanceStatus(
            safe_to_redeploy=not running,
            reasons=reasons,
            running_task_count=len(running),
            running_tasks=running,
        )

    async def _alive(self, task_type: str) -> list[TaskRecord]:
        """The tasks of a type that are pending or running."""
        return [
            record
            for status in (TaskStatus.RUNNING, TaskStatus.PENDING)
            for record in (await self._engine.list(task_type=task_type, status=status)).records
        ]

    async def _task_of(self, idempotency_key: str | None, asked: object) -> TaskRecord | None:
        if idempotency_key is None:
            return None
        return await self._engine.task_of_request(idempotency_key, asked)

    async def _stop(self, record: TaskRecord, told: dict[str, TaskRecord | None]) -> None:
        told[record.id] = None
        with contextlib.suppress(TaskAlreadyFinal, TaskNotFound):
            told[record.id] = await self._engine.cancel(record.id)

    def _steps(self, names: tuple[str, ...], collection_id: str | None) -> list[Step]:
        """Give the steps of a chain, each under the key that asking for it alone would have."""
        steps: list[Step] = []
        for name in names:
            if name == relationship_analysis.NAME:
                analysis = RelationshipAnalysis(collection_id=collection_id)
                steps.append((name, analysis, key_of(analysis)))
            elif name == community_detection.NAME:
                detection = CommunityDetection(collection_id=collection_id)
                steps.append((name, detection, key_of(detection)))
            else:
                summarization = CommunitySummarization()
                steps.append((name, summarization, key_of(summarization)))
        return steps


def parse_community_ids(given: Iterable[int | str] | int | str) -> list[int]:
    """Read ids as people write them: 5, "5", "comm_5", "5,comm_7", or several of these.

    Raises InvalidParameters for anything else.
    """
    each_given = [given] if isinstance(given, int | str) else given
    ids: list[int] = []
    for one in each_given:
        for text in str(one).split(","):
            found = None if isinstance(one, bool) else _COMMUNITY_ID.fullmatch(text)
            if found is None:
                raise InvalidParameters(
                    f"{text[:80]!r} is no community id: an id is like 5 or comm_5",
                    path="$.community_ids",
                )
            ids.append(int(found.group(1)))
    return list(dict.fromkeys(ids))


def _started(handle: TaskHandle[object], what: str) -> Started:
    verb = "started"
    if handle.deduplicated:
        verb = "is under way already" if not handle.record.final else _ENDED
    return Started(
        task_id=handle.id,
        status=handle.record.status,
        message=f"{what} {verb}",
        deduplicated=handle.deduplicated,
        chain=_chain_of(handle.record),
    )


def _about_processing(
    record: TaskRecord, count: int, chain: tuple[str, ...], *, deduplicated: bool
) -> str:
    if deduplicated and record.final:
        return f"Processing {_ENDED}"
    if deduplicated:
        return "Documents are being processed already"
    if not count and chain:  # all are claimed by tasks that this chain does not follow
        return f"No document is pending: {chain[0]} follows once those under way are processed"
    if not count:  # all are claimed by a task that is told to stop
        return "No document is pending: processing what the task that is stopping puts back"
    return f"Processing {count} pending document{'' if count == 1 else 's'}"


def _holds(record: TaskRecord, key: str) -> bool:
    """Whether the task was started under this key, with a chain after it or without."""
    held = record.dedupe_key or ""
    return held == key or held.startswith(f"{key}/")


def _chain_of(record: TaskRecord) -> tuple[str, ...]:
    return tuple(step.task_type for step in record.then)
