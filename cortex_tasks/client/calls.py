"""Every call to a server as data: what is asked, and what the answer is. No network in here."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path, PurePath
from typing import IO, Any, Generic, TypeVar

import msgspec

from . import library_models as library
from . import models
from .errors import NotUnderstood, UnusableSetting
from .sending import in_path, seconds

T = TypeVar("T")

# Of a cancel: it is answered only once the body has stopped or its grace is over.
SLOW = 60.0


class File(msgspec.Struct, frozen=True):
    """A file to send, from where it is open now."""

    name: str
    content: bytes | IO[bytes]


class Call(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One call. `answer` is the type of what comes back; None: its bytes."""

    method: str
    path: str
    answer: Any
    query: Mapping[str, Any] = {}
    body: Mapping[str, Any] | None = None  # the parameters, as JSON
    file: File | None = None
    idempotent: bool = False  # whether the server heeds an Idempotency-Key
    idempotency_key: str | None = None  # the caller's own
    seconds: float = 0.0  # that the server may hold the answer back, on purpose
    also_good: tuple[int, ...] = ()  # statuses besides 2xx that are an answer


class Answer(msgspec.Struct, frozen=True):
    """What the server said."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def read(self, shape: type[T]) -> T:
        """Decode the content; raises NotUnderstood if it is not that."""
        try:
            return msgspec.json.decode(self.content, type=shape)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise NotUnderstood(
                f"the server's answer is not one that this version understands: {error}"
            ) from None


def file_of(file: Path | bytes | IO[bytes], name: str | None) -> File:
    """Give the file to send. Raises OSError for a path that cannot be read."""
    if isinstance(file, Path):
        return File(_sendable(name or file.name), file.read_bytes())
    named = name or PurePath(str(getattr(file, "name", ""))).name
    if not named:
        raise UnusableSetting("a content without a name needs a `filename`")
    return File(_sendable(named), file)


def _sendable(name: str) -> str:
    """A file's name need not be Unicode; what goes over the wire must be."""
    try:
        return os.fsencode(name).decode(sys.getfilesystemencoding(), "replace")
    except UnicodeEncodeError:
        raise UnusableSetting(f"{name!r} can be no file's name") from None


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def path_of_task(task_id: str, more: str = "") -> str:
    """Give the path of a task, or of what there is `more` about it. Raises UnusableSetting."""
    return f"/api/tasks/{in_path(task_id, 'events', 'bulk', 'cleanup')}{more}"


def _document(document_id: str, more: str = "") -> str:
    return f"/api/documents/{in_path(document_id, 'pending', 'process-pending')}{more}"


def _community(community_id: int | str) -> str:
    return f"/api/graph/communities/{in_path(str(community_id), 'search', 'detect', 'summarize')}"


def followed(task_id: str | None, **filters: str | None) -> dict[str, str]:
    """Give the query that follows one task, or all that pass. Raises UnusableSetting for both."""
    query = _given(**filters)
    if query and task_id is not None:
        names = ", ".join(query)
        raise UnusableSetting(f"{names}: one task is followed, whatever it is like, or a filter")
    return query


# -- tasks ---------------------------------------------------------------------------------------


def submit(
    task_type: str,
    params: Any = None,
    *,
    delay: float | None = None,
    run_at: datetime | None = None,
    priority: int | None = None,
    dedupe_key: str | None = None,
    then: Iterable[str | Mapping[str, Any]] | None = None,
    idempotency_key: str | None = None,
) -> Call[models.SubmittedTask]:
    """Submit a task of a type that no operation starts."""
    body = _given(
        task_type=task_type,
        params=params,
        delay=delay,
        run_at=run_at,
        priority=priority,
        dedupe_key=dedupe_key,
        then=None if then is None else list(then),
    )
    return Call(
        method="POST",
        path="/api/tasks",
        body=body,
        answer=models.SubmittedTask,
        idempotent=True,
        idempotency_key=idempotency_key,
    )


