"""document_processing: from the bytes of pending documents to chunks, entities and relationships.

It claims documents as it has room for them, also those uploaded while it runs, and ends when none
waits and none is under way, be it in another task: what it was asked for is done then. Each is
read, extracted in a child process and stored in one transaction. A document that fails, fails
alone; a failing disk fails the task. Stopped at any point, it puts back what it had claimed; begun
again under the same id, it goes on with what is left and its result counts all.
"""

from __future__ import annotations

from typing import Annotated, Literal

import anyio
import anyio.abc
import msgspec
from msgspec import Meta

from ..engine.context import TaskContext
from ..engine.errors import ChildCrashed, EngineError
from ..engine.failures import plain_text
from ..engine.registry import TaskType, task_type
from .errors import NothingDone
from .library import ClaimLost, DocumentNotFound, Library
from .methods.formats import title_from
from .model import Document, DocumentStatus, Extraction

NAME = "document_processing"
# Seconds to extract a document, and more for each megabyte: extraction takes time linear in the
# size. Real ones take less than a second, and two seconds a megabyte.
DOCUMENT_TIMEOUT, MEGABYTE_TIMEOUT = 120.0, 30.0
TITLES_KNOWN = 2_000  # names of the newest documents, linked wherever a text mentions them
RELEASE_WITHIN = 10.0
LONGEST_ERROR = 1_000  # characters


class DocumentProcessing(msgspec.Struct, frozen=True, kw_only=True):
    """What to process: everything pending, or what is pending in one collection."""

    concurrency: Annotated[int, Meta(ge=1, le=50)] = 2  # documents claimed at a time
    collection_id: str | None = None


class DocumentOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How one document ended."""

    document_id: str
    filename: str
    status: Literal["completed", "failed"]
    error: str | None


class ProcessedDocuments(msgspec.Struct, frozen=True, kw_only=True):
    """What became of all documents that the task finished, over all its attempts."""

    processed: int
    failed: int
    cancelled: int = 0  # a cancelled task has no result, and its documents are pending again
    quota_skipped: int = 0  # there is no quota
    total: int
    message: str
    documents: list[DocumentOutcome]


def document_processing(
    library: Library, extracting: anyio.CapacityLimiter
) -> TaskType[DocumentProcessing, ProcessedDocuments]:
    """Declare the type over a library.

    `extracting` bounds the child processes, over all tasks: more than there are cores would only
    take memory.
    """

    @task_type(NAME, concurrency=4, on_restart="resume", cancel_grace=RELEASE_WITHIN)
    async def process_documents(ctx: TaskContext, params: DocumentProcessing) -> ProcessedDocuments:
        """Process pending documents until none waits."""
        with library.processing.at_work(ctx.task_id):
            return await _Run(ctx, params, library, extracting).run()

    return process_documents


class _Run:
    """One attempt: claims documents, and keeps up to `concurrency` of them going."""

    def __init__(
        self,
        ctx: TaskContext,
        params: DocumentProcessing,
        library: Library,
        extracting: anyio.CapacityLimiter,
    ) -> None:
        self._ctx = ctx
        self._params = params
        self._library = library
        self._processing = library.processing
        self._extracting = extracting
        self._begun = self._done = 0  # documents, also those of earlier attempts
        self._under_way = 0
        self._waiting = 0
        self._trouble: Exception | None = None  # not of a document, but of the library itself
        self._titles: list[str] = []

    async def run(self) -> ProcessedDocuments:
        task_id = self._ctx.task_id
        await self._processing.release_claims(task_id)  # of an attempt that a crash cut short
        self._begun = self._done = len(await self._processing.outcomes(task_id))
        try:
            async with anyio.create_task_group() as documents:
                try:
                    await self._work_through(documents)
                except Exception as error:  # noqa: BLE001 - raised below, outside of the group
                    self._trouble = error
                if self._trouble is not None:
                    documents.cancel_scope.cancel()
            if self._trouble is not None:
                raise self._trouble
        finally:
            # Also when all is well: then there is nothing to put back.
            with anyio.move_on_after(RELEASE_WITHIN, shield=True):
                await self._processing.release_claims(task_id)
        result = _summed_up(await self._processing.outcomes(task_id))
        await self._tell(result.message)
        return result

    async def _work_through(self, documents: anyio.abc.TaskGroup) -> None:
        """Claim and start documents until none waits and none is under way, anywhere."""
        collection_id = self._params.collection_id
        while self._trouble is None:
            ring = self._processing.bell.next_ring  # before looking, so that no news is missed
            for document in await self._claim():
                self._under_way += 1
                documents.start_soon(self._carry_out, document)
            if not self._under_way:
                if await self._processing.close_intake(collection_id=collection_id):
                    return
                await self._processing.release_abandoned()
            await ring.wait()

    async def _claim(self) -> list[Document]:
        """Claim as many documents as there is room for."""
        room = self._params.concurrency - self._under_way
        if room <= 0:
            return []
        claimed = await self._processing.claim_pending(
            self._ctx.task_id, collection_id=self._params.collection_id, limit=room
        )
        if claimed:
            names = await self._library.documents.filenames(limit=TITLES_KNOWN)
            self._titles = [title_from(name) for name in names]
            await self._count_waiting()
        return claimed

    async def _carry_out(self, document: Document) -> None:
        self._begun += 1
        number = self._begun
        try:
            await self._tell(f"Processing {document.filename} ({number} of {self._total()})")
            finished = await self._process(document)
        except Exception as error:  # noqa: BLE001 - raised by `run`, where no group wraps it
            self._trouble, finished = error, False
        self._under_way -= 1
        self._done += finished
        self._processing.bell.ring()
        await self._tell(f"Processed {document.filename} ({self._done} of {self._total()})")

    async def _process(self, document: Document) -> bool:
        """Bring a document to its end; False if it was deleted meanwhile.

        Raises only what is no fault of the document: a failing disk, a closed library.
        """
        try:
            extraction = await self._extract(document)
            await self._processing.store_extraction(document.id, self._ctx.task_id, extraction)
        except (ClaimLost, DocumentNotFound):
            return False
        except Exception as error:
            if isinstance(error, EngineError) and not isinstance(error, ChildCrashed):
                raise
            return await self._fail(document, error)
        return True

    async def _extract(self, document: Document) -> Extraction:
        content = (await self._library.documents.content(document.id)).content
        async with self._extracting:
            await self._processing.mark_extracting(document.id, self._ctx.task_id)
            with anyio.fail_after(timeout_for(document.file_size)):
                return await self._ctx.run_in_child(
                    extract_document,
                    content,
                    document.file_type,
                    document.filename,
                    self._titles,
                )

    async def _fail(self, document: Document, error: Exception) -> bool:
        text = plain_text(str(error) or type(error).__name__, LONGEST_ERROR)
        if isinstance(error, TimeoutError):
            text = f"it took longer than {timeout_for(document.file_size):.0f} s"
        self._ctx.log.warning("%s (%s) failed: %s", document.id, document.filename, text)
        try:
            await self._processing.mark_failed(document.id, self._ctx.task_id, text)
        except ClaimLost:
            return False
        return True

    async def _count_waiting(self) -> None:
        intake = await self._processing.intake(collection_id=self._params.collection_id)
        self._waiting = intake.pending_count

    def _total(self) -> int:
        return self._done + self._under_way + self._waiting

    async def _tell(self, message: str) -> None:
        await self._ctx.progress(current=self._done, total=self._total(), message=message)


def timeout_for(size: int) -> float:
    """How long a document of so many bytes may take, in seconds."""
    return DOCUMENT_TIMEOUT + MEGABYTE_TIMEOUT * size / 1_000_000


def extract_document(
    content: bytes, file_type: str, filename: str, titles: list[str]
) -> Extraction:
    """Take from a document all that it says. In a child process."""
    from .methods.extract import extract  # noqa: PLC0415 - only the child needs what this loads

    return extract(content, file_type, filename, known_titles=titles)


def _summed_up(documents: list[Document]) -> ProcessedDocuments:
    """Make the result. Raises NothingDone if there were documents and all of them failed."""
    failed = [document for document in documents if document.status is DocumentStatus.FAILED]
    processed, total = len(documents) - len(failed), len(documents)
    if failed and not processed:
        reasons = "; ".join(f"{each.filename}: {each.error}" for each in failed[:5])
        more = f"; and {total - 5} more" if total > 5 else ""
        raise NothingDone(f"All {total} documents failed: {reasons}{more}")
    message = f"Processed {processed} of {total} documents" if total else "No pending documents"
    if failed:
        message += f", {len(failed)} failed"
    return ProcessedDocuments(
        processed=processed,
        failed=len(failed),
        total=total,
        message=message,
        documents=[_outcome(document) for document in documents],
    )


def _outcome(document: Document) -> DocumentOutcome:
    completed = document.status is DocumentStatus.COMPLETED
    return DocumentOutcome(
        document_id=document.id,
        filename=document.filename,
        status="completed" if completed else "failed",
        error=document.error,
    )
