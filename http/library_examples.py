"""The examples of what is asked and answered where there is a library."""

from __future__ import annotations

from typing import Any

from ..engine.lifecycle import TaskStatus
from ..jobs import operations as jobs
from ..jobs.library import views as library
from ..jobs.model import DocumentStatus, Entity
from . import communities, documents, graph, operations, uploads
from .examples import TASK, TASK_ID, at, by_type

DOCUMENT_ID = "doc_7f3a9c21"
NEXT = ("community_detection", "community_summarization")
_STARTED: dict[str, Any] = {
    "task_id": TASK_ID,
    "status": TaskStatus.PENDING,
    "deduplicated": False,
}

_DOCUMENT = documents.DocumentView(
    id=DOCUMENT_ID,
    document_id=DOCUMENT_ID,
    filename="whales.md",
    file_type="md",
    file_size=5120,
    upload_date=at(-3600),
    collection_id="seas",
    source="field notes",
    status=DocumentStatus.COMPLETED,
    processing_status=DocumentStatus.COMPLETED,
    error=None,
    error_message=None,
    chunk_count=14,
    entity_count=9,
)
_ENTITY = Entity(
    name="Blue Whale",
    type="Concept",
    description="The Blue Whale lives in the Pacific Ocean.",
    mention_count=7,
)
_EDGE = library.Edge(
    source="Blue Whale",
    target="Pacific Ocean",
    type="LOCATED_IN",
    description="The Blue Whale lives in the Pacific Ocean.",
    weight=2.5,
)
_SUMMARY = "The Blue Whale lives in the Pacific Ocean. Marina Lopez studies the Blue Whale."
_COMMUNITY: dict[str, Any] = {
    "id": 5,
    "community_id": "comm_5",
    "name": "Blue Whale & Pacific Ocean",
    "description": "The Blue Whale lives in the Pacific Ocean.",
    "summary": _SUMMARY,
    "entity_count": 4,
    "document_count": 2,
    "top_entities": ["Blue Whale", "Pacific Ocean"],
    "sample_entities": ["Blue Whale", "Pacific Ocean"],
    "has_summary": True,
    "stale": False,
    "created_at": at(60),
    "collection_id": None,
}

_OPERATIONS = by_type(
    operations.ProcessParams(concurrency=4, chain=list(NEXT)),
    operations.AnalyzeParams(collection_id="seas", mode="incremental", chain=",".join(NEXT)),
    operations.DetectParams(min_size=4, collection_id="seas"),
    operations.SummarizeParams(community_ids=[5, "comm_7"]),
    operations.InstanceView(
        safe_to_redeploy=False,
        reasons=["1 task is running: community_detection"],
        running_task_count=1,
        running_tasks=[TASK],
    ),
    jobs.Started(**_STARTED, message="Community detection started", chain=()),
    jobs.ProcessingStarted(
        **_STARTED,
        message="Processing started for 3 documents",
        chain=NEXT,
        pending_count=3,
        concurrency=4,
    ),
    jobs.NothingPending(),
    jobs.SummarizationStarted(**_STARTED, message="Community summarization started", chain=()),
    jobs.Aborted(
        documents_cancelled=3,
        chain_tasks_cancelled=1,
        tasks_cancelled=[TASK_ID],
        tasks_still_running=[],
        documents_reset=3,
    ),
)

_DOCUMENTS = by_type(
    uploads.UploadOptions(collection_id="seas", source="field notes", start_processing=False),
    uploads.CustomInput(content="The Blue Whale lives in the Pacific Ocean.", title="Whales"),
    uploads.Taken(
        document_id=DOCUMENT_ID,
        id=DOCUMENT_ID,
        filename="whales.md",
        status=DocumentStatus.PENDING,
        message="Document uploaded; it is being processed",
        source="field notes",
        task_id=TASK_ID,
    ),
    documents.DocumentFilter(status="completed", collection_id="seas", limit=20),
    documents.PendingFilter(collection_id="seas"),
    documents.ContentForm(),
    _DOCUMENT,
    documents.DocumentList([_DOCUMENT], 1, 20, 0),
    documents.PendingList(1, [_DOCUMENT]),
    documents.ContentView(DOCUMENT_ID, DOCUMENT_ID, "whales.md", "md", "# Whales\n\nThe Blue …"),
    documents.DocumentDeleted(DOCUMENT_ID, DOCUMENT_ID, True, "Document 'whales.md' deleted"),
)

_GRAPH = by_type(
    graph.EntityFilter(entity_type="Concept", search="whale"),
    graph.PictureSize(limit=500),
    graph.Stats(
        document_count=12,
        chunk_count=140,
        entity_count=96,
        relationship_count=210,
        community_count=6,
        collection_count=1,
        pending_count=1,
        processing_count=0,
        completed_count=11,
        failed_count=0,
        entity_type_counts={"Concept": 60, "Location": 36},
        entity_relationship_ratio=2.19,
        total_size=61440,
        last_relationship_analysis_at=at(-600),
        last_community_detection_at=at(60),
        disk_free_mb=20480,
        disk_total_mb=51200,
        pending_task_count=1,
    ),
    library.EntityPage(entities=[_ENTITY], total=1),
    library.EntityDetail(
        name=_ENTITY.name,
        type=_ENTITY.type,
        description=_ENTITY.description,
        mention_count=_ENTITY.mention_count,
        document_count=2,
        relationships=[
            library.EntityRelationship(
                target="Pacific Ocean",
                type="LOCATED_IN",
                description=_EDGE.description,
                weight=2.5,
                confidence=0.9,
                extraction_method="per_chunk",
                direction="outgoing",
            )
        ],
        mentioned_in=[DOCUMENT_ID],
    ),
    library.Visualization(
        nodes=[
            library.Node(
                id="Blue Whale",
                label="Blue Whale",
                type="Concept",
                description=_ENTITY.description,
                community_id=5,
                mention_count=7,
            )
        ],
        edges=[_EDGE],
        stats=library.VisualizationStats(
            node_count=1, edge_count=1, total_entities=96, total_relationships=210
        ),
    ),
    library.GraphStatus(
        entity_count=96,
        relationship_count=210,
        community_count=6,
        summarized_community_count=5,
        entity_relationship_ratio=2.19,
        last_relationship_analysis_at=at(-600),
        last_community_detection_at=at(60),
    ),
)

_COMMUNITIES = by_type(
    communities.CommunityPage(limit=10),
    communities.MembersPage(offset=200),
    communities.SpokenPage(offset=50),
    communities.CommunityQuery(query="whale"),
    communities.CommunityScope(collection_id="seas"),
    communities.CommunityList([communities.CommunityView(**_COMMUNITY)], 1),
    communities.CommunityDetailView(
        **_COMMUNITY, entities=[_ENTITY], key_relationships=[_EDGE], documents=[_DOCUMENT]
    ),
    communities.FoundList(
        "whale",
        [
            library.CommunityHit(
                id=5, name=_COMMUNITY["name"], summary=_SUMMARY, entity_count=4, score=0.8
            )
        ],
        1,
    ),
    communities.CommunitiesDeleted(6, "Deleted 6 communities"),
)

LIBRARY_EXAMPLES = _OPERATIONS | _DOCUMENTS | _GRAPH | _COMMUNITIES