def list_tasks(
    *,
    q: str | None = None,
    status: str | None = None,
    task_type: str | None = None,
    limit: int | None = None,
    offset: int | None = None,
    cursor: str | None = None,
) -> Call[models.TaskPage]:
    """List tasks, newest first."""
    query = _given(
        q=q, status=status, task_type=task_type, limit=limit, offset=offset, cursor=cursor
    )
    return Call(method="GET", path="/api/tasks", query=query, answer=models.TaskPage)


def get_task(task_id: str, *, wait: float | None = None) -> Call[models.TaskDetail]:
    """Show a task; with `wait`, once it has changed or so many seconds are over."""
    return Call(
        method="GET",
        path=path_of_task(task_id),
        query=_given(wait=wait),
        seconds=seconds("wait", wait or 0.0),
        answer=models.TaskDetail,
    )


def get_result(task_id: str) -> Call[Any]:
    """Give the result of a task."""
    return Call(method="GET", path=path_of_task(task_id, "/result"), answer=Any)


def get_log(task_id: str) -> Call[models.TaskLog]:
    """Give the newest lines that a task's body has written."""
    return Call(method="GET", path=path_of_task(task_id, "/log"), answer=models.TaskLog)


def cancel(task_id: str) -> Call[models.Stopped]:
    """Cancel a task."""
    return Call(method="DELETE", path=path_of_task(task_id), seconds=SLOW, answer=models.Stopped)


def retry(task_id: str) -> Call[models.Task]:
    """Have a failed or cancelled task tried again."""
    return Call(method="POST", path=path_of_task(task_id, "/retry"), answer=models.Task)


def clean_up(*, max_age_hours: float | None = None) -> Call[models.CleanedUp]:
    """Forget tasks that ended long ago."""
    body = _given(max_age_hours=max_age_hours)
    return Call(method="POST", path="/api/tasks/cleanup", body=body, answer=models.CleanedUp)


def bulk(
    what: str,
    *,
    q: str | None = None,
    status: str | None = None,
    task_type: str | None = None,
    ids: Iterable[str] | None = None,
    dry_run: bool = False,
) -> Call[models.Bulk]:
    """Cancel or retry all tasks that match."""
    body = _given(
        q=q,
        status=status,
        task_type=task_type,
        ids=None if ids is None else list(ids),
        dry_run=dry_run,
    )
    return Call(
        method="POST", path=f"/api/tasks/bulk/{what}", body=body, seconds=SLOW, answer=models.Bulk
    )


def list_task_types() -> Call[models.TaskTypes]:
    """List the task types."""
    return Call(method="GET", path="/api/task-types", answer=models.TaskTypes)


def set_paused(task_type: str, *, paused: bool) -> Call[models.TaskTypeState]:
    """Start no more tasks of a type, or go on."""
    path = f"/api/task-types/{in_path(task_type)}/{'pause' if paused else 'resume'}"
    return Call(method="POST", path=path, answer=models.TaskTypeState)


def overview() -> Call[models.Overview]:
    """Show what a first look should show."""
    return Call(method="GET", path="/api/overview", answer=models.Overview)


def health() -> Call[models.Health]:
    """Tell whether the server can do its work."""
    return Call(method="GET", path="/health", answer=models.Health, also_good=(503,))


# -- operations ----------------------------------------------------------------------------------


def _start(path: str, idempotency_key: str | None, **params: Any) -> Call[library.Started]:
    return Call(
        method="POST",
        path=path,
        body=_given(**params),
        answer=library.Started,
        idempotent=True,
        idempotency_key=idempotency_key,
    )


def process_pending(
    *,
    concurrency: int | None = None,
    collection_id: str | None = None,
    chain: Iterable[str] | None = None,
    idempotency_key: str | None = None,
) -> Call[library.Started]:
    """Process the documents that wait."""
    return _start(
        "/api/documents/process-pending",
        idempotency_key,
        concurrency=concurrency,
        collection_id=collection_id,
        chain=None if chain is None else list(chain),
    )


