# Written by `python -m tests.client_twins`: change its twin, async_client.py, and run that.

"""The client for programs that block."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self, TypeVar, overload

import httpx2

from . import calls, models
from . import library_models as library
from .connection import Connection
from .errors import ClientError
from .follower import Follower
from .settings import Settings, not_ready
from .waiting import Tasks, wait_for_end
from .webhooks import Webhooks

T = TypeVar("T")


class Client:
    """A Cortex task server, from afar. Enter it, and leave it when nothing more is asked.

    url: where the server is, with the prefix under which it is mounted, if it is; without, what
    CORTEX_TASKS_URL says, or http://127.0.0.1:8000. key: the API key; without, what
    CORTEX_TASKS_API_KEY says. timeout: seconds for an answer, beside those for which it is asked to
    be held back. repeats: how often a call is repeated that got no answer, or was told to come
    again: one that reads, or that carries an idempotency key, which the client makes itself.
    transport: what carries the requests (one of httpx2's, or of your own).

    Every call raises a ClientError for what is no good answer: see `errors`. Leaving a call
    cancels nothing on the server.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout: float = 30.0,
        repeats: int = 3,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        settings = Settings(url, key, timeout=timeout, repeats=repeats)
        self.connection = Connection(settings, transport)
        self.webhooks = Webhooks(self.connection)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    @property
    def url(self) -> str:
        """Where the server is, without a user and a password."""
        return self.connection.settings.url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections; closing twice is fine."""
        self.connection.close()

    # -- tasks -----------------------------------------------------------------------------------

    def submit(
        self,
        task_type: str,
        params: Any = None,
        *,
        delay: float | None = None,
        run_at: datetime | None = None,
        priority: int | None = None,
        dedupe_key: str | None = None,
        then: Iterable[str | Mapping[str, Any]] | None = None,
        idempotency_key: str | None = None,
    ) -> models.SubmittedTask:
        """Submit a task of a type that no operation starts; it is kept once this returns.

        params: what the type takes, an object as a mapping or a struct; what JSON has not (NaN) is
        refused as an UnusableSetting. then: the steps that follow it.
        """
        return self.connection.carry_out(
            calls.submit(
                task_type,
                params,
                delay=delay,
                run_at=run_at,
                priority=priority,
                dedupe_key=dedupe_key,
                then=then,
                idempotency_key=idempotency_key,
            )
        )

    def list_tasks(
        self,
        *,
        q: str | None = None,
        status: str | None = None,
        task_type: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
        cursor: str | None = None,
    ) -> models.TaskPage:
        """List tasks, newest first; `q` is a search (`type:a,b status:failed older:1h words`).

        cursor: in place of an offset, "start" and then the `next` of the page before.
        """
        return self.connection.carry_out(
            calls.list_tasks(
                q=q,
                status=status,
                task_type=task_type,
                limit=limit,
                offset=offset,
                cursor=cursor,
            )
        )

    def iterate_tasks(
        self,
        *,
        q: str | None = None,
        status: str | None = None,
        task_type: str | None = None,
        page_size: int = 100,
    ) -> Tasks:
        """Give every task that matches, newest first, page by page.

        None comes twice or is left out, whatever is submitted or cleaned up meanwhile.
        """
        return Tasks(self.connection, page_size, q=q, status=status, task_type=task_type)

    def get_task(self, task_id: str, *, wait: float | None = None) -> models.TaskDetail:
        """Show a task; with `wait`, once it has changed or so many seconds (up to 60) are over."""
        return self.connection.carry_out(calls.get_task(task_id, wait=wait))

    @overload
    def result(self, task_id: str) -> Any: ...

    @overload
    def result(self, task_id: str, type: type[T]) -> T: ...

    def result(self, task_id: str, type: Any = Any) -> Any:
        """Give the result of a task, as `type` if one is given.

        Raises NotReady while there is none, TaskHasNoResult if the task failed or was cancelled.
        """
        answer = self.connection.ask(calls.get_result(task_id))
        if answer.status == 202:
            raise not_ready(answer)
        return answer.read(type)

    def get_log(self, task_id: str) -> models.TaskLog:
        """Give the newest lines that a task's body has written."""
        return self.connection.carry_out(calls.get_log(task_id))

    def wait(
        self, task_id: str, *, timeout: float | None = None, patience: float = 60.0
    ) -> models.TaskDetail:
        """Wait until the task has ended, however it did, over restarts of the server.

        timeout: seconds until WaitTimedOut, or until what kept the server away if it never showed
        the task; an answer under way then has 2 s more. patience: seconds for which the server may
        be away; `repeats` counts for nothing here.
        """
        return wait_for_end(self.connection, task_id, timeout=timeout, patience=patience)

    def follow(
        self,
        task_id: str | None = None,
        *,
        q: str | None = None,
        status: str | None = None,
        task_type: str | None = None,
        last_event_id: int | None = None,
        patience: float = 60.0,
        on_interruption: Callable[[ClientError], object] | None = None,
    ) -> Follower:
        """Give each change of a task, or of all that match as in `list_tasks`, as it happens.

        Use it as `with client.follow(task_id) as changes: for event in changes: …`.
        Of one task the last event is an Ended. last_event_id: go on after this `seq`. patience:
        seconds for which the server may be away. on_interruption: told when it goes away. Raises
        UnusableSetting for a task and a filter: one task is followed whatever it is like.
        """
        return Follower(
            self.connection,
            task_id,
            calls.followed(task_id, q=q, status=status, task_type=task_type),
            last_event_id=last_event_id,
            patience=patience,
            on_interruption=on_interruption,
        )

    def cancel(self, task_id: str) -> models.Stopped:
        """Cancel a task; when this returns, it has stopped, unless `stopped` says otherwise."""
        return self.connection.carry_out(calls.cancel(task_id))

    def retry(self, task_id: str) -> models.Task:
        """Have a failed or cancelled task tried again, under its id."""
        return self.connection.carry_out(calls.retry(task_id))

    def clean_up(self, *, max_age_hours: float | None = None) -> models.CleanedUp:
        """Forget tasks that ended longer ago (without it: a day)."""
        return self.connection.carry_out(calls.clean_up(max_age_hours=max_age_hours))

    def bulk_cancel(
        self,
        *,
        q: str | None = None,
        status: str | None = None,
        task_type: str | None = None,
        ids: Iterable[str] | None = None,
        dry_run: bool = False,
    ) -> models.Bulk:
        """Cancel all tasks that match; with `dry_run`, only say which."""
        return self.connection.carry_out(
            calls.bulk("cancel", q=q, status=status, task_type=task_type, ids=ids, dry_run=dry_run)
        )

    def bulk_retry(
        self,
        *,
        q: str | None = None,
        status: str | None = None,
        task_type: str | None = None,
        ids: Iterable[str] | None = None,
        dry_run: bool = False,
    ) -> models.Bulk:
        """Have all tasks that match tried again; with `dry_run`, only say which."""
        return self.connection.carry_out(
            calls.bulk("retry", q=q, status=status, task_type=task_type, ids=ids, dry_run=dry_run)
        )

    def list_task_types(self) -> models.TaskTypes:
        """List the task types, and how it stands with each."""
        return self.connection.carry_out(calls.list_task_types())

    def pause(self, task_type: str) -> models.TaskTypeState:
        """Start no more tasks of a type; those that run go on."""
        return self.connection.carry_out(calls.set_paused(task_type, paused=True))

    def resume(self, task_type: str) -> models.TaskTypeState:
        """Start tasks of a type again."""
        return self.connection.carry_out(calls.set_paused(task_type, paused=False))

    def overview(self) -> models.Overview:
        """Show counts, what runs, the last hour, health."""
        return self.connection.carry_out(calls.overview())

    def health(self) -> models.Health:
        """Tell whether the server can do its work; needs no key."""
        return self.connection.carry_out(calls.health())

    # -- operations ------------------------------------------------------------------------------

    def process_pending(
        self,
        *,
        concurrency: int | None = None,
        collection_id: str | None = None,
        chain: Iterable[str] | None = None,
        idempotency_key: str | None = None,
    ) -> library.Started:
        """Process the documents that wait; `task_id` is None if none does."""
        return self.connection.carry_out(
            calls.process_pending(
                concurrency=concurrency,
                collection_id=collection_id,
                chain=chain,
                idempotency_key=idempotency_key,
            )
        )

    def analyze(
        self,
        *,
        mode: Literal["incremental", "rebuild"] | None = None,
        collection_id: str | None = None,
        chain: Iterable[str] | None = None,
        idempotency_key: str | None = None,
    ) -> library.Started:
        """Find relationships across documents."""
        return self.connection.carry_out(
            calls.analyze(
                mode=mode,
                collection_id=collection_id,
                chain=chain,
                idempotency_key=idempotency_key,
            )
        )

    def detect(
        self,
        *,
        min_size: int | None = None,
        collection_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> library.Started:
        """Detect communities."""
        return self.connection.carry_out(
            calls.detect(
                min_size=min_size, collection_id=collection_id, idempotency_key=idempotency_key
            )
        )

    def summarize(
        self,
        *,
        community_ids: Iterable[int | str] | None = None,
        force_regenerate: bool | None = None,
        idempotency_key: str | None = None,
    ) -> library.Started:
        """Name and summarise communities: all, or those that are named."""
        return self.connection.carry_out(
            calls.summarize(
                community_ids=community_ids,
                force_regenerate=force_regenerate,
                idempotency_key=idempotency_key,
            )
        )

    def abort(self) -> library.Aborted:
        """Stop every task of the four types."""
        return self.connection.carry_out(calls.abort())

    def instance_status(self) -> library.InstanceStatus:
        """Tell whether a restart now would interrupt anyone's work."""
        return self.connection.carry_out(calls.instance_status())

    # -- documents -------------------------------------------------------------------------------

    def upload(
        self,
        file: Path | bytes | IO[bytes],
        *,
        filename: str | None = None,
        collection_id: str | None = None,
        source: str | None = None,
        start_processing: bool | None = None,
        idempotency_key: str | None = None,
    ) -> library.UploadedDocument:
        """Take in a file: its path, or its content with a `filename`.

        Raises Conflict if a document of this name and content is there already.
        """
        return self.connection.carry_out(
            calls.upload(
                calls.file_of(file, filename),
                collection_id=collection_id,
                source=source,
                start_processing=start_processing,
                idempotency_key=idempotency_key,
            )
        )

    def add_text(
        self,
        content: str,
        *,
        title: str | None = None,
        answer: str | None = None,
        input_type: Literal["text", "markdown", "qa_pair"] | None = None,
        collection_id: str | None = None,
        start_processing: bool | None = None,
        idempotency_key: str | None = None,
    ) -> library.UploadedDocument:
        """Take in a text, or a question with its answer."""
        return self.connection.carry_out(
            calls.add_text(
                content,
                title=title,
                answer=answer,
                input_type=input_type,
                collection_id=collection_id,
                start_processing=start_processing,
                idempotency_key=idempotency_key,
            )
        )

    def list_documents(
        self,
        *,
        status: str | None = None,
        collection_id: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> library.DocumentPage:
        """List documents, newest first."""
        return self.connection.carry_out(
            calls.list_documents(
                status=status, collection_id=collection_id, limit=limit, offset=offset
            )
        )

    def list_pending(
        self, *, collection_id: str | None = None, limit: int | None = None
    ) -> library.PendingDocuments:
        """List the documents that wait to be processed, oldest first."""
        return self.connection.carry_out(
            calls.list_pending(collection_id=collection_id, limit=limit)
        )

    def get_document(self, document_id: str) -> library.Document:
        """Show a document."""
        return self.connection.carry_out(calls.get_document(document_id))

    def get_text(self, document_id: str) -> library.DocumentText:
        """Give a document's text."""
        return self.connection.carry_out(calls.get_text(document_id))

    def download(self, document_id: str) -> bytes:
        """Give a document's very bytes."""
        return self.connection.carry_out(calls.download(document_id))

    def delete_document(self, document_id: str) -> library.DeletedDocument:
        """Delete a document, with all that only it said."""
        return self.connection.carry_out(calls.delete_document(document_id))

    # -- graph -----------------------------------------------------------------------------------

    def list_entities(
        self,
        *,
        entity_type: str | None = None,
        search: str | None = None,
        limit: int | None = None,
        skip: int | None = None,
    ) -> library.EntityPage:
        """List entities, most mentioned first."""
        return self.connection.carry_out(
            calls.list_entities(entity_type=entity_type, search=search, limit=limit, skip=skip)
        )

    def get_entity(self, name: str) -> library.EntityDetail:
        """Show an entity with its relationships and the documents that mention it."""
        return self.connection.carry_out(calls.get_entity(name))

    def get_picture(self, *, limit: int | None = None) -> library.Picture:
        """Give nodes and edges to draw."""
        return self.connection.carry_out(calls.get_picture(limit=limit))

    def graph_status(self) -> library.GraphStatus:
        """Tell what the graph holds and when it was last worked on."""
        return self.connection.carry_out(calls.graph_status())

    def stats(self) -> library.Stats:
        """Count everything."""
        return self.connection.carry_out(calls.stats())

    # -- communities -----------------------------------------------------------------------------

    def list_communities(
        self,
        *,
        collection_id: str | None = None,
        limit: int | None = None,
        offset: int | None = None,
    ) -> library.CommunityPage:
        """List communities, largest first."""
        return self.connection.carry_out(
            calls.list_communities(collection_id=collection_id, limit=limit, offset=offset)
        )

    def search_communities(
        self, query: str, *, limit: int | None = None
    ) -> library.CommunitySearch:
        """Find communities by words."""
        return self.connection.carry_out(calls.search_communities(query, limit=limit))

    def get_community(self, community_id: int | str) -> library.CommunityDetail:
        """Show a community (5 or "comm_5") with its members."""
        return self.connection.carry_out(calls.get_community(community_id))

    def list_community_entities(
        self, community_id: int | str, *, limit: int | None = None, offset: int | None = None
    ) -> library.EntityPage:
        """List a community's members, strongest first: `get_community` gives the first 200."""
        return self.connection.carry_out(
            calls.list_community_entities(community_id, limit=limit, offset=offset)
        )

    def list_community_documents(
        self, community_id: int | str, *, limit: int | None = None, offset: int | None = None
    ) -> library.DocumentPage:
        """List the documents that speak of its members: `get_community` gives the first 50."""
        return self.connection.carry_out(
            calls.list_community_documents(community_id, limit=limit, offset=offset)
        )

    def delete_community(self, community_id: int | str) -> library.DeletedCommunities:
        """Delete a community; its entities stay."""
        return self.connection.carry_out(calls.delete_community(community_id))

    def delete_communities(self, *, collection_id: str | None = None) -> library.DeletedCommunities:
        """Delete all communities, or those of a collection; their entities stay."""
        return self.connection.carry_out(calls.delete_communities(collection_id=collection_id))
