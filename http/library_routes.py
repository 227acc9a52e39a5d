"""The route table, second part: what is served where there is a library."""

from __future__ import annotations

from ..jobs import operations as jobs
from ..jobs.library import DocumentRefused, DuplicateDocument, NotInLibrary
from ..jobs.library import views as library
from . import communities, documents, graph, operations, uploads
from .calls import Endpoint
from .keys import Permission
from .problems import Table

READ, MANAGE = Permission.READ, Permission.MANAGE

LIBRARY_PROBLEMS: Table = {
    DocumentRefused: (400, "Document refused"),
    DuplicateDocument: (409, "Document exists"),
    NotInLibrary: (404, "Not found"),
}

_OPERATIONS = (
    Endpoint(
        method="POST",
        path="/api/documents/process-pending",
        handler=operations.process_pending,
        permission=MANAGE,
        summary="Process the documents that wait",
        params=operations.ProcessParams,
        body="json",
        idempotent=True,
        answers=((200, jobs.ProcessingStarted), (200, jobs.NothingPending)),
    ),
    Endpoint(
        method="POST",
        path="/api/graph/relationships/analyze",
        handler=operations.analyze,
        permission=MANAGE,
        summary="Find relationships across documents",
        params=operations.AnalyzeParams,
        body="json",
        idempotent=True,
        answers=((200, jobs.Started),),
    ),
    Endpoint(
        method="POST",
        path="/api/graph/communities/detect",
        handler=operations.detect,
        permission=MANAGE,
        summary="Detect communities",
        params=operations.DetectParams,
        body="json",
        idempotent=True,
        answers=((200, jobs.Started),),
    ),
    Endpoint(
        method="POST",
        path="/api/graph/communities/summarize",
        handler=operations.summarize,
        permission=MANAGE,
        summary="Name and summarise communities",
        params=operations.SummarizeParams,
        body="json",
        idempotent=True,
        answers=((200, jobs.SummarizationStarted),),
    ),
    Endpoint(
        method="POST",
        path="/api/graph/generation/abort",
        handler=operations.abort,
        permission=MANAGE,
        summary="Stop every task of the four types",
        answers=((200, jobs.Aborted),),
    ),
    Endpoint(
        method="GET",
        path="/api/instance/status",
        handler=operations.show_instance,
        permission=MANAGE,
        summary="Tell whether a restart now would interrupt anyone's work",
        answers=((200, operations.InstanceView),),
    ),
)

_DOCUMENTS = (
    Endpoint(
        method="POST",
        path="/api/upload",
        handler=uploads.upload,
        permission=MANAGE,
        summary="Take in a file",
        params=uploads.UploadOptions,
        body="form",
        idempotent=True,
        answers=((200, uploads.Taken),),
        problems=(400, 409),
    ),
    Endpoint(
        method="POST",
        path="/api/custom-input",
        handler=uploads.take_text,
        permission=MANAGE,
        summary="Take in a text",
        params=uploads.CustomInput,
        body="large",
        idempotent=True,
        answers=((200, uploads.Taken),),
        problems=(400, 409),
    ),
    Endpoint(
        method="GET",
        path="/api/documents",
        handler=documents.list_documents,
        permission=READ,
        summary="List documents, newest first",
        params=documents.DocumentFilter,
        answers=((200, documents.DocumentList),),
    ),
    Endpoint(
        method="GET",
        path="/api/documents/pending",
        handler=documents.list_pending,
        permission=READ,
        summary="List the documents that wait to be processed, oldest first",
        params=documents.PendingFilter,
        answers=((200, documents.PendingList),),
    ),
    Endpoint(
        method="GET",
        path="/api/documents/{document_id}",
        handler=documents.show_document,
        permission=READ,
        summary="Show a document",
        answers=((200, documents.DocumentView),),
        problems=(404,),
    ),
    Endpoint(
        method="DELETE",
        path="/api/documents/{document_id}",
        handler=documents.delete_document,
        permission=MANAGE,
        summary="Delete a document, with all that only it said",
        answers=((200, documents.Deleted),),
        problems=(404,),
    ),
    Endpoint(
        method="GET",
        path="/api/documents/{document_id}/content",
        handler=documents.show_content,
        permission=READ,
        summary="Give a document's text; with `download`, its very bytes",
        params=documents.ContentForm,
        answers=((200, documents.ContentView),),
        problems=(404,),
    ),
)

_GRAPH = (
    Endpoint(
        method="GET",
        path="/api/graph/entities",
        handler=graph.list_entities,
        permission=READ,
        summary="List entities, most mentioned first",
        params=graph.EntityFilter,
        answers=((200, library.EntityPage),),
    ),
    Endpoint(
        method="GET",
        path="/api/graph/entity/{name:path}",
        handler=graph.show_entity,
        permission=READ,
        summary="Show an entity with its relationships and the documents that mention it",
        answers=((200, library.EntityDetail),),
        problems=(404,),
    ),
    Endpoint(
        method="GET",
        path="/api/graph/visualization",
        handler=graph.show_picture,
        permission=READ,
        summary="Give nodes and edges to draw",
        params=graph.PictureSize,
        answers=((200, library.Visualization),),
    ),
    Endpoint(
        method="GET",
        path="/api/graph/status",
        handler=graph.show_status,
        permission=READ,
        summary="Tell what the graph holds and when it was last worked on",
        answers=((200, library.GraphStatus),),
    ),
    Endpoint(
        method="GET",
        path="/api/stats",
        handler=graph.show_stats,
        permission=READ,
        summary="Count everything",
        answers=((200, graph.Stats),),
    ),
)

_COMMUNITIES = (
    Endpoint(
        method="GET",
        path="/api/graph/communities",
        handler=communities.list_communities,
        permission=READ,
        summary="List communities, largest first",
        params=communities.CommunityPage,
        answers=((200, communities.CommunityList),),
    ),
    Endpoint(
        method="DELETE",
        path="/api/graph/communities",
        handler=communities.delete_communities,
        permission=MANAGE,
        summary="Delete all communities; their entities stay",
        params=communities.CommunityScope,
        answers=((200, communities.Deleted),),
    ),
    Endpoint(
        method="GET",
        path="/api/graph/communities/search",
        handler=communities.search_communities,
        permission=READ,
        summary="Find communities by words",
        params=communities.CommunityQuery,
        answers=((200, communities.FoundList),),
    ),
    Endpoint(
        method="GET",
        path="/api/graph/communities/{community_id}",
        handler=communities.show_community,
        permission=READ,
        summary="Show a community with its members",
        answers=((200, communities.CommunityDetailView),),
        problems=(404,),
    ),
    Endpoint(
        method="DELETE",
        path="/api/graph/communities/{community_id}",
        handler=communities.delete_community,
        permission=MANAGE,
        summary="Delete a community; its entities stay",
        answers=((200, communities.Deleted),),
        problems=(404,),
    ),
)

LIBRARY_ENDPOINTS: tuple[Endpoint, ...] = (*_OPERATIONS, *_DOCUMENTS, *_GRAPH, *_COMMUNITIES)