def analyze(
    *,
    mode: str | None = None,
    collection_id: str | None = None,
    chain: Iterable[str] | None = None,
    idempotency_key: str | None = None,
) -> Call[library.Started]:
    """Find relationships across documents."""
    return _start(
        "/api/graph/relationships/analyze",
        idempotency_key,
        mode=mode,
        collection_id=collection_id,
        chain=None if chain is None else list(chain),
    )


def detect(
    *,
    min_size: int | None = None,
    collection_id: str | None = None,
    idempotency_key: str | None = None,
) -> Call[library.Started]:
    """Detect communities."""
    return _start(
        "/api/graph/communities/detect",
        idempotency_key,
        min_size=min_size,
        collection_id=collection_id,
    )


def summarize(
    *,
    community_ids: Iterable[int | str] | None = None,
    force_regenerate: bool | None = None,
    idempotency_key: str | None = None,
) -> Call[library.Started]:
    """Name and summarise communities."""
    return _start(
        "/api/graph/communities/summarize",
        idempotency_key,
        community_ids=None if community_ids is None else list(community_ids),
        force_regenerate=force_regenerate,
    )


def abort() -> Call[library.Aborted]:
    """Stop every task of the four types."""
    path = "/api/graph/generation/abort"
    return Call(method="POST", path=path, seconds=SLOW, answer=library.Aborted)


def instance_status() -> Call[library.InstanceStatus]:
    """Tell whether a restart now would interrupt anyone's work."""
    return Call(method="GET", path="/api/instance/status", answer=library.InstanceStatus)


# -- documents -----------------------------------------------------------------------------------


def upload(
    file: File,
    *,
    collection_id: str | None = None,
    source: str | None = None,
    start_processing: bool | None = None,
    idempotency_key: str | None = None,
) -> Call[library.UploadedDocument]:
    """Take in a file."""
    return Call(
        method="POST",
        path="/api/upload",
        query=_given(collection_id=collection_id, source=source, start_processing=start_processing),
        file=file,
        answer=library.UploadedDocument,
        idempotent=True,
        idempotency_key=idempotency_key,
    )


def add_text(
    content: str,
    *,
    title: str | None = None,
    answer: str | None = None,
    input_type: str | None = None,
    collection_id: str | None = None,
    start_processing: bool | None = None,
    idempotency_key: str | None = None,
) -> Call[library.UploadedDocument]:
    """Take in a text."""
    body = _given(
        content=content,
        title=title,
        answer=answer,
        input_type=input_type,
        collection_id=collection_id,
        start_processing=start_processing,
    )
    return Call(
        method="POST",
        path="/api/custom-input",
        body=body,
        answer=library.UploadedDocument,
        idempotent=True,
        idempotency_key=idempotency_key,
    )


def list_documents(
    *,
    status: str | None = None,
    collection_id: str | None = None,
    limit: int | None = None,
    offset: int | None = None,
) -> Call[library.DocumentPage]:
    """List documents, newest first."""
    query = _given(status=status, collection_id=collection_id, limit=limit, offset=offset)
    return Call(method="GET", path="/api/documents", query=query, answer=library.DocumentPage)


def list_pending(
    *, collection_id: str | None = None, limit: int | None = None
) -> Call[library.PendingDocuments]:
    """List the documents that wait to be processed."""
    query = _given(collection_id=collection_id, limit=limit)
    path = "/api/documents/pending"
    return Call(method="GET", path=path, query=query, answer=library.PendingDocuments)


def get_document(document_id: str) -> Call[library.Document]:
    """Show a document."""
    path = _document(document_id)
    return Call(method="GET", path=path, answer=library.Document)


