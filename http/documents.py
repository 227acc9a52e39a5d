"""The calls about documents, except how they come in."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from urllib.parse import quote

import msgspec
from msgspec import Meta

from ..jobs.model import Document, DocumentStatus
from .calls import Answer, Call, Media, encode
from .parameters import alias


class DocumentView(msgspec.Struct, frozen=True):
    """A document as clients see it, some of its fields under two names."""

    id: str
    document_id: str
    filename: str
    file_type: str
    file_size: int
    upload_date: datetime
    collection_id: str | None
    source: str | None
    status: DocumentStatus
    processing_status: DocumentStatus
    error: str | None
    error_message: str | None
    chunk_count: int
    entity_count: int


class DocumentList(msgspec.Struct, frozen=True):
    """Some documents, and how many match in all."""

    documents: list[DocumentView]
    total: int
    limit: int
    offset: int


class PendingList(msgspec.Struct, frozen=True):
    """Documents that wait to be processed, oldest first; the count is of all of them."""

    pending_count: int
    documents: list[DocumentView]


class ContentView(msgspec.Struct, frozen=True):
    """A document's text; bytes that are no UTF-8 are shown as U+FFFD."""

    id: str
    document_id: str
    filename: str
    file_type: str
    content: str


class DocumentDeleted(msgspec.Struct, frozen=True):
    """What is gone."""

    id: str
    document_id: str
    deleted: bool
    message: str


CONTENT = Media("application/octet-stream", "With `download`: the very bytes, as a file.")


class DocumentFilter(msgspec.Struct, frozen=True):
    """Which documents to list; an unknown status or collection matches none."""

    status: Annotated[str | None, Meta(extra=alias("processing_status"))] = None
    collection_id: str | None = None
    limit: Annotated[int, Meta(ge=0)] = 50
    offset: Annotated[int, Meta(ge=0, extra=alias("skip"))] = 0


class PendingFilter(msgspec.Struct, frozen=True):
    """Which waiting documents to list."""

    collection_id: str | None = None
    limit: Annotated[int, Meta(ge=0)] = 100


class ContentForm(msgspec.Struct, frozen=True):
    """How to give the content: as JSON, or as the file that was uploaded."""

    download: bool = False


async def list_documents(call: Call[DocumentFilter]) -> Answer:
    """List documents, newest first."""
    wanted = call.params
    page = await call.services.library.documents.page(
        limit=wanted.limit,
        offset=wanted.offset,
        collection_id=wanted.collection_id,
        status=wanted.status,
    )
    views = [view(document) for document in page.documents]
    return Answer(encode(DocumentList(views, page.total, page.limit, page.offset)))


async def list_pending(call: Call[PendingFilter]) -> Answer:
    """List the documents that wait to be processed, oldest first."""
    pending = await call.services.library.documents.pending(
        limit=call.params.limit, collection_id=call.params.collection_id
    )
    views = [view(document) for document in pending.documents]
    return Answer(encode(PendingList(pending.pending_count, views)))


async def show_document(call: Call[None]) -> Answer:
    """Show one document, without its content."""
    document = await call.services.library.documents.get(call.path("document_id"))
    return Answer(encode(view(document)))


async def show_content(call: Call[ContentForm]) -> Answer:
    """Give a document's text, or its very bytes."""
    found = await call.services.library.documents.content(call.path("document_id"))
    document = found.document
    if call.params.download:
        # Never shown as a page: whoever uploaded it may not be who opens it.
        name = quote(document.filename, safe="")
        disposition = f"attachment; filename*=UTF-8''{name}".encode()
        return Answer(
            found.content,
            headers=((b"content-disposition", disposition),),
            content_type=b"application/octet-stream",
        )
    text = found.content.decode(errors="replace")
    shown = ContentView(document.id, document.id, document.filename, document.file_type, text)
    return Answer(encode(shown))


async def delete_document(call: Call[None]) -> Answer:
    """Delete a document, with all that only it said."""
    gone = await call.services.library.documents.delete(call.path("document_id"))
    message = f"Document {gone.filename!r} deleted"
    return Answer(encode(DocumentDeleted(gone.id, gone.id, True, message)))


def view(document: Document) -> DocumentView:
    """Show a document."""
    return DocumentView(
        id=document.id,
        document_id=document.id,
        filename=document.filename,
        file_type=document.file_type,
        file_size=document.file_size,
        upload_date=document.upload_date,
        collection_id=document.collection_id,
        source=document.source,
        status=document.status,
        processing_status=document.status,
        error=document.error,
        error_message=document.error,
        chunk_count=document.chunk_count,
        entity_count=document.entity_count,
    )
