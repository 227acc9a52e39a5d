"""How documents come in: as a file in a form, or as text in JSON."""

from __future__ import annotations

import logging
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, Literal

import msgspec
from starlette.datastructures import UploadFile
from starlette.requests import Request

from ..engine.errors import CortexTasksError
from ..jobs.library.errors import DuplicateDocument, EmptyDocument
from ..jobs.model import Document, DocumentStatus
from ..jobs.operations import ProcessingStarted
from .bodies import Body
from .calls import Answer, Call, encode
from .envelope import HEADERS
from .idempotency import digest
from .parameters import Parameters
from .problems import FieldError, Problem, invalid_parameters

# What it warns of is answered, with a 400; whoever may upload could fill the log with it.
logging.getLogger("python_multipart").setLevel(logging.ERROR)

MAX_FIELDS = 16
MAX_FIELD_SIZE = 16 * 1024  # bytes
LONGEST_TITLE = 120  # characters of a title that become a filename


class UploadOptions(msgspec.Struct, frozen=True):
    """What to note of an uploaded file, and whether to process it at once."""

    collection_id: str | None = None
    source: str | None = None
    start_processing: bool = True


class CustomInput(msgspec.Struct, frozen=True, kw_only=True):
    """A text that was typed rather than uploaded; of a question, `answer` is the answer."""

    input_type: Literal["text", "markdown", "qa_pair"] = "text"
    content: str
    answer: str | None = None
    title: str | None = None
    collection_id: str | None = None
    start_processing: bool = True


class Taken(msgspec.Struct, frozen=True):
    """The document as it was taken in; `task_id` is the task that processes it, if one does."""

    document_id: str
    id: str
    filename: str
    status: DocumentStatus
    message: str
    source: str | None
    task_id: str | None


_OPTIONS = Parameters(UploadOptions)


async def upload(call: Call[None]) -> Answer:
    """Take in the file of a form."""
    kind = call.scope[HEADERS].get(b"content-type", b"").partition(b";")[0].strip().lower()
    if kind != b"multipart/form-data":
        raise Problem(
            415, "Not a form", "Send the file as `multipart/form-data`, in the field `file`."
        )
    body = Body(call.scope, call.receive, call.services.limits["form"])
    request = Request(call.scope, body.receive)
    with body.in_time():
        form = await request.form(max_files=1, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD_SIZE)
    try:
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        options = _OPTIONS.read_form(call.scope["query_string"], fields)
        file = form.get("file")
        if not isinstance(file, UploadFile) or not file.filename:
            raise invalid_parameters(FieldError(("body", "file"), "A file with a name is required"))
        call.services.limits["large"].check(file.size or 0)
        # From the disk into memory, and into the library, a few at a time.
        async with call.services.storing:
            intake = _Intake(call, start=options.start_processing)
            document = await intake.add(
                await file.read(),
                filename=_last_part(file.filename),
                collection_id=options.collection_id,
                source=options.source,
            )
    finally:
        await form.close()
    return await intake.answer(document)


async def take_text(call: Call[CustomInput]) -> Answer:
    """Take in a text."""
    given = call.params
    text, ending = given.content, "txt" if given.input_type == "text" else "md"
    title = " ".join((given.title or given.content).split())[:LONGEST_TITLE].strip(" .")
    filename = f"{title.replace('/', '-') or 'untitled'}.{ending}"
    if not text.strip():
        raise EmptyDocument(filename)
    if given.input_type == "qa_pair":
        if given.answer is None:
            missing = FieldError(("body", "answer"), "A question needs its answer")
            raise invalid_parameters(missing)
        text = f"# {text.strip()}\n\n{given.answer.strip()}\n"
    async with call.services.storing:
        intake = _Intake(call, start=given.start_processing)
        document = await intake.add(
            text.encode(errors="replace"),
            filename=filename,
            collection_id=given.collection_id,
            source="custom_input",
        )
    return await intake.answer(document)


def _last_part(filename: str) -> str:
    """Some clients send the whole path, of one kind of system or another."""
    return PurePosixPath(PureWindowsPath(filename).name).name or filename


class _Intake:
    """One document on its way in, and the task that processes it, once for each key."""

    def __init__(self, call: Call[Any], *, start: bool) -> None:
        self._services = call.services
        self._start = start
        self._key = call.idempotency_key
        self._asked: list[str | bool | None] = []
        self._came_before = False  # with its key, and is here

    async def add(
        self, content: bytes, *, filename: str, collection_id: str | None, source: str | None
    ) -> Document:
        """Keep the document, or find it, if this request came before."""
        documents = self._services.library.documents
        known = False
        if self._key is not None:
            content_digest = await digest(content)
            self._asked = [
                "take_in", content_digest, filename, collection_id, source, self._start,
            ]  # fmt: skip
            earlier = await self._services.engine.task_of_request(self._key, self._asked)
            known = earlier is not None
        try:
            document = await documents.add(
                content, filename=filename, collection_id=collection_id, source=source
            )
        except DuplicateDocument as duplicate:
            if not known:
                raise
            self._came_before = True
            return await documents.get(duplicate.document_id)
        if known:  # it was deleted since, and is taken in anew, by another task
            self._key = None
        return document

    async def answer(self, document: Document) -> Answer:
        """Answer for a document that is on disk; its processing may fail to start without harm."""
        message, task_id = "Document uploaded; it waits to be processed", None
        if self._start:
            try:
                started = await self._services.operations.process_pending(
                    idempotency_key=self._key, asked=self._asked
                )
                task_id = started.task_id if isinstance(started, ProcessingStarted) else None
                message = "Document uploaded; it is being processed"
            except CortexTasksError as error:
                message = f"Document uploaded; it waits, as processing could not start: {error}"
        if self._came_before:
            message = "Document uploaded by this request before; nothing was done again"
        taken = Taken(
            document_id=document.id,
            id=document.id,
            filename=document.filename,
            status=document.status,
            message=message,
            source=document.source,
            task_id=task_id,
        )
        return Answer(encode(taken))