def get_text(document_id: str) -> Call[library.DocumentText]:
    """Give a document's text."""
    path = _document(document_id, "/content")
    return Call(method="GET", path=path, answer=library.DocumentText)


def download(document_id: str) -> Call[bytes]:
    """Give a document's very bytes."""
    path = _document(document_id, "/content")
    return Call(method="GET", path=path, query={"download": True}, answer=None)


def delete_document(document_id: str) -> Call[library.DeletedDocument]:
    """Delete a document."""
    path = _document(document_id)
    return Call(method="DELETE", path=path, answer=library.DeletedDocument)


# -- graph ---------------------------------------------------------------------------------------


def list_entities(
    *,
    entity_type: str | None = None,
    search: str | None = None,
    limit: int | None = None,
    skip: int | None = None,
) -> Call[library.EntityPage]:
    """List entities, most mentioned first."""
    query = _given(entity_type=entity_type, search=search, limit=limit, skip=skip)
    return Call(method="GET", path="/api/graph/entities", query=query, answer=library.EntityPage)


def get_entity(name: str) -> Call[library.EntityDetail]:
    """Show an entity."""
    path = f"/api/graph/entity/{in_path(name)}"
    return Call(method="GET", path=path, answer=library.EntityDetail)


def get_picture(*, limit: int | None = None) -> Call[library.Picture]:
    """Give nodes and edges to draw."""
    path = "/api/graph/visualization"
    return Call(method="GET", path=path, query=_given(limit=limit), answer=library.Picture)


def graph_status() -> Call[library.GraphStatus]:
    """Tell what the graph holds."""
    return Call(method="GET", path="/api/graph/status", answer=library.GraphStatus)


def stats() -> Call[library.Stats]:
    """Count everything."""
    return Call(method="GET", path="/api/stats", answer=library.Stats)


# -- communities ---------------------------------------------------------------------------------


def list_communities(
    *, collection_id: str | None = None, limit: int | None = None, offset: int | None = None
) -> Call[library.CommunityPage]:
    """List communities, largest first."""
    query = _given(collection_id=collection_id, limit=limit, offset=offset)
    path = "/api/graph/communities"
    return Call(method="GET", path=path, query=query, answer=library.CommunityPage)


def search_communities(query: str, *, limit: int | None = None) -> Call[library.CommunitySearch]:
    """Find communities by words."""
    path = "/api/graph/communities/search"
    asked = _given(query=query, limit=limit)
    return Call(method="GET", path=path, query=asked, answer=library.CommunitySearch)


def get_community(community_id: int | str) -> Call[library.CommunityDetail]:
    """Show a community."""
    path = _community(community_id)
    return Call(method="GET", path=path, answer=library.CommunityDetail)


def list_community_entities(
    community_id: int | str, *, limit: int | None = None, offset: int | None = None
) -> Call[library.EntityPage]:
    """List a community's members, strongest first."""
    path = f"{_community(community_id)}/entities"
    query = _given(limit=limit, offset=offset)
    return Call(method="GET", path=path, query=query, answer=library.EntityPage)


def list_community_documents(
    community_id: int | str, *, limit: int | None = None, offset: int | None = None
) -> Call[library.DocumentPage]:
    """List the documents that speak of a community's members, most first."""
    path = f"{_community(community_id)}/documents"
    query = _given(limit=limit, offset=offset)
    return Call(method="GET", path=path, query=query, answer=library.DocumentPage)


def delete_community(community_id: int | str) -> Call[library.DeletedCommunities]:
    """Delete a community."""
    path = _community(community_id)
    return Call(method="DELETE", path=path, answer=library.DeletedCommunities)


def delete_communities(*, collection_id: str | None = None) -> Call[library.DeletedCommunities]:
    """Delete all communities."""
    query = _given(collection_id=collection_id)
    path = "/api/graph/communities"
    return Call(method="DELETE", path=path, query=query, answer=library.DeletedCommunities)
