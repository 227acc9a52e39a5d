"""How documents come in: as a file in a form, or as text in JSON."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath
from typing import Literal

import msgspec
from starlette.datastructures import UploadFile
from starlette.requests import Request

from ..engine.errors import CortexTasksError
from ..jobs.library.errors import EmptyDocument
from ..jobs.model import Document, DocumentStatus
from ..jobs.operations import ProcessingStarted
from .bodies import Body
from .calls import Answer, Call, encode
from .envelope import HEADERS
from .parameters import Parameters
from .problems import FieldError, Problem, invalid_parameters
from .services import Services

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
            document = await call.services.library.documents.add(
                await file.read(),
                filename=_last_part(file.filename),
                collection_id=options.collection_id,
                source=options.source,
            )
    finally:
        await form.close()
    return await _taken(call.services, document, start=options.start_processing)


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
        document = await call.services.library.documents.add(
            text.encode(errors="replace"),
            filename=filename,
            collection_id=given.collection_id,
            source="custom_input",
        )
    return await _taken(call.services, document, start=given.start_processing)


def _last_part(filename: str) -> str:
    """Some clients send the whole path, of one kind of system or another."""
    return PurePosixPath(PureWindowsPath(filename).name).name or filename


async def _taken(services: Services, document: Document, *, start: bool) -> Answer:
    """Answer for a document that is on disk; starting its processing may fail without harm."""
    message, task_id = "Document uploaded; it waits to be processed", None
    if start:
        try:
            started = await services.operations.process_pending()
            task_id = started.task_id if isinstance(started, ProcessingStarted) else None
            message = "Document uploaded; it is being processed"
        except CortexTasksError as error:
            message = f"Document uploaded; it waits, as processing could not start: {error}"
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
